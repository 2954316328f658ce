// frame(x, y) = source(x + dx, y + dy) (1 + gain) + noise; (dx, dy, gain) = sum_k c_k B_k on nodes 4 px apart, bilinear; all integers
// Traffic per pixel of a plane: 4 bytes read from cache, 1 written. Here: whole frames, and the definition for the edges of every path.
// Source of the noise: Philox4x32-10 (common/philox.h), one call per 16 px of a row, counter (x / 16, y, frame, plane).
#include <algorithm>
#include <cstring>
#include <vector>

#include "../common/parallel.h"
#include "../common/philox.h"
#include "noise.h"
#include "pixel.h"
#include "planes.h"
#include "source.h"

namespace mie {
namespace {

// Pixels [first_x, last_x) of one row, at most 16 and within one noise run
void render_run(const PlaneJob& job, const RowTarget& target, int first_x, int last_x, int y) {
    const bool half = job.layer == Layer::chroma;
    const int count = last_x - first_x, grid_nodes = job.grid_width * job.grid_height;
    const int32_t zero_q7 = half ? 128 << 7 : 0;

    // The field, once for all planes
    int32_t dx[kNoiseRun], dy[kNoiseRun], gain[kNoiseRun];
    for (int i = 0; i < count; ++i) {
        dx[i] = field_at(job.nodes, job.grid_width, first_x + i, y, half);
        dy[i] = field_at(job.nodes + grid_nodes, job.grid_width, first_x + i, y, half);
        if (job.gain) gain[i] = field_at(job.nodes + 2 * grid_nodes, job.grid_width, first_x + i, y, half);
    }

    // Sample, shade, add noise, round
    for (int plane = 0; plane < plane_count(job.layer); ++plane) {
        const uint8_t* source = job.source[plane] + ptrdiff_t(y) * job.source_stride + first_x;
        uint8_t* out = target.row[plane] + target.step * first_x;
        int8_t noise[kNoiseRun];
        if (job.noise_q15) noise_run(job, plane, first_x, y, noise);
        for (int i = 0; i < count; ++i) {
            int32_t value = sample_q7(source + i, job.source_stride, dx[i], dy[i], half) - zero_q7;
            if (job.gain) value = shade_q7(value, gain[i]);
            if (job.noise_q15) value = add_noise_q7(value, noise[first_x % kNoiseRun + i], job.noise_q15);
            out[target.step * i] = to_byte(value + zero_q7);
        }
    }
}

struct Path {
    void (*sum_nodes)(const PackedBasis&, const int16_t*, int16_t*);
    void (*render_planes)(const PlaneJob&);
};

Path path_of(SimdLevel level) {
#if defined(__x86_64__)
    if (level == SimdLevel::avx512) return {sum_nodes_avx512, render_planes_avx512};
    if (level == SimdLevel::avx2) return {sum_nodes_avx2, render_planes_avx2};
#endif
    (void)level;
    return {sum_nodes_scalar, render_planes_scalar};
}

// One frame from its nodes
void render_frame(const RenderParams& p, const int16_t* nodes, int frame, const Path& path) {
    const int64_t luma_bytes = int64_t(p.width) * p.height;
    PlaneJob job{};
    job.nodes = nodes;
    job.grid_width = grid_size(p.width);
    job.grid_height = grid_size(p.height);
    job.gain = p.fields == 3;
    job.noise_q15 = p.noise_q15;
    job.key[0] = p.key[0];
    job.key[1] = p.key[1];
    job.frame = p.first_frame + uint32_t(frame);

    // R G B, or Y alone
    job.layer = p.format == kYuv420 ? Layer::luma : Layer::rgb;
    job.packed = p.format == kRgb;
    job.width = p.width;
    job.height = p.height;
    job.source_stride = p.source_stride[0];
    job.target_stride = job.packed ? 3 * int64_t(p.width) : p.width;
    for (int i = 0; i < plane_count(job.layer); ++i) {
        job.source[i] = p.source[i];
        job.target[i] = p.target + frame * p.frame_stride + (job.packed ? 0 : i * luma_bytes);
    }
    path.render_planes(job);
    if (p.format != kYuv420) return;

    // Cb and Cr
    job.layer = Layer::chroma;
    job.first_plane = 1;
    job.width = (p.width + 1) / 2;
    job.height = (p.height + 1) / 2;
    job.source_stride = p.source_stride[1];
    job.target_stride = job.width;
    job.target[0] += luma_bytes;
    job.target[1] = job.target[0] + int64_t(job.width) * job.height;
    for (int i = 0; i < 2; ++i) job.source[i] = p.source[1 + i];
    path.render_planes(job);
}

}  // namespace

void sum_nodes_scalar(const PackedBasis& basis, const int16_t* coefficients, int16_t* nodes) {
    const int pairs = pair_count(basis.channels);
    uint32_t pair[kMaxRenderChannels / 2];
    const uint64_t live = pair_coefficients(coefficients, basis.channels, pair);
    const int16_t* block = basis.grids;
    for (int first = 0; first < basis.nodes; first += kBlockNodes, block += pairs * kBlockNodes * 2) {
        int32_t sum[kBlockNodes] = {};
        for (uint64_t rest = basis.live[first / kBlockNodes] & live; rest; rest &= rest - 1) {
            const int q = __builtin_ctzll(rest);
            const int16_t even = int16_t(pair[q]), odd = int16_t(pair[q] >> 16);
            const int16_t* grid = block + q * kBlockNodes * 2;
            for (int i = 0; i < kBlockNodes; ++i) {
                const int16_t left = grid[2 * i], right = grid[2 * i + 1];  // as int16, so that products take 16-bit multiplications
                sum[i] += left * even + right * odd;
            }
        }
        for (int i = 0; i < kBlockNodes; ++i) nodes[first + i] = int16_t(clamp(odd_round(sum[i], kNodeShift), -kNodeLimit, kNodeLimit));
    }
}

void noise_run(const PlaneJob& job, int plane, int x, int y, int8_t value[kNoiseRun]) {
    uint32_t word[4] = {uint32_t(x / kNoiseRun), uint32_t(y), job.frame, job.first_plane + uint32_t(plane)};
    philox4x32(word, job.key[0], job.key[1]);
    for (int i = 0; i < kNoiseRun; ++i) {
        const uint32_t byte = word[i / 4] >> (8 * (i % 4)) & 255;
        const int8_t magnitude = kNoiseTable[byte & 127];
        value[i] = byte & 128 ? int8_t(-magnitude) : magnitude;
    }
}

RowTarget row_target(const PlaneJob& job, int y) {
    const int64_t offset = y * job.target_stride;
    if (job.packed) return {{job.target[0] + offset, job.target[0] + offset + 1, job.target[0] + offset + 2}, 3};
    RowTarget target{{}, 1};
    for (int plane = 0; plane < plane_count(job.layer); ++plane) target.row[plane] = job.target[plane] + offset;
    return target;
}

void render_span_scalar(const PlaneJob& job, const RowTarget& target, int first_x, int last_x, int y) {
    for (int x = first_x; x < last_x;) {
        const int next = std::min((x / kNoiseRun + 1) * kNoiseRun, last_x);
        render_run(job, target, x, next, y);
        x = next;
    }
}

void sum_nodes(const RenderParams& p, const int16_t* coefficients, int16_t* nodes, SimdLevel level) {
    const int count = p.fields * grid_size(p.width) * grid_size(p.height), whole = block_count(count) * kBlockNodes;
    path_of(level).sum_nodes({p.basis, p.basis_live, p.channels, count}, coefficients, nodes);
    std::memset(nodes + whole, 0, sizeof(int16_t) * size_t(node_room(p.width, p.height, p.fields) - whole));
}

void render_cpu(const RenderParams& p, SimdLevel level, int threads) {
    const Path path = path_of(level);
    const int64_t span = std::max(1, p.frames / (4 * std::max(threads, 1)));
    parallel_for(p.frames, span, threads, [&](int64_t first, int64_t last) {
        std::vector<int16_t> nodes(size_t(node_room(p.width, p.height, p.fields))), onset;
        if (p.motion && p.onset) {
            onset.resize(nodes.size());
            sum_nodes(p, p.onset, onset.data(), level);
        }
        for (int frame = int(first); frame < int(last); ++frame) {
            sum_nodes(p, p.coefficients + int64_t(frame) * p.channels, nodes.data(), level);
            if (p.target) render_frame(p, nodes.data(), frame, path);
            if (p.motion) motion_frame(*p.motion, p.onset ? onset.data() : nullptr, nodes.data(), p.width, p.height, frame, level);
        }
    });
}

}  // namespace mie
