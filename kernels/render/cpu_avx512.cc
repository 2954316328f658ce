// render on AVX-512 (VBMI, VNNI), byte-identical with pixel.h: tiles of 64 x 4 px (chroma 64 x 2: the same nodes), 64 px per step.
// A source tap is a byte permute of the 128-byte window around the tile, so there are no gathers; rows that differ inside a tile are
// blended as bytes, before any arithmetic. Going down a tile the field is linear: one addition per row.
// Traffic per 64 px of a plane: four aligned 64-byte loads (two more for every further source row in the tile), one store.
#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>

#include "../common/philox.h"
#include "noise.h"
#include "planes.h"
#include "source.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // false alarm about the compiler's own intrinsics header (GCC 12)
#endif

#define MIE_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vnni")))
#define MIE_INLINE MIE_AVX512 __attribute__((always_inline)) static inline

namespace mie {
namespace {

constexpr int kTile = 64;  // px

// 64 px as two vectors of 32 int16: lo holds px 0-7, 16-23, 32-39, 48-55 and hi the eights between, so that packing to bytes and
// unpacking from bytes, which work inside 128-bit lanes, keep the pixels in order.
struct Wide {
    __m512i lo, hi;
};

MIE_INLINE Wide spread(int value) { return {_mm512_set1_epi16(int16_t(value)), _mm512_set1_epi16(int16_t(value))}; }
MIE_INLINE Wide operator+(Wide a, Wide b) { return {_mm512_add_epi16(a.lo, b.lo), _mm512_add_epi16(a.hi, b.hi)}; }
MIE_INLINE Wide operator-(Wide a, Wide b) { return {_mm512_sub_epi16(a.lo, b.lo), _mm512_sub_epi16(a.hi, b.hi)}; }
MIE_INLINE Wide operator*(Wide a, Wide b) { return {_mm512_mullo_epi16(a.lo, b.lo), _mm512_mullo_epi16(a.hi, b.hi)}; }
MIE_INLINE Wide operator&(Wide a, Wide b) { return {_mm512_and_si512(a.lo, b.lo), _mm512_and_si512(a.hi, b.hi)}; }
MIE_INLINE Wide shift_left(Wide a, unsigned bits) { return {_mm512_slli_epi16(a.lo, bits), _mm512_slli_epi16(a.hi, bits)}; }
MIE_INLINE Wide shift_right(Wide a, unsigned bits) { return {_mm512_srai_epi16(a.lo, bits), _mm512_srai_epi16(a.hi, bits)}; }
MIE_INLINE Wide add_saturated(Wide a, Wide b) { return {_mm512_adds_epi16(a.lo, b.lo), _mm512_adds_epi16(a.hi, b.hi)}; }
MIE_INLINE Wide times_q15(Wide a, Wide b) {
    return {_mm512_mulhrs_epi16(a.lo, b.lo), _mm512_mulhrs_epi16(a.hi, b.hi)};
}  // (a b + 2^14) >> 15
MIE_INLINE __m512i pack_signed(Wide a) { return _mm512_packs_epi16(a.lo, a.hi); }
MIE_INLINE __m512i pack_unsigned(Wide a) { return _mm512_packus_epi16(a.lo, a.hi); }

// Constants by lane, filled once
struct Lanes {
    alignas(64) int16_t node_lo[2][32], node_hi[2][32], eighths[2][32];  // [chroma]: node of a pixel, its place in the cell
    alignas(64) uint8_t window[kTile];                                   // index of the undisplaced pixel in the 128-byte window
    alignas(64) uint8_t from_rg[3][kTile], from_b[3][kTile];             // three interleaved vectors from three planes
    uint64_t is_b[3];

