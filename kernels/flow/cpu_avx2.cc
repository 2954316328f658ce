// flow on AVX2: vectors of 32 bytes.
#if defined(__x86_64__)
#include <immintrin.h>

#include "buffers.h"

// Everything below, and nothing above, is compiled for AVX2
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,bmi,bmi2"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,bmi,bmi2")
#endif
#define MIE_LANE_BYTES 32
#include "solve.h"

namespace mie {
const FlowPath kFlowAvx2{build_pyramid, solve, full_size, double_grid};
}  // namespace mie
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
