// ststnet for any processor: four lanes of the compiler's own vectors.
#define MIE_INLINE __attribute__((always_inline)) static inline

#include "lanes.h"

namespace mie {
namespace {

struct Lanes {
    typedef float Type __attribute__((vector_size(16)));
    static constexpr int kLanes = 4;
    MIE_INLINE Type spread(float v) { return Type{v, v, v, v}; }
    MIE_INLINE Type load(const float* from) { return Type{from[0], from[1], from[2], from[3]}; }
    MIE_INLINE void store(float* to, Type a) { std::memcpy(to, &a, sizeof a); }
    MIE_INLINE Type add(Type a, Type b) { return a + b; }
    MIE_INLINE Type multiply(Type a, Type b) { return a * b; }
    MIE_INLINE Type fma(Type a, Type b, Type c) { return a * b + c; }
    MIE_INLINE Type min(Type a, Type b) { return a < b ? a : b; }
    MIE_INLINE Type max(Type a, Type b) { return a > b ? a : b; }
};

}  // namespace

bool ststnet(const StstnetParams& params, SimdLevel level) {
#if defined(__x86_64__)
    if (level == SimdLevel::avx512) return ststnet_avx512(params);
    if (level == SimdLevel::avx2) return ststnet_avx2(params);
#endif
    (void)level;
    return run_ststnet<Lanes>(params);
}

}  // namespace mie
