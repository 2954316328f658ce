// (u, v) on 2 x 2-px cells -> lattice of 2 side points -> strain -> 2 x 2 means -> min-max to 8 bit
// Traffic at 224 x 224 px, side 28: 100 KB of cells read, 2352 bytes written; the lattice (56 x 56) stays in the first-level cache.
// Definition and sources in ref_maps.py; every instruction set gives its bits.
#include "maps.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "../common/simd.h"

namespace mie {
namespace {

constexpr int kLanes = 16;  // minima side by side vectorise; every side * side is a multiple of it

// A field [height][width] inside a border of one ghost sample; the ghosts of the corners stay 0.
struct Ring {
    std::vector<float> sample;
    int width = 0, height = 0, pitch = 0;
    void resize(int w, int h) {
        if (w == width && h == height) return;
        width = w, height = h, pitch = w + 2, sample.assign(size_t(pitch) * (h + 2), 0.0f);
    }
    float* row(int y) { return sample.data() + int64_t(y + 1) * pitch + 1; }
    // Ghosts continue the border in a straight line, or are 0.
    void set_border(bool straight) {
        const auto ghost = [=](float border, float inner) { return straight ? 2 * border - inner : 0; };
        for (int y = 0; y < height; ++y) {
            float* r = row(y);
            r[-1] = ghost(r[0], r[1]), r[width] = ghost(r[width - 1], r[width - 2]);
        }
        for (int x = 0; x < width; ++x) {
            row(-1)[x] = ghost(row(0)[x], row(1)[x]);
            row(height)[x] = ghost(row(height - 1)[x], row(height - 2)[x]);
        }
    }
};

// One row: u, v at its first sample, p samples between rows.
MIE_CLONES void strain_row(const float* u, const float* v, int64_t p, int width, Strain kind, float* target) {
    if (kind == Strain::meb) {
        for (int64_t x = 0; x < width; ++x) {
            const float u_across = (u[x + 1 - p] + 2 * u[x + 1] + u[x + 1 + p]) - (u[x - 1 - p] + 2 * u[x - 1] + u[x - 1 + p]);
            const float v_across = (v[x + 1 - p] + 2 * v[x + 1] + v[x + 1 + p]) - (v[x - 1 - p] + 2 * v[x - 1] + v[x - 1 + p]);
            const float u_down = (u[x - 1 + p] + 2 * u[x + p] + u[x + 1 + p]) - (u[x - 1 - p] + 2 * u[x - p] + u[x + 1 - p]);
            const float v_down = (v[x - 1 + p] + 2 * v[x + p] + v[x + 1 + p]) - (v[x - 1 - p] + 2 * v[x - p] + v[x + 1 - p]);
            target[x] = std::sqrt((2 * (u_down * u_down + v_across * v_across) + (u_across * u_across + v_down * v_down)) * 0.5f);
        }
        return;
    }
    const int64_t back = kind == Strain::true_ ? 1 : 0;
    const float scale = kind == Strain::true_ ? 0.125f : 0.5f;
    for (int64_t x = 0; x < width; ++x) {
        const float xx = u[x + 1] - u[x - back], yy = v[x + p] - v[x - back * p];
        const float shear = (u[x + p] - u[x - back * p]) + (v[x + 1] - v[x - back]);
        target[x] = std::sqrt((2 * (xx * xx + yy * yy) + shear * shear) * scale);
    }
}

void strain_of(Ring& u, Ring& v, Strain kind, float* target) {
    u.set_border(kind == Strain::true_), v.set_border(kind == Strain::true_);
    const int width = u.width, height = u.height;
    for (int y = 0; y < height; ++y) strain_row(u.row(y), v.row(y), u.pitch, width, kind, target + int64_t(y) * width);
    if (kind != Strain::shift) return;
    for (int y = 0; y < height; ++y) target[int64_t(y) * width + width - 1] = target[int64_t(y) * width + width - 2];
    std::copy_n(target + int64_t(height - 2) * width, width, target + int64_t(height - 1) * width);
}

// Weights that take a line of cells to lattice points: the mean over a point's span, or, where it spans less than a cell, linear.
struct Resampling {
    int cells = 0, extent_px = 0, points = 0, taps = 0;
    std::vector<int> first;
    std::vector<float> weight;  // [taps][points]