    Lanes() {
        for (int half = 0; half < 2; ++half) {
            const int shift = half ? 1 : 2;
            for (int i = 0; i < 32; ++i) {
                const int px = i / 8 * 16 + i % 8;
                node_lo[half][i] = int16_t(px >> shift);
                node_hi[half][i] = int16_t((px + 8) >> shift);
                eighths[half][i] = int16_t(half ? 4 * (px & 1) + 2 : 2 * (px & 3) + 1);
            }
        }
        for (int i = 0; i < kTile; ++i) window[i] = uint8_t(kBorderPx + i);
        for (int part = 0; part < 3; ++part) {
            is_b[part] = 0;
            for (int i = 0; i < kTile; ++i) {
                const int px = (kTile * part + i) / 3, plane = (kTile * part + i) % 3;
                from_rg[part][i] = uint8_t(plane == 1 ? kTile + px : px);
                from_b[part][i] = uint8_t(px);
                if (plane == 2) is_b[part] |= uint64_t(1) << i;
            }
        }
    }
};
const Lanes kLanes;

// ---- nodes to pixels

// Nodes of one row, interpolated across: Q7 at 64 px, nearest, ties away from zero
template <bool kHalf>
MIE_INLINE Wide across(const int16_t* node) {
    const __m512i at = _mm512_loadu_si512(node), rise = _mm512_sub_epi16(_mm512_loadu_si512(node + 1), at);
    const __m512i at8 = _mm512_slli_epi16(at, 3), eighths = _mm512_load_si512(kLanes.eighths[kHalf]);
    const __m512i lo = _mm512_load_si512(kLanes.node_lo[kHalf]), hi = _mm512_load_si512(kLanes.node_hi[kHalf]);
    const Wide from{_mm512_permutexvar_epi16(lo, at8), _mm512_permutexvar_epi16(hi, at8)};
    const Wide slope{_mm512_permutexvar_epi16(lo, rise), _mm512_permutexvar_epi16(hi, rise)};
    const Wide sum = from + slope * Wide{eighths, eighths};
    return shift_right(sum + spread(4) + shift_right(sum, 15), 3);
}

// The field down the rows of a tile, exactly: the value at the first row and the step to the next
struct Ramp {
    Wide value, step;
};
template <bool kHalf>
MIE_INLINE Ramp down(Wide upper, Wide lower) {
    const Wide rise = lower - upper;  // rows lie at 1, 3, 5, 7 eighths of the cell (chroma: 2, 6)
    return {shift_left(upper, 3) + shift_left(rise, kHalf), shift_left(rise, 1 + kHalf)};
}
MIE_INLINE void next_row(Ramp& ramp) { ramp.value = ramp.value + ramp.step; }

// The nodes over one tile edge: 17, or 33 over chroma. Folded to a vector: or, smallest, largest
MIE_INLINE __m256i load16(const int16_t* node) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(node)); }
template <bool kHalf>
MIE_INLINE __m256i any_bits(const int16_t* node) {
    const __m256i first = _mm256_or_si256(load16(node), load16(node + 1));
    return kHalf ? _mm256_or_si256(first, _mm256_or_si256(load16(node + 16), load16(node + 17))) : first;
}
struct Range {
    __m128i low, high;
};
MIE_INLINE Range join(Range a, Range b) { return {_mm_min_epi16(a.low, b.low), _mm_max_epi16(a.high, b.high)}; }
template <bool kHalf>
MIE_INLINE Range range(const int16_t* node) {
    __m256i low = _mm256_min_epi16(load16(node), load16(node + 1)), high = _mm256_max_epi16(load16(node), load16(node + 1));
    if (kHalf) {
        low = _mm256_min_epi16(low, _mm256_min_epi16(load16(node + 16), load16(node + 17)));
        high = _mm256_max_epi16(high, _mm256_max_epi16(load16(node + 16), load16(node + 17)));
    }
    return {_mm_min_epi16(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)),
            _mm_max_epi16(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1))};
}
MIE_INLINE int smallest(__m128i v) {  // the only horizontal minimum is of unsigned lanes: flip the sign bit there and back
    return int16_t(_mm_extract_epi16(_mm_minpos_epu16(_mm_xor_si128(v, _mm_set1_epi16(-32768))), 0) ^ 0x8000);
}
MIE_INLINE int largest(__m128i v) {
    return int16_t(_mm_extract_epi16(_mm_minpos_epu16(_mm_xor_si128(v, _mm_set1_epi16(32767))), 0) ^ 0x7fff);
}

// ---- noise

