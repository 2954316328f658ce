// jpeg on AVX-512: four blocks at a time, one per 128-bit lane; then 32 symbols at a time. The same bytes as cpu.cc.
// Coding: compress the positions of non-zero coefficients, fetch those, look codes up by permutes of the code table, which fits in
// registers, and join codes pairwise until up to eight 64-bit words of four symbols remain for the bit stream.
#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // false alarms about the compiler's own intrinsics header (GCC 12)
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#define MIE_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512cd,avx512vbmi,avx512vbmi2,avx512vnni,bmi,bmi2,popcnt")))
#define MIE_INLINE MIE_TARGET __attribute__((always_inline)) static inline

#include "coding.h"
#include "dct_lanes.h"

namespace mie {
namespace {

struct Lanes {
    using Type = __m512i;
    MIE_INLINE Type spread32(int v) { return _mm512_set1_epi32(v); }
    MIE_INLINE Type add(Type a, Type b) { return _mm512_add_epi16(a, b); }
    MIE_INLINE Type subtract(Type a, Type b) { return _mm512_sub_epi16(a, b); }
    MIE_INLINE Type low16(Type a, Type b) { return _mm512_unpacklo_epi16(a, b); }
    MIE_INLINE Type high16(Type a, Type b) { return _mm512_unpackhi_epi16(a, b); }
    MIE_INLINE Type low32(Type a, Type b) { return _mm512_unpacklo_epi32(a, b); }
    MIE_INLINE Type high32(Type a, Type b) { return _mm512_unpackhi_epi32(a, b); }
    MIE_INLINE Type low64(Type a, Type b) { return _mm512_unpacklo_epi64(a, b); }
    MIE_INLINE Type high64(Type a, Type b) { return _mm512_unpackhi_epi64(a, b); }
    MIE_INLINE Type dot(Type sum, Type a, Type b) { return _mm512_dpwssd_epi32(sum, a, b); }
    MIE_INLINE Type pack32(Type a, Type b) { return _mm512_packs_epi32(a, b); }
    template <unsigned kBits>
    MIE_INLINE Type shift_left16(Type a) {
        return _mm512_slli_epi16(a, kBits);
    }
    template <unsigned kBits>
    MIE_INLINE Type shift_right16(Type a) {
        return _mm512_srai_epi16(a, kBits);
    }
    template <unsigned kBits>
    MIE_INLINE Type shift_right32(Type a) {
        return _mm512_srai_epi32(a, kBits);
    }
};

struct Constants {
    alignas(64) uint16_t zigzag[64];
    alignas(64) uint8_t iota[64], before[64];  // i; i - 1
};
constexpr Constants make_constants() {
    Constants c{};
    for (int i = 0; i < 64; ++i) c.zigzag[i] = kZigzag[i], c.iota[i] = uint8_t(i), c.before[i] = uint8_t((i + 63) % 64);
    return c;
}
constexpr Constants kConstants = make_constants();

// Quantise one natural row of four blocks
MIE_INLINE __m512i quantise(__m512i x, const Quantiser& q, int row) {
    const auto table = [&](const uint16_t* t) __attribute__((always_inline)) MIE_TARGET {
        return _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(t + 8 * row)));
    };
    const __m512i sum = _mm512_add_epi16(_mm512_abs_epi16(x), table(q.half));
    const __m512i magnitude = _mm512_mulhi_epu16(_mm512_mulhi_epu16(sum, table(q.reciprocal)), table(q.scale));
    return _mm512_mask_sub_epi16(magnitude, _mm512_movepi16_mask(x), _mm512_setzero_si512(), magnitude);
}

// Four blocks: rows of 32 samples to zigzag order
MIE_INLINE void transform_four(const __m256i samples[8], const Quantiser& q, JpegBlocks& blocks, int first) {
    __m512i r[8];
    for (int y = 0; y < 8; ++y) r[y] = _mm512_sub_epi16(_mm512_cvtepu8_epi16(samples[y]), _mm512_set1_epi16(128));
    forward_dct<Lanes>(r);
    for (int y = 0; y < 8; ++y) r[y] = quantise(r[y], q, y);

    // Lanes to blocks: rows 0-3 and 4-7 of each
    __m512i natural[4][2];
    for (int i = 0; i < 2; ++i) {
        const __m512i* s = r + 4 * i;
        const __m512i a = _mm512_shuffle_i32x4(s[0], s[1], 0x44), b = _mm512_shuffle_i32x4(s[0], s[1], 0xee);
        const __m512i c = _mm512_shuffle_i32x4(s[2], s[3], 0x44), d = _mm512_shuffle_i32x4(s[2], s[3], 0xee);
        natural[0][i] = _mm512_shuffle_i32x4(a, c, 0x88), natural[1][i] = _mm512_shuffle_i32x4(a, c, 0xdd);
        natural[2][i] = _mm512_shuffle_i32x4(b, d, 0x88), natural[3][i] = _mm512_shuffle_i32x4(b, d, 0xdd);
    }
    for (int b = 0; b < 4; ++b) {
        uint64_t nonzero = 0;
        for (int i = 0; i < 2; ++i) {
            const __m512i order = _mm512_load_si512(kConstants.zigzag + 32 * i);
            const __m512i z = _mm512_permutex2var_epi16(natural[b][0], order, natural[b][1]);
            _mm512_store_si512(blocks.zigzag[first + b] + 32 * i, z);
            nonzero |= uint64_t(_mm512_test_epi16_mask(z, z)) << (32 * i);
        }
        blocks.nonzero[first + b] = nonzero;
    }
}

