// render on AVX2, byte-identical with pixel.h: strips of 4 rows (chroma 2: one row of cells), 16 px per step as two groups of 8.
// Each group has its own 16-byte source window, starting at its smallest displacement; one byte shuffle yields both taps of 8 px.
// A group whose displacement spreads wider than its window (a folding field) takes the scalar path.
// Traffic per 16 px of a plane: four 16-byte loads (two more for every further source row in the group), one store.
#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "../common/philox.h"
#include "noise.h"
#include "planes.h"

#define MIE_AVX2 __attribute__((target("avx2")))
#define MIE_INLINE MIE_AVX2 __attribute__((always_inline)) static inline

namespace mie {
namespace {

constexpr int kStep = 16;            // px
constexpr int kMaxColumnSpread = 7;  // 8 px and their right neighbours in 16 bytes
constexpr int kMaxRowSpread = 3;     // 28 px + 3 + 1 rows stay inside the border of 32

MIE_INLINE __m256i load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
MIE_INLINE __m128i load_half(const void* from) { return _mm_loadu_si128(static_cast<const __m128i*>(from)); }
MIE_INLINE void keep(void* to, __m256i v) { _mm256_storeu_si256(static_cast<__m256i*>(to), v); }

// ---- a strip: everything that is prepared once for one row of cells

struct Strip {
    explicit Strip(int width)
        : padded((width + 31) & ~31),
          fields(size_t(6 * padded)),
          ranges(size_t(4 * (padded + 32))),
          noise(size_t(12 * padded)),
          planar(size_t(12 * padded)) {
        for (int i = 0; i < 3; ++i) {
            upper[i] = fields.data() + i * padded;
            lower[i] = fields.data() + (3 + i) * padded;
        }
        low_x = ranges.data();
        high_x = low_x + padded + 32;
        low_y = high_x + padded + 32;
        high_y = low_y + padded + 32;
    }
    const int padded;  // width, a multiple of 32
    std::vector<int16_t> fields, ranges;
    std::vector<int8_t> noise;                 // table values [plane][4][padded]
    std::vector<uint8_t> planar;               // R G B [3][4][padded] on their way to interleaved pixels
    int16_t *upper[3], *lower[3];              // Q7 at every pixel: x, y, gain on the two node rows of the strip
    int16_t *low_x, *high_x, *low_y, *high_y;  // whole px, by node: over the 8 px to the right of it
};

// Nodes of one row, interpolated across: Q7 at every pixel, nearest, ties away from zero
template <bool kHalf>
MIE_INLINE void across(const int16_t* node, int width, int16_t* out) {
    const __m256i repeat = kHalf ? _mm256_setr_epi8(0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7,  //
                                                    8, 9, 8, 9, 10, 11, 10, 11, 12, 13, 12, 13, 14, 15, 14, 15)
                                 : _mm256_setr_epi8(0, 1, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3,  //
                                                    4, 5, 4, 5, 4, 5, 4, 5, 6, 7, 6, 7, 6, 7, 6, 7);
    const __m256i eighths = kHalf ? _mm256_set1_epi32(2 | 6 << 16) : _mm256_set1_epi64x(1ll | 3ll << 16 | 5ll << 32 | 7ll << 48);
    for (int x = 0; x < width; x += kStep, node += kHalf ? 8 : 4) {
        const __m128i at = load_half(node), rise = _mm_sub_epi16(load_half(node + 1), at);
        const __m256i from = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(at), repeat);
        const __m256i slope = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(rise), repeat);
        const __m256i sum = _mm256_add_epi16(_mm256_slli_epi16(from, 3), _mm256_mullo_epi16(slope, eighths));
        const __m256i rounding = _mm256_add_epi16(_mm256_set1_epi16(4), _mm256_srai_epi16(sum, 15));
        keep(out + x, _mm256_srai_epi16(_mm256_add_epi16(sum, rounding), 3));
    }
}

