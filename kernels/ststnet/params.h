// ststnet: what every backend receives; plain data, shared by C++, CUDA and the C ABI.
#pragma once
#include <cstdint>

#include "kernels/common/simd.h"

namespace mie {

constexpr int kStstnetSidePx = 28, kStstnetChannels = 16, kStstnetCells = 25, kStstnetTaps = 27;
constexpr int kStstnetHead = kStstnetTaps * kStstnetChannels + 2 * kStstnetChannels;  // packed floats before the linear layer

// Batch norm is folded away: a channel of negative scale has its filter negated, so that the maximum of every window is taken of the
// filter's own output, and ReLU, sign, scale and shift follow once for nine positions; scale, shift and the mean of four cells lie in
// `linear`.
struct StstnetParams {
    const float* maps;    // [count][3][28][28], finite
    int64_t count;        // maps
    const float* packed;  // filters [plane 3][y 3][x 3][16], bias [16], sign [16], linear [outputs][25][16], offset [outputs]
    int32_t outputs;      // logits of a map
    float* logits;        // [count][outputs]
};

// Returns false when a map holds NaN or infinity; logits are then undefined.
bool ststnet(const StstnetParams& params, SimdLevel level);
#if defined(__x86_64__)
bool ststnet_avx2(const StstnetParams& params);
bool ststnet_avx512(const StstnetParams& params);
#endif

}  // namespace mie
