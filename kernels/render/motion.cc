// u(x) = onset(x) - later(x + u);  strain = sqrt(ux^2 + vy^2 + (uy + vx)^2 / 2), central differences, one-sided at the border
// Traffic: 12 bytes written per pixel; nodes and three rows of flow stay in the first-level cache.
// Source: definition in ref_motion.py; strain as in the optical-strain literature.
#include "motion.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "invert.h"
#include "params.h"

namespace mie {
namespace {

using namespace inverse;

constexpr int kGradientLimitQ11 = 16383;

// A row of flow in Q10 px, one ghost pixel before and after it.
struct FlowRow {
    std::vector<int32_t> u, v;
    void resize(size_t count) { u.resize(count), v.resize(count); }
};

// Buffers of the calling thread, kept from frame to frame.
struct Scratch {
    std::vector<int32_t> onset, later;
    std::vector<uint8_t> still;  // per kPoints px of the present row of cells: nothing moves there in either frame
    FlowRow row[3], ghost;
    std::vector<float> line;
};

struct Job {
    PackedField onset, later;  // onset.node null: at rest
    MotionIsa isa;
    int width, height, span;  // span: width rounded up to kPoints
    float *flow, *strain;     // of this frame
};

PackedField pack(const int16_t* nodes, int gw, int gh, std::vector<int32_t>& packed) {
    const int count = gw * gh;
    packed.assign(size_t(count) + kFieldPad, 0);
    for (int i = 0; i < count; ++i) packed[size_t(i)] = pack_node(nodes[i], nodes[count + i]);
    return {packed.data(), gw, gh};
}

bool still_cells(const PackedField& f, int gx, int gy) {
    if (!f.node) return true;
    const int last = std::min(gx + kPoints / kNodeStepPx, f.gw - 1);
    int32_t any = 0;
    for (int x = gx; x <= last; ++x) any |= f.node[gy * f.gw + x] | f.node[(gy + 1) * f.gw + x];
    return any == 0;
}

MIE_MOTION_BODY void solve_row(const Job& job, int y, const uint8_t* still, FlowRow& row) {
    int32_t *const u = row.u.data() + 1, *const v = row.v.data() + 1;
    Points p;
    for (int x0 = 0; x0 < job.span; x0 += kPoints) {
        if (still[x0 / kPoints]) {
            std::memset(u + x0, 0, sizeof p.u);
            std::memset(v + x0, 0, sizeof p.v);
            continue;
        }
        for (int i = 0; i < kPoints; ++i) {
            p.x[i] = (x0 + i) * 1024 + 512;
            p.y[i] = y * 1024 + 512;
            p.goal_x[i] = p.goal_y[i] = 0;
        }
        if (job.onset.node) sample_goal(job.onset, job.isa, p);
        invert(job.later, job.isa, p);
        std::memcpy(u + x0, p.u, sizeof p.u);
        std::memcpy(v + x0, p.v, sizeof p.v);
    }
    // Ghosts continue the border in a straight line: a central difference there is twice the one-sided one
    u[-1] = 2 * u[0] - u[1], v[-1] = 2 * v[0] - v[1];
    u[job.width] = 2 * u[job.width - 1] - u[job.width - 2], v[job.width] = 2 * v[job.width - 1] - v[job.width - 2];
}

MIE_MOTION_BODY void extend(const Job& job, const FlowRow& border, const FlowRow& inner, FlowRow& ghost) {
    for (int i = 0; i < job.width + 2; ++i) {
        ghost.u[size_t(i)] = 2 * border.u[size_t(i)] - inner.u[size_t(i)];
        ghost.v[size_t(i)] = 2 * border.v[size_t(i)] - inner.v[size_t(i)];
    }
}

MIE_MOTION_BODY void write_flow(const Job& job, int y, const FlowRow& row) {
    const int32_t *const u = row.u.data() + 1, *const v = row.v.data() + 1;
    float* out = job.flow + int64_t(y) * job.width * 2;
    for (int x = 0; x < job.width; ++x) {
        out[2 * x] = float(u[x]) * (1.0f / 1024);
        out[2 * x + 1] = float(v[x]) * (1.0f / 1024);
    }
}

MIE_MOTION_BODY void write_strain(const Job& job, int y, const FlowRow& above, const FlowRow& here, const FlowRow& below, float* line) {
    const int32_t *const u = here.u.data() + 1, *const v = here.v.data() + 1;
    const int32_t *const u0 = above.u.data() + 1, *const v0 = above.v.data() + 1;
    const int32_t *const u1 = below.u.data() + 1, *const v1 = below.v.data() + 1;
    for (int x = 0; x < job.width; ++x) {
        const int xx = bounded(u[x + 1] - u[x - 1], kGradientLimitQ11), yx = bounded(v[x + 1] - v[x - 1], kGradientLimitQ11);
        const int xy = bounded(u1[x] - u0[x], kGradientLimitQ11), yy = bounded(v1[x] - v0[x], kGradientLimitQ11);
        const int shear = xy + yx, twice_square = 2 * (xx * xx + yy * yy) + shear * shear;  // <= 8 * 16383^2 < 2^31
        line[x] = float(twice_square) * (1.0f / (1 << 23));
    }
    job.isa.root(line, job.span);
    std::memcpy(job.strain + int64_t(y) * job.width, line, sizeof(float) * size_t(job.width));
}

MIE_MOTION_BODY void motion_body(const Job& job, Scratch& s) {
    const int blocks = job.span / kPoints;
    for (int y = 0; y < job.height; ++y) {
        if (y % kNodeStepPx == 0) {
            for (int b = 0; b < blocks; ++b) {
                const int gx = b * (kPoints / kNodeStepPx), gy = y / kNodeStepPx;
                s.still[size_t(b)] = still_cells(job.onset, gx, gy) && still_cells(job.later, gx, gy);
            }
        }
        FlowRow &here = s.row[y % 3], &before = s.row[(y + 2) % 3];
        solve_row(job, y, s.still.data(), here);
        if (job.flow) write_flow(job, y, here);
        if (!job.strain || y == 0) continue;
        if (y == 1) extend(job, before, here, s.ghost);
        write_strain(job, y - 1, y == 1 ? s.ghost : s.row[(y + 1) % 3], before, here, s.line.data());
        if (y < job.height - 1) continue;
        extend(job, here, before, s.ghost);
        write_strain(job, y, before, here, s.ghost, s.line.data());
    }
}

void motion_portable(const Job& job, Scratch& s) { motion_body(job, s); }
#if defined(__x86_64__)
MIE_MOTION_AVX2 void motion_avx2(const Job& job, Scratch& s) { motion_body(job, s); }
MIE_MOTION_AVX512 void motion_avx512(const Job& job, Scratch& s) { motion_body(job, s); }
#endif

}  // namespace

void motion_frame(const MotionParams& p, const int16_t* onset_nodes, const int16_t* later_nodes, int width, int height, int frame,
                  SimdLevel level) {
    static thread_local Scratch s;
    const int gw = grid_size(width), gh = grid_size(height);
    const int64_t pixels = int64_t(width) * height;
    Job job{};
    job.later = pack(later_nodes, gw, gh, s.later);
    if (onset_nodes) job.onset = pack(onset_nodes, gw, gh, s.onset);
    job.isa = motion_isa(level);
    job.width = width, job.height = height, job.span = (width + kPoints - 1) / kPoints * kPoints;
    job.flow = p.flow ? p.flow + frame * pixels * 2 : nullptr;
    job.strain = p.strain ? p.strain + frame * pixels : nullptr;
    for (FlowRow* row : {&s.row[0], &s.row[1], &s.row[2], &s.ghost}) row->resize(size_t(job.span) + 2);
    s.still.resize(size_t(job.span / kPoints));
    s.line.assign(size_t(job.span), 0.0f);
#if defined(__x86_64__)
    if (level == SimdLevel::avx512) return motion_avx512(job, s);
    if (level == SimdLevel::avx2) return motion_avx2(job, s);
#endif
    motion_portable(job, s);
}

}  // namespace mie
