// features: 28 x 28 maps (u, v, strain; 8 bit) of the exact motion of one face, with the nuisances of a real flow estimate.
#pragma once
#include <cstdint>

#include "../common/simd.h"
#include "random_field.h"

namespace mie {

constexpr int kMapSide = kLattice / 2;

struct FeatureParams {
    const int16_t* basis;         // [channels][fields][gh][gw] displacement Q9 px at coefficient 1 (a third field, gain, is not read)
    const int16_t* coefficients;  // [samples][channels] Q12; sum of |c| of a sample <= 32767
    const int16_t* relative;      // [samples][channels] Q12, added as fractions of the sample's peak; or null
    const int32_t* peak_q7;       // [channels] largest displacement at coefficient 1, > 0 where relative is not 0; or null
    const int32_t* lattice;       // [samples][6] Q16 px: X = ox + i xx + j xy, Y = oy + i yx + j yy as ox oy xx xy yx yy; |X| <= 2^30
    const int16_t* turn;          // [samples][4] Q12: source px -> lattice px, row by row
    const int16_t* patch_blur;    // [samples][13] Q12 (see random_field), or null: no patchy gain
    const int16_t* noise_blur;    // [samples][13] Q12, or null: no flow noise
    const int16_t* noise_level;   // [samples] Q12 of the peak, 0..4096; with noise_blur
    const uint32_t* key;          // [samples][2] Philox key; with either blur
    int32_t patch_log2_q12;       // gain = 2^(this * (m - 1)), 0..5909 (strength 1: e^(m - 1))
    int32_t channels, fields, gw, gh, samples;
    uint8_t* maps;  // [samples][28][28][3]
    float* ranges;  // [samples][3][2] least and largest: lattice px, lattice px, strain
};

// Runs on the calling thread; every level gives the same bytes.
void features_cpu(const FeatureParams& params, SimdLevel level);

}  // namespace mie
