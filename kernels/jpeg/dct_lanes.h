// The two-dimensional DCT of as many 8 x 8 blocks as a vector has 128-bit lanes: register y holds row y of each.
// A path includes this after defining MIE_INLINE with its target and passes its instructions as `V`, so that all are inlined into one.
#include "dct.h"

namespace mie {
namespace {

template <class V>
MIE_INLINE void transpose(typename V::Type r[8]) {
    const auto a0 = V::low16(r[0], r[1]), a1 = V::high16(r[0], r[1]), a2 = V::low16(r[2], r[3]), a3 = V::high16(r[2], r[3]);
    const auto a4 = V::low16(r[4], r[5]), a5 = V::high16(r[4], r[5]), a6 = V::low16(r[6], r[7]), a7 = V::high16(r[6], r[7]);
    const auto b0 = V::low32(a0, a2), b1 = V::high32(a0, a2), b2 = V::low32(a1, a3), b3 = V::high32(a1, a3);
    const auto b4 = V::low32(a4, a6), b5 = V::high32(a4, a6), b6 = V::low32(a5, a7), b7 = V::high32(a5, a7);
    r[0] = V::low64(b0, b4), r[1] = V::high64(b0, b4), r[2] = V::low64(b1, b5), r[3] = V::high64(b1, b5);
    r[4] = V::low64(b2, b6), r[5] = V::high64(b2, b6), r[6] = V::low64(b3, b7), r[7] = V::high64(b3, b7);
}

MIE_INLINE int pair(int first, int second) { return int(uint32_t(uint16_t(first)) | uint32_t(second) << 16); }

// One pass over the registers. int16 holds every sum: a pass-1 value is at most 4096 in size, and eight of them add up to -32768..32642.
template <class V, bool kRows>
MIE_INLINE void dct_pass(typename V::Type r[8]) {
    constexpr int kShift = kRows ? kRowShift : kColumnShift;
    const auto half = V::spread32(1 << (kShift - 1));
    const auto t0 = V::add(r[0], r[7]), t1 = V::add(r[1], r[6]), t2 = V::add(r[2], r[5]), t3 = V::add(r[3], r[4]);
    const auto t4 = V::subtract(r[3], r[4]), t5 = V::subtract(r[2], r[5]), t6 = V::subtract(r[1], r[6]), t7 = V::subtract(r[0], r[7]);
    const auto t10 = V::add(t0, t3), t13 = V::subtract(t0, t3), t11 = V::add(t1, t2), t12 = V::subtract(t1, t2);
    if (kRows) {
        r[0] = V::template shift_left16<kPassBits>(V::add(t10, t11));
        r[4] = V::template shift_left16<kPassBits>(V::subtract(t10, t11));
    } else {
        const auto two = V::spread32(pair(1 << (kPassBits - 1), 1 << (kPassBits - 1)));
        r[0] = V::template shift_right16<kPassBits>(V::add(V::add(t10, t11), two));
        r[4] = V::template shift_right16<kPassBits>(V::add(V::subtract(t10, t11), two));
    }
    const auto even_low = V::low16(t12, t13), even_high = V::high16(t12, t13);
    const auto even = [&](const int c[2]) __attribute__((always_inline)) MIE_TARGET {
        const auto w = V::spread32(pair(c[0], c[1]));
        return V::pack32(V::template shift_right32<kShift>(V::dot(half, even_low, w)),
                         V::template shift_right32<kShift>(V::dot(half, even_high, w)));
    };
    r[2] = even(kEven2);
    r[6] = even(kEven6);
    const auto low45 = V::low16(t4, t5), high45 = V::high16(t4, t5), low67 = V::low16(t6, t7), high67 = V::high16(t6, t7);
    const auto odd = [&](const int c[4]) __attribute__((always_inline)) MIE_TARGET {
        const auto w45 = V::spread32(pair(c[0], c[1])), w67 = V::spread32(pair(c[2], c[3]));
        return V::pack32(V::template shift_right32<kShift>(V::dot(V::dot(half, low45, w45), low67, w67)),
                         V::template shift_right32<kShift>(V::dot(V::dot(half, high45, w45), high67, w67)));
    };
    r[1] = odd(kOdd[0]);
    r[3] = odd(kOdd[1]);
    r[5] = odd(kOdd[2]);
    r[7] = odd(kOdd[3]);
}

// Rows, then columns, as the definition rounds them
template <class V>
MIE_INLINE void forward_dct(typename V::Type r[8]) {
    transpose<V>(r);
    dct_pass<V, true>(r);
    transpose<V>(r);
    dct_pass<V, false>(r);
}

}  // namespace
}  // namespace mie