// 64 random bytes of row y and 64 of row y + 1: counters (run .. run + 3, y) in even 64-bit lanes, (.., y + 1) in odd ones.
// Words live in the low halves; the high halves carry rubbish that no multiplication reads.
MIE_INLINE void philox_rows(const PhiloxKeys& keys, int run, int y, uint32_t frame, uint32_t plane, __m512i& row, __m512i& next) {
    const __m512i multiply0 = _mm512_set1_epi64(kPhiloxMultiply0), multiply1 = _mm512_set1_epi64(kPhiloxMultiply1);
    __m512i a = _mm512_add_epi64(_mm512_set1_epi64(run), _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3));
    __m512i b = _mm512_add_epi64(_mm512_set1_epi64(y), _mm512_setr_epi64(0, 1, 0, 1, 0, 1, 0, 1));
    __m512i c = _mm512_set1_epi64(frame), d = _mm512_set1_epi64(plane);
    constexpr int kXor3 = 0x96;
    for (int round = 0; round < kPhiloxRounds; ++round) {
        const __m512i p = _mm512_mul_epu32(a, multiply0), q = _mm512_mul_epu32(c, multiply1);
        a = _mm512_ternarylogic_epi64(_mm512_srli_epi64(q, 32), b, _mm512_set1_epi64(int64_t(keys.first[round])), kXor3);
        c = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p, 32), d, _mm512_set1_epi64(int64_t(keys.second[round])), kXor3);
        b = q;
        d = p;
    }
    const __m512i ab = _mm512_mask_mov_epi32(a, 0xaaaa, _mm512_slli_epi64(b, 32));
    const __m512i cd = _mm512_mask_mov_epi32(c, 0xaaaa, _mm512_slli_epi64(d, 32));
    row = _mm512_unpacklo_epi64(ab, cd);
    next = _mm512_unpackhi_epi64(ab, cd);
}

// Random bytes to Q7 noise
MIE_INLINE Wide noise_q7(__m512i random, Wide noise_q15) {
    const __m512i zero = _mm512_setzero_si512();
    __m512i value = _mm512_permutex2var_epi8(_mm512_load_si512(kNoiseTable), random, _mm512_load_si512(kNoiseTable + 64));
    value = _mm512_mask_sub_epi8(value, _mm512_movepi8_mask(random), zero, value);
    return times_q15({_mm512_unpacklo_epi8(zero, value), _mm512_unpackhi_epi8(zero, value)}, noise_q15);  // 256 value
}

// ---- pixels

// Where 64 px of one row are sampled; the same for all planes
struct Taps {
    __m512i left, right;  // byte index into the 128-byte window
    Wide weights;         // bytes (128 - fx, fx)
    Wide fy;              // Q15
    __m512i whole_y;      // bytes
};

template <bool kHalf>
MIE_INLINE Taps taps_of(Wide dx, Wide dy) {
    constexpr int kBits = kHalf ? 11 : 10, kMask = (1 << kBits) - 1;
    Taps t;
    t.left = _mm512_add_epi8(_mm512_load_si512(kLanes.window), pack_signed(shift_right(dx, kBits)));
    t.right = _mm512_sub_epi8(t.left, _mm512_set1_epi8(-1));
    // fx = 64 + m, m = round(128 (f - 1/2)): one unit more than the exact scale breaks ties outward, where they belong
    const Wide middle = (dx & spread(kMask)) - spread(1 << (kBits - 1));
    const Wide m = times_q15(middle, spread((1 << (22 - kBits)) + 1));
    t.weights = m * spread(255) + spread(64 + 256 * 64);  // (64 - m) + 256 (64 + m)
    t.fy = shift_left(dy, 15 - kBits) & spread(kMask << (15 - kBits));
    t.whole_y = pack_signed(shift_right(dy, kBits));
    return t;
}

struct Window {
    __m512i low, high;
};
MIE_INLINE Window window_at(const uint8_t* from) { return {_mm512_loadu_si512(from), _mm512_loadu_si512(from + 64)}; }
MIE_INLINE __m512i pick(Window w, __m512i index) { return _mm512_permutex2var_epi8(w.low, index, w.high); }

