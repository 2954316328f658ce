// jpeg: what every backend receives; plain data.
#pragma once
#include <cstdint>

namespace mie {

constexpr int kJpegVersion = 1;  // raise it when any output byte changes: plans name it
constexpr int kMaxJpegSidePx = 8192;

constexpr int kBlock = 8, kMcu = 16;              // luma px a side of a block, of a 4:2:0 unit
constexpr int kTileWidth = 32, kTileBlocks = 12;  // two units side by side: 8 luma blocks, 2 of Cb, 2 of Cr

// Two units of a frame, edges replicated: luma 32 x 16 px, chroma 16 x 8 px each
struct JpegTile {
    const uint8_t* plane[3];
    int32_t stride[3];
    int32_t units;                    // 1 or 2: the second may lie beyond the image
    int32_t luma_columns, luma_rows;  // blocks that hold a pixel of the image, 1..4 and 1..2; the others are coded as empty
};

// Quantised coefficients in zigzag order: luma 0-3 above 4-7, Cb 8-9, Cr 10-11
struct JpegBlocks {
    alignas(64) int16_t zigzag[kTileBlocks][64];
    uint64_t nonzero[kTileBlocks];  // bit k: coefficient k is not zero
};

// round(x / (8 q)), halves away from zero, as ((|x| + half) * reciprocal >> 16) * scale >> 16; exact for |x| + half < 2^15
struct Quantiser {
    alignas(64) uint16_t half[64], reciprocal[64], scale[64];  // natural order
};

// Codes with room for the value's own bits: bits << 5 | length, less the category, so that adding a JpegTables::value completes it
struct HuffmanCodes {
    uint32_t dc[16];                 // by category
    uint32_t ac[256];                // by run << 4 | category
    alignas(64) uint16_t code[192];  // AC codes by category << 4 | run
    alignas(64) uint8_t length[192];
};

struct JpegTables {
    Quantiser quantiser[2];  // luma, chroma
    HuffmanCodes huffman[2];
    uint16_t value[4096];  // by value + 2048: its own bits << 5 | their number (the category)
};

constexpr uint8_t kZigzag[64] = {0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
                                 41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
                                 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

}  // namespace mie
