// What the CPU paths of render share: one call renders the planes of one frame that move together.
#pragma once
#include <cstdint>

#include "../common/simd.h"
#include "params.h"

namespace mie {

enum class Layer : int { rgb = 0, luma = 1, chroma = 2 };  // R G B; Y alone; Cb and Cr, at half size

constexpr int plane_count(Layer layer) { return layer == Layer::rgb ? 3 : layer == Layer::luma ? 1 : 2; }

struct PlaneJob {
    Layer layer;
    const uint8_t* source[3];  // prepared planes at pixel (0, 0)
    int source_stride;
    int width, height;     // of the planes: half the frame's for chroma
    const int16_t* nodes;  // [fields][grid_height][grid_width], 64 elements may be read after the last
    int grid_width, grid_height;
    bool gain;      // a third grid
    bool packed;    // rgb only: target[0] takes 3 bytes per pixel
    int noise_q15;  // 0 = none
    uint32_t key[2], frame, first_plane;
    uint8_t* target[3];
    int64_t target_stride;
};

struct PackedBasis {
    const int16_t* grids;  // [blocks][pairs][32][2]
    const uint64_t* live;  // [blocks]
    int channels;
    int nodes;  // fields * gh * gw
};

inline int pair_count(int channels) { return (channels + 1) / 2; }
inline int block_count(int nodes) { return (nodes + kBlockNodes - 1) / kBlockNodes; }

// Coefficients two by two, as the vector multiply-adds take them; bit q of the result: pair q is not zero.
inline uint64_t pair_coefficients(const int16_t* coefficients, int channels, uint32_t pairs[kMaxRenderChannels / 2]) {
    uint64_t live = 0;
    for (int q = 0; q < pair_count(channels); ++q) {
        const uint32_t even = uint16_t(coefficients[2 * q]), odd = 2 * q + 1 < channels ? uint16_t(coefficients[2 * q + 1]) : 0;
        pairs[q] = even | odd << 16;
        if (pairs[q]) live |= uint64_t(1) << q;
    }
    return live;
}

// Node grids of one frame; `nodes` has room for node_room() elements, and those past the last node become zero.
void sum_nodes(const RenderParams& params, const int16_t* coefficients, int16_t* nodes, SimdLevel level);

// node = clamp(odd_round(sum_k c_k B_k, 14), -3584, 3584), for whole blocks
void sum_nodes_scalar(const PackedBasis& basis, const int16_t* coefficients, int16_t* nodes);
void render_planes_scalar(const PlaneJob& job);  // cpu_portable.cc

// Noise of 16 px of one row from x, a multiple of 16, as signed table values
constexpr int kNoiseRun = 16;  // pixels per Philox call
void noise_run(const PlaneJob& job, int plane, int x, int y, int8_t value[kNoiseRun]);

// Where one row of every plane goes: pixel x of a plane to row[plane][step * x]
struct RowTarget {
    uint8_t* row[3];
    int step;
};
RowTarget row_target(const PlaneJob& job, int y);
void render_span_scalar(const PlaneJob& job, const RowTarget& target, int first_x, int last_x, int y);  // pixels [first_x, last_x)

#if defined(__x86_64__)
void sum_nodes_avx2(const PackedBasis& basis, const int16_t* coefficients, int16_t* nodes);
void render_planes_avx2(const PlaneJob& job);
void sum_nodes_avx512(const PackedBasis& basis, const int16_t* coefficients, int16_t* nodes);
void render_planes_avx512(const PlaneJob& job);
#endif

}  // namespace mie
