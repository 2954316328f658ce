// value(i, j) = mean over supersample x supersample of bilinear(source, affine(i, j)), rounded to 8 bits
// Traffic: the window's bounding box is read once and kept as 2 x 2 neighbourhoods (4 bytes a px and channel), so that every sample is
// one 4-byte gather without a border case; where samples are sparse (a whole photograph for the detector) neighbourhoods are read singly.
// Source: bilinear interpolation on a grid of 2^-bits px as in OpenCV's warpAffine; integers defined in ref.py.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "../common/simd.h"
#include "align.h"

namespace mie {
namespace {

constexpr int kFine = 32;               // affine coefficients are integers in 2^-32 px
constexpr double kReachPx = 1 << 22;    // windows stay within this distance: sums then fit 64 bits with room
constexpr int kMaxSupersample = 16;     // 256 samples a pixel; more costs time and changes nothing to the eye
constexpr int64_t kMaxCells = 1 << 22;  // of the kept neighbourhoods, 16 MiB a channel

int64_t fine(double px) { return std::llround(px * 4294967296.0); }

// Rounds to nearest, halves to even: as OpenCV does, and negating the input negates the output, which a plain shift does not do.
inline int64_t coarse(int64_t value, int shift) { return (value + (int64_t(1) << (shift - 1)) - 1 + ((value >> shift) & 1)) >> shift; }

// One axis of the window, measured from the centre of the output and of the source: mirroring either only changes signs.
struct Axis {
    int64_t per_column, per_row, middle;  // 2^-32 px
    int32_t centre;                       // of the source, 2^-fraction_bits px
    int shift;

