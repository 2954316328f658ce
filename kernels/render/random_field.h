// Blurred noise on the 56 x 56 lattice: Philox bytes -> half-normal table -> separable periodic blur, all integers.
// Periodic, so its variance is the same everywhere; weights of unit 2-norm keep it 1. Definition: ref_features.py.
#pragma once
#include <cstdint>

#include "../common/simd.h"

namespace mie {

constexpr int kLattice = 56;
constexpr int kLatticePoints = kLattice * kLattice;
constexpr int kBlurTaps = 13;  // the centre and twelve to each side: 3 deviations of the widest blur, 4 lattice px

enum class FieldKind : uint32_t { patch = 0, noise_u = 1, noise_v = 2 };

// Unit-variance noise in Q12, [56][56]. blur_q12: [13] weights from the centre outward, sum |w| over both sides <= 4 * 4096.
void random_field(const uint32_t key[2], FieldKind kind, const int16_t* blur_q12, int32_t* field_q12, SimdLevel level);

}  // namespace mie