// Bilinear, Q7, still biased by -128. `from` is the window of the tile's first source row; `low`..`high` its whole rows of displacement.
MIE_INLINE Wide sample(const uint8_t* from, int stride, const Taps& t, int low, int high) {
    const Window first = window_at(from), second = window_at(from + stride);
    __m512i upper_left = pick(first, t.left), upper_right = pick(first, t.right);
    __m512i lower_left = pick(second, t.left), lower_right = pick(second, t.right);
    __m512i before_left = lower_left, before_right = lower_right;
    from += stride;
    for (int row = low + 1; row <= high; ++row) {
        from += stride;
        const Window window = window_at(from);
        const __mmask64 here = _mm512_cmpeq_epi8_mask(t.whole_y, _mm512_set1_epi8(int8_t(row)));
        const __m512i left = pick(window, t.left), right = pick(window, t.right);
        upper_left = _mm512_mask_mov_epi8(upper_left, here, before_left);
        upper_right = _mm512_mask_mov_epi8(upper_right, here, before_right);
        lower_left = _mm512_mask_mov_epi8(lower_left, here, left);
        lower_right = _mm512_mask_mov_epi8(lower_right, here, right);
        before_left = left;
        before_right = right;
    }
    const Wide upper{_mm512_maddubs_epi16(t.weights.lo, _mm512_unpacklo_epi8(upper_left, upper_right)),
                     _mm512_maddubs_epi16(t.weights.hi, _mm512_unpackhi_epi8(upper_left, upper_right))};
    const Wide lower{_mm512_maddubs_epi16(t.weights.lo, _mm512_unpacklo_epi8(lower_left, lower_right)),
                     _mm512_maddubs_epi16(t.weights.hi, _mm512_unpackhi_epi8(lower_left, lower_right))};
    return upper + times_q15(lower - upper, t.fy);
}

// Gain, noise, rounding. Values come biased by -128, which is where chroma has its zero; R, G, B and Y are shaded unbiased.
template <bool kHalf, bool kGain, bool kNoise>
MIE_INLINE __m512i finish(Wide value, Wide gain_q15, Wide noise) {
    constexpr bool kUnbias = !kHalf && (kGain || kNoise);
    if (kUnbias) value = value + spread(128 << 7);
    if (kGain) value = add_saturated(value, times_q15(value, gain_q15));
    if (kNoise) value = add_saturated(value, noise);
    value = times_q15(value, spread(256));  // (value + 64) >> 7
    return kUnbias ? pack_unsigned(value) : _mm512_xor_si512(pack_signed(value), _mm512_set1_epi8(-128));
}

// 64 px (fewer at the right edge) of every plane to memory
template <int kPlanes>
MIE_INLINE void store(const PlaneJob& job, const __m512i* pixels, int x, int y) {
    const int count = std::min(kTile, job.width - x);
    if (kPlanes < 3 || !job.packed) {
        for (int plane = 0; plane < kPlanes; ++plane) {
            uint8_t* to = job.target[plane] + y * job.target_stride + x;
            if (count == kTile) {
                _mm512_storeu_si512(to, pixels[plane]);
            } else {
                _mm512_mask_storeu_epi8(to, ~0ull >> (kTile - count), pixels[plane]);
            }
        }
        return;
    }
    uint8_t* to = job.target[0] + y * job.target_stride + 3 * x;
    for (int part = 0; part < 3; ++part, to += kTile) {
        __m512i mixed = _mm512_permutex2var_epi8(pixels[0], _mm512_load_si512(kLanes.from_rg[part]), pixels[1]);
        mixed = _mm512_mask_permutexvar_epi8(mixed, kLanes.is_b[part], _mm512_load_si512(kLanes.from_b[part]), pixels[kPlanes - 1]);
        const int left = 3 * count - kTile * part;
        if (left >= kTile) {
            _mm512_storeu_si512(to, mixed);
        } else if (left > 0) {
            _mm512_mask_storeu_epi8(to, ~0ull >> (kTile - left), mixed);
        }
    }
}

// What a column of tiles hands down: its last row of nodes, already interpolated
struct Column {
    Wide x, y, gain;
    Range y_range;
    __m256i any_displacement, any_gain;
    bool has_displacement, has_gain;
};

