// What the instruction-set paths of jpeg offer: samples of a tile to quantised coefficients, those to bits.
#pragma once
#include "params.h"

namespace mie {

// Where coding stands between tiles; the bytes are not yet stuffed.
struct JpegStream {
    uint64_t pending = 0;
    uint32_t used = 0;
    uint8_t* to = nullptr;  // room for kTileBytes more
    int32_t dc[3] = {};     // last of each plane
};
constexpr int kTileBytes = kTileBlocks * (20 + 63 * 26 + 7) / 8 + 64;  // the longest codes, and one whole word stored at the end

void transform_scalar(const JpegTile& tile, const JpegTables& tables, JpegBlocks& blocks);
void code_scalar(const JpegBlocks& blocks, const JpegTile& tile, const JpegTables& tables, JpegStream& stream);
#if defined(__x86_64__)
void transform_avx2(const JpegTile& tile, const JpegTables& tables, JpegBlocks& blocks);
void code_avx2(const JpegBlocks& blocks, const JpegTile& tile, const JpegTables& tables, JpegStream& stream);
void transform_avx512(const JpegTile& tile, const JpegTables& tables, JpegBlocks& blocks);
void code_avx512(const JpegBlocks& blocks, const JpegTile& tile, const JpegTables& tables, JpegStream& stream);
#endif

}  // namespace mie
