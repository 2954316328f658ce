// The flow f of a pair, later(x + f(x)) = onset(x), coarse to fine: (J + w I) f = q + J n + w mean8(f) on cells of 4x4 px of every level,
// then on cells of 2x2 px. J = <g g'>, q = -<g t> over the pixels after a whole-pixel shift n = round(f); the definition is ref.py. Traffic
// per px: a frame is 1 byte read and 2.7 written as a pyramid, which is read twice; the equations are 11 bytes written once and read and
// written by every sweep, or as many sweeps as the first-level cache holds rows for; the answer is 8 bytes written. Source: Lucas and
// Kanade (IJCAI 1981) for J, Horn and Schunck (Artificial Intelligence 17, 1981) for the smoothness.
#pragma once
#include "edges.h"
#include "pyramid.h"
#include "relax.h"
#include "tensor.h"

namespace mie {
namespace {

constexpr int kSweeps[kFlowLevels] = {16, 24, 24, 24}, kSweepsFine = 8;  // part of the regularisation, not only of the speed
constexpr int kSweepsAcross = 3;  // per cell of the coarsest grid's longer side, at least: motion must reach what has no texture
constexpr float kAlphaCoarse = 600, kAlphaMin = 50, kAlphaMax = 10000;
constexpr float kFineFactor = 10;  // the 2x2 grid is this much smoother than scaling the 4x4 grid's weight would make it
constexpr float kFloorLocal = .1f, kFloorAbsolute = 1e-5f;

// The squared differences of the cells of level 1 to their neighbours, half of them over all four sides, smoothed by [1 4 6 4 1]/16 in x
// and y, plus floors: one of them from the mean square root over the inner cells, which a single jump leaves alone
void local_gradient(const FlowBuffers& all) {
    const FlowGrid& grid = all.level[1]->cells;
    const int w = grid.width, h = grid.height, last = (w - 1) / kFloats * kFloats;
    const int cells_x = all.width / 8, cells_y = all.height / 8, kx = cells_x / 8, ky = cells_y / 8;
    double total = 0;
    for (int y = 0; y < h; ++y) {
        const int above = std::max(y - 1, 0), below = std::min(y + 1, h - 1);
        F roots{};
        for (int x = 0; x < w; x += kFloats) {
            F e{};
            for (int f : {FlowGrid::u, FlowGrid::v}) {
                const float* p = at(grid, y, f, x);
                const F here = loadf(p), left = from_left(x ? loadf(p - kBlock) : first_lane(here), here);
                const F right = from_right(here, x < last ? loadf(p + kBlock) : last_lane(here));
                for (F other : {left, right, loadf(at(grid, above, f, x)), loadf(at(grid, below, f, x))})
                    e += (other - here) * (other - here);
            }
            e *= .5f;
            store(all.local.row(y) + x, e);
            const I32 index = float_index() + x, counts = (index >= kx) & (index < cells_x - kx);
            roots += F(I32(root(e)) & counts);
        }
        if (y >= ky && y < cells_y - ky) total += sum(roots);
    }
    const double mean = total / (double(cells_x - 2 * kx) * (cells_y - 2 * ky));
    const float floor = kFloorLocal * float(mean * mean) + kFloorAbsolute;
    for (int y = 0; y < h; ++y) {
        const auto row = [&](int dy) { return all.local.row(std::clamp(y + dy, 0, h - 1)); };
        const float *r0 = row(-2), *r1 = row(-1), *r2 = row(0), *r3 = row(1), *r4 = row(2);
        float* to = all.sum.row(y);
        for (int x = 0; x < w; ++x) to[x] = r0[x] + r4[x] + 4 * (r1[x] + r3[x]) + 6 * r2[x];
        to[-2] = to[-1] = to[0];
        to[w] = to[w + 1] = to[w - 1];
    }
    for (int y = 0; y < h; ++y) {
        const float* p = all.sum.row(y);
        float* to = all.local.row(y);
        for (int x = 0; x < w; ++x) to[x] = floor + (1 - kFloorLocal) / 256 * (p[x - 2] + p[x + 2] + 4 * (p[x - 1] + p[x + 1]) + 6 * p[x]);
    }
}

// alpha = noise^2 / local gradient on the cells of level 1
void adapt_alpha(const FlowBuffers& all) {
    const FlowGrid& grid = all.level[1]->cells;
    for (int y = 0; y < grid.height; ++y) {
        float* local = all.local.row(y);
        for (int x = 0; x < grid.stride; ++x) {
            const float alpha = all.noise * all.noise / std::max(local[x], kFloorAbsolute);
            local[x] = std::min(std::max(alpha, kAlphaMin), kAlphaMax);
        }
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

// Row y of a finer grid: the coarser one doubled, times scale, within +-limit
void start(const FlowGrid& from, const FlowGrid& to, int y, float scale, float limit) {
    const int near = y / 2, far = farther(y, from.height);
    for (int f : {FlowGrid::u, FlowGrid::v}) {
        const auto row = [&](int x) {
            return fma(all_of(.75f * scale), loadf(at(from, near, f, x)), all_of(.25f * scale) * loadf(at(from, far, f, x)));
        };
        double_row(from.width, row, [&](int x, F v) {
            if (x < to.stride) store(at(to, y, f, x), larger(smaller(v, all_of(limit)), all_of(-limit)));
        });
    }
}

void solve(FlowBuffers& all) {
    const int top = all.levels - 1;
    for (int l = top; l >= 0; --l) {
        const FlowGrid& cells = all.level[l]->cells;
        for (int y = 0; y < cells.height; ++y) {
            if (l == top) {
                std::memset(cells.row(y), 0, sizeof(float) * FlowGrid::fields * size_t(cells.stride));
            } else {
                start(all.level[l + 1]->cells, cells, y, 2, kMaxFlowPx / float(1 << l));
            }
        }
        if (l == 0) local_gradient(all);
        l == 0 ? build_equations<true>(all, l) : build_equations<false>(all, l);
        if (l == 0) adapt_alpha(all);
        const auto begin = [&](int y) {
            const int16_t* row = all.keys.get() + y * all.key_stride;
            const auto keys = [row](int x) { return every_second<0>(load<I32>(row + 4 * x), load<I32>(row + 4 * x + kShorts)); };
            const float* alpha = all.local.row(y / 2);
            const auto weight = [alpha, l](int x) { return l ? all_of(kAlphaCoarse / 16) : repeat<2>(loadf(alpha + x / 2)) * (1.f / 16); };
            invert_row(cells, y, weight, keys);
        };
        const int across = (kSweepsAcross * std::max(cells.width, cells.height) + 7) / 8 * 8;
        relax(cells, l == top ? std::max(kSweeps[l], across) : kSweeps[l], begin, [](int) {});
    }

    const auto begin = [&](int y) {
        start(all.level[0]->cells, all.fine, y, 1, INFINITY);
        const int16_t* row = all.keys.get() + y / 2 * all.key_stride;
        const float* alpha = all.local.row(y / 4);
        invert_row(
            all.fine, y, [alpha](int x) { return repeat<4>(loadf(alpha + x / 4)) * (kFineFactor / 4); },
            [row](int x) { return load<I32>(row + 2 * x); });
    };
    const auto end = [&](int y) {
        for (int x = 0; x < all.fine.width; x += kFloats) {
            const float* p = at(all.fine, y, FlowGrid::u, x);
            store(all.u.row(y) + x, larger(smaller(loadf(p), all_of(kMaxFlowPx)), all_of(-kMaxFlowPx)));
            store(all.v.row(y) + x, larger(smaller(loadf(p + kFloats), all_of(kMaxFlowPx)), all_of(-kMaxFlowPx)));
        }
    };
    relax(all.fine, kSweepsFine, begin, end);
}

void double_grid(const float* grid, int grid_width, int grid_height, int width, int height, float* out) {
    double_plane(grid, grid_width, grid_width, grid_height, width, height, out);
}

}  // namespace
}  // namespace mie
