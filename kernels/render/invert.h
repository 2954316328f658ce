// u = onset(x) - later(x + u): where points of the onset frame lie in a later frame; many points at a time.
// Newton's method on what u misses, with the slopes of the node cell under x + u; integers but for one IEEE division a step.
// Where it jumps to and fro (a closing lid, lips rolled in) it goes on with halved steps.
// Traffic: 16 bytes of nodes a point and step, from the first-level cache; micro motion arrives after two or three steps.
// Source: definition in ref_motion.py (Q formats there). Private to motion.cc, features.cc and random_field.cc.
#pragma once
#include <cstdint>
#include <cstring>

#include "../common/simd.h"

#if defined(__x86_64__)
#define MIE_MOTION_AVX2 __attribute__((target("avx2")))
#if defined(__clang__)
#define MIE_MOTION_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#else
#define MIE_MOTION_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,prefer-vector-width=512")))
#endif
#endif
#define MIE_MOTION_BODY static inline __attribute__((always_inline))  // one body, compiled for each instruction set

namespace mie::inverse {

constexpr int kPoints = 32;    // two or more registers in flight hide the latency of a step
constexpr int kFieldPad = 32;  // elements readable after the last node
constexpr int kSteps = 56, kHalvingSteps = 24;
constexpr int kStepLimitQ10 = 8192, kMissLimitQ10 = 40960;
constexpr int kFoldLimitQ12 = 3584, kSlopeLimitQ12 = 20480;
constexpr int kDeterminantFloorQ24 = 1 << 18;
constexpr int kFlowLimitQ10 = 57344;
constexpr int kResidualQ10 = 1;

// Nodes [gh][gw], x displacement in the low half of each word and y in the high half (Q7 px), and kFieldPad readable elements.
struct PackedField {
    const int32_t* node;
    int gw, gh;
};

struct alignas(64) Points {
    int32_t x[kPoints], y[kPoints];            // Q10 px from the image's corner
    int32_t goal_x[kPoints], goal_y[kPoints];  // onset displacement there, Q10 px
    int32_t u[kPoints], v[kPoints];            // flow, Q10 px
};

// The cells in which x + u lies, and the place in them (0..4096).
struct alignas(64) Cells {
    int32_t gx[kPoints], gy[kPoints], tx[kPoints], ty[kPoints];
};

// The four nodes of each cell.
struct alignas(64) Taps {
    int32_t n00[kPoints], n10[kPoints], n01[kPoints], n11[kPoints];
};

// What differs between instruction sets beyond the compiler's reach.
struct MotionIsa {
    void (*fetch)(const PackedField&, const Cells&, Taps&);
    void (*root)(float* values, int count);  // square roots in place; count is a multiple of kPoints
};
MotionIsa motion_isa(SimdLevel level);

inline int32_t pack_node(int x_q7, int y_q7) { return int32_t((uint32_t(x_q7) & 0xffff) | uint32_t(y_q7) << 16); }

MIE_MOTION_BODY int odd_shift(int value, int shift) { return (value + (1 << (shift - 1)) - (value < 0)) >> shift; }

// By value and without branches, so that loops over them become vectors.
MIE_MOTION_BODY int least(int a, int b) { return a < b ? a : b; }
MIE_MOTION_BODY int most(int a, int b) { return a > b ? a : b; }
MIE_MOTION_BODY int bounded(int value, int limit) { return least(most(value, -limit), limit); }

MIE_MOTION_BODY void locate(const PackedField& f, const Points& p, Cells& c) {
    const int last_x = f.gw - 1, last_y = f.gh - 1;
    for (int i = 0; i < kPoints; ++i) {
        const int cx = least(most(p.x[i] + p.u[i], 0), last_x << 12);
        const int cy = least(most(p.y[i] + p.v[i], 0), last_y << 12);
        // On a node line: the cell on the side of x, so that a mirrored field takes mirrored steps
        c.gx[i] = least(most((cx - (p.u[i] > 0)) >> 12, 0), last_x - 1);
        c.gy[i] = least(most((cy - (p.v[i] > 0)) >> 12, 0), last_y - 1);
        c.tx[i] = cx - (c.gx[i] << 12);
        c.ty[i] = cy - (c.gy[i] << 12);
    }
}

struct CellValue {
    int value, across, down;  // Q10 px, Q12 slope, Q12 slope
};

// Largest intermediate: 7168 * 4096 from nodes, 57344 * 4096 from rows; both below 2^28.
MIE_MOTION_BODY CellValue interpolate(int n00, int n10, int n01, int n11, int tx, int ty) {
    const int upper = n10 - n00, lower = n11 - n01;
    const int above = odd_shift(n00 * 4096 + upper * tx, 9), below = odd_shift(n01 * 4096 + lower * tx, 9);
    return {odd_shift(above * 4096 + (below - above) * ty, 12), odd_shift(upper * 4096 + (lower - upper) * ty, 9), below - above};
}

MIE_MOTION_BODY int low_half(int32_t node) { return int32_t(uint32_t(node) << 16) >> 16; }

MIE_MOTION_BODY CellValue interpolate_x(const Taps& t, const Cells& c, int i) {
    return interpolate(low_half(t.n00[i]), low_half(t.n10[i]), low_half(t.n01[i]), low_half(t.n11[i]), c.tx[i], c.ty[i]);
}

MIE_MOTION_BODY CellValue interpolate_y(const Taps& t, const Cells& c, int i) {
    return interpolate(t.n00[i] >> 16, t.n10[i] >> 16, t.n01[i] >> 16, t.n11[i] >> 16, c.tx[i], c.ty[i]);
}

struct NewtonStep {
    int miss, du, dv;  // Q10 px
};

// |numerator| <= 40960 * (24576 + 20480) < 2^31; the quotient is Q-2 and becomes Q10, below 2^25.
MIE_MOTION_BODY int quotient(int numerator, float determinant) {
    const float step = float(numerator) / determinant * 4096.0f;
    return bounded(int(step + __builtin_copysignf(0.5f, step)), kStepLimitQ10);
}

MIE_MOTION_BODY NewtonStep newton_step(const Taps& t, const Cells& c, const Points& p, int i) {
    const CellValue x = interpolate_x(t, c, i), y = interpolate_y(t, c, i);
    const int miss_x = bounded(p.goal_x[i] - x.value - p.u[i], kMissLimitQ10),
              miss_y = bounded(p.goal_y[i] - y.value - p.v[i], kMissLimitQ10);
    const int xx = 4096 + least(most(x.across, -kFoldLimitQ12), kSlopeLimitQ12), xy = bounded(x.down, kSlopeLimitQ12);
    const int yx = bounded(y.across, kSlopeLimitQ12), yy = 4096 + least(most(y.down, -kFoldLimitQ12), kSlopeLimitQ12);
    const float determinant = float(most(xx * yy - xy * yx, kDeterminantFloorQ24));  // <= 24576^2 + 20480^2 < 2^31
    return {most(most(miss_x, -miss_x), most(miss_y, -miss_y)), quotient(yy * miss_x - xy * miss_y, determinant),
            quotient(xx * miss_y - yx * miss_x, determinant)};
}

// One step of every point that still misses; false when none did.
MIE_MOTION_BODY bool improve(const Taps& t, const Cells& c, Points& p) {
    int moved = 0;
    for (int i = 0; i < kPoints; ++i) {
        const NewtonStep s = newton_step(t, c, p, i);
        const int active = -(s.miss > kResidualQ10);  // all bits or none
        p.u[i] = bounded(p.u[i] + (s.du & active), kFlowLimitQ10);
        p.v[i] = bounded(p.v[i] + (s.dv & active), kFlowLimitQ10);
        moved |= active;
    }
    return moved != 0;
}

// Points on their way with halved steps: the best place so far and the step tried from it.
struct alignas(64) Tried {
    int32_t miss[kPoints], u[kPoints], v[kPoints], du[kPoints], dv[kPoints];
};

// One step of every point that still misses, half of the last one where that did not help; false when none did.
MIE_MOTION_BODY bool improve_halving(const Taps& t, const Cells& c, Points& p, Tried& best) {
    int moved = 0;
    for (int i = 0; i < kPoints; ++i) {
        const NewtonStep s = newton_step(t, c, p, i);
        const bool helps = s.miss < best.miss[i];
        best.miss[i] = helps ? s.miss : best.miss[i];
        best.u[i] = helps ? p.u[i] : best.u[i];
        best.v[i] = helps ? p.v[i] : best.v[i];
        best.du[i] = helps ? s.du : best.du[i] / 2;
        best.dv[i] = helps ? s.dv : best.dv[i] / 2;
        const int active = -(best.miss[i] > kResidualQ10);
        p.u[i] = bounded(best.u[i] + (best.du[i] & active), kFlowLimitQ10);
        p.v[i] = bounded(best.v[i] + (best.dv[i] & active), kFlowLimitQ10);
        moved |= active;
    }
    return moved != 0;
}

// Flow of the points; x, y and goal given.
MIE_MOTION_BODY void invert(const PackedField& later, const MotionIsa& isa, Points& p) {
    Cells cells;
    Taps taps;
    for (int i = 0; i < kPoints; ++i) p.u[i] = p.v[i] = 0;
    for (int step = 0; step < kSteps; ++step) {
        locate(later, p, cells);
        isa.fetch(later, cells, taps);
        if (!improve(taps, cells, p)) return;
    }
    Tried best{};
    for (int i = 0; i < kPoints; ++i) best.miss[i] = kMissLimitQ10 + 1;
    for (int step = 0; step < kHalvingSteps; ++step) {
        locate(later, p, cells);
        isa.fetch(later, cells, taps);
        if (!improve_halving(taps, cells, p, best)) break;
    }
    std::memcpy(p.u, best.u, sizeof p.u);
    std::memcpy(p.v, best.v, sizeof p.v);
}

// The goal of the points: what the onset frame is displaced by there.
MIE_MOTION_BODY void sample_goal(const PackedField& onset, const MotionIsa& isa, Points& p) {
    Cells cells;
    Taps taps;
    for (int i = 0; i < kPoints; ++i) p.u[i] = p.v[i] = 0;
    locate(onset, p, cells);
    isa.fetch(onset, cells, taps);
    for (int i = 0; i < kPoints; ++i) {
        p.goal_x[i] = interpolate_x(taps, cells, i).value;
        p.goal_y[i] = interpolate_y(taps, cells, i).value;
    }
}

}  // namespace mie::inverse