    void prepare(int n, int extent, int count) {
        if (n == cells && extent == extent_px && count == points) return;
        cells = n, extent_px = extent, points = count, taps = 2;
        first.resize(size_t(points));
        const double width = 2.0 * points, span = extent / width;
        const auto edge = [&](int i) { return double(i) * extent / width; };
        const auto place = [&](int i) { return std::clamp((i + 0.5) * extent / width - 0.5, 0.0, cells - 1.0); };
        for (int i = 0; i < points; ++i) {
            first[size_t(i)] = int(span >= 1 ? std::floor(edge(i)) : std::min(std::floor(place(i)), cells - 2.0));
            if (span >= 1) taps = std::max(taps, int(std::ceil(edge(i + 1))) - first[size_t(i)]);
        }
        weight.resize(size_t(taps) * size_t(points));
        for (int tap = 0; tap < taps; ++tap)
            for (int i = 0; i < points; ++i) {
                const int cell = first[size_t(i)] + tap;
                const double over = std::max(0.0, std::min(edge(i + 1), cell + 1.0) - std::max(edge(i), double(cell))) / span;
                const double part = place(i) - first[size_t(i)];
                weight[size_t(tap) * size_t(points) + size_t(i)] = float(span >= 1 ? over : tap ? part : 1 - part);
            }
    }
};

// total = a * cells_a + b * cells_b, then + weight * cells
MIE_CLONES void join_rows(const float* cells_a, float a, const float* cells_b, float b, int count, float* total) {
    for (int i = 0; i < count; ++i) total[i] = a * cells_a[i] + b * cells_b[i];
}
MIE_CLONES void add_row(const float* cells, float weight, int count, float* total) {
    for (int i = 0; i < count; ++i) total[i] += weight * cells[i];
}

// Two taps along a row; points at distances of 1 or 2 cells, as at 224 px, need no table.
MIE_CLONES void join_across(const int* first, int step, const float* a, const float* b, int last, const float* cells, int count,
                            float* total) {
    if (step == 1)
        for (int i = 0; i < count; ++i) total[i] = a[i] * cells[i] + b[i] * cells[i + 1];
    else if (step == 2)
        for (int i = 0; i < count; ++i) total[i] = a[i] * cells[2 * i] + b[i] * cells[2 * i + 1];
    else
        for (int i = 0; i < count; ++i) total[i] = a[i] * cells[first[i]] + b[i] * cells[std::min(first[i] + 1, last)];
}

// 2 x 2 means of one row of the map
MIE_CLONES void mean_row(const float* upper, const float* lower, int side, float* mean) {
    for (int i = 0; i < side; ++i) mean[i] = ((upper[2 * i] + upper[2 * i + 1]) + (lower[2 * i] + lower[2 * i + 1])) * 0.25f;
}

MIE_CLONES void to_bytes(const float* mean, int count, float* range, uint8_t* level) {
    float low[kLanes], high[kLanes];
    for (int k = 0; k < kLanes; ++k) low[k] = high[k] = mean[k];
    for (int i = 0; i < count; i += kLanes)
        for (int k = 0; k < kLanes; ++k) {
            low[k] = mean[i + k] < low[k] ? mean[i + k] : low[k];
            high[k] = mean[i + k] > high[k] ? mean[i + k] : high[k];
        }
    range[0] = *std::min_element(low, low + kLanes), range[1] = *std::max_element(high, high + kLanes);
    const float least = range[0], spread = range[1] > range[0] ? range[1] - range[0] : 1.0f;  // a constant channel is all zero
    for (int i = 0; i < count; ++i) level[i] = uint8_t(int((mean[i] - least) * 255.0f / spread + 0.5f));
}

MIE_CLONES void interleave(const uint8_t* level, int count, uint8_t* map) {
    for (int i = 0; i < count; ++i) map[3 * i] = level[i], map[3 * i + 1] = level[i + count], map[3 * i + 2] = level[i + 2 * count];
}

struct Scratch {  // of the calling thread, kept from frame to frame
    Ring u, v;
    Resampling across, down;
    std::vector<float> strain, line, mean;
    std::vector<uint8_t> level;
};

void to_lattice(const float* grid, int grid_w, float factor, Scratch& s, Ring& lattice) {
    const Resampling &down = s.down, &across = s.across;
    const int points = across.points, step = across.extent_px % (2 * points) == 0 ? across.extent_px / (2 * points) : 0;
    const float* weight = across.weight.data();
    for (int y = 0; y < points; ++y) {
        const auto cells = [&](int tap) { return grid + int64_t(std::min(down.first[size_t(y)] + tap, down.cells - 1)) * grid_w; };
        const auto share = [&](int tap) { return down.weight[size_t(tap * points + y)] * factor; };
        join_rows(cells(0), share(0), cells(1), share(1), grid_w, s.line.data());
        for (int tap = 2; tap < down.taps; ++tap) add_row(cells(tap), share(tap), grid_w, s.line.data());
        float* row = lattice.row(y);
        join_across(across.first.data(), step, weight, weight + points, grid_w - 1, s.line.data(), points, row);
        for (int tap = 2; tap < across.taps; ++tap)
            for (int i = 0; i < points; ++i)
                row[i] += weight[tap * points + i] * s.line[size_t(std::min(across.first[size_t(i)] + tap, grid_w - 1))];
    }
}

}  // namespace

void strain(const float* u, const float* v, int width, int height, Strain kind, float* target) {
    static thread_local Ring ring[2];
    for (int k = 0; k < 2; ++k) {
        ring[k].resize(width, height);
        for (int y = 0; y < height; ++y) std::copy_n((k ? v : u) + int64_t(y) * width, width, ring[k].row(y));
    }
    strain_of(ring[0], ring[1], kind, target);
}

Strain strain_kind(const std::string& name) {
    if (name != "true" && name != "shift" && name != "meb")
        throw std::invalid_argument("strain is '" + name + "', expected true, shift or meb");
    return name == "true" ? Strain::true_ : name == "shift" ? Strain::shift : Strain::meb;
}

void flow_maps(const float* u, const float* v, int grid_w, int grid_h, int width, int height, int side, Strain kind, uint8_t* map,
               float* range) {
    static thread_local Scratch s;
    const int points = 2 * side, count = side * side;
    s.across.prepare(grid_w, width, points), s.down.prepare(grid_h, height, points);
    s.u.resize(points, points), s.v.resize(points, points);
    s.line.assign(size_t(grid_w) + 1, 0.0f), s.strain.resize(size_t(points) * points), s.mean.resize(size_t(count)),
        s.level.resize(size_t(count) * 3);
    to_lattice(u, grid_w, float(double(points) / width), s, s.u);
    to_lattice(v, grid_w, float(double(points) / height), s, s.v);
    strain_of(s.u, s.v, kind, s.strain.data());
    for (int c = 0; c < 3; ++c) {
        for (int y = 0; y < side; ++y) {
            const float* upper = c == 0 ? s.u.row(2 * y) : c == 1 ? s.v.row(2 * y) : s.strain.data() + 2 * y * points;
            mean_row(upper, upper + (c < 2 ? s.u.pitch : points), side, s.mean.data() + y * side);
        }
        to_bytes(s.mean.data(), count, range + 2 * c, s.level.data() + c * count);
    }
    interleave(s.level.data(), count, map);
}

}  // namespace mie