template <Layer kLayer, bool kGain, bool kNoise>
MIE_AVX512 void planes(const PlaneJob& given) {
    const PlaneJob job = given;  // a copy that no store can alias
    constexpr bool kHalf = kLayer == Layer::chroma;
    constexpr int kPlanes = plane_count(kLayer), kRows = kHalf ? 2 : 4, kNodeShiftX = kHalf ? 1 : 2;
    const int grid_nodes = job.grid_width * job.grid_height;
    const Wide noise_q15 = spread(job.noise_q15);
    const PhiloxKeys keys(job.key[0], job.key[1]);

    Column columns[kMaxRenderSidePx / kTile];
    for (int x = 0; x < job.width; x += kTile) {
        const int16_t* node = job.nodes + (x >> kNodeShiftX);
        Column& column = columns[x / kTile];
        column.any_displacement = _mm256_or_si256(any_bits<kHalf>(node), any_bits<kHalf>(node + grid_nodes));
        if (kGain) column.any_gain = any_bits<kHalf>(node + 2 * grid_nodes);
        column.has_displacement = column.has_gain = false;
    }

    for (int y = 0; y < job.height; y += kRows) {
        const int rows = std::min(kRows, job.height - y);
        for (int x = 0; x < job.width; x += kTile) {
            const int16_t* upper = job.nodes + y / kRows * job.grid_width + (x >> kNodeShiftX);
            const int16_t* lower = upper + job.grid_width;
            Column& column = columns[x / kTile];

            // Does anything move or change brightness here?
            const __m256i displaced = _mm256_or_si256(any_bits<kHalf>(lower), any_bits<kHalf>(lower + grid_nodes));
            const __m256i moves = _mm256_or_si256(column.any_displacement, displaced);
            const bool still = _mm256_testz_si256(moves, moves);
            column.any_displacement = displaced;
            bool flat = true;
            if (kGain) {
                const __m256i shaded = any_bits<kHalf>(lower + 2 * grid_nodes), changes = _mm256_or_si256(column.any_gain, shaded);
                flat = _mm256_testz_si256(changes, changes);
                column.any_gain = shaded;
            }

            // Noise and gain of the tile
            __m512i random[kPlanes][4];
            if (kNoise) {
                for (int plane = 0; plane < kPlanes; ++plane) {
                    for (int row = 0; row < kRows; row += 2) {
                        philox_rows(keys, x / 16, y + row, job.frame, job.first_plane + uint32_t(plane), random[plane][row],
                                    random[plane][row + 1]);
                    }
                }
            }
            Wide noise = spread(0);
            Ramp gain{spread(0), spread(0)};
            if (kGain && !flat) {
                if (!column.has_gain) column.gain = across<kHalf>(upper + 2 * grid_nodes);
                const Wide below = across<kHalf>(lower + 2 * grid_nodes);
                gain = down<kHalf>(column.gain, below);
                column.gain = below;
            }
            if (kGain) column.has_gain = !flat;

            // No displacement: the sample is the source itself, and with unit gain and no noise the tile is a copy
            if (still) {
                column.has_displacement = false;
                for (int row = 0; row < rows; ++row) {
                    __m512i pixels[kPlanes];
                    for (int plane = 0; plane < kPlanes; ++plane) {
                        const __m512i bytes = _mm512_loadu_si512(job.source[plane] + ptrdiff_t(y + row) * job.source_stride + x);
                        if (!kNoise && flat) {
                            pixels[plane] = _mm512_xor_si512(bytes, _mm512_set1_epi8(-128));
                            continue;
                        }
                        const __m512i zero = _mm512_setzero_si512();
                        const Wide value = shift_right({_mm512_unpacklo_epi8(zero, bytes), _mm512_unpackhi_epi8(zero, bytes)}, 1);
                        if (kNoise) noise = noise_q7(random[plane][row], noise_q15);
                        pixels[plane] = finish<kHalf, kGain, kNoise>(value, gain.value, noise);
                    }
                    store<kPlanes>(job, pixels, x, y + row);
                    if (kGain) next_row(gain);
                }
                continue;
            }

            // Displacement of the tile, and the whole source rows it reaches
            if (!column.has_displacement) {
                column.x = across<kHalf>(upper);
                column.y = across<kHalf>(upper + grid_nodes);
                column.y_range = range<kHalf>(upper + grid_nodes);
                column.has_displacement = true;
            }
            const Range below_range = range<kHalf>(lower + grid_nodes), tile_range = join(column.y_range, below_range);
            const int low = smallest(tile_range.low) >> (7 + kHalf), high = largest(tile_range.high) >> (7 + kHalf);
            const Wide below_x = across<kHalf>(lower), below_y = across<kHalf>(lower + grid_nodes);
            Ramp dx = down<kHalf>(column.x, below_x), dy = down<kHalf>(column.y, below_y);
            column.x = below_x;
            column.y = below_y;
            column.y_range = below_range;

            // Row by row
            for (int row = 0; row < rows; ++row) {
                const Taps taps = taps_of<kHalf>(dx.value, dy.value);
                __m512i pixels[kPlanes];
                MIE_UNROLL
                for (int plane = 0; plane < kPlanes; ++plane) {
                    const uint8_t* from = job.source[plane] + ptrdiff_t(y + row + low) * job.source_stride + x - kBorderPx;
                    const Wide value = sample(from, job.source_stride, taps, low, high);
                    if (kNoise) noise = noise_q7(random[plane][row], noise_q15);
                    pixels[plane] = finish<kHalf, kGain, kNoise>(value, gain.value, noise);
                }
                store<kPlanes>(job, pixels, x, y + row);
                next_row(dx);
                next_row(dy);
                if (kGain) next_row(gain);
            }
        }
    }
}

