#include "tables.h"

#include <algorithm>

namespace mie {
namespace {

// Annex K.1, luma and chroma, zigzag order
constexpr uint8_t kSteps[2][64] = {
    {16, 11,  12, 14, 12, 10, 16,  14,  13,  14, 18, 17,  16,  19,  24,  40,  26, 24,  22,  22, 24, 49,
     35, 37,  29, 40, 58, 51, 61,  60,  57,  51, 56, 55,  64,  72,  92,  78,  64, 68,  87,  69, 55, 56,
     80, 109, 81, 87, 95, 98, 103, 104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99},
    {17, 18, 18, 24, 21, 24, 47, 26, 26, 47, 99, 66, 56, 66, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
     99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99}};

// Annex K.3: how many codes of each length 1..16, then the symbols (run << 4 | category) in the order of their codes
constexpr uint8_t kDcCounts[2][16] = {{0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0}, {0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0}};
constexpr uint8_t kDcSymbols[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
constexpr uint8_t kAcCounts[2][16] = {{0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125},
                                      {0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119}};
constexpr uint8_t kAcSymbols[2][162] = {
    {0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71, 0x14, 0x32, 0x81,
     0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18,
     0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
     0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75,
     0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
     0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
     0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5,
     0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa},
    {0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22, 0x32, 0x81, 0x08,
     0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25,
     0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47,
     0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74,
     0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97,
     0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba,
     0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe2, 0xe3, 0xe4,
     0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa}};

int step_of(int table, int zigzag, int quality) {
    const int percent = quality < 50 ? 5000 / quality : 200 - 2 * quality;
    return std::clamp((kSteps[table][zigzag] * percent + 50) / 100, 1, 255);
}

void fill(Quantiser& q, int table, int quality) {
    for (int k = 0; k < 64; ++k) {
        const uint32_t divisor = 8 * uint32_t(step_of(table, k, quality));
        int shift = 0;
        while ((uint32_t(2) << shift) < divisor) ++shift;  // the most for which the reciprocal has 16 bits
        q.half[kZigzag[k]] = uint16_t(divisor / 2);
        q.reciprocal[kZigzag[k]] = uint16_t(((uint32_t(1) << (16 + shift)) + divisor - 1) / divisor);
        q.scale[kZigzag[k]] = uint16_t(1 << (16 - shift));
    }
}

// Calls each(symbol, code, length): codes of one length are consecutive, the next length goes on at twice the value.
template <class Each>
void codes(const uint8_t counts[16], const uint8_t* symbols, Each each) {
    uint32_t code = 0;
    for (int length = 1; length <= 16; ++length, code <<= 1)
        for (int i = 0; i < counts[length - 1]; ++i) each(*symbols++, code++, length);
}

void fill(HuffmanCodes& h, int table) {
    const auto entry = [](uint32_t code, int length, int category) {
        return (code << category << 5 | uint32_t(length + category)) - uint32_t(category);
    };
    codes(kDcCounts[table], kDcSymbols, [&](int symbol, uint32_t code, int length) { h.dc[symbol] = entry(code, length, symbol); });
    codes(kAcCounts[table], kAcSymbols[table], [&](int symbol, uint32_t code, int length) {
        const int category = symbol & 15, by_category = category << 4 | symbol >> 4;
        h.ac[symbol] = entry(code, length, category);
        h.code[by_category] = uint16_t(code), h.length[by_category] = uint8_t(length);
    });
}

struct Bytes {
    std::vector<uint8_t> all;
    void put(std::initializer_list<int> bytes) { all.insert(all.end(), bytes.begin(), bytes.end()); }
    void put(const uint8_t* bytes, int count) { all.insert(all.end(), bytes, bytes + count); }
    void put_huffman(int id, const uint8_t counts[16], const uint8_t* symbols, int count) {
        put({0xff, 0xc4, 0, 19 + count, id});
        put(counts, 16), put(symbols, count);
    }
};

}  // namespace

JpegTables make_jpeg_tables(int quality) {
    JpegTables t{};
    for (int table = 0; table < 2; ++table) fill(t.quantiser[table], table, quality), fill(t.huffman[table], table);
    for (int v = -2047; v <= 2047; ++v) {
        int category = 0;
        while (std::max(v, -v) >> category) ++category;
        const int bits = v < 0 ? v + (1 << category) - 1 : v;
        t.value[v + 2048] = uint16_t(bits << 5 | category);
    }
    return t;
}

std::vector<uint8_t> make_jpeg_header(int quality, int width, int height) {
    Bytes b;
    b.put({0xff, 0xd8});
    b.put({0xff, 0xe0, 0, 16, 'J', 'F', 'I', 'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0});  // 1.01, square pixels, no thumbnail
    for (int table = 0; table < 2; ++table) {
        b.put({0xff, 0xdb, 0, 67, table});
        for (int k = 0; k < 64; ++k) b.put({step_of(table, k, quality)});
    }
    b.put({0xff, 0xc0, 0, 17, 8, height >> 8, height & 255, width >> 8, width & 255, 3});
    b.put({1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1});  // component, samples per unit (2 x 2, 1, 1), quantisation table
    for (int table = 0; table < 2; ++table) {
        b.put_huffman(table, kDcCounts[table], kDcSymbols, 12);
        b.put_huffman(0x10 | table, kAcCounts[table], kAcSymbols[table], 162);
    }
    b.put({0xff, 0xda, 0, 12, 3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0});
    return b.all;
}

}  // namespace mie
