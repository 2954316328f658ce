// Dense sub-pixel optical flow of micro-motion; the definition is ref.py. The same result for a pair whatever ran before or beside it.
#pragma once
#include <cstdint>
#include <memory>

#include "../common/simd.h"

namespace mie {

constexpr int kMinFlowSidePx = 32, kMaxFlowSidePx = 4096;
constexpr float kMaxFlowPx = 32.f;

struct FlowBuffers;
struct FlowPath;

// All memory for one image size: nothing is allocated after construction. Not thread-safe: one solver per thread.
class FlowSolver {
  public:
    FlowSolver(int width, int height, SimdLevel level);
    ~FlowSolver();
    FlowSolver(const FlowSolver&) = delete;
    FlowSolver& operator=(const FlowSolver&) = delete;

    // Grey frames of the solver's size; stride in bytes. An onset serves all later frames until the next one.
    void onset(const uint8_t* grey, int64_t stride);
    // Flow in px on cells of 2x2 px, [grid_height()][grid_width()]: later(x + flow(x)) = onset(x) with x = (2i + .5, 2j + .5)
    // Without u and v for full_size() alone.
    void later(const uint8_t* grey, int64_t stride, float* u = nullptr, float* v = nullptr);
    // The last later()'s flow of every pixel, [height()][width()]: the grid doubled bilinearly, sharp where it jumps
    void full_size(float* out_u, float* out_v) const;

    SimdLevel level() const { return level_; }
    int width() const { return width_; }
    int height() const { return height_; }
    int grid_width() const { return (width_ + 1) / 2; }
    int grid_height() const { return (height_ + 1) / 2; }

  private:
    void prepare(const uint8_t* grey, int64_t stride, bool onset);
    const int width_, height_;
    const SimdLevel level_;
    const FlowPath& path_;
    const std::unique_ptr<FlowBuffers> buffers_;
};

// The flow of 2x2-px cells at every pixel, bilinear only: out [height][width]
void flow_full_size(const float* u, const float* v, int grid_width, int grid_height, int width, int height, float* out_u, float* out_v,
                    SimdLevel level);

}  // namespace mie
