// The flow of a pair whose pyramids are built, coarse to fine; the entry points of an instruction set.
#pragma once
#include "edges.h"
#include "pyramid.h"
#include "relax.h"
#include "tensor.h"

namespace mie {
namespace {

constexpr int kSweeps[kFlowLevels] = {16, 24, 24, 24}, kSweepsFine = 8;  // part of the regularisation, not only of the speed
constexpr float kAlphaCoarse = 600, kAlphaMin = 50, kAlphaMax = 10000;
constexpr float kFineFactor = 10;  // the 2x2 grid is this much smoother than scaling the 4x4 grid's weight would make it
constexpr float kFloorLocal = .1f, kFloorAbsolute = 1e-5f;

// |f(x+1) - f|^2 + |f(y+1) - f|^2 of the cells of level 1, smoothed by [1 4 6 4 1]/16 in x and y, plus floors
void local_gradient(const FlowBuffers& all) {
    const FlowGrid& grid = all.level[1]->cells;
    const int w = grid.width, h = grid.height, stride = grid.stride;
    const int cells_x = all.width / 8, cells_y = all.height / 8, kx = cells_x / 8, ky = cells_y / 8;
    float *local = all.local.get(), *scratch = all.scratch.get() + 2;
    double total = 0;
    for (int y = 0; y < h; ++y) {
        const int below = std::min(y + 1, h - 1);
        const float *u = grid.row(y, FlowGrid::u), *v = grid.row(y, FlowGrid::v);
        const float *u_below = grid.row(below, FlowGrid::u), *v_below = grid.row(below, FlowGrid::v);
        float* to = local + y * stride;
        for (int x = 0; x < w; ++x) {
            const int right = std::min(x + 1, w - 1);
            const float a = u[right] - u[x], b = v[right] - v[x], c = u_below[x] - u[x], d = v_below[x] - v[x];
            to[x] = a * a + b * b + c * c + d * d;
        }
        if (y < ky || y >= cells_y - ky) continue;
        for (int x = kx; x < cells_x - kx; ++x) total += to[x];
    }
    const float floor = kFloorLocal * float(total / (double(cells_x - 2 * kx) * (cells_y - 2 * ky))) + kFloorAbsolute;
    for (int y = 0; y < h; ++y) {
        const auto row = [&](int dy) { return local + std::clamp(y + dy, 0, h - 1) * stride; };
        const float *r0 = row(-2), *r1 = row(-1), *r2 = row(0), *r3 = row(1), *r4 = row(2);
        float* to = scratch + y * (stride + 4);
        for (int x = 0; x < w; ++x) to[x] = r0[x] + r4[x] + 4 * (r1[x] + r3[x]) + 6 * r2[x];
        to[-2] = to[-1] = to[0];
        to[w] = to[w + 1] = to[w - 1];
    }
    for (int y = 0; y < h; ++y) {
        const float* p = scratch + y * (stride + 4);
        float* to = local + y * stride;
        for (int x = 0; x < w; ++x) {
            to[x] = floor + (1 - kFloorLocal) / 256 * (p[x - 2] + p[x + 2] + 4 * (p[x - 1] + p[x + 1]) + 6 * p[x]);
        }
        for (int x = w; x < stride; ++x) to[x] = to[w - 1];
    }
}

// The pixels' equations of a level on its cells; level 0 leaves those of the 2x2-px cells too and the noise: the mean standard
// deviation of what the flow so far leaves unexplained, two rings of cells at the border left out
template <bool kFine>
void build_equations(FlowBuffers& all, int l) {
    const FlowLevel& level = *all.level[l];
    round_shifts(all, level.cells);
    const Pair pair(all, level);
    const Brightness match = match_brightness(pair);
    const int columns = all.width / 4, rows = all.height / 4;
    double noise = 0;
    for (int cy = 0; cy < level.cells.height; ++cy) {
        const FlowGrid& fine = kFine ? all.fine : all.two_rows;
        const int to = kFine ? 2 * cy : 0;
        products(pair, match, cy, fine, to);
        const float deviation = join_cells<kFine>(fine, to, level.cells, cy, 2, columns - 2);
        if (cy >= 2 && cy < rows - 2) noise += deviation;
    }
    all.gain = match.gain;
    all.offset = match.offset;
    all.noise = float(noise / (double(columns - 4) * (rows - 4)));
}

// alpha = noise^2 / local |grad f|^2 on the cells of level 1
void adapt_alpha(const FlowBuffers& all) {
    const FlowGrid& grid = all.level[1]->cells;
    float* local = all.local.get();
    for (int i = 0; i < grid.stride * grid.height; ++i)
        local[i] = std::min(std::max(all.noise * all.noise / local[i], kAlphaMin), kAlphaMax);
}

void start(const FlowGrid& from, const FlowGrid& to, int y, float scale, float limit) {
    for (FlowGrid::Field f : {FlowGrid::u, FlowGrid::v})
        double_row<true>(from.row(0, f), int64_t(from.stride) * FlowGrid::fields, from.width, from.height, y, scale, limit, to.row(y, f),
                         to.stride);
}

void solve(FlowBuffers& all) {
    const auto nothing = [](int) {};
    const int top = all.levels - 1, alpha_stride = all.level[1]->cells.stride;
    const float* alpha = all.local.get();
    for (int l = top; l >= 0; --l) {
        const FlowGrid& cells = all.level[l]->cells;
        for (int y = 0; y < cells.height; ++y) {
            if (l == top) {
                std::memset(cells.row(y, FlowGrid::u), 0, 2 * sizeof(float) * size_t(cells.stride));
            } else {
                start(all.level[l + 1]->cells, cells, y, 2, kMaxFlowPx / float(1 << l));
            }
        }
        if (l > 0) {
            build_equations<false>(all, l);
            relax(cells, kSweeps[l], [&](int y) { invert_row(cells, y, [w = kAlphaCoarse / 16](int) { return all_of(w); }); }, nothing);
            continue;
        }
        local_gradient(all);
        build_equations<true>(all, 0);
        adapt_alpha(all);
        const auto weight = [&](int y) {
            return [row = alpha + y / 2 * alpha_stride](int x) { return repeat<2>(loadf(row + x / 2)) * (1.f / 16); };
        };
        relax(cells, kSweeps[0], [&](int y) { invert_row(cells, y, weight(y)); }, nothing);
    }

    const FlowGrid& fine = all.fine;
    const auto begin = [&](int y) {
        start(all.level[0]->cells, fine, y, 1, INFINITY);
        const float* row = alpha + y / 4 * alpha_stride;
        invert_row(fine, y, [&](int x) { return repeat<4>(loadf(row + x / 4)) * (kFineFactor / 4); });
    };
    const auto end = [&](int y) {
        for (float *f = fine.row(y, FlowGrid::u), *stop = f + 2 * fine.stride; f < stop; f += kFloats)
            store(f, larger(smaller(loadf(f), all_of(kMaxFlowPx)), all_of(-kMaxFlowPx)));
    };
    relax(fine, kSweepsFine, begin, end);
}

void double_plane(const float* grid, int grid_width, int grid_height, int width, int height, float* out) {
    for (int y = 0; y < height; ++y)
        double_row<false>(grid, grid_width, grid_width, grid_height, y, 1, INFINITY, out + int64_t(y) * width, width);
}

}  // namespace
}  // namespace mie
