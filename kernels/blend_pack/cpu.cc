// blend_pack on the CPU: out = (256 m source + (65536 - m) level + 2^23) >> 24, m and level from tables of the rounded heads.
// Reads 19 and writes 3 bytes per pixel. The definition is ref.py; tables of 384 KB are made once.
#include <cmath>
#include <vector>

#include "params.h"

namespace mie {
namespace {

constexpr int kHalf = 32768;

struct Tables {
    std::vector<uint16_t> level_q8;
    std::vector<uint32_t> mask_q16;
    Tables() : level_q8(2 * kHalf + 1), mask_q16(2 * kHalf + 1) {
        for (int at = -kHalf; at <= kHalf; ++at) {
            level_q8[size_t(at + kHalf)] = uint16_t(std::rint(256 * 127.5 * (std::tanh(at / 4096.0) + 1)));
            mask_q16[size_t(at + kHalf)] = uint32_t(std::rint(65536 / (1 + std::exp(-at / 2048.0))));
        }
    }
};

// Nearest step, ties to even, as an index.
inline size_t index_of(float value, float limit, float steps) {
    const float scaled = (value < -limit ? -limit : value > limit ? limit : value) * steps;
    return size_t(int32_t(std::nearbyintf(scaled)) + kHalf);
}

}  // namespace

bool blend_pack(const BlendPackParams& p) {
    static const Tables tables;
    for (int64_t n = 0; n < p.count; ++n) {
        const float *red = p.color + 3 * n * p.pixels, *mask = p.mask + n * p.pixels;
        const uint8_t* source = p.source + 3 * n * p.pixels;
        uint8_t* out = p.packed + 3 * n * p.pixels;
        for (int64_t i = 0; i < p.pixels; ++i) {
            // A sum of differences with itself is 0 for finite numbers alone.
            const float finite = (mask[i] - mask[i]) + (red[i] - red[i]) + (red[i + p.pixels] - red[i + p.pixels]) +
                                 (red[i + 2 * p.pixels] - red[i + 2 * p.pixels]);
            if (!(finite == 0)) return false;
            const uint32_t m = tables.mask_q16[index_of(mask[i], 16, 2048)];
            for (int c = 0; c < 3; ++c) {
                const uint32_t level = tables.level_q8[index_of(red[i + c * p.pixels], 8, 4096)];
                out[3 * i + c] = uint8_t((256 * m * source[3 * i + c] + (65536 - m) * level + (1u << 23)) >> 24);
            }
        }
    }
    return true;
}

}  // namespace mie
