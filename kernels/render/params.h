// render: what every backend receives; plain data, shared by C++, CUDA and the C ABI.
#pragma once
#include <cstdint>

#include "motion.h"

namespace mie {

constexpr int kNodeStepPx = 4;    // node g lies on the pixel corner 4 g - 1/2
constexpr int kNodeLimit = 3584;  // 28 px in Q7; 0.875 in Q12
constexpr int kNodeShift = 14;    // coefficient Q12 * displacement Q9 px -> Q7 px; * gain Q14 -> Q12
constexpr int kMaxRenderChannels = 128;
constexpr int kMaxRenderSidePx = 8192;

inline int grid_size(int pixels) { return (pixels + kNodeStepPx - 1) / kNodeStepPx + 1; }

enum RenderFormat : int32_t {
    kRgb = 0,     // [height][width][3]
    kPlanar = 1,  // [3][height][width], R G B
    kYuv420 = 2,  // Y [height][width], then Cb and Cr [(height+1)/2][(width+1)/2]
};

// Grids of all channels, cut into blocks of 32 nodes: grid[block][pair][node in block][2], the two being channels 2 pair and 2 pair + 1.
// Nodes count through [field][gh][gw]; the last block is filled with zeros, and so is the second channel of an odd last pair.
constexpr int kBlockNodes = 32;

struct RenderParams {
    const uint8_t* source[3];     // prepared planes at pixel (0, 0): R G B, or Y Cb Cr (see source.h)
    int32_t source_stride[3];     // bytes between rows of a prepared plane
    const int16_t* basis;         // packed grids (above): displacement Q9 px, gain Q14, at coefficient 1
    const uint64_t* basis_live;   // [blocks], bit q: pair q of the block is not all zero
    const int16_t* coefficients;  // [frames][channels] Q12; sum of |c| of a frame <= 32767
    int32_t width, height;        // px, 1..8192
    int32_t channels;             // grids to sum, 1..128
    int32_t fields;               // 2: x and y displacement; 3: and gain
    int32_t frames;               // frames to render
    uint32_t first_frame;         // noise counter of the first one
    int32_t format;               // RenderFormat
    int32_t noise_q15;            // noise multiplier 0..32767, 0 = none (see noise_word)
    uint32_t key[2];              // Philox key: seed, clip
    uint8_t* target;              // frames, or null when only motion is wanted
    int64_t frame_stride;         // bytes between frames
    const MotionParams* motion;   // exact flow and strain of the same frames, or null
    const int16_t* onset;         // [channels] Q12: the frame that flow starts from, or null: the source at rest
};

}  // namespace mie
