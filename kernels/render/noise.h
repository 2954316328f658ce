// Sensor noise: one random byte per pixel; bits 0-6 pick a magnitude, bit 7 is the sign.
#pragma once
#include <cmath>
#include <cstdint>

namespace mie {

// round(42 q), q the half-normal quantile at (i + 1/2) / 128. Fixed data, part of the definition.
alignas(64) constexpr int8_t kNoiseTable[128] = {
    0,  1,  1,  1,  2,  2,  3,  3,  3,  4,  4,  5,  5,  6,  6,  6,  7,  7,  8,   8,  8,  9,  9,  10, 10, 11, 11,  //
    11, 12, 12, 13, 13, 14, 14, 14, 15, 15, 16, 16, 17, 17, 18, 18, 18, 19, 19,  20, 20, 21, 21, 22, 22, 23, 23,  //
    24, 24, 25, 25, 26, 26, 27, 27, 28, 28, 29, 29, 30, 30, 31, 31, 32, 32, 33,  33, 34, 35, 35, 36, 36, 37, 38,  //
    38, 39, 39, 40, 41, 41, 42, 43, 43, 44, 45, 46, 46, 47, 48, 49, 50, 50, 51,  52, 53, 54, 55, 56, 57, 58, 59,  //
    60, 61, 63, 64, 65, 67, 68, 70, 71, 73, 75, 77, 79, 82, 85, 88, 93, 98, 106, 121};

// Multiplier that turns 256 * table into Q7 noise of a Gaussian sigma in grey levels, 0..84. It is an int16, full at 83.8 levels.
inline int32_t noise_word(double sigma_levels) {
    double squares = 0;
    for (const int8_t value : kNoiseTable) squares += double(value) * value;
    const double word = std::nearbyint(sigma_levels * 128 * 32768 / (256 * std::sqrt(squares / 128)));
    return word < 32767 ? int32_t(word) : 32767;
}

}  // namespace mie
