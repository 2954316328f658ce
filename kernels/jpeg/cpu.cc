// file = header, Huffman(quantise(DCT(samples - 128))) of 16 x 16 px units, end marker: ITU-T T.81 baseline, 4:2:0, tables of Annex K.
// The same bytes as libjpeg's accurate integer transform. Traffic per pixel: 1.5 bytes read, about half a byte written twice.
// The scalar path, for any processor, and the walk over a frame that all paths share.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#define MIE_TARGET  // any processor
#include "coding.h"
#include "dct.h"
#include "encoder.h"
#include "tables.h"

namespace mie {
namespace {

template <int kShift>
int32_t round_shift(int32_t x) {
    return (x + (1 << (kShift - 1))) >> kShift;
}

// Eight values `step` apart, in place
template <bool kRows>
void dct_line(int32_t* v, int step) {
    constexpr int kShift = kRows ? kRowShift : kColumnShift;
    int32_t sum[4], t[4];  // t: inputs 3-4, 2-5, 1-6, 0-7 subtracted
    for (int i = 0; i < 4; ++i) sum[i] = v[i * step] + v[(7 - i) * step], t[3 - i] = v[i * step] - v[(7 - i) * step];
    const int32_t t10 = sum[0] + sum[3], t13 = sum[0] - sum[3], t11 = sum[1] + sum[2], t12 = sum[1] - sum[2];
    v[0] = kRows ? (t10 + t11) * (1 << kPassBits) : round_shift<kPassBits>(t10 + t11);
    v[4 * step] = kRows ? (t10 - t11) * (1 << kPassBits) : round_shift<kPassBits>(t10 - t11);
    v[2 * step] = round_shift<kShift>(t12 * kEven2[0] + t13 * kEven2[1]);
    v[6 * step] = round_shift<kShift>(t12 * kEven6[0] + t13 * kEven6[1]);
    for (int i = 0; i < 4; ++i)
        v[(2 * i + 1) * step] = round_shift<kShift>(t[0] * kOdd[i][0] + t[1] * kOdd[i][1] + t[2] * kOdd[i][2] + t[3] * kOdd[i][3]);
}

void transform_block(const uint8_t* samples, int stride, const Quantiser& q, int16_t zigzag[64], uint64_t& nonzero) {
    int32_t v[64];
    for (int i = 0; i < 64; ++i) v[i] = samples[i / 8 * int64_t(stride) + i % 8] - 128;
    for (int y = 0; y < 8; ++y) dct_line<true>(v + 8 * y, 1);
    for (int x = 0; x < 8; ++x) dct_line<false>(v + x, 8);
    nonzero = 0;
    for (int k = 0; k < 64; ++k) {
        const int i = kZigzag[k];
        const uint32_t magnitude = ((uint32_t(std::abs(v[i])) + q.half[i]) * q.reciprocal[i] >> 16) * q.scale[i] >> 16;
        zigzag[k] = int16_t(v[i] < 0 ? -int32_t(magnitude) : int32_t(magnitude));
        nonzero |= uint64_t(magnitude != 0) << k;
    }
}

struct Path {
    void (*transform)(const JpegTile&, const JpegTables&, JpegBlocks&);
    void (*code)(const JpegBlocks&, const JpegTile&, const JpegTables&, JpegStream&);
};

Path path_of(SimdLevel level) {
#if defined(__x86_64__)
    if (level == SimdLevel::avx512) return {transform_avx512, code_avx512};
    if (level == SimdLevel::avx2) return {transform_avx2, code_avx2};
#endif
    (void)level;
    return {transform_scalar, code_scalar};
}

// A tile that reaches over the edge of the image: its last column and row repeated
struct EdgeTile {
    uint8_t luma[kMcu * kTileWidth], chroma[2][kMcu / 2 * kTileWidth / 2];
};

void copy_edge(const uint8_t* from, int width, int height, int x0, int y0, int tile_width, int tile_height, uint8_t* to) {
    const int inside = std::min(tile_width, width - x0);
    for (int y = 0; y < tile_height; ++y, to += tile_width) {
        const uint8_t* row = from + std::min(y0 + y, height - 1) * int64_t(width);
        std::memcpy(to, row + x0, size_t(inside));
        std::memset(to + inside, row[width - 1], size_t(tile_width - inside));
    }
}

// 0xff in coded data is followed by 0; returns the end. Up to a word past both ends is read and written.
uint8_t* stuff(const uint8_t* from, const uint8_t* last, uint8_t* to) {
    constexpr uint64_t kOnes = 0x0101010101010101, kTops = 0x8080808080808080;
    while (from < last) {
        uint64_t word;
        std::memcpy(&word, from, sizeof word);
        std::memcpy(to, &word, sizeof word);
        const auto inside = std::min<int64_t>(sizeof word, last - from);
        const uint64_t found = ((word & ~kTops) + kOnes) & word & kTops;  // the top bit of every 0xff
        const int64_t plain = found ? __builtin_clzll(first_byte_on_top(found)) / 8 : int64_t(sizeof word);
        if (plain >= inside) {
            from += inside, to += inside;
        } else {
            from += plain + 1, to += plain + 1;
            *to++ = 0;
        }
    }
    return to;
}

}  // namespace

void transform_scalar(const JpegTile& tile, const JpegTables& tables, JpegBlocks& blocks) {
    const auto block = [&](int b, int plane, int x, int y) {
        const uint8_t* samples = tile.plane[plane] + y * int64_t(tile.stride[plane]) + x;
        transform_block(samples, tile.stride[plane], tables.quantiser[plane > 0], blocks.zigzag[b], blocks.nonzero[b]);
    };
    for (int b = 0; b < 8; ++b) block(b, 0, b % 4 * kBlock, b / 4 * kBlock);
    for (int b = 0; b < 4; ++b) block(8 + b, 1 + b / 2, b % 2 * kBlock, 0);
}

void code_scalar(const JpegBlocks& blocks, const JpegTile& tile, const JpegTables& tables, JpegStream& stream) {
    code_tile(blocks, tile, tables, stream, [&](BitWriter& bits, const int16_t* zigzag, uint64_t nonzero, const HuffmanCodes& codes) {
        code_ac(bits, zigzag, nonzero, codes, tables.value + 2048);
    });
}

JpegEncoder::JpegEncoder(int quality, SimdLevel level) : quality_(quality), level_(level) {
    if (quality < 1 || quality > 100) throw std::invalid_argument("jpeg: quality is " + std::to_string(quality) + ", allowed is 1..100");
    tables_ = make_jpeg_tables(quality);
}

void JpegEncoder::encode(const uint8_t* frame, int width, int height, std::vector<uint8_t>& file) {
    if (width < 1 || height < 1 || width > kMaxJpegSidePx || height > kMaxJpegSidePx)
        throw std::invalid_argument("jpeg: frame of " + std::to_string(width) + " x " + std::to_string(height) +
                                    " px, sides of 1..8192 are allowed");
    if (width != width_ || height != height_) {
        header_ = make_jpeg_header(quality_, width, height);
        width_ = width, height_ = height;
    }
    const Path path = path_of(level_);
    const int chroma_width = (width + 1) / 2, chroma_height = (height + 1) / 2;
    const int64_t luma_size = int64_t(width) * height, chroma_size = int64_t(chroma_width) * chroma_height;
    const uint8_t* planes[3] = {frame, frame + luma_size, frame + luma_size + chroma_size};

    // Units from left to right, two at a time
    const size_t row_bytes = size_t((width + kTileWidth - 1) / kTileWidth) * kTileBytes;
    JpegStream stream;
    size_t size = 0;
    EdgeTile edge;
    for (int y = 0; y < height; y += kMcu) {
        if (coded_.size() < size + row_bytes) coded_.resize(2 * size + row_bytes);
        stream.to = coded_.data() + size;
        for (int x = 0; x < width; x += kTileWidth) {
            JpegTile tile{};
            tile.units = std::min(2, (width - x + kMcu - 1) / kMcu);
            tile.luma_columns = std::min(4, (width - x + kBlock - 1) / kBlock);
            tile.luma_rows = std::min(2, (height - y + kBlock - 1) / kBlock);
            if (x + kTileWidth <= width && y + kMcu <= height) {
                for (int p = 0; p < 3; ++p) {
                    const int half = p > 0;
                    tile.stride[p] = half ? chroma_width : width;
                    tile.plane[p] = planes[p] + (y >> half) * int64_t(tile.stride[p]) + (x >> half);
                }
            } else {
                copy_edge(planes[0], width, height, x, y, kTileWidth, kMcu, edge.luma);
                tile.plane[0] = edge.luma, tile.stride[0] = kTileWidth;
                for (int p = 1; p < 3; ++p) {
                    copy_edge(planes[p], chroma_width, chroma_height, x / 2, y / 2, kTileWidth / 2, kMcu / 2, edge.chroma[p - 1]);
                    tile.plane[p] = edge.chroma[p - 1], tile.stride[p] = kTileWidth / 2;
                }
            }
            path.transform(tile, tables_, blocks_);
            path.code(blocks_, tile, tables_, stream);
        }
        size = size_t(stream.to - coded_.data());
    }

    // The last byte is filled with ones
    if (stream.used) coded_[size++] = uint8_t(stream.pending >> 56 | 0xff >> stream.used);

    // Header, coded bytes, end marker
    file.resize(header_.size() + 2 * size + sizeof(uint64_t));  // were every byte 0xff
    std::memcpy(file.data(), header_.data(), header_.size());
    uint8_t* end = stuff(coded_.data(), coded_.data() + size, file.data() + header_.size());
    *end++ = 0xff, *end++ = 0xd9;
    file.resize(size_t(end - file.data()));
}

}  // namespace mie
