// The smoothness term: Jacobi sweeps for (J + w I) f = b + w mean8(f), mean8 with 1/6 at the sides and 1/12 at the corners.
#pragma once
#include "buffers.h"
#include "lanes.h"

namespace mie {
namespace {

// (J, q) to the update f <- c + M sum12(f) in place: b = q + J n, M = (w / 12) (J + w)^-1, c = (J + w)^-1 b. From x on, weight(x) is w, and
// keys(x) holds the whole-pixel shifts n.
template <class Weight, class Keys>
MIE_INLINE void invert_row(const FlowGrid& grid, int y, Weight weight, Keys keys) {
    for (int x = 0; x < grid.width; x += kFloats) {
        float* p = at(grid, y, FlowGrid::j11, x);
        const I32 key = keys(x);
        const F nu = to_float(key << 24 >> 24), nv = to_float(key << 16 >> 24), w = weight(x);
        const F j11 = loadf(p), j12 = loadf(p + kFloats), j22 = loadf(p + 2 * kFloats);
        const F b1 = fma(j11, nu, fma(j12, nv, loadf(p + 3 * kFloats))), b2 = fma(j12, nu, fma(j22, nv, loadf(p + 4 * kFloats)));
        const F a11 = j11 + w, a22 = j22 + w, inverse = 1 / (a11 * a22 - j12 * j12), m = inverse * w * (1.f / 12);
        store(p, a22 * m);
        store(p + kFloats, -j12 * m);
        store(p + 2 * kFloats, a11 * m);
        store(p + 3 * kFloats, inverse * (a22 * b1 - j12 * b2));
        store(p + 4 * kFloats, inverse * (a11 * b2 - j12 * b1));
    }
}

// One update of row y from one buffer (u or u2, v beside it) to the other. With e = above + below and t = e + 2 here,
// sum12 = t(left) + t(right) + 2 e. Lanes past the width repeat the edge.
template <int kFrom, int kTo>
MIE_INLINE void relax_row(const FlowGrid& grid, int y, I32 edge) {
    struct Row {
        F u, v;
    };
    const auto row = [](const float* p) { return Row{loadf(p + kFrom * kFloats), loadf(p + (kFrom + 1) * kFloats)}; };
    const auto twice = [](Row a, Row b) { return Row{fma(all_of(2), a.u, b.u), fma(all_of(2), a.v, b.v)}; };
    const float *above = grid.row(std::max(y - 1, 0)), *below = grid.row(std::min(y + 1, grid.height - 1));
    float* here = grid.row(y);
    const auto sides = [&] {
        const Row p = row(above), q = row(below);
        return Row{p.u + q.u, p.v + q.v};
    };
    Row e = sides(), t = twice(row(here), e), before = {first_lane(t.u), first_lane(t.v)};
    const auto update = [&](Row after) {
        const Row lr = {from_left(before.u, t.u) + from_right(t.u, after.u), from_left(before.v, t.v) + from_right(t.v, after.v)};
        const Row s = twice(e, lr);
        const F m12 = loadf(here + kFloats);
        return Row{fma(loadf(here), s.u, fma(m12, s.v, loadf(here + 3 * kFloats))),
                   fma(loadf(here + 2 * kFloats), s.v, fma(m12, s.u, loadf(here + 4 * kFloats)))};
    };
    const auto put = [&](Row r) {
        store(here + kTo * kFloats, r.u);
        store(here + (kTo + 1) * kFloats, r.v);
    };
    for (int blocks = (grid.width - 1) / kFloats; blocks > 0; --blocks) {
        above += kBlock, below += kBlock;
        const Row e_after = sides(), t_after = twice(row(here + kBlock), e_after);
        put(update(t_after));
        here += kBlock;
        before = t, t = t_after, e = e_after;
    }
    const Row last = update({last_lane(t.u), last_lane(t.v)});
    put({pick(last.u, edge), pick(last.v, edge)});
}

// Sweeps as a wavefront: each works a row or two behind the one before it, so a window of rows stays in the cache. Two buffers suffice:
// row y of a sweep overwrites row y of the sweep before the last, which is no longer needed. begin(y) runs before the first sweep of a row,
// end(y) after the last; their number is a multiple of 8.
template <class Begin, class End>
MIE_INLINE void relax(const FlowGrid& grid, int sweeps, Begin begin, End end) {
    const int h = grid.height, lag = grid.width > 4 * kFloats ? 1 : 2;  // of short rows, the one just made would have to be waited for
    const int together = grid.width > 128 ? 2 : 8;                      // what fits the first-level cache
    I32 edge = float_index();
    const int last = (grid.width - 1) % kFloats;
    edge = edge < last ? edge : last + I32{};
    for (int done = 0; done < sweeps; done += together) {
        for (int step = 0; step < h + lag * together; ++step) {
            if (done == 0 && step < h) begin(step);
            for (int k = 0, y = step - lag; k < together && y >= 0; k += 2, y -= 2 * lag) {
                if (y < h) relax_row<FlowGrid::u, FlowGrid::u2>(grid, y, edge);
                if (y >= lag && y - lag < h) relax_row<FlowGrid::u2, FlowGrid::u>(grid, y - lag, edge);
            }
            if (done + together == sweeps && step >= lag * together) end(step - lag * together);
        }
    }
}

// Bilinear doubling of a row whose vectors are given by row(x) (weights 3/4, 1/4, edge repeated), to put(x, vector)
template <class Row, class Put>
MIE_INLINE void double_row(int width, Row row, Put put) {
    F middle = row(0), before = first_lane(middle);
    for (int x = 0; x < width; x += kFloats) {
        const F after = x + kFloats < width ? row(x + kFloats) : last_lane(middle), nearer = .75f * middle;
        const F even = fma(all_of(.25f), from_left(before, middle), nearer), odd = fma(all_of(.25f), from_right(middle, after), nearer);
        put(2 * x, mix<0>(even, odd));
        put(2 * x + kFloats, mix<kFloats / 2>(even, odd));
        before = middle;
        middle = after;
    }
}
MIE_INLINE int farther(int y, int height) { return std::clamp(y / 2 + (y & 1 ? 1 : -1), 0, height - 1); }  // beside row y / 2

// A plane doubled, out_height rows of out_width
void double_plane(const float* plane, int64_t stride, int width, int height, int out_width, int out_height, float* out) {
    for (int y = 0; y < out_height; ++y, out += out_width) {
        const float *near = plane + y / 2 * stride, *far = plane + farther(y, height) * stride;
        const auto blend = [&](F n, F f) { return fma(all_of(.75f), n, .25f * f); };
        const auto row = [&](int x) {
            if (x + kFloats <= width) return blend(loadf(near + x), loadf(far + x));
            F n = all_of(near[width - 1]), f = all_of(far[width - 1]);  // the plane may end here
            std::memcpy(&n, near + x, size_t(width - x) * sizeof(float));
            std::memcpy(&f, far + x, size_t(width - x) * sizeof(float));
            return blend(n, f);
        };
        const auto put = [&](int x, F v) {
            if (x + kFloats <= out_width) {
                store(out + x, v);
            } else if (x < out_width) {
                std::memcpy(out + x, &v, size_t(out_width - x) * sizeof(float));
            }
        };
        double_row(width, row, put);
    }
}

}  // namespace
}  // namespace mie
