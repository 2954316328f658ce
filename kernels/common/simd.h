// Which instruction set a kernel runs on: chosen at run time, never at build time.
#pragma once

// One plain loop compiled for the baseline, AVX2 and AVX-512, chosen when the library loads. With contraction off (as built here)
// every clone gives the same bits.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define MIE_CLONES __attribute__((target_clones("default", "avx2", "arch=x86-64-v4")))
#else
#define MIE_CLONES
#endif

namespace mie {

enum class SimdLevel : int { scalar = 0, avx2 = 1, avx512 = 2 };  // avx2: and FMA, BMI 1, 2; avx512: F, BW, VL, DQ, CD, VBMI 1, 2 and VNNI

// Unrolls the loop that follows, so that a small array of vectors stays in registers.
#if defined(__clang__)
#define MIE_UNROLL _Pragma("unroll")
#else
#define MIE_UNROLL _Pragma("GCC unroll 4")
#endif

SimdLevel best_simd();  // what this CPU and operating system support

}  // namespace mie
