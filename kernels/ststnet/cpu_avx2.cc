// ststnet with 8 channels in a register.
#if defined(__x86_64__)
#include <immintrin.h>

#define MIE_TARGET __attribute__((target("avx2,fma")))
#define MIE_INLINE MIE_TARGET __attribute__((always_inline)) static inline

#include "lanes.h"

namespace mie {
namespace {

struct Lanes {
    using Type = __m256;
    static constexpr int kLanes = 8;
    MIE_INLINE Type spread(float v) { return _mm256_set1_ps(v); }
    MIE_INLINE Type load(const float* from) { return _mm256_loadu_ps(from); }
    MIE_INLINE void store(float* to, Type a) { _mm256_store_ps(to, a); }
    MIE_INLINE Type add(Type a, Type b) { return _mm256_add_ps(a, b); }
    MIE_INLINE Type multiply(Type a, Type b) { return _mm256_mul_ps(a, b); }
    MIE_INLINE Type fma(Type a, Type b, Type c) { return _mm256_fmadd_ps(a, b, c); }
    MIE_INLINE Type min(Type a, Type b) { return _mm256_min_ps(a, b); }
    MIE_INLINE Type max(Type a, Type b) { return _mm256_max_ps(a, b); }
};

}  // namespace

MIE_TARGET bool ststnet_avx2(const StstnetParams& params) { return run_ststnet<Lanes>(params); }

}  // namespace mie
#endif
