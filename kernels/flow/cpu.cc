// FlowSolver: its memory, frames filled up to whole blocks, the path for the processor.
#include <algorithm>

#include "buffers.h"

namespace mie {
namespace {

int padded(int side) { return (side + kPad - 1) / kPad * kPad; }

const FlowPath& path_of(SimdLevel level) {
#if defined(__x86_64__)
    if (level == SimdLevel::avx512) return kFlowAvx512;
    if (level == SimdLevel::avx2) return kFlowAvx2;
#endif
    (void)level;
    return kFlowPortable;
}

}  // namespace

FlowBuffers::FlowBuffers(int w, int h)
    : width(w),
      height(h),
      padded_width(padded(w)),
      padded_height(padded(h)),
      fine(padded_width / 2, padded_height / 2),
      two_rows(padded_width / 4, 2),
      u(padded_width / 2, padded_height / 2),
      v(padded_width / 2, padded_height / 2),
      local(padded_width / 8, padded_height / 8),
      sum(padded_width / 8, padded_height / 8),
      key_stride(padded_width + 64),
      keys(size_t(key_stride) * (padded_height / 4)),
      lines(2 * size_t(padded_width + 96) + 64),
      grey(size_t(padded_width) * padded_height) {
    for (int l = 0; l < kFlowLevels && std::min(w, h) >> l >= 8; ++l) {
        level[l] = std::make_unique<FlowLevel>(padded_width >> l, padded_height >> l, w >> l, h >> l);
        levels = l + 1;
    }
}

FlowSolver::FlowSolver(int width, int height, SimdLevel level)
    : width_(width), height_(height), level_(level), path_(path_of(level)), buffers_(std::make_unique<FlowBuffers>(width, height)) {}
FlowSolver::~FlowSolver() = default;

void FlowSolver::prepare(const uint8_t* grey, int64_t stride, bool onset) {
    FlowBuffers& all = *buffers_;
    if (all.padded_width != width_ || all.padded_height != height_) {  // edges repeated
        for (int y = 0; y < all.padded_height; ++y) {
            uint8_t* to = all.grey.get() + int64_t(y) * all.padded_width;
            const uint8_t* from = grey + std::min(y, height_ - 1) * stride;
            std::copy(from, from + width_, to);
            std::fill(to + width_, to + all.padded_width, from[width_ - 1]);
        }
        grey = all.grey.get();
        stride = all.padded_width;
    }
    path_.pyramid(all, grey, stride, onset);
}

void FlowSolver::onset(const uint8_t* grey, int64_t stride) { prepare(grey, stride, true); }

void FlowSolver::later(const uint8_t* grey, int64_t stride, float* u, float* v) {
    prepare(grey, stride, false);
    path_.solve(*buffers_);
    for (int64_t y = 0; u && v && y < grid_height(); ++y) {
        std::copy_n(buffers_->u.row(int(y)), grid_width(), u + y * grid_width());
        std::copy_n(buffers_->v.row(int(y)), grid_width(), v + y * grid_width());
    }
}

void FlowSolver::full_size(float* out_u, float* out_v) const { path_.full_size(*buffers_, out_u, out_v); }

void flow_full_size(const float* u, const float* v, int grid_width, int grid_height, int width, int height, float* out_u, float* out_v,
                    SimdLevel level) {
    const FlowPath& path = path_of(level);
    path.double_plane(u, grid_width, grid_height, width, height, out_u);
    path.double_plane(v, grid_width, grid_height, width, height, out_v);
}

}  // namespace mie