// Smallest and largest whole displacement over the cells of 8 px (nodes n .. n + 2, chroma n + 4, of both rows), for every n
template <bool kHalf>
MIE_INLINE void group_ranges(const int16_t* upper, const int16_t* lower, int nodes, int16_t* low, int16_t* high) {
    for (int n = 0; n < nodes; n += 16) {
        __m256i least = load(upper + n), most = least;
        for (int i = 0; i < (kHalf ? 5 : 3); ++i) {
            const __m256i a = load(upper + n + i), b = load(lower + n + i);
            least = _mm256_min_epi16(least, _mm256_min_epi16(a, b));
            most = _mm256_max_epi16(most, _mm256_max_epi16(a, b));
        }
        keep(low + n, _mm256_srai_epi16(least, 7 + kHalf));
        keep(high + n, _mm256_srai_epi16(most, 7 + kHalf));
    }
}

// ---- noise

// 32 random bytes of row y and 32 of row y + 1: counters (run, run + 1, y) in even 64-bit lanes, (.., y + 1) in odd ones.
// Words live in the low halves; the high halves carry rubbish that no multiplication reads.
MIE_INLINE void philox_rows(const PhiloxKeys& keys, int run, int y, uint32_t frame, uint32_t plane, __m256i& row, __m256i& next) {
    const __m256i multiply0 = _mm256_set1_epi64x(kPhiloxMultiply0), multiply1 = _mm256_set1_epi64x(kPhiloxMultiply1);
    __m256i a = _mm256_setr_epi64x(run, run, run + 1, run + 1), b = _mm256_setr_epi64x(y, y + 1, y, y + 1);
    __m256i c = _mm256_set1_epi64x(frame), d = _mm256_set1_epi64x(plane);
    for (int round = 0; round < kPhiloxRounds; ++round) {
        const __m256i p = _mm256_mul_epu32(a, multiply0), q = _mm256_mul_epu32(c, multiply1);
        a = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(q, 32), b), _mm256_set1_epi64x(int64_t(keys.first[round])));
        c = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p, 32), d), _mm256_set1_epi64x(int64_t(keys.second[round])));
        b = q;
        d = p;
    }
    const __m256i ab = _mm256_blend_epi32(a, _mm256_slli_epi64(b, 32), 0xaa), cd = _mm256_blend_epi32(c, _mm256_slli_epi64(d, 32), 0xaa);
    row = _mm256_unpacklo_epi64(ab, cd);
    next = _mm256_unpackhi_epi64(ab, cd);
}

// Random bytes to signed table values: bits 0-3 pick inside sixteen entries, bits 4-6 which sixteen, bit 7 is the sign
MIE_INLINE __m256i table_values(__m256i random) {
    const __m256i low = _mm256_and_si256(random, _mm256_set1_epi8(15));
    const __m256i bit4 = _mm256_slli_epi16(random, 3), bit5 = _mm256_slli_epi16(random, 2), bit6 = _mm256_slli_epi16(random, 1);
    __m256i of[8];
    for (int i = 0; i < 8; ++i) of[i] = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(load_half(kNoiseTable + 16 * i)), low);
    for (int i = 0; i < 4; ++i) of[i] = _mm256_blendv_epi8(of[2 * i], of[2 * i + 1], bit4);
    for (int i = 0; i < 2; ++i) of[i] = _mm256_blendv_epi8(of[2 * i], of[2 * i + 1], bit5);
    const __m256i magnitude = _mm256_blendv_epi8(of[0], of[1], bit6);
    const __m256i negative = _mm256_cmpgt_epi8(_mm256_setzero_si256(), random);
    return _mm256_sub_epi8(_mm256_xor_si256(magnitude, negative), negative);
}

// ---- pixels

