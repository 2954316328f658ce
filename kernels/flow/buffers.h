// The memory of one FlowSolver and what an instruction-set path does with it. Free of vector types, and with all that
// the paths need of the standard library: they compile what they include after this for their own processors only.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "flow.h"

namespace mie {

constexpr int kFlowLevels = 4;  // images at 1, 1/2, 1/4, 1/8
constexpr int kPad = 32;        // a side is filled up to a multiple of this, so that cells halve evenly down the levels

template <class T>
class Aligned {  // zeros; starts on a cache line
  public:
    explicit Aligned(size_t count) : data_(static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t(64)))) {
        std::memset(data_.get(), 0, count * sizeof(T));
    }
    T* get() const { return data_.get(); }

  private:
    struct Free {
        void operator()(T* p) const { ::operator delete(p, std::align_val_t(64)); }
    };
    std::unique_ptr<T, Free> data_;
};

// int16, 64 steps per grey level, with readable memory all around: a shifted stencil may look outside, masks drop what it sees there
struct FlowImage {
    static constexpr int kBorder = 64, kBorderRows = 40;  // the largest shift, the stencil, and a whole vector beside that
    FlowImage(int w, int h)
        : width(w), height(h), stride((w + 31) / 32 * 32 + kBorder), memory(size_t(stride) * (h + 2 * kBorderRows) + kBorder) {}
    int16_t* row(int y) const { return memory.get() + ptrdiff_t(y + kBorderRows) * stride + kBorder; }
    const int width, height, stride;
    Aligned<int16_t> memory;
};

// One linear system (J + w I) f = b + w mean8(f), f = (u, v), on a grid of cells. A row is a sequence of blocks, one vector of every field
// after the other (at() in lanes.h): one pointer serves them all, and the window of rows that a sweep works on is one piece of memory.
struct FlowGrid {
    enum Field { j11, j12, j22, b1, b2, u, v, u2, v2, fields, tt = u2 };  // u2, v2: other buffer of the sweeps; before them, <t t>
    FlowGrid(int w, int h) : width(w), height(h), stride((w + 31) / 32 * 32), memory(size_t(stride) * fields * h) {}
    float* row(int y) const { return memory.get() + ptrdiff_t(y) * stride * fields; }
    const int width, height, stride;
    Aligned<float> memory;
};

struct FlowPlane {
    FlowPlane(int w, int h) : stride((w + 31) / 32 * 32 + 32), memory(size_t(stride) * (h + 1)) {}
    float* row(int y) const { return memory.get() + ptrdiff_t(y) * stride + 16; }  // 16 columns more on either side
    const int stride;
    Aligned<float> memory;
};

struct FlowLevel {
    FlowLevel(int w, int h, int valid_w, int valid_h)
        : a(w, h), b(w, h), cells(w / 4, h / 4), valid_width(valid_w), valid_height(valid_h) {}
    FlowImage a, b;  // onset, later
    FlowGrid cells;  // of 4x4 px
    const int valid_width, valid_height;
};

struct FlowBuffers {
    FlowBuffers(int width, int height);
    const int width, height, padded_width, padded_height;
    std::unique_ptr<FlowLevel> level[kFlowLevels];  // finest first; small images have fewer
    int levels = 0;
    float gain = 1, offset = 0, noise = 0;  // of level 0: onset = gain later + offset; grey levels
    FlowGrid fine;                          // cells of 2x2 px of the finest level
    FlowGrid two_rows;                      // the same of any other level, for one row of cells
    FlowPlane u, v;                         // the result on the cells of `fine`
    FlowPlane local, sum;                   // on the cells of level 1: local gradient, then alpha
    const int key_stride;
    Aligned<int16_t> keys;   // the whole-pixel shift of every pixel, one row per row of cells
    Aligned<int16_t> lines;  // two rows of level 0 with a border
    Aligned<uint8_t> grey;   // a frame filled up
};

// What one instruction set offers
struct FlowPath {
    void (*pyramid)(FlowBuffers&, const uint8_t* grey, int64_t stride, bool onset);  // of a frame of the padded size
    void (*solve)(FlowBuffers&);                                                     // leaves its result in u and v
    void (*full_size)(const FlowBuffers&, float* out_u, float* out_v);
    void (*double_plane)(const float* grid, int grid_width, int grid_height, int width, int height, float* out);
};
extern const FlowPath kFlowPortable;
#if defined(__x86_64__)
extern const FlowPath kFlowAvx2, kFlowAvx512;
#endif

}  // namespace mie
