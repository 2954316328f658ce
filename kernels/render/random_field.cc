// field = w * (w * table[philox]) along columns and rows, w of unit 2-norm
// Traffic: 56 x 56 bytes drawn, two passes of 16-bit samples in the first-level cache (7 KiB), 12 KiB written.
// Source: Philox4x32-10 of Salmon et al., SC 2011; definition in ref_features.py.
#include "random_field.h"

#include <cmath>
#include <cstring>

#include "invert.h"

namespace mie {
namespace {

using namespace inverse;

constexpr int kGroups = 4;             // Philox calls a row, 16 bytes each
constexpr int kRow = 64;               // bytes drawn for a row of 56
constexpr int kReach = kBlurTaps - 1;  // pixels the blur reaches to each side
constexpr int kPhiloxLanes = 16;
static_assert(kLattice * kGroups % kPhiloxLanes == 0, "whole batches of Philox calls");

// 42 * (half-normal quantile at (i + 1/2) / 128), rounded: fixed data, part of the definition
constexpr int8_t kHalfNormal[128] = {
    0,  1,  1,  1,  2,  2,  3,  3,  3,  4,  4,  5,  5,  6,  6,  6,  7,  7,  8,  8,  8,  9,  9,  10, 10, 11, 11, 11, 12, 12, 13,  13,
    14, 14, 14, 15, 15, 16, 16, 17, 17, 18, 18, 18, 19, 19, 20, 20, 21, 21, 22, 22, 23, 23, 24, 24, 25, 25, 26, 26, 27, 27, 28,  28,
    29, 29, 30, 30, 31, 31, 32, 32, 33, 33, 34, 35, 35, 36, 36, 37, 38, 38, 39, 39, 40, 41, 41, 42, 43, 43, 44, 45, 46, 46, 47,  48,
    49, 50, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 63, 64, 65, 67, 68, 70, 71, 73, 75, 77, 79, 82, 85, 88, 93, 98, 106, 121};

struct NoiseTable {
    int16_t value[256];  // bit 7 is the sign
    int unit_q12;        // 256ths of the table -> Q12 of its deviation
    NoiseTable() {
        int squares = 0;
        for (int i = 0; i < 128; ++i) {
            value[i] = kHalfNormal[i];
            value[i + 128] = int16_t(-kHalfNormal[i]);
            squares += kHalfNormal[i] * kHalfNormal[i];
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
    for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        for (int i = 0; i < kPhiloxLanes; ++i) {
            const uint64_t p = uint64_t(0xD2511F53u) * a[i], q = uint64_t(0xCD9E8D57u) * c[i];
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
