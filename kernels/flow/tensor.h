// The data term of a level: whole-pixel shifts, brightness, structure tensor. Nothing is interpolated in an image: the later frame is read
// at whole-pixel shifts, one per cell of 4x4 px, and a vector of pixels loops over the shifts that occur in it (one or two, as a rule).
// Units: images 64 steps per grey level, derivatives 96 per grey level and px, differences 16 per grey level.
#pragma once
#include "buffers.h"
#include "lanes.h"

namespace mie {
namespace {

constexpr int kMargin = 2;  // px: a pixel whose derivative stencil leaves either image has no say

// (nv << 8 | nu & 255) at every pixel of every row of cells
void round_shifts(const FlowBuffers& all, const FlowGrid& cells) {
    for (int cy = 0; cy < cells.height; ++cy) {
        int16_t* keys = all.keys.get() + cy * all.key_stride;
        for (int cx = 0; cx < cells.width; cx += kFloats) {
            const I32 nu = to_int(whole(loadf(at(cells, cy, FlowGrid::u, cx)))), nv = to_int(whole(loadf(at(cells, cy, FlowGrid::v, cx))));
            const I32 key = (nu & 0xff) | (nv << 8 & 0xff00), two_px = key | key << 16;
            store(keys + 4 * cx, repeat<2>(two_px));
            store(keys + 4 * cx + kShorts, repeat<2, kFloats / 2>(two_px));
        }
    }
}

// What the pixel products of a level are made from
struct Pair {
    Pair(const FlowBuffers& buffers, const FlowLevel& level)
        : a(level.a),
          b(level.b),
          width(level.valid_width),
          height(level.valid_height),
          keys(buffers.keys.get()),
          key_stride(buffers.key_stride) {}
    // Where both ends of a shift n lie inside by the margin, along one side: [low, high)
    struct Span {
        Span(int side, int n) : low(std::max(kMargin, kMargin - n)), high(std::min(side - kMargin, side - kMargin - n)) {}
        bool has(int at) const { return at >= low && at < high; }
        const int low, high;
    };
    // Calls act(nu, nv, lanes, rows) for every distinct shift of the pixels from x: the lanes that have it and are valid, the valid rows
    template <class Act>
    MIE_INLINE void for_each_shift(int cy, int x, Act act) const {
        const int16_t* at = keys + cy * key_stride + x;
        const I16 key = loads(at), index = short_index() + all_of16(x);
        I16 left = index < all_of16(a.width);
        for (int lane = any_lane(left); lane >= 0; lane = any_lane(left)) {
            I16 lanes = (key == all_of16(at[lane])) & left;
            left &= ~lanes;
            const int nu = int8_t(at[lane]), nv = at[lane] >> 8;
            const Span columns(width, nu);
            if (x < columns.low || x + kShorts > columns.high) lanes &= (index >= all_of16(columns.low)) & (index < all_of16(columns.high));
            act(nu, nv, lanes, Span(height, nv));
        }
    }
    const FlowImage &a, &b;
    const int width, height;
    const int16_t* const keys;
    const int key_stride;
};

constexpr int kGainSteps = 8192;  // the gain is rounded, and the offset follows that: products() works with 16 bits

struct Brightness {
    float gain = 1, offset = 0;  // grey levels: a = gain b + offset
};

double sum(F v) {
    double total = 0;
    for (int i = 0; i < kFloats; ++i) total += v[i];
    return total;
}

// Gives b the mean and standard deviation of a over the valid pixels
Brightness match_brightness(const Pair& pair) {
    const I16 one = all_of16(1);
    F sums[5] = {};  // of 1, a, b, a a, b b
    for (int cy = 0; cy < pair.a.height / 4; ++cy) {
        I32 row[5] = {};  // at 4 steps per grey level, 8192 px of four rows fit
        for (int x = 0; x < pair.a.width; x += kShorts) {
            pair.for_each_shift(cy, x, [&](int nu, int nv, I16 lanes, Pair::Span rows) {
                for (int y = 4 * cy; y < 4 * cy + 4; ++y) {
                    if (!rows.has(y)) continue;
                    const I16 p = (loads(pair.a.row(y) + x) >> 4) & lanes, q = (loads(pair.b.row(y + nv) + x + nu) >> 4) & lanes;
                    row[0] -= madd(lanes, one);
                    row[1] += madd(p, one);
                    row[2] += madd(q, one);
                    row[3] += madd(p, p);
                    row[4] += madd(q, q);
                }
            });
        }
        for (int k = 0; k < 5; ++k) sums[k] += to_float(row[k]);
    }
    Brightness match;
    const double count = sum(sums[0]);
    if (count == 0) return match;
    const double ma = sum(sums[1]) / count, mb = sum(sums[2]) / count;
    const double a_var = sum(sums[3]) / count - ma * ma, b_var = sum(sums[4]) / count - mb * mb;
    if (count >= 16 && a_var >= 1 && b_var >= 1)
        match.gain = float(std::lrint(std::clamp(std::sqrt(a_var / b_var), 0.25, 3.9999) * kGainSteps)) / kGainSteps;
    match.offset = float((ma - match.gain * mb) / 4);
    return match;
}

// Pixel products of one row of cells, averaged over cells of 2x2 px: J, q = -<grad t> in b1 and b2, <t t>; to row `to` of grid and the next
void products(const Pair& pair, Brightness match, int cy, const FlowGrid& grid, int to) {
    const I16 gain = all_of16(int(match.gain * kGainSteps)), unit = all_of16(kGainSteps);
    const int offset = int(std::lrint(match.offset * 64));  // too large for int16 in this unit: whole steps of t, and the rest
    const I16 offset_whole = all_of16(offset >> 2), offset_rest = all_of16(offset & 3);
    const float gradient = 2 * match.gain / (1 + match.gain) / 96;  // exact where b is a moved copy of a / gain
    const F scale[6] = {all_of(gradient * gradient / 4), all_of(gradient * gradient / 4), all_of(gradient * gradient / 4),
                        all_of(-gradient / 64),          all_of(-gradient / 64),          all_of(1.f / 1024)};
    constexpr FlowGrid::Field kFields[6] = {FlowGrid::j11, FlowGrid::j12, FlowGrid::j22, FlowGrid::b1, FlowGrid::b2, FlowGrid::tt};
    const int64_t stride = pair.a.stride;
    for (int x = 0; x < pair.a.width; x += kShorts) {
        I32 sums[2][6] = {};
        pair.for_each_shift(cy, x, [&](int nu, int nv, I16 lanes, Pair::Span rows) {
            const int16_t *a = pair.a.row(4 * cy) + x, *b = pair.b.row(4 * cy + nv) + x + nu;
            asm("" : "+r"(a));  // or the compiler loads all of a before the loop over shifts, into more vectors than there are
            const auto mean = [&](int dy, int dx) { return average(loads(a + dy * stride + dx), loads(b + dy * stride + dx)); };
            I16 up2 = mean(-2, 0), up1 = mean(-1, 0), here = mean(0, 0), down1 = mean(1, 0);
#pragma GCC unroll 4
            for (int k = 0; k < 4; ++k) {
                const I16 on = rows.has(4 * cy + k) ? lanes : I16{}, down2 = mean(k + 2, 0);
                const I16 gx = (mean(k, 1) - mean(k, -1) - ((mean(k, 2) - mean(k, -2)) >> 3)) & on;
                const I16 gy = (down1 - up1 - ((down2 - up2) >> 3)) & on;
                const I16 t =
                    (times_q15(loads(b + k * stride), gain) - times_q15(loads(a + k * stride) - offset_rest, unit) + offset_whole) & on;
                I32* s = sums[k / 2];
                s[0] += madd(gx, gx);
                s[1] += madd(gx, gy);
                s[2] += madd(gy, gy);
                s[3] += madd(gx, t);
                s[4] += madd(gy, t);
                s[5] += madd(t, t);
                up2 = up1, up1 = here, here = down1, down1 = down2;
            }
        });
        for (int half = 0; half < 2; ++half) {
            float* place = at(grid, to + half, 0, x / 2);
            for (int k = 0; k < 6; ++k) store(place + kFields[k] * kFloats, to_float(sums[half][k]) * scale[k]);
        }
    }
}

// Two rows of 2x2-px cells to one row of 4x4-px cells. kNoise: returns the sum over cells [first, last) of the standard deviation of what
// the flow so far leaves unexplained.
template <bool kNoise>
float join_cells(const FlowGrid& fine, int from, const FlowGrid& cells, int cy, int first, int last) {
    F deviation{};
    for (int cx = 0; cx < cells.width; cx += kFloats) {
        const auto field = [&](FlowGrid::Field f) {
            const float *upper = at(fine, from, f, 2 * cx), *lower = at(fine, from + 1, f, 2 * cx);
            const F left = loadf(upper) + loadf(lower), right = loadf(upper + kBlock) + loadf(lower + kBlock);
            return .25f * (every_second<0>(left, right) + every_second<1>(left, right));
        };
        const F j11 = field(FlowGrid::j11), j12 = field(FlowGrid::j12), j22 = field(FlowGrid::j22), q1 = field(FlowGrid::b1),
                q2 = field(FlowGrid::b2);
        store(at(cells, cy, FlowGrid::j11, cx), j11);
        store(at(cells, cy, FlowGrid::j12, cx), j12);
        store(at(cells, cy, FlowGrid::j22, cx), j22);
        store(at(cells, cy, FlowGrid::b1, cx), q1);
        store(at(cells, cy, FlowGrid::b2, cx), q2);
        if (!kNoise) continue;
        const F u = loadf(at(cells, cy, FlowGrid::u, cx)), v = loadf(at(cells, cy, FlowGrid::v, cx)), du = u - whole(u), dv = v - whole(v);
        const F energy = field(FlowGrid::tt) + du * (du * j11 + dv * j12 - 2 * q1) + dv * (du * j12 + dv * j22 - 2 * q2);
        const I32 index = float_index() + cx, counts = (index >= first) & (index < last);
        deviation += F(I32(root(larger(energy, F{}))) & counts);
    }
    return float(sum(deviation));
}

}  // namespace
}  // namespace mie