struct CodeRegisters {
    __m512i code[6], length[3];
};

// Four symbols joined in each of eight words, or two where four do not fit.
struct Joined {
    __m512i four, four_length, first, first_length, second, second_length;
    bool fits;
};

// Symbols of 32 coefficients and the zeros before each; those past the last have length 0
MIE_INLINE Joined join(__m512i value, __m512i run, __mmask32 is_symbol, const CodeRegisters& t) {
    // Category: bits of the magnitude
    const __m512i magnitude = _mm512_abs_epi16(value), low = _mm512_set1_epi32(0xffff);
    const __m512i zeros_even = _mm512_lzcnt_epi32(_mm512_and_si512(magnitude, low)),
                  zeros_odd = _mm512_lzcnt_epi32(_mm512_srli_epi32(magnitude, 16));
    const __m512i zeros = _mm512_or_si512(zeros_even, _mm512_slli_epi32(zeros_odd, 16));
    const __m512i category = _mm512_sub_epi16(_mm512_set1_epi16(32), zeros);

    // The value's own bits; its code and length
    const __m512i own =
        _mm512_andnot_si512(_mm512_sllv_epi16(_mm512_set1_epi16(-1), category), _mm512_add_epi16(value, _mm512_srai_epi16(value, 15)));
    const __m512i index = _mm512_or_si512(_mm512_slli_epi16(category, 4), run);
    const __mmask32 over64 = _mm512_test_epi16_mask(index, _mm512_set1_epi16(64)),
                    over128 = _mm512_test_epi16_mask(index, _mm512_set1_epi16(128));
    __m512i code = _mm512_permutex2var_epi16(t.code[0], index, t.code[1]);
    code = _mm512_mask_mov_epi16(code, over64, _mm512_permutex2var_epi16(t.code[2], index, t.code[3]));
    code = _mm512_mask_mov_epi16(code, over128, _mm512_permutex2var_epi16(t.code[4], index, t.code[5]));
    __m512i length = _mm512_maskz_permutex2var_epi8(0x5555555555555555, t.length[0], index, t.length[1]);
    length = _mm512_mask_permutexvar_epi8(length, _mm512_movepi8_mask(index), index, t.length[2]);
    length = _mm512_maskz_add_epi16(is_symbol, length, category);
    code = _mm512_maskz_mov_epi16(is_symbol, code);

    // Code and own bits of the even and the odd symbols, 26 bits at most
    const __m512i even =
        _mm512_or_si512(_mm512_sllv_epi32(_mm512_and_si512(code, low), _mm512_and_si512(category, low)), _mm512_and_si512(own, low));
    const __m512i odd =
        _mm512_or_si512(_mm512_sllv_epi32(_mm512_srli_epi32(code, 16), _mm512_srli_epi32(category, 16)), _mm512_srli_epi32(own, 16));
    const __m512i even_length = _mm512_and_si512(length, low), odd_length = _mm512_srli_epi32(length, 16);

    // Two, then four
    const __m512i low32 = _mm512_set1_epi64(0xffffffff);
    const __m512i pair_length = _mm512_add_epi32(even_length, odd_length);
    Joined j;
    j.first = _mm512_or_si512(_mm512_sllv_epi64(_mm512_and_si512(even, low32), _mm512_and_si512(odd_length, low32)),
                              _mm512_and_si512(odd, low32));
    j.second =
        _mm512_or_si512(_mm512_sllv_epi64(_mm512_srli_epi64(even, 32), _mm512_srli_epi64(odd_length, 32)), _mm512_srli_epi64(odd, 32));
    j.first_length = _mm512_and_si512(pair_length, low32);
    j.second_length = _mm512_srli_epi64(pair_length, 32);
    j.four = _mm512_or_si512(_mm512_sllv_epi64(j.first, j.second_length), j.second);
    j.four_length = _mm512_add_epi64(j.first_length, j.second_length);
    j.fits = _mm512_cmpgt_epi64_mask(j.four_length, _mm512_set1_epi64(56)) == 0;
    return j;
}

