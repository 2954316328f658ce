// The 8-point DCT of Loeffler, Ligtenberg and Moschytz (ICASSP 1989) in 13-bit integers, as libjpeg's accurate transform rounds it.
#pragma once
#include <cstdint>

namespace mie {

constexpr int kDctBits = 13, kPassBits = 2;  // fraction of the constants; extra fraction of the row pass
constexpr int kRowShift = kDctBits - kPassBits, kColumnShift = kDctBits + kPassBits;

constexpr int kC0298 = 2446, kC0390 = 3196, kC0541 = 4433, kC0765 = 6270, kC0899 = 7373, kC1175 = 9633, kC1501 = 12299, kC1847 = 15137,
              kC1961 = 16069, kC2053 = 16819, kC2562 = 20995, kC3072 = 25172;

// Output 2 and 6 of (t12, t13); outputs 1, 3, 5, 7 of (t4, t5, t6, t7): the factorised network multiplied out, which changes no bit
constexpr int kEven2[2] = {kC0541, kC0541 + kC0765}, kEven6[2] = {kC0541 - kC1847, kC0541};
constexpr int kOdd[4][4] = {{kC1175 - kC0899, kC1175 - kC0390, kC1175, kC1501 - kC0899 - kC0390 + kC1175},
                            {kC1175 - kC1961, kC1175 - kC2562, kC3072 - kC2562 - kC1961 + kC1175, kC1175},
                            {kC1175, kC2053 - kC2562 - kC0390 + kC1175, kC1175 - kC2562, kC1175 - kC0390},
                            {kC0298 - kC0899 - kC1961 + kC1175, kC1175, kC1175 - kC1961, kC1175 - kC0899}};

}  // namespace mie
