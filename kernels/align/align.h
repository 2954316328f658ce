// align: an affine window of a frame, in the colour and number format that the next step reads.
#pragma once
#include <cstdint>

namespace mie {

enum class PixelFormat { rgb, grey, yuv420, nv12 };

struct Frame {
    PixelFormat format;
    int width, height;        // px
    const uint8_t* plane[3];  // rgb: [H][W][3]; grey: [H][W]; yuv420: Y, U, V; nv12: Y, UV as [H/2][W/2][2]; half sizes rounded up
    int64_t stride[3];        // bytes between rows of each plane
    bool full_range;          // of yuv420, nv12: Y 0..255 (JPEG), or 16..235 (most video)
};

inline Frame rgb_frame(const uint8_t* pixels, int width, int height, int64_t stride) {
    return {PixelFormat::rgb, width, height, {pixels}, {stride}, true};
}

struct Affine {  // output px -> source px: x = m[0][0] i + m[0][1] j + m[0][2], y likewise; pixel centres at integers
    double m[2][3];
};

enum class Border { zero, replicate };  // what lies outside the source

struct Window {
    Affine to_source;
    int size;           // output is size x size px
    int supersample;    // samples per output pixel and axis, 1..16, see supersample_for
    int fraction_bits;  // source coordinates are rounded to 2^-fraction_bits px, 1..8
    Border border;
};

enum class Layout { hwc, chw };

// Samples per axis that keep neighbouring samples at most one source pixel apart: ceil(scale), 1..16.
int supersample_for(const Affine& to_source);

// Mean of supersample x supersample bilinear samples, rounded to nearest. Integers from the quantised affine on: the same bytes on
// every machine, and a mirrored image under the mirrored affine gives the mirrored bytes. Definition in ref.py. They throw
// std::invalid_argument when the window is not finite or lies millions of pixels away, and run on the calling thread.
void align_grey(const Frame& source, const Window& window, uint8_t* target);  // [size][size]
void align_rgb(const Frame& source, const Window& window, uint8_t* target);   // [size][size][3]

// The samples of align_rgb, each times scale, plus offset.
void align_float(const Frame& source, const Window& window, Layout layout, float scale, float offset, float* target);

}  // namespace mie
