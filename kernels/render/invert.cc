// n00, n10, n01, n11 = nodes of the cell under each point
// AVX-512: sixteen points lie close together, so each node row they touch is loaded once (128 bytes) and dealt out by two permutes;
// points too far apart are read one by one.
#include "invert.h"

#include <cmath>

#if defined(__x86_64__)
#if defined(__GNUC__) && !defined(__clang__)  // GCC 12 warns of its own intrinsics (GCC bug 105593)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif
#endif

namespace mie::inverse {
namespace {

constexpr int kLanes = 16;  // of a 512-bit register

void fetch_each(const PackedField& f, const Cells& c, int first, int last, Taps& t) {
    for (int i = first; i < last; ++i) {
        const int32_t* n = f.node + c.gy[i] * f.gw + c.gx[i];
        t.n00[i] = n[0], t.n10[i] = n[1], t.n01[i] = n[f.gw], t.n11[i] = n[f.gw + 1];
    }
}

void fetch_portable(const PackedField& f, const Cells& c, Taps& t) { fetch_each(f, c, 0, kPoints, t); }

#if defined(__x86_64__)
void root_portable(float* values, int count) {  // four roots an instruction is in every x86-64
    for (int i = 0; i < count; i += 4) _mm_storeu_ps(values + i, _mm_sqrt_ps(_mm_loadu_ps(values + i)));
}

MIE_MOTION_AVX512 void root_avx512(float* values, int count) {
    for (int i = 0; i < count; i += 16) _mm512_storeu_ps(values + i, _mm512_sqrt_ps(_mm512_loadu_ps(values + i)));
}

MIE_MOTION_AVX512 inline __m128i least_halves(__m512i v) {
    const __m256i half = _mm256_min_epi16(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
    const __m128i quarter = _mm_min_epi16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    const __m128i pair = _mm_min_epi16(quarter, _mm_shuffle_epi32(quarter, 0x4e));
    return _mm_min_epi16(pair, _mm_shuffle_epi32(pair, 0xb1));
}

MIE_MOTION_AVX512 inline void fetch_lanes(const PackedField& f, const Cells& c, int k, Taps& t) {
    const __m512i gx = _mm512_load_si512(c.gx + k), gy = _mm512_load_si512(c.gy + k);

    // The smallest box around the cells: gx and gy (below 2^15) side by side in 16-bit halves, the largest as least complement
    const __m512i both = _mm512_or_si512(gx, _mm512_slli_epi32(gy, 16));
    const int low = _mm_cvtsi128_si32(least_halves(both));
    const int high = ~_mm_cvtsi128_si32(least_halves(_mm512_xor_si512(both, _mm512_set1_epi32(-1))));
    const int x0 = int16_t(low), y0 = low >> 16, x1 = int16_t(high), y1 = high >> 16;
    constexpr int kWindow = 32, kMaxRows = 10;  // beyond ten rows the plain way is as quick
    if (x1 - x0 > kWindow - 2 || y1 - y0 >= kMaxRows) return fetch_each(f, c, k, k + kLanes, t);

    // Every node row once: upper nodes of the cells in it, lower nodes of the cells above it
    const __m512i left = _mm512_sub_epi32(gx, _mm512_set1_epi32(x0)), right = _mm512_add_epi32(left, _mm512_set1_epi32(1));
    __m512i n00 = _mm512_setzero_si512(), n10 = n00, n01 = n00, n11 = n00;
    __mmask16 above = 0;
    for (int y = y0; y <= y1 + 1; ++y) {
        const int32_t* row = f.node + y * f.gw + x0;
        const __m512i first = _mm512_loadu_si512(row), second = _mm512_loadu_si512(row + 16);
        const __m512i l = _mm512_permutex2var_epi32(first, left, second), r = _mm512_permutex2var_epi32(first, right, second);
        const __mmask16 here = _mm512_cmpeq_epi32_mask(gy, _mm512_set1_epi32(y));
        n00 = _mm512_mask_mov_epi32(n00, here, l), n10 = _mm512_mask_mov_epi32(n10, here, r);
        n01 = _mm512_mask_mov_epi32(n01, above, l), n11 = _mm512_mask_mov_epi32(n11, above, r);
        above = here;
    }
    _mm512_store_si512(t.n00 + k, n00);
    _mm512_store_si512(t.n10 + k, n10);
    _mm512_store_si512(t.n01 + k, n01);
    _mm512_store_si512(t.n11 + k, n11);
}
MIE_MOTION_AVX512 void fetch_avx512(const PackedField& f, const Cells& c, Taps& t) {
    for (int k = 0; k < kPoints; k += kLanes) fetch_lanes(f, c, k, t);
}
#else
void root_portable(float* values, int count) {
    for (int i = 0; i < count; ++i) values[i] = std::sqrt(values[i]);
}
#endif

}  // namespace

MotionIsa motion_isa(SimdLevel level) {
#if defined(__x86_64__)
    if (level == SimdLevel::avx512) return {fetch_avx512, root_avx512};
#endif
    (void)level;
    return {fetch_portable, root_portable};
}

}  // namespace mie::inverse
