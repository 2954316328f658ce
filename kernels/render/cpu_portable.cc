// render for any processor, byte-identical with pixel.h: plain loops over 16-bit lanes, which compilers vectorise for SSE2 and NEON.
// Tiles of 256 px by one row of cells (4 rows, chroma 2); every buffer of a tile stays in the first-level cache.
// A field is smooth, so its whole-pixel part is constant over stretches of a row: the four taps are gathered stretch by stretch as
// byte copies, and only the arithmetic is per pixel. A folding field makes short stretches: slower, never wrong.
// Traffic per pixel of a plane: 4 bytes copied from the source and read again, 1 written.
#include <algorithm>
#include <cstring>

#include "pixel.h"
#include "planes.h"

namespace mie {
namespace {

constexpr int kTile = 256;  // px
constexpr int kChunk = 16;  // px: what a copy moves at least, and what is found still or moving
constexpr int kRoom = kTile + kChunk;

struct Tile {
    int16_t across[2][3][kRoom];       // Q7 at every pixel: x, y, gain on the two node rows of the strip
    int16_t from[kRoom], rise[kRoom];  // nodes and their differences, repeated over the pixels of a cell
    int16_t eighths[kRoom];            // where a pixel lies in its cell
    int16_t dx[kRoom], dy[kRoom], gain[kRoom];
    int16_t fx[kRoom], fy[kRoom];  // weights of the right taps Q7 and the lower taps Q16
    int16_t place[kRoom];          // whole displacement as one number
    int8_t tap[3][4][kRoom];       // [plane][upper left, upper right, lower left, lower right]
    int8_t noise[kRoom];           // table values
    uint8_t planar[3][kRoom];      // R G B on their way to interleaved pixels
    uint32_t word[kRoom];          // the same, R G B side by side
};

// ---- 16-bit arithmetic, exact

int16_t high_half(int16_t a, int16_t b) { return int16_t(a * b >> 16); }

// (a b + 2^14) >> 15
int16_t scale_q15(int16_t a, int16_t b) {
    const uint16_t low = uint16_t(a * b);
    return int16_t(2 * high_half(a, b) + int16_t(uint16_t((low >> 14) + 1) >> 1));
}

// a + (((b - a) w + 2^15) >> 16) for w in 0..65535, held as int16: a weight past 32767 reads 65536 too low, which is one more b - a
int16_t blend_q16(int16_t a, int16_t b, int16_t w) {
    const int16_t rise = int16_t(b - a);
    return int16_t(a + high_half(rise, w) + (rise & (w >> 15)) + (uint16_t(rise * w) >> 15));
}

// ---- the field

// Nodes of one row, interpolated across: Q7 at every pixel, nearest, ties away from zero
template <bool kHalf>
void interpolate_across(const int16_t* node, int count, Tile& tile, int16_t* __restrict out) {
    constexpr int kCell = kHalf ? 2 : 4;
    constexpr uint64_t kRepeat = 0x0001000100010001u;
    for (int i = 0; i < count; i += kCell, ++node) {
        const uint64_t from = uint16_t(node[0]) * kRepeat, rise = uint16_t(node[1] - node[0]) * kRepeat;
        std::memcpy(tile.from + i, &from, sizeof from);
        std::memcpy(tile.rise + i, &rise, sizeof rise);
    }
    for (int i = 0; i < count; ++i) {
        const int16_t sum = int16_t(8 * tile.from[i] + tile.rise[i] * tile.eighths[i]);
        out[i] = int16_t((int16_t(sum + 4) + (sum >> 15)) >> 3);
    }
}

void interpolate_down(const int16_t* __restrict upper, const int16_t* __restrict lower, int eighths, int count, int16_t* __restrict out) {
    for (int i = 0; i < count; ++i) out[i] = int16_t(8 * upper[i] + (lower[i] - upper[i]) * eighths);
}

// Weights and whole displacements, shared by all planes
template <bool kHalf>
void split(Tile& tile, int first, int last) {
    constexpr int kBits = kHalf ? 11 : 10, kMask = (1 << kBits) - 1;
    for (int i = first; i < last; ++i) {
        const int16_t fraction = tile.dx[i] & kMask;
        tile.fx[i] = int16_t((fraction + (1 << (kBits - 8)) - 1 + (fraction >> (kBits - 1))) >> (kBits - 7));
        tile.fy[i] = int16_t(tile.dy[i] * (1 << (16 - kBits)));
        tile.place[i] = int16_t((tile.dy[i] >> kBits) * 256 + (tile.dx[i] >> kBits));
    }
}

// First pixel after i whose whole displacement is another
int stretch_end(const int16_t* place, int i, int last) {
    for (++i; i + 4 <= last; i += 4) {
        uint64_t here, before;
        std::memcpy(&here, place + i, sizeof here);
        std::memcpy(&before, place + i - 1, sizeof before);
        if (here != before) break;
    }
    while (i < last && place[i] == place[i - 1]) ++i;
    return i;
}

// Taps of pixels [first, last) of all planes. Copies run up to 15 bytes past a stretch; the next stretch overwrites them, and the source
// has a border to read from.
void gather(const PlaneJob& job, Tile& tile, int planes, int x, int y, int first, int last, int bits) {
    const ptrdiff_t stride = job.source_stride;
    for (int i = first; i < last;) {
        const int end = stretch_end(tile.place, i, last);
        const ptrdiff_t offset = (y + (tile.dy[i] >> bits)) * stride + x + (tile.dx[i] >> bits);
        for (int plane = 0; plane < planes; ++plane) {
            const uint8_t* source = job.source[plane] + offset;
            for (int j = i; j < end; j += kChunk) {
                std::memcpy(tile.tap[plane][0] + j, source + j, kChunk);
                std::memcpy(tile.tap[plane][1] + j, source + j + 1, kChunk);
                std::memcpy(tile.tap[plane][2] + j, source + j + stride, kChunk);
                std::memcpy(tile.tap[plane][3] + j, source + j + stride + 1, kChunk);
            }
        }
        i = end;
    }
}

// ---- pixels

// Bilinear sample, gain, noise, rounding
template <bool kHalf, bool kGain, bool kNoise>
void shade(const Tile& tile, int plane, int noise_q15, int first, int last, uint8_t* __restrict out) {
    constexpr int16_t kZero = kHalf ? 128 << 7 : 0;  // taps are biased by -128, which is where chroma has its zero
    for (int i = first; i < last; ++i) {
        const int8_t* tap = tile.tap[plane][0] + i;
        const int16_t upper = int16_t(128 * tap[0] + tile.fx[i] * (tap[kRoom] - tap[0]));
        const int16_t lower = int16_t(128 * tap[2 * kRoom] + tile.fx[i] * (tap[3 * kRoom] - tap[2 * kRoom]));
        int16_t value = blend_q16(upper, lower, tile.fy[i]);
        if (!kGain && !kNoise) {
            out[i] = uint8_t(((value + 64) >> 7) + 128);
            continue;
        }
        if (!kHalf) value = int16_t(value + (128 << 7));
        if (kGain) {
            const int16_t change = scale_q15(value, tile.gain[i]);
            // Chroma, at most 16384 (1 + 7/8), needs no limit; other values are not negative, so 32767 - value is legal
            value = int16_t(value + (kHalf ? change : std::min<int16_t>(change, int16_t(32767 - value))));
        }
        // Half of value + noise, rounded down: fits, and loses nothing that rounding to levels would see
        int16_t half = int16_t(value >> 1);
        if (kNoise) {
            const int16_t noise = scale_q15(int16_t(256 * tile.noise[i]), int16_t(noise_q15));
            half = int16_t((value & noise) + ((value ^ noise) >> 1));
        }
        half = std::max<int16_t>(std::min<int16_t>(half, 16383 - kZero / 2), -kZero / 2);
        out[i] = uint8_t(std::min<int16_t>(int16_t(half + kZero / 2 + 32) >> 6, 255));
    }
}

// R G B side by side
void interleave(Tile& tile, int count, uint8_t* __restrict out) {
    int x = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    // Two pixels at a time, 6 bytes stored 8 wide: the next two overwrite the rest, and the last two are left to the loop below
    for (int i = 0; i < count; ++i) {
        tile.word[i] = uint32_t(tile.planar[0][i] | tile.planar[1][i] << 8 | tile.planar[2][i] << 16);
    }
    for (; x + 2 < count; x += 2) {
        uint64_t pair;
        std::memcpy(&pair, tile.word + x, sizeof pair);
        pair = (pair & 0xffffff) | pair >> 32 << 24;
        std::memcpy(out + 3 * x, &pair, sizeof pair);
    }
#endif
    for (; x < count; ++x) {
        for (int plane = 0; plane < 3; ++plane) out[3 * x + plane] = tile.planar[plane][x];
    }
}

// Whether the nodes over a chunk (5, chroma 9, of both rows) are all zero in every grid
bool all_zero(const int16_t* node, int grid_width, int grid_nodes, int fields, int cells) {
    int any = 0;
    for (int field = 0; field < fields; ++field) {
        for (int row = 0; row < 2; ++row) {
            const int16_t* n = node + field * grid_nodes + row * grid_width;
            for (int i = 0; i <= cells; ++i) any |= n[i];
        }
    }
    return any == 0;
}

template <Layer kLayer, bool kGain, bool kNoise>
void render_tile(const PlaneJob& job, Tile& tile, int x) {
    constexpr bool kHalf = kLayer == Layer::chroma;
    constexpr int kPlanes = plane_count(kLayer), kRows = kHalf ? 2 : 4, kFields = kGain ? 3 : 2;
    const int grid_nodes = job.grid_width * job.grid_height, count = std::min(kTile, job.width - x);
    const int16_t* upper = job.nodes + x / kRows;
    int16_t* field_row[3] = {tile.dx, tile.dy, tile.gain};
    for (int field = 0; field < kFields; ++field) interpolate_across<kHalf>(upper + field * grid_nodes, count, tile, tile.across[0][field]);

    for (int y = 0, from = 0; y < job.height; y += kRows, upper += job.grid_width, from ^= 1) {
        // Once for the strip: pixel fields of its lower nodes (the upper ones are the last strip's), what moves
        for (int field = 0; field < kFields; ++field) {
            interpolate_across<kHalf>(upper + job.grid_width + field * grid_nodes, count, tile, tile.across[from ^ 1][field]);
        }
        bool moves[kTile / kChunk + 1] = {};
        for (int i = 0; i < count; i += kChunk) {
            const int cells = (std::min(kChunk, count - i) + kRows - 1) / kRows;
            moves[i / kChunk] = kNoise || !all_zero(upper + i / kRows, job.grid_width, grid_nodes, kFields, cells);
        }

        for (int row = 0; row < std::min(kRows, job.height - y); ++row) {
            const RowTarget target = row_target(job, y + row);
            uint8_t* out[3] = {};
            for (int plane = 0; plane < kPlanes; ++plane) out[plane] = job.packed ? tile.planar[plane] : target.row[plane] + x;

            for (int first = 0, last; first < count; first = last) {
                const bool moving = moves[first / kChunk];
                last = first + kChunk;
                while (last < count && moves[last / kChunk] == moving) last += kChunk;
                last = std::min(last, count);

                // Nothing moves or changes: copy
                if (!moving) {
                    for (int plane = 0; plane < kPlanes; ++plane) {
                        const uint8_t* source = job.source[plane] + ptrdiff_t(y + row) * job.source_stride + x;
                        uint8_t* __restrict to = out[plane];
                        for (int i = first; i < last; ++i) to[i] = source[i] ^ 128;
                    }
                    continue;
                }

                for (int field = 0; field < kFields; ++field) {
                    interpolate_down(tile.across[from][field] + first, tile.across[from ^ 1][field] + first, cell_eighths(row, kHalf),
                                     last - first, field_row[field] + first);
                }
                split<kHalf>(tile, first, last);
                gather(job, tile, kPlanes, x, y + row, first, last, kHalf ? 11 : 10);
                for (int plane = 0; plane < kPlanes; ++plane) {
                    if (kNoise) {
                        for (int i = first; i < last; i += kNoiseRun) noise_run(job, plane, x + i, y + row, tile.noise + i);
                    }
                    shade<kHalf, kGain, kNoise>(tile, plane, job.noise_q15, first, last, out[plane]);
                }
            }
            if (kPlanes == 3 && job.packed) interleave(tile, count, target.row[0] + 3 * x);
        }
    }
}

template <Layer kLayer, bool kGain, bool kNoise>
void planes(const PlaneJob& job) {
    Tile tile{};
    for (int i = 0; i < kTile; ++i) tile.eighths[i] = int16_t(cell_eighths(i, kLayer == Layer::chroma));
    for (int x = 0; x < job.width; x += kTile) render_tile<kLayer, kGain, kNoise>(job, tile, x);
}

template <Layer kLayer>
void planes_of(const PlaneJob& job) {
    if (job.gain) return job.noise_q15 ? planes<kLayer, true, true>(job) : planes<kLayer, true, false>(job);
    return job.noise_q15 ? planes<kLayer, false, true>(job) : planes<kLayer, false, false>(job);
}

}  // namespace

void render_planes_scalar(const PlaneJob& job) {
    if (job.layer == Layer::rgb) return planes_of<Layer::rgb>(job);
    if (job.layer == Layer::luma) return planes_of<Layer::luma>(job);
    planes_of<Layer::chroma>(job);
}

}  // namespace mie