template <Layer kLayer>
void planes_of(const PlaneJob& job) {
    if (job.gain) return job.noise_q15 ? planes<kLayer, true, true>(job) : planes<kLayer, true, false>(job);
    return job.noise_q15 ? planes<kLayer, false, true>(job) : planes<kLayer, false, false>(job);
}

}  // namespace

void render_planes_avx512(const PlaneJob& job) {
    if (job.layer == Layer::rgb) return planes_of<Layer::rgb>(job);
    if (job.layer == Layer::luma) return planes_of<Layer::luma>(job);
    planes_of<Layer::chroma>(job);
}

MIE_AVX512 void sum_nodes_avx512(const PackedBasis& basis, const int16_t* coefficients, int16_t* nodes) {
    uint32_t pair[kMaxRenderChannels / 2];
    const uint64_t live = pair_coefficients(coefficients, basis.channels, pair);
    const __m512i half = _mm512_set1_epi32(1 << (kNodeShift - 1)), limit = _mm512_set1_epi16(kNodeLimit);
    const __m512i lane_order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);  // packing interleaves 128-bit lanes
    const int block_size = pair_count(basis.channels) * kBlockNodes * 2;
    const int16_t* block = basis.grids;
    for (int i = 0; i < block_count(basis.nodes); ++i, block += block_size, nodes += kBlockNodes) {
        __m512i first = _mm512_setzero_si512(), second = _mm512_setzero_si512();
        for (uint64_t rest = basis.live[i] & live; rest; rest &= rest - 1) {
            const int q = __builtin_ctzll(rest);
            const __m512i c = _mm512_set1_epi32(int32_t(pair[q]));
            first = _mm512_dpwssd_epi32(first, _mm512_loadu_si512(block + 2 * kBlockNodes * q), c);
            second = _mm512_dpwssd_epi32(second, _mm512_loadu_si512(block + 2 * kBlockNodes * q + kBlockNodes), c);
        }
        first = _mm512_srai_epi32(_mm512_add_epi32(_mm512_add_epi32(first, half), _mm512_srai_epi32(first, 31)), kNodeShift);
        second = _mm512_srai_epi32(_mm512_add_epi32(_mm512_add_epi32(second, half), _mm512_srai_epi32(second, 31)), kNodeShift);
        __m512i node = _mm512_permutexvar_epi64(lane_order, _mm512_packs_epi32(first, second));
        node = _mm512_max_epi16(_mm512_min_epi16(node, limit), _mm512_sub_epi16(_mm512_setzero_si512(), limit));
        _mm512_storeu_si512(nodes, node);
    }
}

}  // namespace mie
#endif
