// Vectors of one instruction set, chosen by what defines MIE_LANE_BYTES before including this: 64 (AVX-512), 32 (AVX2) or 16 (any).
// Arithmetic is the compiler's own on vector types; here is only what has no operator. Everything is local to the including file.
#pragma once
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "buffers.h"

#define MIE_INLINE __attribute__((always_inline)) inline

namespace mie {
namespace {

constexpr int kFloats = MIE_LANE_BYTES / 4, kShorts = MIE_LANE_BYTES / 2;
typedef float F __attribute__((vector_size(MIE_LANE_BYTES)));
typedef int32_t I32 __attribute__((vector_size(MIE_LANE_BYTES)));
typedef int16_t I16 __attribute__((vector_size(MIE_LANE_BYTES)));
typedef int16_t HalfI16 __attribute__((vector_size(MIE_LANE_BYTES / 2)));
typedef uint8_t HalfU8 __attribute__((vector_size(MIE_LANE_BYTES / 2)));

template <class V>
MIE_INLINE V load(const void* from) {
    V v;
    std::memcpy(&v, from, sizeof v);
    return v;
}
template <class V>
MIE_INLINE void store(void* to, V v) {
    std::memcpy(to, &v, sizeof v);
}
MIE_INLINE F loadf(const float* from) { return load<F>(from); }
MIE_INLINE I16 loads(const int16_t* from) { return load<I16>(from); }
MIE_INLINE F all_of(float x) { return x - F{}; }
MIE_INLINE I16 all_of16(int x) { return int16_t(x) - I16{}; }
MIE_INLINE F smaller(F a, F b) { return a < b ? a : b; }
MIE_INLINE F larger(F a, F b) { return a > b ? a : b; }
MIE_INLINE F to_float(I32 a) { return __builtin_convertvector(a, F); }
MIE_INLINE F whole(F a) { return (a + 12582912.f) - 12582912.f; }  // nearest, ties to even, below 2^22
MIE_INLINE I32 to_int(F a) { return __builtin_convertvector(a, I32); }
MIE_INLINE I16 widen(const uint8_t* from) { return __builtin_convertvector(load<HalfU8>(from), I16); }

// ---- moving lanes

template <class V, class From, int... i>
MIE_INLINE V arranged(V a, V b, From from, std::integer_sequence<int, i...>) {
    return __builtin_shufflevector(a, b, from(i)...);
}
template <class V, class From>
MIE_INLINE V arrange(V a, V b, From from) {  // lane i is lane from(i) of a and b in a row
    return arranged(a, b, from, std::make_integer_sequence<int, kFloats>{});
}
template <class V, int... i>
MIE_INLINE V counted(std::integer_sequence<int, i...>) {
    return V{i...};
}

#if MIE_LANE_BYTES == 64  // the compiler would take a slower permutation
MIE_INLINE F from_left(F left, F middle) { return F(_mm512_alignr_epi32(__m512i(middle), __m512i(left), kFloats - 1)); }
MIE_INLINE F from_right(F middle, F right) { return F(_mm512_alignr_epi32(__m512i(right), __m512i(middle), 1)); }
#else
MIE_INLINE F from_left(F left, F middle) {  // of every lane, the one before
    return arrange(left, middle, [](int i) { return i + kFloats - 1; });
}
MIE_INLINE F from_right(F middle, F right) {  // the one after
    return arrange(middle, right, [](int i) { return i + 1; });
}
#endif
template <int kTimes, int kFirst = 0, class V>
MIE_INLINE V repeat(V v) {  // lanes from kFirst on, each kTimes
    return arrange(v, v, [](int i) { return kFirst + i / kTimes; });
}
template <int kFirst, class V>
MIE_INLINE V every_second(V low, V high) {
    return arrange(low, high, [](int i) { return kFirst + 2 * i; });
}
template <int kFirst>
MIE_INLINE F mix(F even, F odd) {  // by turns, from lane kFirst of each on
    return arrange(even, odd, [](int i) { return kFirst + i / 2 + i % 2 * kFloats; });
}
MIE_INLINE F first_lane(F v) { return repeat<kFloats>(v); }  // in every lane
MIE_INLINE F last_lane(F v) { return repeat<kFloats, kFloats - 1>(v); }
MIE_INLINE I32 float_index() { return counted<I32>(std::make_integer_sequence<int, kFloats>{}); }
MIE_INLINE I16 short_index() { return counted<I16>(std::make_integer_sequence<int, kShorts>{}); }

// ---- what the instruction sets have
//   fma: a b + c    madd: sums of two neighbouring products    times_q15: (a b + 2^14) >> 15    average: (a + b + 1) >> 1, not negative
//   narrow: to int16    any_lane: some lane that is all ones, or -1    pick: v[index[i]]

#if MIE_LANE_BYTES == 64
MIE_INLINE F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
MIE_INLINE F root(F a) { return _mm512_sqrt_ps(a); }
MIE_INLINE I32 madd(I16 a, I16 b) { return I32(_mm512_madd_epi16(__m512i(a), __m512i(b))); }
MIE_INLINE I16 times_q15(I16 a, I16 b) { return I16(_mm512_mulhrs_epi16(__m512i(a), __m512i(b))); }
MIE_INLINE I16 average(I16 a, I16 b) { return I16(_mm512_avg_epu16(__m512i(a), __m512i(b))); }
MIE_INLINE HalfI16 narrow(I32 a) { return HalfI16(_mm512_cvtepi32_epi16(__m512i(a))); }
MIE_INLINE int any_lane(I16 mask) {
    const uint32_t bits = _mm512_movepi16_mask(__m512i(mask));
    return bits ? __builtin_ctz(bits) : -1;
}
MIE_INLINE F pick(F v, I32 index) { return _mm512_permutexvar_ps(__m512i(index), v); }
#elif MIE_LANE_BYTES == 32
MIE_INLINE F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
MIE_INLINE F root(F a) { return _mm256_sqrt_ps(a); }
MIE_INLINE I32 madd(I16 a, I16 b) { return I32(_mm256_madd_epi16(__m256i(a), __m256i(b))); }
MIE_INLINE I16 times_q15(I16 a, I16 b) { return I16(_mm256_mulhrs_epi16(__m256i(a), __m256i(b))); }
MIE_INLINE I16 average(I16 a, I16 b) { return I16(_mm256_avg_epu16(__m256i(a), __m256i(b))); }
MIE_INLINE HalfI16 narrow(I32 a) {
    const __m256i v = __m256i(a);
    return HalfI16(_mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)));
}
MIE_INLINE int any_lane(I16 mask) {
    const uint32_t bits = uint32_t(_mm256_movemask_epi8(__m256i(mask)));
    return bits ? __builtin_ctz(bits) / 2 : -1;
}
MIE_INLINE F pick(F v, I32 index) { return _mm256_permutevar8x32_ps(v, __m256i(index)); }
#else
MIE_INLINE F fma(F a, F b, F c) { return a * b + c; }
MIE_INLINE F root(F a) {
    for (int i = 0; i < kFloats; ++i) a[i] = std::sqrt(a[i]);
    return a;
}
#if defined(__SSE2__)
MIE_INLINE I32 madd(I16 a, I16 b) { return I32(_mm_madd_epi16(__m128i(a), __m128i(b))); }
MIE_INLINE I16 times_q15(I16 a, I16 b) {
    typedef uint16_t U16 __attribute__((vector_size(MIE_LANE_BYTES)));
    return 2 * I16(_mm_mulhi_epi16(__m128i(a), __m128i(b))) + I16(((U16(a) * U16(b) >> 14) + 1) >> 1);
}
MIE_INLINE I16 average(I16 a, I16 b) { return I16(_mm_avg_epu16(__m128i(a), __m128i(b))); }
MIE_INLINE int any_lane(I16 mask) {
    const int bits = _mm_movemask_epi8(__m128i(mask));
    return bits ? __builtin_ctz(unsigned(bits)) / 2 : -1;
}
#else
typedef int32_t WideI32 __attribute__((vector_size(2 * MIE_LANE_BYTES)));
MIE_INLINE I32 madd(I16 a, I16 b) { return (I32(a) << 16 >> 16) * (I32(b) << 16 >> 16) + (I32(a) >> 16) * (I32(b) >> 16); }
MIE_INLINE I16 times_q15(I16 a, I16 b) {
    const WideI32 product = __builtin_convertvector(a, WideI32) * __builtin_convertvector(b, WideI32);
    return __builtin_convertvector((product + 16384) >> 15, I16);
}
MIE_INLINE I16 average(I16 a, I16 b) { return (a | b) - ((a ^ b) >> 1); }
MIE_INLINE int any_lane(I16 mask) {
    for (int i = 0; i < kShorts; ++i)
        if (mask[i]) return i;
    return -1;
}
#endif
MIE_INLINE HalfI16 narrow(I32 a) { return __builtin_convertvector(a, HalfI16); }
MIE_INLINE F pick(F v, I32 index) {
    F picked;
    for (int i = 0; i < kFloats; ++i) picked[i] = v[index[i]];
    return picked;
}
#endif

// ---- where a vector of a grid lies; x a multiple of kFloats

constexpr int kBlock = FlowGrid::fields * kFloats;
MIE_INLINE float* at(const FlowGrid& grid, int y, int field, int x = 0) {
    return grid.row(y) + int64_t(x) * FlowGrid::fields + field * kFloats;
}

}  // namespace
}  // namespace mie
