// The definition of render, one sample at a time; identical in NumPy (ref.py). Every intermediate fits int32.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../common/fixed.h"

namespace mie {

// Where a pixel lies in its cell of nodes: full-size planes have 4 px per cell, chroma planes 2 (the grid is the same one).
MIE_HOST_DEVICE inline int cell_shift(bool half) { return half ? 1 : 2; }
MIE_HOST_DEVICE inline int cell_eighths(int pixel, bool half) { return half ? 4 * (pixel & 1) + 2 : 2 * (pixel & 3) + 1; }

// Grid at a pixel: displacement Q10 px (Q11 of chroma px: the halving is only another reading of the same integer), gain Q15.
MIE_HOST_DEVICE inline int32_t field_at(const int16_t* grid, int grid_width, int x, int y, bool half) {
    const int across = cell_eighths(x, half), down = cell_eighths(y, half);
    const int16_t* upper = grid + (y >> cell_shift(half)) * grid_width + (x >> cell_shift(half));
    const int16_t* lower = upper + grid_width;
    const int32_t from = odd_round(8 * upper[0] + (upper[1] - upper[0]) * across, 3);  // Q7
    const int32_t to = odd_round(8 * lower[0] + (lower[1] - lower[0]) * across, 3);
    return 8 * from + (to - from) * down;
}

// Bilinear sample of a prepared plane, Q7 0..32640. `pixel` points at the undisplaced sample.
MIE_HOST_DEVICE inline int32_t sample_q7(const uint8_t* pixel, int stride, int32_t dx, int32_t dy, bool half) {
    const int bits = half ? 11 : 10, mask = (1 << bits) - 1;
    // Horizontal weight Q7 in 0..128, ties away from 1/2, so that it reads the same from either end; vertical weight at full precision
    const int32_t fraction = dx & mask;
    const int32_t fx = (fraction + (1 << (bits - 8)) - 1 + (fraction >> (bits - 1))) >> (bits - 7);
    const int32_t fy = dy & mask;
    const int8_t* tap = reinterpret_cast<const int8_t*>(pixel) + ptrdiff_t(dy >> bits) * stride + (dx >> bits);
    const int32_t upper = (128 - fx) * tap[0] + fx * tap[1];
    const int32_t lower = (128 - fx) * tap[stride] + fx * tap[stride + 1];
    return upper + (((lower - upper) * fy + (1 << (bits - 1))) >> bits) + (128 << 7);
}

// Gain acts on the distance from zero (chroma: from 128).
MIE_HOST_DEVICE inline int32_t shade_q7(int32_t value, int32_t gain_q15) {
    const int32_t shaded = value + ((value * gain_q15 + (1 << 14)) >> 15);
    return shaded > 32767 ? 32767 : shaded;
}

MIE_HOST_DEVICE inline int32_t add_noise_q7(int32_t value, int32_t signed_table_value, int32_t noise_q15) {
    return clamp(value + ((256 * signed_table_value * noise_q15 + (1 << 14)) >> 15), -32768, 32767);
}

MIE_HOST_DEVICE inline uint8_t to_byte(int32_t value_q7) { return uint8_t(clamp((value_q7 + 64) >> 7, 0, 255)); }

}  // namespace mie
