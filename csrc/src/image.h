// Reading an affine window out of an RGB image: what the networks see, and the crops that are kept.
#pragma once
#include <cstdint>

namespace mie {

struct RgbView {
    const uint8_t* pixels;  // [height][width][3]
    int width, height;      // px
    int64_t stride;         // bytes between rows
};

struct Affine {  // output px -> source px: x = m[0][0] i + m[0][1] j + m[0][2], y likewise; pixel centres at integers
    double m[2][3];
};

enum class Border { zero, replicate };  // what lies outside the source

struct Warp {
    Affine to_source;
    int size;           // output is [size][size][3]
    int supersample;    // samples per output pixel and axis, see supersample_for
    int fraction_bits;  // source coordinates are rounded to 2^-fraction_bits px, 1..8
    Border border;
};

// Samples per axis that keep neighbouring samples at most one source pixel apart: ceil(scale), 1..16.
int supersample_for(const Affine& to_source);

// Mean of supersample x supersample bilinear samples, rounded to nearest. Integers from the quantised affine on: the same bytes on
// every machine, and a mirrored image under the mirrored affine gives the mirrored bytes. Throws std::invalid_argument when the
// window is not finite or lies millions of pixels away.
void warp(const RgbView& source, const Warp& warp, uint8_t* target);

// target = sample * scale + offset
void normalise(const uint8_t* samples, int64_t count, float scale, float offset, float* target);

}  // namespace mie
