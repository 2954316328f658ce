// flow on AVX-512: vectors of 64 bytes.
#if defined(__x86_64__)
#include <immintrin.h>

#include "buffers.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // false alarm about the compiler's own intrinsics header (GCC 12)
#endif

// Everything below, and nothing above, is compiled for AVX-512
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,bmi,bmi2"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,bmi,bmi2")
#endif
#define MIE_LANE_BYTES 64
#include "solve.h"

namespace mie {
const FlowPath kFlowAvx512{build_pyramid, solve, full_size, double_grid};
}  // namespace mie
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