// One row of a plane of R, G and B each to interleaved pixels
MIE_INLINE void interleave(const uint8_t* r, const uint8_t* g, const uint8_t* b, int width, uint8_t* out) {
    // 16 px become three vectors; byte k of vector v is plane (v + k) % 3, so a plane meets each k once: one shuffle serves all three
    const __m256i order_r = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15, 10, 5));
    const __m256i order_g = _mm256_broadcastsi128_si256(_mm_setr_epi8(5, 0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15, 10));
    const __m256i order_b = _mm256_broadcastsi128_si256(_mm_setr_epi8(10, 5, 0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15));
    const __m256i one = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0));
    const __m256i two = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0));
    for (int x = 0; x < width; x += 32) {
        const __m256i red = _mm256_shuffle_epi8(load(r + x), order_r);
        const __m256i green = _mm256_shuffle_epi8(load(g + x), order_g);
        const __m256i blue = _mm256_shuffle_epi8(load(b + x), order_b);
        const __m256i part0 = _mm256_blendv_epi8(_mm256_blendv_epi8(red, green, one), blue, two);
        const __m256i part1 = _mm256_blendv_epi8(_mm256_blendv_epi8(green, blue, one), red, two);
        const __m256i part2 = _mm256_blendv_epi8(_mm256_blendv_epi8(blue, red, one), green, two);
        const __m256i first = _mm256_permute2x128_si256(part0, part1, 0x20);   // parts 0 and 1 of the left 16 px
        const __m256i second = _mm256_permute2x128_si256(part2, part0, 0x30);  // part 2 of the left, part 0 of the right
        const __m256i third = _mm256_permute2x128_si256(part1, part2, 0x31);   // parts 1 and 2 of the right
        uint8_t last[96];
        uint8_t* to = x + 32 <= width ? out + 3 * x : last;
        keep(to, first);
        keep(to + 32, second);
        keep(to + 64, third);
        if (to == last) std::memcpy(out + 3 * x, last, size_t(3 * (width - x)));
    }
}

MIE_INLINE void store(uint8_t* to, __m128i pixels, int count) {
    if (count >= kStep) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to), pixels);
        return;
    }
    uint8_t last[kStep];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(last), pixels);
    std::memcpy(to, last, size_t(count));
}

// Where 16 px of one row are sampled; the same for all planes
struct Taps {
    __m256i shuffle;  // both taps of a pixel side by side, out of the group's window
    __m256i weights;  // bytes (128 - fx, fx)
    __m256i fy;       // Q15
    __m256i row;      // whole rows below the group's first one
};

template <bool kHalf>
MIE_INLINE Taps taps_of(__m256i dx, __m256i dy, __m256i index_offset, __m256i low_y) {
    constexpr int kBits = kHalf ? 11 : 10, kMask = (1 << kBits) - 1;
    Taps t;
    const __m256i index = _mm256_add_epi16(_mm256_srai_epi16(dx, kBits), index_offset);
    t.shuffle = _mm256_add_epi16(_mm256_or_si256(index, _mm256_slli_epi16(index, 8)), _mm256_set1_epi16(256));
    const __m256i fraction = _mm256_and_si256(dx, _mm256_set1_epi16(kMask));
    const __m256i rounding = _mm256_add_epi16(_mm256_set1_epi16((1 << (kBits - 8)) - 1), _mm256_srli_epi16(fraction, kBits - 1));
    const __m256i fx = _mm256_srli_epi16(_mm256_add_epi16(fraction, rounding), kBits - 7);
    t.weights = _mm256_add_epi16(_mm256_sub_epi16(_mm256_slli_epi16(fx, 8), fx), _mm256_set1_epi16(128));
    t.fy = _mm256_and_si256(_mm256_slli_epi16(dy, 15 - kBits), _mm256_set1_epi16(int16_t(kMask << (15 - kBits))));
    t.row = _mm256_sub_epi16(_mm256_srai_epi16(dy, kBits), low_y);
    return t;
}

