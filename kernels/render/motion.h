// motion: the exact flow and strain of the frames that render shows, from the same nodes.
#pragma once
#include <cstdint>

#include "../common/simd.h"

namespace mie {

struct MotionParams {
    float* flow;    // [frames][height][width][2] px, onset -> frame: frame(x + flow(x)) = onset(x); or null
    float* strain;  // [frames][height][width], or null
};

// One frame of at least 2 x 2 px. Nodes are int16 [2][gh][gw] Q7 px within +-3584; onset_nodes may be null: an onset at rest.
// Every level gives the same bits.
void motion_frame(const MotionParams& p, const int16_t* onset_nodes, const int16_t* later_nodes, int width, int height, int frame,
                  SimdLevel level);

}  // namespace mie
