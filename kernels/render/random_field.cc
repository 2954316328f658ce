// field = w * (w * table[philox]) along columns and rows, w of unit 2-norm
// Traffic: 56 x 56 bytes drawn, two passes of 16-bit samples in the first-level cache (7 KiB), 12 KiB written.
// Source: Philox4x32-10 of Salmon et al., SC 2011; definition in ref_features.py.
#include "random_field.h"

#include <cmath>
#include <cstring>

#include "../common/philox.h"
#include "invert.h"
#include "noise.h"

namespace mie {
namespace {

using namespace inverse;

constexpr int kGroups = 4;             // Philox calls a row, 16 bytes each
constexpr int kRow = 64;               // bytes drawn for a row of 56
constexpr int kReach = kBlurTaps - 1;  // pixels the blur reaches to each side
constexpr int kPhiloxLanes = 16;
static_assert(kLattice * kGroups % kPhiloxLanes == 0, "whole batches of Philox calls");

struct NoiseTable {
    int16_t value[256];  // bit 7 is the sign
    int unit_q12;        // 256ths of the table -> Q12 of its deviation
    NoiseTable() {
        int squares = 0;
        for (int i = 0; i < 128; ++i) {
            value[i] = kNoiseTable[i];
            value[i + 128] = int16_t(-kNoiseTable[i]);
            squares += kNoiseTable[i] * kNoiseTable[i];
        }
        unit_q12 = int(std::lround(16777216.0 / (256 * std::sqrt(squares / 128.0))));
    }
};

// Calls first .. first + 15; call c is row c / 4, columns 16 (c % 4) onward.
MIE_MOTION_BODY void draw(const uint32_t key[2], FieldKind kind, int first, uint8_t* bytes) {
    alignas(64) uint32_t a[kPhiloxLanes], b[kPhiloxLanes], c[kPhiloxLanes], d[kPhiloxLanes];
    for (int i = 0; i < kPhiloxLanes; ++i) {
        a[i] = uint32_t((first + i) % kGroups), b[i] = uint32_t((first + i) / kGroups);
        c[i] = uint32_t(kind), d[i] = 7;
    }
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < kPhiloxRounds; ++round, k0 += kPhiloxKeyStep0, k1 += kPhiloxKeyStep1) {
        for (int i = 0; i < kPhiloxLanes; ++i) {
            const uint64_t p = uint64_t(kPhiloxMultiply0) * a[i], q = uint64_t(kPhiloxMultiply1) * c[i];
            a[i] = uint32_t(q >> 32) ^ b[i] ^ k0, b[i] = uint32_t(q);
            c[i] = uint32_t(p >> 32) ^ d[i] ^ k1, d[i] = uint32_t(p);
        }
    }
    for (int i = 0; i < kPhiloxLanes; ++i) {
        const uint32_t words[4] = {a[i], b[i], c[i], d[i]};
        std::memcpy(bytes + (first + i) * 16, words, 16);
    }
}

MIE_MOTION_BODY void field_body(const uint32_t key[2], FieldKind kind, const int16_t* blur_q12, int32_t* field_q12) {
    static const NoiseTable table;
    alignas(64) uint8_t bytes[kLattice * kRow];
    for (int call = 0; call < kLattice * kGroups; call += kPhiloxLanes) draw(key, kind, call, bytes);
    int taps = kBlurTaps;
    while (taps > 1 && blur_q12[taps - 1] == 0) --taps;

    // Along rows: 16ths of the table, at most 121 * 4 * 16; the rows wrap around
    alignas(64) int16_t rows[kLattice + 2 * kReach][kRow];
    for (int y = 0; y < kLattice; ++y) {
        int16_t ring[kLattice + 2 * kReach];
        for (int x = 0; x < kLattice; ++x) ring[kReach + x] = table.value[bytes[y * kRow + x]];
        for (int x = 0; x < kReach; ++x) ring[x] = ring[kLattice + x], ring[kReach + kLattice + x] = ring[kReach + x];
        int32_t sum[kLattice];
        const int16_t* at = ring + kReach;
        for (int x = 0; x < kLattice; ++x) sum[x] = blur_q12[0] * at[x];
        for (int t = 1; t < taps; ++t)
            for (int x = 0; x < kLattice; ++x) sum[x] += blur_q12[t] * int16_t(at[x - t] + at[x + t]);
        for (int x = 0; x < kLattice; ++x) rows[kReach + y][x] = int16_t(odd_shift(sum[x], 8));
    }
    std::memcpy(rows[0], rows[kLattice], kReach * sizeof rows[0]);
    std::memcpy(rows[kReach + kLattice], rows[kReach], kReach * sizeof rows[0]);

    // Down columns: 256ths of the table, then units of its deviation; at most 121 * 16 * 256 * unit_q12 < 2^30
    for (int y = 0; y < kLattice; ++y) {
        int32_t sum[kLattice];
        const auto* at = rows + kReach + y;
        for (int x = 0; x < kLattice; ++x) sum[x] = blur_q12[0] * at[0][x];
        for (int t = 1; t < taps; ++t)
            for (int x = 0; x < kLattice; ++x) sum[x] += blur_q12[t] * int16_t(at[-t][x] + at[t][x]);
        for (int x = 0; x < kLattice; ++x) field_q12[y * kLattice + x] = odd_shift(odd_shift(sum[x], 8) * table.unit_q12, 12);
    }
}

void field_portable(const uint32_t* key, FieldKind kind, const int16_t* blur, int32_t* field) { field_body(key, kind, blur, field); }
#if defined(__x86_64__)
MIE_MOTION_AVX2 void field_avx2(const uint32_t* key, FieldKind kind, const int16_t* blur, int32_t* field) {
    field_body(key, kind, blur, field);
}
MIE_MOTION_AVX512 void field_avx512(const uint32_t* key, FieldKind kind, const int16_t* blur, int32_t* field) {
    field_body(key, kind, blur, field);
}
#endif

}  // namespace

void random_field(const uint32_t key[2], FieldKind kind, const int16_t* blur_q12, int32_t* field_q12, SimdLevel level) {
#if defined(__x86_64__)
    if (level == SimdLevel::avx512) return field_avx512(key, kind, blur_q12, field_q12);
    if (level == SimdLevel::avx2) return field_avx2(key, kind, blur_q12, field_q12);
#endif
    (void)level;
    field_portable(key, kind, blur_q12, field_q12);
}

}  // namespace mie
