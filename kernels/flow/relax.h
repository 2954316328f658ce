// The smoothness term: Jacobi sweeps for (J + w I) f = b + w mean8(f), mean8 with 1/6 at the sides and 1/12 at the corners.
#pragma once
#include <algorithm>
#include <type_traits>

#include "buffers.h"
#include "lanes.h"

namespace mie {
namespace {

// (J, b) to the update f <- c + M sum12(f) in place: M = (w / 12) (J + w)^-1, c = (J + w)^-1 b; weight(x) gives w from x on
template <class Weight>
MIE_INLINE void invert_row(const FlowGrid& grid, int y, Weight weight) {
    float *j11 = grid.row(y, FlowGrid::j11), *j12 = grid.row(y, FlowGrid::j12), *j22 = grid.row(y, FlowGrid::j22);
    float *b1 = grid.row(y, FlowGrid::b1), *b2 = grid.row(y, FlowGrid::b2);
    for (int x = 0; x < grid.width; x += kFloats) {
        const F w = weight(x), p = loadf(b1 + x), q = loadf(b2 + x), a11 = loadf(j11 + x) + w, a12 = loadf(j12 + x),
                a22 = loadf(j22 + x) + w;
        const F inverse = 1 / (a11 * a22 - a12 * a12), m = inverse * w * (1.f / 12);
        store(b1 + x, inverse * (a22 * p - a12 * q));
        store(b2 + x, inverse * (a11 * q - a12 * p));
        store(j11 + x, a22 * m);
        store(j12 + x, -a12 * m);
        store(j22 + x, a11 * m);
    }
}

// One update of row y from buffer `from` (u or u2, v beside it) to the other. With e = above + below and t = e + 2 here,
// sum12 = t(left) + t(right) + 2 e. Lanes past the width repeat the edge.
MIE_INLINE void relax_row(const FlowGrid& grid, int y, int from, int to, I32 edge) {
    const int above = std::max(y - 1, 0), below = std::min(y + 1, grid.height - 1);
    const float *u = grid.row(y, from), *u_above = grid.row(above, from), *u_below = grid.row(below, from),
                *m11 = grid.row(y, FlowGrid::j11);
    float* u_to = grid.row(y, to);
    const int64_t field = grid.stride;  // from a field to the next: v lies beside u, m12, m22, c1, c2 beside m11
    const auto sides = [&](const float* p, const float* q, int x) { return loadf(p + x) + loadf(q + x); };
    F ue = sides(u_above, u_below, 0), ve = sides(u_above + field, u_below + field, 0);
    F ut = fma(all_of(2), loadf(u), ue), vt = fma(all_of(2), loadf(u + field), ve), u_before = first_lane(ut), v_before = first_lane(vt);
    const auto step = [&](int x, auto last) {
        F ue_next = ue, ve_next = ve, ut_next, vt_next;
        if constexpr (last) {
            ut_next = last_lane(ut), vt_next = last_lane(vt);
        } else {
            ue_next = sides(u_above, u_below, x + kFloats), ve_next = sides(u_above + field, u_below + field, x + kFloats);
            ut_next = fma(all_of(2), loadf(u + x + kFloats), ue_next), vt_next = fma(all_of(2), loadf(u + field + x + kFloats), ve_next);
        }
        const F su = fma(all_of(2), ue, from_left(u_before, ut) + from_right(ut, ut_next));
        const F sv = fma(all_of(2), ve, from_left(v_before, vt) + from_right(vt, vt_next));
        const float* m = m11 + x;
        const F m12 = loadf(m + field);
        F u_new = fma(loadf(m), su, fma(m12, sv, loadf(m + 3 * field))),
          v_new = fma(loadf(m + 2 * field), sv, fma(m12, su, loadf(m + 4 * field)));
        if constexpr (last) u_new = pick(u_new, edge), v_new = pick(v_new, edge);
        store(u_to + x, u_new);
        store(u_to + field + x, v_new);
        u_before = ut, v_before = vt, ut = ut_next, vt = vt_next, ue = ue_next, ve = ve_next;
    };
    int x = 0;
    for (; x + kFloats < grid.width; x += kFloats) step(x, std::false_type{});
    step(x, std::true_type{});
}

// Sweeps as a wavefront: each works one row behind the one before it, so a window of rows stays in the cache. Two buffers suffice: row y of
// a sweep overwrites row y of the sweep before the last, which is no longer needed. begin(y) and end(y) run before the first and after the
// last sweep of a row.
template <class Begin, class End>
MIE_INLINE void relax(const FlowGrid& grid, int sweeps, Begin begin, End end) {
    constexpr int kTogether = 8;  // a divisor of every number of sweeps, and even: the result is back in u and v
    const int h = grid.height;
    I32 edge = float_index();
    const int last = (grid.width - 1) % kFloats;
    edge = edge < last ? edge : last + I32{};
    for (int done = 0; done < sweeps; done += kTogether) {
        for (int step = 0; step < h + kTogether + 1; ++step) {
            if (done == 0 && step < h) begin(step);
            for (int k = std::max(0, step - h); k < std::min(kTogether, step); ++k)
                relax_row(grid, step - 1 - k, k & 1 ? FlowGrid::u2 : FlowGrid::u, k & 1 ? FlowGrid::u : FlowGrid::u2, edge);
            if (done + kTogether == sweeps && step > kTogether) end(step - 1 - kTogether);
        }
    }
}

// Row y of the plane doubled bilinearly (weights 3/4, 1/4, edge repeated), times scale, within +-limit; writes at most `room` values.
// kPadded: rows of the plane are readable, and repeat their edge, up to a whole vector.
template <bool kPadded>
MIE_INLINE void double_row(const float* plane, int64_t stride, int width, int height, int y, float scale, float limit, float* out,
                           int room) {
    const float* near = plane + y / 2 * stride;
    const float* far = plane + std::clamp(y / 2 + (y & 1 ? 1 : -1), 0, height - 1) * stride;
    const auto row = [&](int x) {
        if (kPadded || width - x >= kFloats) return fma(all_of(.75f * scale), loadf(near + x), all_of(.25f * scale) * loadf(far + x));
        F v{};
        for (int i = 0; i < kFloats; ++i) {
            const int at = std::min(x + i, width - 1);
            v[i] = .75f * scale * near[at] + .25f * scale * far[at];
        }
        return v;
    };
    const auto put = [&](int x, F v) {
        v = larger(smaller(v, all_of(limit)), all_of(-limit));
        if (room - x >= kFloats) {
            store(out + x, v);
        } else if (room > x) {
            std::memcpy(out + x, &v, size_t(room - x) * sizeof(float));
        }
    };
    F middle = row(0), before = first_lane(middle);
    for (int x = 0; x < width; x += kFloats) {
        const F after = x + kFloats < width ? row(x + kFloats) : last_lane(middle), nearer = .75f * middle;
        const F even = fma(all_of(.25f), from_left(before, middle), nearer), odd = fma(all_of(.25f), from_right(middle, after), nearer);
        put(2 * x, mix_low(even, odd));
        put(2 * x + kFloats, mix_high(even, odd));
        before = middle;
        middle = after;
    }
}

}  // namespace
}  // namespace mie
