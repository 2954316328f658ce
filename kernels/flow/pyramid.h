// uint8 frames to the images of all levels. The two directions of a filter run a row apart, so that no load meets a store under way.
#pragma once
#include "buffers.h"
#include "lanes.h"

namespace mie {
namespace {

// Calls down(y, line) for every row and, once the next row is under way, across(y, line)
template <class Down, class Across>
MIE_INLINE void two_passes(FlowBuffers& all, int rows, Down down, Across across) {
    const int stride = all.padded_width + 96;
    int16_t* const lines[2] = {all.lines.get() + 32, all.lines.get() + 32 + stride};
    for (int y = 0; y <= rows; ++y) {
        if (y < rows) down(y, lines[y & 1]);
        if (y > 0) across(y - 1, lines[(y - 1) & 1]);
    }
}

// [1 6 1]/8 in y and x, mirrored at the border
void prefilter(FlowBuffers& all, const uint8_t* grey, int64_t stride, const FlowImage& out) {
    const int w = out.width, h = out.height;
    const I16 six = all_of16(6);
    two_passes(
        all, h,
        [&](int y, int16_t* line) {
            const uint8_t* middle = grey + y * stride;
            const uint8_t *above = y ? middle - stride : middle + stride, *below = y < h - 1 ? middle + stride : middle - stride;
            for (int x = 0; x < w; x += kShorts) store(line + x, widen(above + x) + widen(below + x) + six * widen(middle + x));
            line[-1] = line[1];
            line[w] = line[w - 2];
        },
        [&](int y, const int16_t* line) {
            int16_t* to = out.row(y);
            for (int x = 0; x < w; x += kShorts) store(to + x, loads(line + x - 1) + loads(line + x + 1) + six * loads(line + x));
        });
}

// [1 3 3 1]/8 in y and x at every second sample, the edge repeated
void halve(FlowBuffers& all, const FlowImage& in, const FlowImage& out) {
    const I16 odd_index = short_index() & 1, first = 1 + 2 * odd_index, second = 3 - 2 * odd_index;  // 1 3 1 3 .. and 3 1 3 1 ..
    two_passes(
        all, out.height,
        [&](int y, int16_t* line) {
            const int16_t *r1 = in.row(2 * y), *r2 = in.row(2 * y + 1);
            const int16_t *r0 = y ? in.row(2 * y - 1) : r1, *r3 = y < out.height - 1 ? in.row(2 * y + 2) : r2;
            for (int x = 0; x < in.width; x += kShorts) {
                const I16 inner = average(loads(r1 + x), loads(r2 + x)), outer = average(loads(r0 + x), loads(r3 + x));
                store(line + x, average(average(outer, inner), inner));
            }
            line[-1] = line[0];
            line[in.width] = line[in.width - 1];
        },
        [&](int y, const int16_t* line) {
            int16_t* to = out.row(y);
            for (int x = 0; x < in.width; x += kShorts) {  // pairs (2i - 1, 2i) and (2i + 1, 2i + 2)
                const I32 sum = madd(loads(line + x - 1), first) + madd(loads(line + x + 1), second);
                store(to + x / 2, narrow((sum + 4) >> 3));
            }
        });
}

void build_pyramid(FlowBuffers& all, const uint8_t* grey, int64_t stride, bool onset) {
    const auto image = [&](int l) -> const FlowImage& { return onset ? all.level[l]->a : all.level[l]->b; };
    prefilter(all, grey, stride, image(0));
    for (int l = 1; l < all.levels; ++l) halve(all, image(l - 1), image(l));
}

}  // namespace
}  // namespace mie
