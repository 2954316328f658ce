#include "image.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>

namespace mie {
namespace {

constexpr int kFine = 32;             // affine coefficients are integers in 2^-32 px
constexpr double kReachPx = 1 << 22;  // windows stay within this distance: sums then fit 64 bits with room
constexpr int kMaxSupersample = 16;   // 256 samples a pixel; more costs time and changes nothing to the eye

int64_t fine(double px) { return std::llround(px * 4294967296.0); }

// Rounds to nearest, halves to even: as OpenCV does, and negating the input negates the output, which a plain shift does not do.
inline int64_t coarse(int64_t value, int shift) { return (value + (int64_t(1) << (shift - 1)) - 1 + ((value >> shift) & 1)) >> shift; }

// One axis of the window, measured from the centre of the output and of the source: mirroring either only changes signs.
struct Axis {
    int64_t per_column, per_row, middle;  // 2^-32 px
    int64_t centre;                       // of the source, 2^-fraction_bits px

    Axis(const double* row, int size, int supersample, int extent_px, int fraction_bits) {
        const double half_output = 0.5 * (size - 1);
        const double middle_px = row[0] * half_output + row[1] * half_output + row[2] - 0.5 * (extent_px - 1);
        const double reach_px = std::fabs(middle_px) + 0.5 * size * (std::fabs(row[0]) + std::fabs(row[1]));
        if (!(reach_px < kReachPx)) throw std::invalid_argument("crop window is not finite or far outside the image");
        per_column = fine(row[0] / (2 * supersample));
        per_row = fine(row[1] / (2 * supersample));
        middle = fine(middle_px);
        centre = int64_t(extent_px - 1) << (fraction_bits - 1);
    }
    // Position of the sample that lies column / (2 supersample), row / (2 supersample) output px from the centre
    int64_t at(int64_t column, int64_t row, int fraction_bits) const {
        return coarse(per_column * column + per_row * row + middle, kFine - fraction_bits) + centre;
    }
};

// Adds the bilinear sample at (x, y), in 2^-bits px, to sum: weights total 2^(2 bits).
inline void add_sample(const RgbView& source, int64_t x, int64_t y, int bits, Border border, int64_t sum[3]) {
    const int64_t one = int64_t(1) << bits, mask = one - 1;
    const int64_t x0 = x >> bits, y0 = y >> bits;
    const int32_t fx = int32_t(x & mask), fy = int32_t(y & mask);
    const int32_t weight[4] = {int32_t(one - fx) * int32_t(one - fy), fx * int32_t(one - fy), int32_t(one - fx) * fy, fx * fy};
    if (x0 >= 0 && y0 >= 0 && x0 + 1 < source.width && y0 + 1 < source.height) {
        const uint8_t* top = source.pixels + y0 * source.stride + 3 * x0;
        const uint8_t* bottom = top + source.stride;
        for (int c = 0; c < 3; ++c)
            sum[c] += weight[0] * top[c] + weight[1] * top[c + 3] + weight[2] * bottom[c] + weight[3] * bottom[c + 3];
        return;
    }
    for (int tap = 0; tap < 4; ++tap) {
        const int64_t tx = x0 + (tap & 1), ty = y0 + (tap >> 1);
        const int64_t cx = std::clamp<int64_t>(tx, 0, source.width - 1), cy = std::clamp<int64_t>(ty, 0, source.height - 1);
        if (border == Border::zero && (cx != tx || cy != ty)) continue;
        const uint8_t* pixel = source.pixels + cy * source.stride + 3 * cx;
        for (int c = 0; c < 3; ++c) sum[c] += weight[tap] * pixel[c];
    }
}

}  // namespace

int supersample_for(const Affine& to_source) {
    const auto& m = to_source.m;
    const double squared = std::max(m[0][0] * m[0][0] + m[1][0] * m[1][0], m[0][1] * m[0][1] + m[1][1] * m[1][1]);
    // The hair below the integer keeps a scale of exactly n, computed with rounding, at n samples.
    const double scale = std::ceil(std::sqrt(squared) - 1e-9);
    return scale >= kMaxSupersample ? kMaxSupersample : std::max(1, int(scale));
}

void warp(const RgbView& source, const Warp& warp, uint8_t* target) {
    if (source.width < 1 || source.height < 1) throw std::invalid_argument("image is empty");
    if (warp.size < 1 || warp.size > 8192) throw std::invalid_argument("crop size must lie in 1..8192 px");
    if (warp.supersample < 1 || warp.supersample > kMaxSupersample) throw std::invalid_argument("supersample must lie in 1..16");
    if (warp.fraction_bits < 1 || warp.fraction_bits > 8) throw std::invalid_argument("fraction_bits must lie in 1..8");
    const int n = warp.supersample, bits = warp.fraction_bits;
    const Axis x(warp.to_source.m[0], warp.size, n, source.width, bits);
    const Axis y(warp.to_source.m[1], warp.size, n, source.height, bits);
    const int64_t total = (int64_t(n) * n) << (2 * bits);
    const int64_t first = 1 - int64_t(n) * warp.size;  // of the samples, counted from the centre in halves

    for (int j = 0; j < warp.size; ++j) {
        for (int i = 0; i < warp.size; ++i) {
            int64_t sum[3] = {total / 2, total / 2, total / 2};
            for (int sj = 0; sj < n; ++sj) {
                for (int si = 0; si < n; ++si) {
                    const int64_t column = first + 2 * (int64_t(i) * n + si), row = first + 2 * (int64_t(j) * n + sj);
                    add_sample(source, x.at(column, row, bits), y.at(column, row, bits), bits, warp.border, sum);
                }
            }
            uint8_t* pixel = target + 3 * (int64_t(j) * warp.size + i);
            for (int c = 0; c < 3; ++c) pixel[c] = uint8_t(sum[c] / total);
        }
    }
}

void normalise(const uint8_t* samples, int64_t count, float scale, float offset, float* target) {
    for (int64_t i = 0; i < count; ++i) target[i] = float(samples[i]) * scale + offset;
}

}  // namespace mie
