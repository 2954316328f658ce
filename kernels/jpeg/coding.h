// Entropy coding that all paths share: the bit stream, the order of blocks, one block coefficient by coefficient.
// A path includes this after defining MIE_TARGET, its instruction set, for which everything here is compiled.
#pragma once
#include <cstring>

#include "paths.h"

#define MIE_SHARED MIE_TARGET __attribute__((always_inline)) inline

namespace mie {
namespace {

// A word in the order of its bytes in memory: the first byte at the top
MIE_SHARED uint64_t first_byte_on_top(uint64_t word) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return word;
#else
    return __builtin_bswap64(word);
#endif
}

// Bits go to the top of a 64-bit word that is stored whole; whole bytes then leave it. At most 56 bits at a time.
struct BitWriter {
    uint64_t pending;  // first bit at the top
    uint32_t used;     // 0..7
    uint8_t* to;

    MIE_SHARED void put(uint64_t bits, uint32_t length) {
        pending |= bits << ((64 - used - length) & 63);  // nothing to put: no bits either
        const uint64_t stored = first_byte_on_top(pending);
        std::memcpy(to, &stored, sizeof stored);
        used += length;
        to += used >> 3;
        pending <<= used & 56;
        used &= 7;
    }
    MIE_SHARED void put_entry(uint32_t entry) { put(entry >> 5, entry & 31); }  // bits << 5 | length
};

// A run of 16 zeros or more is cut by ZRL symbols: "coefficients" of value 0 after 15 zeros. Marks them.
MIE_SHARED uint64_t with_long_runs(uint64_t nonzero) {
    const uint64_t known = nonzero | 1;  // runs begin after the DC coefficient
    uint64_t near = known | known << 1;
    near |= near << 2;
    near |= near << 4;
    near |= near << 8;
    for (uint64_t late = nonzero & ~(near << 1); late; late &= late - 1) {
        const int k = __builtin_ctzll(late), before = 63 - __builtin_clzll(known & ((uint64_t(1) << k) - 1));
        for (int zrl = before + 16; zrl < k; zrl += 16) nonzero |= uint64_t(1) << zrl;
    }
    return nonzero;
}

MIE_SHARED void code_dc(BitWriter& bits, int difference, const HuffmanCodes& codes, const uint16_t* value) {
    const uint32_t own = value[difference];
    bits.put_entry(codes.dc[own & 31] + own);
}

// AC coefficients one after the other, two to a word. `value` points at the entry of 0. The loop is counted: with the mask itself as its
// condition it took twice as long.
MIE_SHARED void code_ac(BitWriter& bits, const int16_t* zigzag, uint64_t nonzero, const HuffmanCodes& codes, const uint16_t* value) {
    nonzero = with_long_runs(nonzero & ~uint64_t(1));
    int before = 0;
    const auto entry = [&](uint64_t left) __attribute__((always_inline)) MIE_TARGET {
        const int k = __builtin_ctzll(left);
        const uint32_t own = value[zigzag[k]], run = uint32_t(k - before - 1) & 15;
        before = k;
        return codes.ac[run << 4 | (own & 31)] + own;
    };
    const auto put_two = [&](uint32_t a, uint32_t b) __attribute__((always_inline)) MIE_TARGET {
        bits.put(uint64_t(a >> 5) << (b & 31) | b >> 5, (a & 31) + (b & 31));
    };
    uint64_t left = nonzero;
    for (int pairs = __builtin_popcountll(left) / 2; pairs > 0; --pairs) {
        const uint32_t a = entry(left);
        left &= left - 1;
        const uint32_t b = entry(left);
        left &= left - 1;
        put_two(a, b);
    }

    // One more or none, and the end of the block where zeros follow; without branches, which would often be mispredicted
    const uint32_t has_one = left != 0, has_end = !(nonzero >> 63);
    put_two(entry(left | uint64_t(1) << 63) & (0 - has_one), codes.ac[0] & (0 - has_end));
}

// Both units of a tile, block after block: `code(bits, zigzag, nonzero, codes)` writes the AC coefficients of one.
template <class Code>
MIE_SHARED void code_tile(const JpegBlocks& blocks, const JpegTile& tile, const JpegTables& tables, JpegStream& stream, Code code) {
    BitWriter bits{stream.pending, stream.used, stream.to};
    const uint16_t* value = tables.value + 2048;
    const auto block = [&](int plane, int b) __attribute__((always_inline)) MIE_TARGET {
        const HuffmanCodes& codes = tables.huffman[plane > 0];
        const int dc = blocks.zigzag[b][0];
        code_dc(bits, dc - stream.dc[plane], codes, value);
        stream.dc[plane] = dc;
        code(bits, blocks.zigzag[b], blocks.nonzero[b], codes);
    };
    for (int unit = 0; unit < tile.units; ++unit) {
        for (int i = 0; i < 4; ++i) {
            const int column = 2 * unit + i % 2, row = i / 2;
            if (column < tile.luma_columns && row < tile.luma_rows) {
                block(0, 4 * row + column);
            } else {  // wholly outside the image: the DC of the block before, nothing else
                bits.put_entry(tables.huffman[0].dc[0]);
                bits.put_entry(tables.huffman[0].ac[0]);
            }
        }
        block(1, 8 + unit);
        block(2, 10 + unit);
    }
    stream.pending = bits.pending, stream.used = bits.used, stream.to = bits.to;
}

}  // namespace
}  // namespace mie
