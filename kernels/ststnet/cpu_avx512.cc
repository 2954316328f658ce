// ststnet with 16 channels in a register.
#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // false alarms about the compiler's own intrinsics header (GCC 12)
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#define MIE_TARGET __attribute__((target("avx512f,avx512dq,avx512vl,fma")))
#define MIE_INLINE MIE_TARGET __attribute__((always_inline)) static inline

#include "lanes.h"

namespace mie {
namespace {

struct Lanes {
    using Type = __m512;
    static constexpr int kLanes = 16;
    MIE_INLINE Type spread(float v) { return _mm512_set1_ps(v); }
    MIE_INLINE Type load(const float* from) { return _mm512_loadu_ps(from); }
    MIE_INLINE void store(float* to, Type a) { _mm512_store_ps(to, a); }
    MIE_INLINE Type add(Type a, Type b) { return _mm512_add_ps(a, b); }
    MIE_INLINE Type multiply(Type a, Type b) { return _mm512_mul_ps(a, b); }
    MIE_INLINE Type fma(Type a, Type b, Type c) { return _mm512_fmadd_ps(a, b, c); }
    MIE_INLINE Type min(Type a, Type b) { return _mm512_min_ps(a, b); }
    MIE_INLINE Type max(Type a, Type b) { return _mm512_max_ps(a, b); }
};

}  // namespace

MIE_TARGET bool ststnet_avx512(const StstnetParams& params) { return run_ststnet<Lanes>(params); }

}  // namespace mie
#endif