    Axis(const double* row, const Window& window, int extent_px) : shift(kFine - window.fraction_bits) {
        const double half_output = 0.5 * (window.size - 1);
        const double middle_px = row[0] * half_output + row[1] * half_output + row[2] - 0.5 * (extent_px - 1);
        const double reach_px = std::fabs(middle_px) + 0.5 * window.size * (std::fabs(row[0]) + std::fabs(row[1]));
        if (!(reach_px < kReachPx)) throw std::invalid_argument("crop window is not finite or far outside the image");
        per_column = fine(row[0] / (2 * window.supersample));
        per_row = fine(row[1] / (2 * window.supersample));
        middle = fine(middle_px);
        centre = (extent_px - 1) << (window.fraction_bits - 1);
    }
    // Position of the sample that lies column / (2 supersample), row / (2 supersample) output px from the centre
    int64_t at(int64_t column, int64_t row) const { return coarse(per_column * column + per_row * row + middle, shift) + centre; }
};

// round(.299 R + .587 G + .114 B); the weights total 2^16
inline uint8_t luma_of(const uint8_t* rgb) { return uint8_t((19595 * rgb[0] + 38470 * rgb[1] + 7471 * rgb[2] + 32768) >> 16); }

// 8-bit samples of one channel; with `luma`, the grey of packed RGB.
struct Channel {
    const uint8_t* first;
    int64_t stride;
    int step;  // bytes between pixels, 1..3
    bool luma;
    int outside;  // sample beyond the border, or -1: the nearest inside
    int width, height;
};

MIE_CLONES void take(const uint8_t* from, int step, bool luma, int count, uint8_t* line) {
    if (step == 1)
        std::memcpy(line, from, size_t(count));
    else if (step == 2)
        for (int i = 0; i < count; ++i) line[i] = from[2 * i];
    else if (!luma)
        for (int i = 0; i < count; ++i) line[i] = from[3 * i];
    else
        for (int i = 0; i < count; ++i) line[i] = luma_of(from + 3 * i);
}

// Pixels x .. x + count - 1 of row y, some of which may lie outside.
void read_line(const Channel& c, int x, int y, int count, uint8_t* line) {
    const int row = std::clamp(y, 0, c.height - 1);
    const int begin = std::clamp(x, 0, c.width - 1), end = std::clamp(x + count, begin + 1, c.width);
    const int before = std::clamp(begin - x, 0, count - 1), inside = std::min(end - begin, count - before), after = count - before - inside;
    const bool nothing = row != y || x >= c.width || x + count <= 0;
    if (c.outside >= 0 && nothing) return void(std::memset(line, c.outside, size_t(count)));
    take(c.first + row * c.stride + int64_t(begin) * c.step, c.step, c.luma, inside, line + before);
    std::memset(line, c.outside >= 0 ? c.outside : line[before], size_t(before));
    std::memset(line + before + inside, c.outside >= 0 ? c.outside : line[before + inside - 1], size_t(after));
}

MIE_CLONES void join_lines(const uint8_t* upper, const uint8_t* lower, int count, uint32_t* quad) {
    for (int i = 0; i < count; ++i)
        quad[i] = uint32_t(upper[i]) | uint32_t(upper[i + 1]) << 8 | uint32_t(lower[i]) << 16 | uint32_t(lower[i + 1]) << 24;
}

uint32_t read_quad(const Channel& c, int x, int y) {
    uint32_t quad = 0;
    for (int k = 0; k < 4; ++k) {
        const int tx = x + (k & 1), ty = y + (k >> 1);
        const int cx = std::clamp(tx, 0, c.width - 1), cy = std::clamp(ty, 0, c.height - 1);
        const uint8_t* pixel = c.first + cy * c.stride + int64_t(cx) * c.step;
        const bool outside = c.outside >= 0 && (cx != tx || cy != ty);
        quad |= uint32_t(outside ? c.outside : c.luma ? luma_of(pixel) : *pixel) << (8 * k);
    }
    return quad;
}

// Neighbourhoods kept: columns and rows left .. left + width - 1. Beyond -2 and the far border nothing changes any more.
struct Region {
    int left, top, width, height;
};

Region region_of(const Axis* axis, const Window& w, int width, int height) {
    const int64_t far = int64_t(w.supersample) * w.size - 1;
    int64_t low[2] = {INT64_MAX, INT64_MAX}, high[2] = {INT64_MIN, INT64_MIN};
    for (int corner = 0; corner < 4; ++corner) {
        const int64_t column = corner & 1 ? far : -far, row = corner & 2 ? far : -far;
        const int64_t at[2] = {axis[0].at(column, row) >> w.fraction_bits, axis[1].at(column, row) >> w.fraction_bits};
        for (int k = 0; k < 2; ++k) low[k] = std::min(low[k], at[k]), high[k] = std::max(high[k], at[k]);
    }
    const int left = int(std::clamp<int64_t>(low[0], -2, width)), right = int(std::clamp<int64_t>(high[0], -2, width));
    const int top = int(std::clamp<int64_t>(low[1], -2, height)), bottom = int(std::clamp<int64_t>(high[1], -2, height));
    return {left, top, right - left + 1, bottom - top + 1};
}

struct Scratch {  // of the calling thread, kept from frame to frame
    std::vector<int64_t> column;
    std::vector<int32_t> place;  // cell and fractions of a row of samples
    std::vector<uint32_t> quad, row_quad, sum;
    std::vector<uint8_t> line[2], planes;
};

// Adds to `cell` where samples lie along one axis, in cells from `first` on that are `pitch` apart, and gives the fractions. Positions are
// made positive, by whole pixels, before they are shifted, because few processors shift 64-bit lanes arithmetically.
MIE_CLONES void locate(const Axis& axis, const int64_t* column, int64_t row, int bits, int first, int cells, int pitch, int count,
                       int32_t* cell, int32_t* fraction) {
    constexpr uint64_t kLift = uint64_t(1) << 54;
    const int shift = axis.shift;
    const uint64_t base = uint64_t(axis.per_row * row + axis.middle) + kLift, half = (uint64_t(1) << (shift - 1)) - 1;
    const int32_t back = int32_t(axis.centre - int64_t(kLift >> shift)), mask = (1 << bits) - 1;
    for (int i = 0; i < count; ++i) {
        const uint64_t value = uint64_t(column[i]) + base;
        const int32_t at = int32_t((value + half + ((value >> shift) & 1)) >> shift) + back;
        const int32_t whole = (at >> bits) - first;
        cell[i] += (whole < 0 ? 0 : whole >= cells ? cells - 1 : whole) * pitch;
        fraction[i] = at & mask;
    }
}

inline uint32_t blend(uint32_t quad, int32_t fx, int32_t fy, int bits) {
    const int32_t a = int32_t(quad & 255), b = int32_t(quad >> 8 & 255), c = int32_t(quad >> 16 & 255), d = int32_t(quad >> 24);
    const int32_t top = (a << bits) + (b - a) * fx, bottom = (c << bits) + (d - c) * fx;
    return uint32_t((top << bits) + (bottom - top) * fy);
}

MIE_CLONES void add(const uint32_t* quad, const int32_t* fx, const int32_t* fy, int bits, int count, uint32_t* sum) {
    for (int i = 0; i < count; ++i) sum[i] += blend(quad[i], fx[i], fy[i], bits);
}

// sum / (samples 2^(2 bits)): exact, because the quotient of whole numbers below 2^16 by at most 256 stays clear of the next integer
MIE_CLONES void divide(const uint32_t* sum, int bits, int samples, int count, uint8_t* target) {
    for (int i = 0; i < count; ++i) target[i] = uint8_t(int32_t(float(int32_t(sum[i] >> (2 * bits))) / float(samples)));
}

// Channels of equal size through the window: target [channels][size][size].
void sample(const Channel* channel, int channels, const Window& w, Scratch& s, uint8_t* target) {
    const int n = w.supersample, size = w.size, bits = w.fraction_bits;
    const Axis axis[2] = {{w.to_source.m[0], w, channel->width}, {w.to_source.m[1], w, channel->height}};
    Region region = region_of(axis, w, channel->width, channel->height);
    const int64_t cells = int64_t(region.width) * region.height;
    const bool kept = cells <= 8 * int64_t(size) * size * n * n && cells <= kMaxCells;
    if (kept) {
        s.quad.resize(size_t(cells * channels));
        for (auto& line : s.line) line.resize(size_t(region.width) + 1);
        uint32_t* quad = s.quad.data();
        for (int c = 0; c < channels; ++c) {
            read_line(channel[c], region.left, region.top, region.width + 1, s.line[0].data());
            for (int y = 1; y <= region.height; ++y, quad += region.width) {
                read_line(channel[c], region.left, region.top + y, region.width + 1, s.line[y % 2].data());
                join_lines(s.line[(y + 1) % 2].data(), s.line[y % 2].data(), region.width, quad);
            }
        }
    }

    const int64_t first = 1 - int64_t(n) * size;  // of the samples, counted from the centre in halves
    const size_t row = size_t(size);
    s.column.resize(2 * n * row), s.place.resize(3 * row), s.sum.resize(row * size_t(channels)), s.row_quad.resize(row);
    for (int k = 0; k < 2; ++k)
        for (int64_t i = 0; i < n * size; ++i) s.column[size_t((k * n + i % n) * size + i / n)] = axis[k].per_column * (first + 2 * i);
    int32_t *const cell = s.place.data(), *const fx = cell + size, *const fy = fx + size;
    for (int64_t j = 0; j < size; ++j) {
        std::fill(s.sum.begin(), s.sum.end(), uint32_t(n * n) << (2 * bits - 1));
        for (int step = 0; step < n * n; ++step) {
            const int64_t line = first + 2 * (j * n + step / n);
            const int64_t* column = s.column.data() + (step % n) * size;
            std::fill(cell, cell + size, 0);
            locate(axis[0], column, line, bits, region.left, region.width, 1, size, cell, fx);
            locate(axis[1], column + n * size, line, bits, region.top, region.height, region.width, size, cell, fy);
            for (int c = 0; c < channels; ++c) {
                uint32_t *const quad = s.row_quad.data(), *const table = s.quad.data() + c * cells;
                for (int i = 0; i < size; ++i) {
                    const int at = cell[i];
                    quad[i] = kept ? table[at] : read_quad(channel[c], region.left + at % region.width, region.top + at / region.width);
                }
                add(quad, fx, fy, bits, size, s.sum.data() + c * size);
            }
        }
        for (int c = 0; c < channels; ++c) divide(s.sum.data() + c * size, bits, n * n, size, target + (int64_t(c) * size + j) * size);
    }
}

uint8_t byte_of(int value_q16) { return uint8_t(std::clamp((value_q16 + 32768) >> 16, 0, 255)); }

// BT.601: with full range Y 0..255, else Y 16..235 and chroma 16..240
struct YuvScale {
    int black, y, rv, gu, gv, bu;  // Q16
};
constexpr YuvScale kFull{0, 65536, 91881, 22554, 46802, 116130}, kLimited{16, 76309, 104597, 25675, 53279, 132201};

MIE_CLONES void expand_luma(int64_t count, uint8_t* y) {
    for (int64_t i = 0; i < count; ++i) y[i] = byte_of(kLimited.y * (y[i] - kLimited.black));
}

MIE_CLONES void yuv_to_rgb(const YuvScale& k, int64_t count, uint8_t* first, uint8_t* second, uint8_t* third) {
    for (int64_t i = 0; i < count; ++i) {
        const int y = k.y * (first[i] - k.black), u = second[i] - 128, v = third[i] - 128;
        first[i] = byte_of(y + k.rv * v), second[i] = byte_of(y - k.gu * u - k.gv * v), third[i] = byte_of(y + k.bu * u);
    }
}

MIE_CLONES void interleave(const uint8_t* r, const uint8_t* g, const uint8_t* b, int64_t count, uint8_t* target) {
    for (int64_t i = 0; i < count; ++i) target[3 * i] = r[i], target[3 * i + 1] = g[i], target[3 * i + 2] = b[i];
}

MIE_CLONES void scale_to(const uint8_t* samples, int64_t count, int step, float scale, float offset, float* target) {
    for (int64_t i = 0; i < count; ++i) target[i * step] = float(samples[i]) * scale + offset;
}

Scratch& scratch() {
    static thread_local Scratch s;
    return s;
}

void check(const Frame& f, const Window& w) {
    if (f.width < 1 || f.height < 1) throw std::invalid_argument("image is empty");
    if (f.width > kReachPx || f.height > kReachPx || (f.width + 3.0) * (f.height + 3.0) > INT32_MAX)
        throw std::invalid_argument("image is too large");
    if (w.size < 1 || w.size > 8192) throw std::invalid_argument("crop size must lie in 1..8192 px");
    if (w.supersample < 1 || w.supersample > kMaxSupersample) throw std::invalid_argument("supersample must lie in 1..16");
    if (w.fraction_bits < 1 || w.fraction_bits > 8) throw std::invalid_argument("fraction_bits must lie in 1..8");
}

// A channel of the frame; outside a zero border lies black.
Channel channel_of(const Frame& f, const Window& w, int plane, int byte, int step, bool luma = false) {
    const bool yuv = f.format == PixelFormat::yuv420 || f.format == PixelFormat::nv12, chroma = yuv && plane + byte > 0;
    const int black = chroma ? 128 : yuv && !f.full_range ? kLimited.black : 0, half = chroma ? 2 : 1;
    return {f.plane[plane] + byte,       f.stride[plane], step, luma, w.border == Border::zero ? black : -1, (f.width + half - 1) / half,
            (f.height + half - 1) / half};
}

struct Planes {
    const uint8_t *r, *g, *b;
};

Planes colour_planes(const Frame& f, Window w, Scratch& s) {
    check(f, w);
    const int64_t count = int64_t(w.size) * w.size;
    s.planes.resize(size_t(count) * 3);
    uint8_t* p = s.planes.data();
    if (f.format == PixelFormat::rgb) {
        const Channel rgb[3] = {channel_of(f, w, 0, 0, 3), channel_of(f, w, 0, 1, 3), channel_of(f, w, 0, 2, 3)};
        sample(rgb, 3, w, s, p);
        return {p, p + count, p + 2 * count};
    }
    const Channel y = channel_of(f, w, 0, 0, 1);
    sample(&y, 1, w, s, p);
    if (f.format == PixelFormat::grey) return {p, p, p};
    const bool packed = f.format == PixelFormat::nv12;
    const Channel uv[2] = {channel_of(f, w, 1, 0, packed ? 2 : 1), packed ? channel_of(f, w, 1, 1, 2) : channel_of(f, w, 2, 0, 1)};
    for (auto& row : w.to_source.m) row[0] /= 2, row[1] /= 2, row[2] = (row[2] - 0.5) / 2;  // chroma c is centred on 2 c + 1/2
    sample(uv, 2, w, s, p + count);
    yuv_to_rgb(f.full_range ? kFull : kLimited, count, p, p + count, p + 2 * count);
    return {p, p + count, p + 2 * count};
}

}  // namespace

int supersample_for(const Affine& to_source) {
    const auto& m = to_source.m;
    const double squared = std::max(m[0][0] * m[0][0] + m[1][0] * m[1][0], m[0][1] * m[0][1] + m[1][1] * m[1][1]);
    // The hair below the integer keeps a scale of exactly n, computed with rounding, at n samples.
    const double scale = std::ceil(std::sqrt(squared) - 1e-9);
    return scale >= kMaxSupersample ? kMaxSupersample : std::max(1, int(scale));
}

void align_grey(const Frame& source, const Window& window, uint8_t* target) {
    check(source, window);
    const bool rgb = source.format == PixelFormat::rgb, grey = source.format == PixelFormat::grey;
    const Channel channel = channel_of(source, window, 0, 0, rgb ? 3 : 1, rgb);
    sample(&channel, 1, window, scratch(), target);
    if (!rgb && !grey && !source.full_range) expand_luma(int64_t(window.size) * window.size, target);
}

void align_rgb(const Frame& source, const Window& window, uint8_t* target) {
    const Planes p = colour_planes(source, window, scratch());
    interleave(p.r, p.g, p.b, int64_t(window.size) * window.size, target);
}

void align_float(const Frame& source, const Window& window, Layout layout, float scale, float offset, float* target) {
    const Planes p = colour_planes(source, window, scratch());
    const int64_t count = int64_t(window.size) * window.size;
    const int step = layout == Layout::hwc ? 3 : 1;
    const int64_t apart = layout == Layout::hwc ? 1 : count;
    for (const uint8_t* plane : {p.r, p.g, p.b}) scale_to(plane, count, step, scale, offset, target), target += apart;
}

}  // namespace mie
