#include "simd.h"

namespace mie {

// The compiler's run-time check covers the operating system too (it asks whether the wide registers are saved).
SimdLevel best_simd() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("bmi2") ||
        !__builtin_cpu_supports("fma"))
        return SimdLevel::scalar;
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512vbmi") &&
                        __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512vnni");
    return avx512 ? SimdLevel::avx512 : SimdLevel::avx2;
#else
    return SimdLevel::scalar;
#endif
}

}  // namespace mie
