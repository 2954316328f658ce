// nodes -> flow at 56 x 56 points -> turn -> patchy gain -> flow noise -> strain -> 2 x 2 sums -> min-max to 8 bit
// Traffic: 4 bytes of basis per node and active channel read, 2352 bytes written a sample; the rest stays in the second-level cache.
// Source: the recipe of training on synthetic motion; definition and Q formats in ref_features.py.
#include "features.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "invert.h"
#include "params.h"

namespace mie {
namespace {

using namespace inverse;

constexpr int kBudgetQ12 = 32767;
constexpr int kLatticeFlowLimitQ14 = (1 << 20) - 1;
constexpr int kTileX = 8, kTileY = 4;
static_assert(kTileX * kTileY == kPoints && kLattice % kTileX == 0 && kLattice % kTileY == 0, "whole tiles");
constexpr int kRing = kLattice + 2;  // the lattice and a ghost point on every side

struct Scratch {
    std::vector<int32_t> sum;     // [2][gh][gw] coefficient * basis, Q21
    std::vector<int32_t> packed;  // nodes
    alignas(64) int32_t u[kLatticePoints], v[kLatticePoints];
    alignas(64) int32_t random_u[kLatticePoints], random_v[kLatticePoints];
    alignas(64) int32_t strain[kLatticePoints];
    alignas(64) int32_t ring[2][kRing * kRing];
};

struct Powers {
    int32_t q14[66];  // 2^0 .. 2^1 in 64 steps, and one to read past
    Powers() {
        for (int i = 0; i < 66; ++i) q14[i] = int32_t(std::lround(std::exp2(14 + std::min(i, 64) / 64.0)));
    }
};

int whole_root(int64_t value) { return int(std::sqrt(double(value))); }  // exact below 2^52

// |sum| <= 32767 * 2^15 < 2^30 by the bound on the coefficients
MIE_MOTION_BODY void add_channel(const FeatureParams& p, int channel, int coefficient, int32_t* sum) {
    const int count = 2 * p.gw * p.gh;
    const int16_t* basis = p.basis + int64_t(channel) * p.fields * p.gw * p.gh;
    for (int i = 0; i < count; ++i) sum[i] += coefficient * basis[i];
}

// Rounds the sums to nodes; returns the largest squared displacement, Q14.
MIE_MOTION_BODY int pack_nodes(const FeatureParams& p, const int32_t* sum, int32_t* packed) {
    const int count = p.gw * p.gh;
    int peak = 0;
    for (int i = 0; i < count; ++i) {
        const int x = bounded(odd_shift(sum[i], 14), kNodeLimit), y = bounded(odd_shift(sum[count + i], 14), kNodeLimit);
        packed[i] = pack_node(x, y);
        peak = std::max(peak, x * x + y * y);
    }
    return peak;
}

// Adds the relative channels; they share, in order, what the coefficients leave of the bound on their sum.
MIE_MOTION_BODY bool add_relative(const FeatureParams& p, int sample, int squared_peak, int32_t* sum) {
    const int16_t* coefficients = p.coefficients + int64_t(sample) * p.channels;
    const int16_t* relative = p.relative + int64_t(sample) * p.channels;
    const int64_t peak_q7 = whole_root(squared_peak);
    int budget = kBudgetQ12;
    for (int k = 0; k < p.channels; ++k) budget -= std::abs(int(coefficients[k]));
    bool any = false;
    for (int k = 0; k < p.channels; ++k) {
        if (relative[k] == 0) continue;
        const int64_t wanted = (2 * std::abs(int(relative[k])) * peak_q7 + p.peak_q7[k]) / (2 * int64_t(p.peak_q7[k]));
        const int size = int(std::min<int64_t>(wanted, budget));
        if (size == 0) continue;
        add_channel(p, k, relative[k] < 0 ? -size : size, sum);
        budget -= size;
        any = true;
    }
    return any;
}

MIE_MOTION_BODY void make_nodes(const FeatureParams& p, int sample, Scratch& s) {
    std::fill(s.sum.begin(), s.sum.end(), 0);
    const int16_t* coefficients = p.coefficients + int64_t(sample) * p.channels;
    for (int k = 0; k < p.channels; ++k)
        if (coefficients[k] != 0) add_channel(p, k, coefficients[k], s.sum.data());
    const int squared_peak = pack_nodes(p, s.sum.data(), s.packed.data());
    if (p.relative && add_relative(p, sample, squared_peak, s.sum.data())) pack_nodes(p, s.sum.data(), s.packed.data());
}

// Flow at the lattice points, Q10 source px.
MIE_MOTION_BODY void solve_lattice(const FeatureParams& p, int sample, const MotionIsa& isa, Scratch& s) {
    const int32_t* l = p.lattice + int64_t(sample) * 6;
    const PackedField field{s.packed.data(), p.gw, p.gh};
    Points q;
    for (int i = 0; i < kPoints; ++i) q.goal_x[i] = q.goal_y[i] = 0;
    for (int tile_y = 0; tile_y < kLattice; tile_y += kTileY) {
        for (int tile_x = 0; tile_x < kLattice; tile_x += kTileX) {
            for (int i = 0; i < kPoints; ++i) {
                const int x = tile_x + i % kTileX, y = tile_y + i / kTileX;
                q.x[i] = ((l[0] + x * l[2] + y * l[3] + 32) >> 6) + 512;
                q.y[i] = ((l[1] + x * l[4] + y * l[5] + 32) >> 6) + 512;
            }
            invert(field, isa, q);
            for (int row = 0; row < kTileY; ++row) {
                const int at = (tile_y + row) * kLattice + tile_x;
                std::memcpy(s.u + at, q.u + row * kTileX, kTileX * sizeof(int32_t));
                std::memcpy(s.v + at, q.v + row * kTileX, kTileX * sizeof(int32_t));
            }
        }
    }
}

// Source px to lattice px, Q14. Without an onset the flow is a node's displacement: 2 * 32768 * 28672 < 2^31.
MIE_MOTION_BODY void turn_flow(const int16_t* turn, Scratch& s) {
    const int xx = turn[0], xy = turn[1], yx = turn[2], yy = turn[3];
    for (int i = 0; i < kLatticePoints; ++i) {
        const int u = bounded(s.u[i], kNodeLimit * 8), v = bounded(s.v[i], kNodeLimit * 8);
        s.u[i] = bounded(odd_shift(xx * u + xy * v, 8), kLatticeFlowLimitQ14);
        s.v[i] = bounded(odd_shift(yx * u + yy * v, 8), kLatticeFlowLimitQ14);
    }
}

// Nearest of value * factor / 2^shift, ties away from zero; up to 2^20 * 2^20.
MIE_MOTION_BODY int64_t scaled(int64_t value, int64_t factor, int shift) {
    const int64_t product = value * factor;
    return (product + (int64_t(1) << (shift - 1)) - (product < 0)) >> shift;
}

MIE_MOTION_BODY int32_t limited(int64_t flow) {
    return int32_t(std::min<int64_t>(std::max<int64_t>(flow, -kLatticeFlowLimitQ14), kLatticeFlowLimitQ14));
}

MIE_MOTION_BODY void patchy_gain(int log2_q12, Scratch& s) {
    static const Powers powers;
    for (int i = 0; i < kLatticePoints; ++i) {
        const int power = std::min(std::max(odd_shift((bounded(s.random_u[i], 32767) - 4096) * log2_q12, 12), -32768), 16383);
        const int step = (power >> 6) & 63, rest = power & 63;
        const int mantissa = powers.q14[step] + (((powers.q14[step + 1] - powers.q14[step]) * rest + 32) >> 6);
        const int gain = ((mantissa << ((power >> 12) + 8)) + 128) >> 8;  // Q14, below 2^18
        s.u[i] = limited(scaled(s.u[i], gain, 14));
        s.v[i] = limited(scaled(s.v[i], gain, 14));
    }
}

MIE_MOTION_BODY void flow_noise(int level_q12, Scratch& s) {
    int64_t squared_peak = 0;
    for (int i = 0; i < kLatticePoints; ++i) {
        squared_peak = std::max(squared_peak, int64_t(s.u[i]) * s.u[i] + int64_t(s.v[i]) * s.v[i]);
    }
    const int64_t scale = scaled(level_q12, whole_root(squared_peak), 12);
    for (int i = 0; i < kLatticePoints; ++i) {
        s.u[i] = limited(s.u[i] + scaled(s.random_u[i], scale, 12));
        s.v[i] = limited(s.v[i] + scaled(s.random_v[i], scale, 12));
    }
}

// Ghosts continue the border in a straight line: a central difference there is twice the one-sided one.
MIE_MOTION_BODY void make_ring(const int32_t* plane, int32_t* ring) {
    for (int y = 0; y < kLattice; ++y) {
        int32_t* row = ring + (y + 1) * kRing;
        std::memcpy(row + 1, plane + y * kLattice, kLattice * sizeof(int32_t));
        row[0] = 2 * row[1] - row[2];
        row[kLattice + 1] = 2 * row[kLattice] - row[kLattice - 1];
    }
    for (int x = 0; x < kRing; ++x) {
        ring[x] = 2 * ring[kRing + x] - ring[2 * kRing + x];
        ring[(kLattice + 1) * kRing + x] = 2 * ring[kLattice * kRing + x] - ring[(kLattice - 1) * kRing + x];
    }
}

// Q15. The sum under the root stays below 2^48, so doubles hold it exactly: one rounding to float, one root.
MIE_MOTION_BODY void lattice_strain(const MotionIsa& isa, Scratch& s) {
    make_ring(s.u, s.ring[0]);
    make_ring(s.v, s.ring[1]);
    alignas(64) float line[64] = {};
    for (int y = 0; y < kLattice; ++y) {
        const int32_t *u = s.ring[0] + (y + 1) * kRing + 1, *v = s.ring[1] + (y + 1) * kRing + 1;
        for (int x = 0; x < kLattice; ++x) {
            const double xx = u[x + 1] - u[x - 1], yy = v[x + kRing] - v[x - kRing];
            const double shear = u[x + kRing] - u[x - kRing] + v[x + 1] - v[x - 1];
            line[x] = float(2 * (xx * xx + yy * yy) + shear * shear) * 0.5f;
        }
        isa.root(line, 64);
        for (int x = 0; x < kLattice; ++x) s.strain[y * kLattice + x] = int32_t(line[x] + 0.5f);
    }
}

MIE_MOTION_BODY void write_map(const int32_t* plane, float unit, uint8_t* map, float* range) {
    int32_t sum[kMapSide * kMapSide];
    for (int y = 0; y < kMapSide; ++y) {
        const int32_t *upper = plane + 2 * y * kLattice, *lower = upper + kLattice;
        for (int x = 0; x < kMapSide; ++x) sum[y * kMapSide + x] = upper[2 * x] + upper[2 * x + 1] + lower[2 * x] + lower[2 * x + 1];
    }
    int low = sum[0], high = sum[0];
    for (int i = 1; i < kMapSide * kMapSide; ++i) low = std::min(low, sum[i]), high = std::max(high, sum[i]);
    range[0] = float(low) * unit, range[1] = float(high) * unit;
    const float span = float(std::max(high - low, 1));  // a constant channel is all zero
    for (int i = 0; i < kMapSide * kMapSide; ++i) map[3 * i] = uint8_t(int(float(sum[i] - low) * 255.0f / span + 0.5f));
}

MIE_MOTION_BODY void features_body(const FeatureParams& p, SimdLevel level, Scratch& s) {
    const MotionIsa isa = motion_isa(level);
    for (int n = 0; n < p.samples; ++n) {
        make_nodes(p, n, s);
        solve_lattice(p, n, isa, s);
        turn_flow(p.turn + 4 * n, s);
        if (p.patch_blur) {
            random_field(p.key + 2 * n, FieldKind::patch, p.patch_blur + n * kBlurTaps, s.random_u, level);
            patchy_gain(p.patch_log2_q12, s);
        }
        if (p.noise_blur) {
            random_field(p.key + 2 * n, FieldKind::noise_u, p.noise_blur + n * kBlurTaps, s.random_u, level);
            random_field(p.key + 2 * n, FieldKind::noise_v, p.noise_blur + n * kBlurTaps, s.random_v, level);
            flow_noise(p.noise_level[n], s);
        }
        lattice_strain(isa, s);
        uint8_t* map = p.maps + int64_t(n) * kMapSide * kMapSide * 3;
        write_map(s.u, 0x1p-16f, map, p.ranges + 6 * n);
        write_map(s.v, 0x1p-16f, map + 1, p.ranges + 6 * n + 2);
        write_map(s.strain, 0x1p-17f, map + 2, p.ranges + 6 * n + 4);
    }
}

void features_portable(const FeatureParams& p, Scratch& s) { features_body(p, SimdLevel::scalar, s); }
#if defined(__x86_64__)
MIE_MOTION_AVX2 void features_avx2(const FeatureParams& p, Scratch& s) { features_body(p, SimdLevel::avx2, s); }
MIE_MOTION_AVX512 void features_avx512(const FeatureParams& p, Scratch& s) { features_body(p, SimdLevel::avx512, s); }
#endif

}  // namespace

void features_cpu(const FeatureParams& params, SimdLevel level) {
    static thread_local Scratch s;
    const size_t nodes = size_t(params.gw) * size_t(params.gh);
    s.sum.resize(2 * nodes);
    s.packed.assign(nodes + kFieldPad, 0);
#if defined(__x86_64__)
    if (level == SimdLevel::avx512) return features_avx512(params, s);
    if (level == SimdLevel::avx2) return features_avx2(params, s);
#endif
    features_portable(params, s);
}

}  // namespace mie
