// A face, ready to be rendered: padded planes (RGB and YUV 4:2:0) and packed basis grids, made once.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "../common/simd.h"
#include "params.h"

namespace mie {

// A prepared plane: edge-replicated border of 32 px (more on the right: a multiple of 64 bytes per row), values minus 128 as int8, so that
// weight 128 stays legal in 8-bit multiply-adds. Pixel (0, 0) lies 32 bytes past a 64-byte boundary, so every 128-byte window is aligned.
constexpr int kBorderPx = 32;

class RenderSource {
  public:
    // rgb uint8 [height][width][3]; basis int16 [channels][fields][gh][gw]: displacement Q9 px, gain Q14
    RenderSource(const uint8_t* rgb, int width, int height, const int16_t* basis, int channels, int fields);

    // Everything of RenderParams that belongs to the source; frames, coefficients, noise and target are the caller's.
    RenderParams params(RenderFormat format) const;

    // Node grids of one coefficient vector: int16 [fields][gh][gw]; `nodes` has room for node_room() elements.
    void sum_nodes(const int16_t* coefficients, int16_t* nodes, SimdLevel level) const;
    int node_room() const;
    int width() const { return width_; }
    int height() const { return height_; }
    int channels() const { return channels_; }

  private:
    struct Free {
        void operator()(uint8_t* memory) const;
    };
    enum Plane { kRed, kGreen, kBlue, kLuma, kCb, kCr, kPlanes };

    void prepare_planes(const uint8_t* rgb);
    void pack_basis(const int16_t* basis);

    int width_, height_, channels_, fields_;
    std::unique_ptr<uint8_t[], Free> memory_;  // planes, then packed grids, each on a 64-byte boundary
    uint8_t* plane_[kPlanes];                  // at pixel (0, 0)
    int stride_[kPlanes];
    int16_t* grids_;
    std::vector<uint64_t> live_;
};

// Elements that the nodes of `grids` may be read over: vector code loads past the last node.
int node_room(int width, int height, int fields);

// Renders on the calling thread and threads - 1 others; frames are independent, so any number gives the same bytes.
void render_cpu(const RenderParams& params, SimdLevel level, int threads);

int64_t frame_bytes(int width, int height, RenderFormat format);

}  // namespace mie
