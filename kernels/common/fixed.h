// Fixed-point rounding shared by every backend.
#pragma once
#include <cstdint>

#ifdef __CUDACC__
#define MIE_HOST_DEVICE __host__ __device__
#else
#define MIE_HOST_DEVICE
#endif

namespace mie {

// round(value / 2^shift), ties away from zero: odd_round(-v, s) == -odd_round(v, s), which is what keeps mirrored input exactly mirrored.
MIE_HOST_DEVICE inline int32_t odd_round(int32_t value, int shift) { return (value + (1 << (shift - 1)) - (value < 0 ? 1 : 0)) >> shift; }

MIE_HOST_DEVICE inline int32_t clamp(int32_t value, int32_t low, int32_t high) { return value < low ? low : value > high ? high : value; }

}  // namespace mie
