// Flow of every pixel. Smoothness blurs a jump of the flow over some 6 px; the flow kReach cells away is hardly blurred, and the pixels
// tell to which side they belong: where the grid jumps, a pixel takes the flow of either side if that matches better by the noise's
// variance.
#pragma once
#include "buffers.h"
#include "lanes.h"
#include "relax.h"

namespace mie {
namespace {

constexpr int kReach = 3;                             // cells of 2 px
constexpr float kJumpPx = .5f, kSharpness = .7f;      // least change over two reaches; its least share of that over four
typedef float Quad __attribute__((vector_size(16)));  // one row of the 4x4 px around a cell
typedef int16_t Short4 __attribute__((vector_size(8)));

// |f(d cells on) - f(d cells back)|^2 of the cells from u, v on
MIE_INLINE F change(const float* u, const float* v, int64_t d) {
    const F du = loadf(u + d) - loadf(u - d), dv = loadf(v + d) - loadf(v - d);
    return fma(du, du, dv * dv);
}

struct Vote {
    const FlowBuffers& all;
    const FlowImage &a, &b;
    const float gain, offset;

    // Mean squared residual of a flow over the 3x3 px around each of the cell's pixels; false where that needs px outside the frames
    bool costs(int cx, int cy, float u, float v, float* cost) const {
        const float whole_u = std::floor(u), whole_v = std::floor(v), fx = u - whole_u, fy = v - whole_v;
        const int x = 2 * cx - 1, y = 2 * cy - 1, to_x = x + int(whole_u), to_y = y + int(whole_v);
        if (std::min(x, to_x) < 0 || std::min(y, to_y) < 0) return false;
        if (std::max(x + 4, to_x + 5) > all.width || std::max(y + 4, to_y + 5) > all.height) return false;
        const auto quad = [](const int16_t* p) { return __builtin_convertvector(load<Short4>(p), Quad); };
        const auto across = [&](int row) {
            const int16_t* p = b.row(to_y + row) + to_x;
            const Quad left = quad(p);
            return left + fx * (quad(p + 1) - left);
        };
        Quad upper = across(0), square[4];
        for (int k = 0; k < 4; ++k) {
            const Quad lower = across(k + 1),
                       residual = gain * (upper + fy * (lower - upper)) + offset - quad(a.row(y + k) + x) * (1.f / 64);
            square[k] = residual * residual;
            upper = lower;
        }
        const Quad middle = square[1] + square[2], sums[2] = {square[0] + middle, middle + square[3]};
        for (int k = 0; k < 2; ++k) {
            const float inner = sums[k][1] + sums[k][2];
            cost[2 * k] = (sums[k][0] + inner) / 9;
            cost[2 * k + 1] = (inner + sums[k][3]) / 9;
        }
        return true;
    }

    void cell(int cx, int cy, bool along_y, bool along_x, float* out_u, float* out_v) const {
        const float *u = all.u.row(cy) + cx, *v = all.v.row(cy) + cx;
        float best[4], cost[4];
        if (!costs(cx, cy, *u, *v, best)) return;
        bool open = false;
        for (float& c : best) {
            c -= all.noise * all.noise;
            open = open || c > 0;
        }
        if (!open) return;  // no cost is negative: nothing can win
        const auto candidate = [&](int64_t at) {
            if (!costs(cx, cy, u[at], v[at], cost)) return;
            for (int i = 0; i < 4; ++i) {
                if (!(cost[i] < best[i])) continue;
                best[i] = cost[i];
                const int64_t pixel = int64_t(2 * cy + i / 2) * all.width + 2 * cx + i % 2;
                out_u[pixel] = u[at];
                out_v[pixel] = v[at];
            }
        };
        if (along_y) candidate(kReach * all.u.stride), candidate(-kReach * all.u.stride);
        if (along_x) candidate(kReach), candidate(-kReach);
    }
};

void full_size(const FlowBuffers& all, float* out_u, float* out_v) {
    const int width = (all.width + 1) / 2, height = (all.height + 1) / 2;
    double_plane(all.u.row(0), all.u.stride, width, height, all.width, all.height, out_u);
    double_plane(all.v.row(0), all.v.stride, width, height, all.width, all.height, out_v);

    const Vote vote{all, all.level[0]->a, all.level[0]->b, all.gain / 64, all.offset};
    for (int y = 0; y < height; ++y) {
        const bool rows = y >= 2 * kReach && y < height - 2 * kReach;
        const int64_t down = rows ? kReach * all.u.stride : 0;
        for (int x = 0; x < width; x += kFloats) {
            const float *u = all.u.row(y) + x, *v = all.v.row(y) + x;
            const F near_x = change(u, v, kReach), near_y = change(u, v, down);
            if (any_lane(I16(larger(near_x, near_y) > kJumpPx * kJumpPx)) < 0) continue;
            const auto jumps = [&](F near, F far) { return (near > all_of(kJumpPx * kJumpPx)) & (near > kSharpness * kSharpness * far); };
            const I32 index = float_index() + x, on_x = (index >= 2 * kReach) & (index < width - 2 * kReach);
            const I32 along_x = jumps(near_x, change(u, v, 2 * kReach)) & on_x;
            const I32 along_y = rows ? jumps(near_y, change(u, v, 2 * down)) & (index < width) : I32{};
            for (int i = 0; i < kFloats; ++i)
                if (along_x[i] | along_y[i]) vote.cell(x + i, y, along_y[i], along_x[i], out_u, out_v);
        }
    }
}

}  // namespace
}  // namespace mie