// One source row of both groups, weighted across: Q7
MIE_INLINE __m256i weigh(const uint8_t* left, const uint8_t* right, const Taps& t) {
    const __m256i windows = _mm256_inserti128_si256(_mm256_castsi128_si256(load_half(left)), load_half(right), 1);
    return _mm256_maddubs_epi16(t.weights, _mm256_shuffle_epi8(windows, t.shuffle));
}

// Bilinear, Q7, still biased by -128; `left` and `right` are the windows of the two groups on their first rows
MIE_INLINE __m256i sample(const uint8_t* left, const uint8_t* right, int stride, const Taps& t, int spread) {
    __m256i upper = weigh(left, right, t), lower = weigh(left + stride, right + stride, t), before = lower;
    for (int row = 1; row <= spread; ++row) {
        const int64_t offset = int64_t(row + 1) * stride;
        const __m256i here = _mm256_cmpeq_epi16(t.row, _mm256_set1_epi16(int16_t(row))), below = weigh(left + offset, right + offset, t);
        upper = _mm256_blendv_epi8(upper, before, here);
        lower = _mm256_blendv_epi8(lower, below, here);
        before = below;
    }
    return _mm256_add_epi16(upper, _mm256_mulhrs_epi16(_mm256_sub_epi16(lower, upper), t.fy));
}

// Gain, noise, rounding. Values come biased by -128, which is where chroma has its zero; R, G, B and Y are shaded unbiased.
template <bool kHalf, bool kGain, bool kNoise>
MIE_INLINE __m128i finish(__m256i value, __m256i gain_q15, const int8_t* noise, __m256i noise_q15) {
    constexpr bool kUnbias = !kHalf && (kGain || kNoise);
    if (kUnbias) value = _mm256_add_epi16(value, _mm256_set1_epi16(128 << 7));
    if (kGain) value = _mm256_adds_epi16(value, _mm256_mulhrs_epi16(value, gain_q15));
    if (kNoise) {
        const __m256i scaled = _mm256_slli_epi16(_mm256_cvtepi8_epi16(load_half(noise)), 8);
        value = _mm256_adds_epi16(value, _mm256_mulhrs_epi16(scaled, noise_q15));
    }
    value = _mm256_mulhrs_epi16(value, _mm256_set1_epi16(256));  // (value + 64) >> 7
    const __m128i low = _mm256_castsi256_si128(value), high = _mm256_extracti128_si256(value, 1);
    return kUnbias ? _mm_packus_epi16(low, high) : _mm_xor_si128(_mm_packs_epi16(low, high), _mm_set1_epi8(-128));
}

// Whether the nodes over 16 px (5, chroma 9, of both rows) are all zero in every grid
template <bool kHalf>
MIE_INLINE bool all_zero(const int16_t* node, int grid_width, int grid_nodes, int fields) {
    __m128i any = _mm_setzero_si128();
    for (int field = 0; field < fields; ++field) {
        for (int row = 0; row < 2; ++row) {
            const int16_t* n = node + field * grid_nodes + row * grid_width;
            const __m128i bits = kHalf ? _mm_or_si128(load_half(n), load_half(n + 1))
                                       : _mm_or_si128(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(n)),
                                                      _mm_loadl_epi64(reinterpret_cast<const __m128i*>(n + 1)));
            any = _mm_or_si128(any, bits);
        }
    }
    return _mm_testz_si128(any, any);
}