MIE_INLINE void code_block(BitWriter& bits, const int16_t* zigzag, uint64_t nonzero, const CodeRegisters& registers) {
    nonzero = with_long_runs(nonzero & ~uint64_t(1));
    const int count = __builtin_popcountll(nonzero), symbols = count + !(nonzero >> 63);  // and the end of the block
    const uint64_t is_coefficient = _bzhi_u64(~uint64_t(0), unsigned(count)), is_symbol = _bzhi_u64(~uint64_t(0), unsigned(symbols));
    const __m512i place = _mm512_maskz_compress_epi8(nonzero, _mm512_load_si512(kConstants.iota));
    const __m512i before = _mm512_maskz_permutexvar_epi8(~uint64_t(1), _mm512_load_si512(kConstants.before), place);
    const __m512i run = _mm512_maskz_sub_epi8(is_coefficient, _mm512_sub_epi8(place, before), _mm512_set1_epi8(1));
    const __m512i z0 = _mm512_maskz_loadu_epi16(~__mmask32(1), zigzag), z1 = _mm512_load_si512(zigzag + 32);  // without DC

    const auto half = [&](__m256i place_half, __m256i run_half, __mmask32 mask, int words) __attribute__((always_inline)) MIE_TARGET {
        const __m512i value = _mm512_permutex2var_epi16(z0, _mm512_cvtepu8_epi16(place_half), z1);
        const Joined j = join(value, _mm512_cvtepu8_epi16(run_half), mask, registers);
        alignas(64) uint64_t word[16], length[16];
        if (j.fits) {
            _mm512_store_si512(word, j.four), _mm512_store_si512(length, j.four_length);
            for (int i = 0; i < words; ++i) bits.put(word[i], uint32_t(length[i]));
        } else {
            _mm512_store_si512(word, j.first), _mm512_store_si512(length, j.first_length);
            _mm512_store_si512(word + 8, j.second), _mm512_store_si512(length + 8, j.second_length);
            for (int i = 0; i < words; ++i) {
                bits.put(word[i], uint32_t(length[i]));
                bits.put(word[i + 8], uint32_t(length[i + 8]));
            }
        }
    };
    half(_mm512_castsi512_si256(place), _mm512_castsi512_si256(run), __mmask32(is_symbol), (symbols < 32 ? symbols + 3 : 32) / 4);
    if (symbols > 32)
        half(_mm512_extracti64x4_epi64(place, 1), _mm512_extracti64x4_epi64(run, 1), __mmask32(is_symbol >> 32), (symbols - 32 + 3) / 4);
}

}  // namespace

MIE_TARGET void transform_avx512(const JpegTile& tile, const JpegTables& tables, JpegBlocks& blocks) {
    __m256i samples[8];
    for (int row = 0; row < 2; ++row) {
        const uint8_t* luma = tile.plane[0] + row * kBlock * int64_t(tile.stride[0]);
        for (int y = 0; y < 8; ++y) samples[y] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(luma + y * int64_t(tile.stride[0])));
        transform_four(samples, tables.quantiser[0], blocks, 4 * row);
    }
    for (int y = 0; y < 8; ++y) {
        const auto chroma = [&](int p) __attribute__((always_inline)) MIE_TARGET {
            return _mm_loadu_si128(reinterpret_cast<const __m128i*>(tile.plane[p] + y * int64_t(tile.stride[p])));
        };
        samples[y] = _mm256_inserti128_si256(_mm256_castsi128_si256(chroma(1)), chroma(2), 1);
    }
    transform_four(samples, tables.quantiser[1], blocks, 8);
}

MIE_TARGET void code_avx512(const JpegBlocks& blocks, const JpegTile& tile, const JpegTables& tables, JpegStream& stream) {
    const auto code = [&](BitWriter& bits, const int16_t* zigzag, uint64_t nonzero, const HuffmanCodes& codes)
                          __attribute__((always_inline)) MIE_TARGET {
                              CodeRegisters registers;
                              for (int i = 0; i < 6; ++i) registers.code[i] = _mm512_load_si512(codes.code + 32 * i);
                              for (int i = 0; i < 3; ++i) registers.length[i] = _mm512_load_si512(codes.length + 64 * i);
                              code_block(bits, zigzag, nonzero, registers);
                          };
    code_tile(blocks, tile, tables, stream, code);
}

}  // namespace mie
#endif
