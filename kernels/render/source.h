// A face, ready to be rendered: padded planes (RGB and YUV 4:2:0) and packed basis grids, made once.
#pragma once
#include <cstdint>
#include <vector>

#include "../common/simd.h"
#include "params.h"

namespace mie {

class RenderSource {
  public:
    // rgb uint8 [height][width][3]; basis int16 [channels][fields][gh][gw]: displacement Q9 px, gain Q14
    RenderSource(const uint8_t* rgb, int width, int height, const int16_t* basis, int channels, int fields);

    // Everything of RenderParams that belongs to the source; frames, coefficients, noise and target are the caller's.
    RenderParams params(RenderFormat format) const;

    // Node grids of one coefficient vector: int16 [fields][gh][gw]; `nodes` has room for node_room() elements.
    void sum_nodes(const int16_t* coefficients, int16_t* nodes, SimdLevel level) const;
    int node_room() const;
    int width() const;
    int height() const;
    int channels() const;
    int fields() const;
    int64_t bytes() const;  // memory held
};

// Renders on the calling thread and threads - 1 others; frames are independent, so any number gives the same bytes.
void render_cpu(const RenderParams& params, SimdLevel level, int threads);

int64_t frame_bytes(int width, int height, RenderFormat format);

}  // namespace mie
