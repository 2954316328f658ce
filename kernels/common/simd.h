// Which instruction set a kernel runs on: chosen at run time, never at build time.
#pragma once

namespace mie {

enum class SimdLevel : int { scalar = 0, avx2 = 1, avx512 = 2 };  // avx512: F, BW, VL, DQ, VBMI and VNNI

// Unrolls the loop that follows, so that a small array of vectors stays in registers.
#if defined(__clang__)
#define MIE_UNROLL _Pragma("unroll")
#else
#define MIE_UNROLL _Pragma("GCC unroll 4")
#endif

SimdLevel best_simd();  // what this CPU and operating system support

}  // namespace mie
