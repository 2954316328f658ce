// blend_pack: what every backend receives; plain data, shared by C++, CUDA and the C ABI.
#pragma once
#include <cstdint>

namespace mie {

struct BlendPackParams {
    const float* color;     // [count][3][pixels], before tanh
    const float* mask;      // [count][pixels], before the sigmoid
    const uint8_t* source;  // [count][pixels][3]
    int64_t count, pixels;
    uint8_t* packed;  // [count][pixels][3]
};

// Returns false when a head holds NaN or infinity; packed is then undefined.
bool blend_pack(const BlendPackParams& params);

}  // namespace mie
