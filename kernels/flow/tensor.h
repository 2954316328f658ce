// The data term of a level: whole-pixel shifts, brightness, structure tensor. Nothing is interpolated in an image: the later frame is read
// at whole-pixel shifts, one per cell of 4x4 px, and a vector of pixels loops over the shifts that occur in it (one or two, as a rule).
// Units: images 64 steps per grey level, derivatives 96 per grey level and px, differences 16 per grey level.
#pragma once
#include <algorithm>

#include "buffers.h"
#include "lanes.h"

namespace mie {
namespace {

constexpr int kMargin = 2;  // px: a pixel whose derivative stencil leaves either image has no say

// (nv << 8 | nu & 255) at every pixel of every row of cells
void round_shifts(const FlowBuffers& all, const FlowGrid& cells) {
    for (int cy = 0; cy < cells.height; ++cy) {
        const float *u = cells.row(cy, FlowGrid::u), *v = cells.row(cy, FlowGrid::v);
        int16_t* keys = all.keys.get() + cy * (all.padded_width + 64);
        for (int cx = 0; cx < cells.width; cx += kFloats) {
            const I32 nu = to_int(whole(loadf(u + cx))), nv = to_int(whole(loadf(v + cx)));
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
          key_stride(buffers.padded_width + 64) {}
    // Calls act(nu, nv, lanes) for every distinct shift of the pixels from x, lanes all ones where both ends of the shift are valid
    template <class Act>
    MIE_INLINE void for_each_shift(int cy, int x, Act act) const {
        const int16_t* at = keys + cy * key_stride + x;
        const I16 key = loads(at), index = short_index() + all_of16(x);
        I16 left = index < all_of16(a.width);
        for (int lane = any_lane(left); lane >= 0; lane = any_lane(left)) {
            const I16 same = (key == all_of16(at[lane])) & left;
            left &= ~same;
            const int nu = int8_t(at[lane]), nv = at[lane] >> 8;
            const int low = std::max(kMargin, kMargin - nu), high = std::min(width - kMargin, width - kMargin - nu);
            act(nu, nv, same & (index >= all_of16(low)) & (index < all_of16(high)));
        }
    }
    bool valid_row(int y, int nv) const { return y >= kMargin && y < height - kMargin && y + nv >= kMargin && y + nv < height - kMargin; }
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
    F a_sum{}, b_sum{}, aa_sum{}, bb_sum{}, count_sum{};
    for (int cy = 0; cy < pair.a.height / 4; ++cy) {
        I32 sa{}, sb{}, saa{}, sbb{}, count{};  // at 4 steps per grey level, 8192 px of four rows fit
        for (int x = 0; x < pair.a.width; x += kShorts) {
            pair.for_each_shift(cy, x, [&](int nu, int nv, I16 lanes) {
                for (int y = 4 * cy; y < 4 * cy + 4; ++y) {
                    if (!pair.valid_row(y, nv)) continue;
                    const I16 p = (loads(pair.a.row(y) + x) >> 4) & lanes, q = (loads(pair.b.row(y + nv) + x + nu) >> 4) & lanes;
                    sa += madd(p, one);
                    sb += madd(q, one);
                    saa += madd(p, p);
                    sbb += madd(q, q);
                    count -= madd(lanes, one);
                }
            });
        }
        a_sum += to_float(sa);
        b_sum += to_float(sb);
        aa_sum += to_float(saa);
        bb_sum += to_float(sbb);
        count_sum += to_float(count);
    }
    Brightness match;
    const double count = sum(count_sum);
    if (count == 0) return match;
    const double ma = sum(a_sum) / count, mb = sum(b_sum) / count;
    const double a_var = sum(aa_sum) / count - ma * ma, b_var = sum(bb_sum) / count - mb * mb;
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
        pair.for_each_shift(cy, x, [&](int nu, int nv, I16 lanes) {
            const int16_t *a = pair.a.row(4 * cy) + x, *b = pair.b.row(4 * cy + nv) + x + nu;
            const auto mean = [&](int dy, int dx) { return average(loads(a + dy * stride + dx), loads(b + dy * stride + dx)); };
            I16 up2 = mean(-2, 0), up1 = mean(-1, 0), here = mean(0, 0), down1 = mean(1, 0);
#pragma GCC unroll 4
            for (int k = 0; k < 4; ++k) {
                const I16 on = pair.valid_row(4 * cy + k, nv) ? lanes : I16{}, down2 = mean(k + 2, 0);
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
        for (int half = 0; half < 2; ++half)
            for (int k = 0; k < 6; ++k) store(grid.row(to + half, kFields[k]) + x / 2, to_float(sums[half][k]) * scale[k]);
    }
}

// Two rows of 2x2-px cells to one row of 4x4-px cells; b becomes q + J n on both. Returns the sum over cells [first, last) of the
// residual's standard deviation at the flow so far.
template <bool kFine>
float join_cells(const FlowGrid& fine, int from, const FlowGrid& cells, int cy, int first, int last) {
    const auto field = [&](FlowGrid::Field f, int cx) {
        const float *upper = fine.row(from, f) + 2 * cx, *lower = fine.row(from + 1, f) + 2 * cx;
        return .25f * add_pairs(loadf(upper) + loadf(lower), loadf(upper + kFloats) + loadf(lower + kFloats));
    };
    F deviation{};
    for (int cx = 0; cx < cells.width; cx += kFloats) {
        const F j11 = field(FlowGrid::j11, cx), j12 = field(FlowGrid::j12, cx), j22 = field(FlowGrid::j22, cx);
        const F q1 = field(FlowGrid::b1, cx), q2 = field(FlowGrid::b2, cx), tt = field(FlowGrid::tt, cx);
        const F u = loadf(cells.row(cy, FlowGrid::u) + cx), v = loadf(cells.row(cy, FlowGrid::v) + cx), nu = whole(u), nv = whole(v);
        store(cells.row(cy, FlowGrid::j11) + cx, j11);
        store(cells.row(cy, FlowGrid::j12) + cx, j12);
        store(cells.row(cy, FlowGrid::j22) + cx, j22);
        store(cells.row(cy, FlowGrid::b1) + cx, fma(j11, nu, fma(j12, nv, q1)));
        store(cells.row(cy, FlowGrid::b2) + cx, fma(j12, nu, fma(j22, nv, q2)));

        if (!kFine) continue;
        const F du = u - nu, dv = v - nv;
        const F energy = tt + du * (du * j11 + dv * j12 - 2 * q1) + dv * (du * j12 + dv * j22 - 2 * q2);
        const I32 index = float_index() + cx, counts = (index >= first) & (index < last) & I32(energy > F{});
        deviation += F(I32(root(larger(energy, F{}))) & counts);

        for (int half = 0; half < 2; ++half) {
            for (int part = 0; part < 2; ++part) {
                const F nu2 = part ? repeat<2, kFloats / 2>(nu) : repeat<2>(nu), nv2 = part ? repeat<2, kFloats / 2>(nv) : repeat<2>(nv);
                const auto at = [&](FlowGrid::Field f) { return fine.row(from + half, f) + 2 * cx + part * kFloats; };
                const F k12 = loadf(at(FlowGrid::j12));
                store(at(FlowGrid::b1), fma(loadf(at(FlowGrid::j11)), nu2, fma(k12, nv2, loadf(at(FlowGrid::b1)))));
                store(at(FlowGrid::b2), fma(k12, nu2, fma(loadf(at(FlowGrid::j22)), nv2, loadf(at(FlowGrid::b2)))));
            }
        }
    }
    return float(sum(deviation));
}

}  // namespace
}  // namespace mie