template <Layer kLayer, bool kGain, bool kNoise>
MIE_AVX2 void planes(const PlaneJob& given) {
    const PlaneJob job = given;  // a copy that no store can alias
    constexpr bool kHalf = kLayer == Layer::chroma;
    constexpr int kPlanes = plane_count(kLayer), kRows = kHalf ? 2 : 4, kNodeShiftX = kHalf ? 1 : 2, kFields = kGain ? 3 : 2;
    const int grid_nodes = job.grid_width * job.grid_height;
    const __m256i noise_q15 = _mm256_set1_epi16(int16_t(job.noise_q15));
    const __m256i ramp = _mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7);
    const PhiloxKeys keys(job.key[0], job.key[1]);
    Strip strip(job.width);
    for (int field = 0; field < kFields; ++field) across<kHalf>(job.nodes + field * grid_nodes, job.width, strip.lower[field]);

    for (int y = 0; y < job.height; y += kRows) {
        const int rows = std::min(kRows, job.height - y);
        const int16_t* upper = job.nodes + y / kRows * job.grid_width;
        const int16_t* lower = upper + job.grid_width;

        // Once for the strip: pixel fields of its lower nodes (the upper ones are the last strip's), spreads, noise, targets
        for (int field = 0; field < kFields; ++field) {
            std::swap(strip.upper[field], strip.lower[field]);
            across<kHalf>(lower + field * grid_nodes, job.width, strip.lower[field]);
        }
        const int nodes = strip.padded >> kNodeShiftX;
        group_ranges<kHalf>(upper, lower, nodes, strip.low_x, strip.high_x);
        group_ranges<kHalf>(upper + grid_nodes, lower + grid_nodes, nodes, strip.low_y, strip.high_y);
        if (kNoise) {
            for (int plane = 0; plane < kPlanes; ++plane) {
                for (int row = 0; row < kRows; row += 2) {
                    int8_t* out = strip.noise.data() + (plane * 4 + row) * strip.padded;
                    for (int x = 0; x < job.width; x += 32) {
                        __m256i random, next;
                        philox_rows(keys, x / 16, y + row, job.frame, job.first_plane + uint32_t(plane), random, next);
                        keep(out + x, table_values(random));
                        keep(out + strip.padded + x, table_values(next));
                    }
                }
            }
        }
        RowTarget target[kRows];
        for (int row = 0; row < rows; ++row) {
            target[row] = row_target(job, y + row);
            if (!job.packed) continue;
            for (int plane = 0; plane < kPlanes; ++plane) target[row].row[plane] = strip.planar.data() + (plane * 4 + row) * strip.padded;
            target[row].step = 1;
        }

        for (int x = 0; x < job.width; x += kStep) {
            const int count = std::min(kStep, job.width - x);

            // Nothing moves or changes: copy
            if (!kNoise && all_zero<kHalf>(upper + (x >> kNodeShiftX), job.grid_width, grid_nodes, kFields)) {
                for (int row = 0; row < rows; ++row) {
                    for (int plane = 0; plane < kPlanes; ++plane) {
                        const __m128i bytes = load_half(job.source[plane] + ptrdiff_t(y + row) * job.source_stride + x);
                        store(target[row].row[plane] + x, _mm_xor_si128(bytes, _mm_set1_epi8(-128)), count);
                    }
                }
                continue;
            }

            // The windows of the two groups
            const int n = x >> kNodeShiftX, m = (x + 8) >> kNodeShiftX;
            const int left_x = strip.low_x[n], right_x = strip.low_x[m], left_y = strip.low_y[n], right_y = strip.low_y[m];
            const int columns = std::max(strip.high_x[n] - left_x, strip.high_x[m] - right_x);
            const int spread = std::max(strip.high_y[n] - left_y, strip.high_y[m] - right_y);
            if (columns > kMaxColumnSpread || spread > kMaxRowSpread) {
                for (int row = 0; row < rows; ++row) render_span_scalar(job, target[row], x, x + count, y + row);
                continue;
            }
            const __m256i low_x = _mm256_setr_m128i(_mm_set1_epi16(int16_t(left_x)), _mm_set1_epi16(int16_t(right_x)));
            const __m256i low_y = _mm256_setr_m128i(_mm_set1_epi16(int16_t(left_y)), _mm_set1_epi16(int16_t(right_y)));
            const __m256i index_offset = _mm256_sub_epi16(ramp, low_x);

            // The field down the rows, exactly: rows lie at 1, 3, 5, 7 eighths of the cell (chroma: 2, 6)
            __m256i value[3], step[3];
            for (int field = 0; field < kFields; ++field) {
                const __m256i from = load(strip.upper[field] + x), rise = _mm256_sub_epi16(load(strip.lower[field] + x), from);
                value[field] = _mm256_add_epi16(_mm256_slli_epi16(from, 3), _mm256_slli_epi16(rise, kHalf));
                step[field] = _mm256_slli_epi16(rise, 1 + kHalf);
            }

            // Row by row
            for (int row = 0; row < rows; ++row) {
                const Taps taps = taps_of<kHalf>(value[0], value[1], index_offset, low_y);
                MIE_UNROLL
                for (int plane = 0; plane < kPlanes; ++plane) {
                    const uint8_t* source = job.source[plane] + ptrdiff_t(y + row) * job.source_stride + x;
                    const uint8_t* left = source + ptrdiff_t(left_y) * job.source_stride + left_x;
                    const uint8_t* right = source + ptrdiff_t(right_y) * job.source_stride + 8 + right_x;
                    const __m256i sampled = sample(left, right, job.source_stride, taps, spread);
                    const int8_t* noise = kNoise ? strip.noise.data() + (plane * 4 + row) * strip.padded + x : nullptr;
                    const __m128i pixels = finish<kHalf, kGain, kNoise>(sampled, kGain ? value[2] : sampled, noise, noise_q15);
                    store(target[row].row[plane] + x, pixels, count);
                }
                for (int field = 0; field < kFields; ++field) value[field] = _mm256_add_epi16(value[field], step[field]);
            }
        }

        if (kPlanes == 3 && job.packed) {
            for (int row = 0; row < rows; ++row) {
                uint8_t* const* planar = target[row].row;
                interleave(planar[0], planar[1], planar[2], job.width, job.target[0] + (y + row) * job.target_stride);
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

void render_planes_avx2(const PlaneJob& job) {
    if (job.layer == Layer::rgb) return planes_of<Layer::rgb>(job);
    if (job.layer == Layer::luma) return planes_of<Layer::luma>(job);
    planes_of<Layer::chroma>(job);
}

MIE_AVX2 void sum_nodes_avx2(const PackedBasis& basis, const int16_t* coefficients, int16_t* nodes) {
    uint32_t pair[kMaxRenderChannels / 2];
    const uint64_t live = pair_coefficients(coefficients, basis.channels, pair);
    const __m256i half = _mm256_set1_epi32(1 << (kNodeShift - 1));
    const __m256i most = _mm256_set1_epi16(kNodeLimit), least = _mm256_set1_epi16(-kNodeLimit);
    const int block_size = pair_count(basis.channels) * kBlockNodes * 2;
    const int16_t* block = basis.grids;
    for (int i = 0; i < block_count(basis.nodes); ++i, block += block_size, nodes += kBlockNodes) {
        __m256i sum[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
        for (uint64_t rest = basis.live[i] & live; rest; rest &= rest - 1) {
            const int q = __builtin_ctzll(rest);
            const __m256i c = _mm256_set1_epi32(int32_t(pair[q]));
            for (int v = 0; v < 4; ++v) sum[v] = _mm256_add_epi32(sum[v], _mm256_madd_epi16(load(block + 2 * kBlockNodes * q + 16 * v), c));
        }
        for (int v = 0; v < 4; ++v) {
            const __m256i rounding = _mm256_add_epi32(half, _mm256_srai_epi32(sum[v], 31));
            sum[v] = _mm256_srai_epi32(_mm256_add_epi32(sum[v], rounding), kNodeShift);
        }
        for (int v = 0; v < 2; ++v) {
            const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(sum[2 * v], sum[2 * v + 1]), 0xd8);
            keep(nodes + 16 * v, _mm256_max_epi16(_mm256_min_epi16(packed, most), least));
        }
    }
}

}  // namespace mie
#endif
