// jpeg on AVX2: two blocks at a time, one per 128-bit lane; coefficients are coded one by one. The same bytes as cpu.cc.
#if defined(__x86_64__)
#include <immintrin.h>

#define MIE_TARGET __attribute__((target("avx2,bmi,bmi2,popcnt")))
#define MIE_INLINE MIE_TARGET __attribute__((always_inline)) static inline

#include "coding.h"
#include "dct_lanes.h"

namespace mie {
namespace {

struct Lanes {
    using Type = __m256i;
    MIE_INLINE Type spread32(int v) { return _mm256_set1_epi32(v); }
    MIE_INLINE Type add(Type a, Type b) { return _mm256_add_epi16(a, b); }
    MIE_INLINE Type subtract(Type a, Type b) { return _mm256_sub_epi16(a, b); }
    MIE_INLINE Type low16(Type a, Type b) { return _mm256_unpacklo_epi16(a, b); }
    MIE_INLINE Type high16(Type a, Type b) { return _mm256_unpackhi_epi16(a, b); }
    MIE_INLINE Type low32(Type a, Type b) { return _mm256_unpacklo_epi32(a, b); }
    MIE_INLINE Type high32(Type a, Type b) { return _mm256_unpackhi_epi32(a, b); }
    MIE_INLINE Type low64(Type a, Type b) { return _mm256_unpacklo_epi64(a, b); }
    MIE_INLINE Type high64(Type a, Type b) { return _mm256_unpackhi_epi64(a, b); }
    MIE_INLINE Type dot(Type sum, Type a, Type b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }
    MIE_INLINE Type pack32(Type a, Type b) { return _mm256_packs_epi32(a, b); }
    template <unsigned kBits>
    MIE_INLINE Type shift_left16(Type a) {
        return _mm256_slli_epi16(a, kBits);
    }
    template <unsigned kBits>
    MIE_INLINE Type shift_right16(Type a) {
        return _mm256_srai_epi16(a, kBits);
    }
    template <unsigned kBits>
    MIE_INLINE Type shift_right32(Type a) {
        return _mm256_srai_epi32(a, kBits);
    }
};

// Eight coefficients in zigzag order come from rows kFirstRow..kLastRow; a byte shuffle of each puts its own into place, zeros elsewhere.
constexpr int kFirstRow[8] = {0, 0, 1, 0, 4, 1, 3, 5}, kLastRow[8] = {2, 4, 6, 3, 7, 6, 7, 7};
struct Shuffles {
    alignas(16) uint8_t eight[8][8][16];  // [zigzag / 8][row]
};
constexpr Shuffles make_shuffles() {
    Shuffles s{};
    for (int k = 0; k < 64; ++k)
        for (int row = 0; row < 8; ++row)
            for (int byte = 0; byte < 2; ++byte)
                s.eight[k / 8][row][2 * (k % 8) + byte] = kZigzag[k] / 8 == row ? uint8_t(2 * (kZigzag[k] % 8) + byte) : 0x80;
    return s;
}
constexpr Shuffles kShuffles = make_shuffles();

MIE_INLINE __m256i both_lanes(const void* from) {
    return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(from)));
}

// Quantise one natural row of two blocks
MIE_INLINE __m256i quantise(__m256i x, const Quantiser& q, int row) {
    const __m256i sum = _mm256_add_epi16(_mm256_abs_epi16(x), both_lanes(q.half + 8 * row));
    const __m256i magnitude =
        _mm256_mulhi_epu16(_mm256_mulhi_epu16(sum, both_lanes(q.reciprocal + 8 * row)), both_lanes(q.scale + 8 * row));
    return _mm256_sign_epi16(magnitude, x);
}

// Two blocks: 8 rows of 16 samples to zigzag order
MIE_INLINE void transform_two(const uint8_t* samples, int64_t stride, const Quantiser& q, JpegBlocks& blocks, int first) {
    __m256i r[8], z[8];
    for (int y = 0; y < 8; ++y) {
        const __m128i row = _mm_loadu_si128(reinterpret_cast<const __m128i*>(samples + y * stride));
        r[y] = _mm256_sub_epi16(_mm256_cvtepu8_epi16(row), _mm256_set1_epi16(128));
    }
    forward_dct<Lanes>(r);
#pragma GCC unroll 8
    for (int y = 0; y < 8; ++y) r[y] = quantise(r[y], q, y);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
        z[i] = _mm256_shuffle_epi8(r[kFirstRow[i]], both_lanes(kShuffles.eight[i][kFirstRow[i]]));
#pragma GCC unroll 8
        for (int y = kFirstRow[i] + 1; y <= kLastRow[i]; ++y)
            z[i] = _mm256_or_si256(z[i], _mm256_shuffle_epi8(r[y], both_lanes(kShuffles.eight[i][y])));
        _mm_store_si128(reinterpret_cast<__m128i*>(blocks.zigzag[first] + 8 * i), _mm256_castsi256_si128(z[i]));
        _mm_store_si128(reinterpret_cast<__m128i*>(blocks.zigzag[first + 1] + 8 * i), _mm256_extracti128_si256(z[i], 1));
    }

    // 16 coefficients of both blocks in one byte mask
    uint64_t zero[2] = {};
    for (int i = 0; i < 4; ++i) {
        const __m256i bytes = _mm256_packs_epi16(z[2 * i], z[2 * i + 1]);  // saturates: zero stays the only zero
        const auto mask = uint32_t(_mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, _mm256_setzero_si256())));
        zero[0] |= uint64_t(mask & 0xffff) << (16 * i), zero[1] |= uint64_t(mask >> 16) << (16 * i);
    }
    for (int b = 0; b < 2; ++b) blocks.nonzero[first + b] = ~zero[b];
}

}  // namespace

MIE_TARGET void transform_avx2(const JpegTile& tile, const JpegTables& tables, JpegBlocks& blocks) {
    for (int b = 0; b < 8; b += 2)
        transform_two(tile.plane[0] + b / 4 * kBlock * int64_t(tile.stride[0]) + b % 4 * kBlock, tile.stride[0], tables.quantiser[0],
                      blocks, b);
    for (int p = 1; p < 3; ++p) transform_two(tile.plane[p], tile.stride[p], tables.quantiser[1], blocks, 6 + 2 * p);
}

MIE_TARGET void code_avx2(const JpegBlocks& blocks, const JpegTile& tile, const JpegTables& tables, JpegStream& stream) {
    const auto code = [&](BitWriter& bits, const int16_t* zigzag, uint64_t nonzero, const HuffmanCodes& codes)
                          __attribute__((always_inline)) MIE_TARGET { code_ac(bits, zigzag, nonzero, codes, tables.value + 2048); };
    code_tile(blocks, tile, tables, stream, code);
}

}  // namespace mie
#endif
