// Prepares a face once: padded planes in RGB and YUV 4:2:0, basis grids packed in blocks of 32 nodes.
// YCbCr is JPEG's (full range, 16-bit integer weights); chroma is the rounded mean of 2 x 2 px.
#include "source.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "planes.h"

namespace mie {
namespace {

constexpr int kLine = 64;  // bytes of a cache line and of a vector

int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

// 32 px on the left; on the right the last tile of 64 px plus its 32 px of reach, and a vector's over-read
int plane_stride(int width) { return int(round_up(width, kLine)) + 2 * kLine; }
int64_t plane_bytes(int width, int height) { return int64_t(plane_stride(width)) * (height + 2 * kBorderPx) + kLine; }

void replicate_edges(uint8_t* plane, int stride, int width, int height) {
    for (int y = 0; y < height; ++y) {
        uint8_t* row = plane + int64_t(y) * stride;
        std::memset(row - kBorderPx, row[0], kBorderPx);
        std::memset(row + width, row[width - 1], size_t(stride - kBorderPx - width));
    }
    uint8_t* first = plane - kBorderPx;
    uint8_t* last = first + int64_t(height - 1) * stride;
    for (int y = 1; y <= kBorderPx; ++y) {
        std::memcpy(first - int64_t(y) * stride, first, size_t(stride));
        std::memcpy(last + int64_t(y) * stride, last, size_t(stride));
    }
}

// Rounded mean of 2 x 2 px, the last column and row of odd sizes counted twice; the result is biased like every prepared plane.
void halve(const uint8_t* full, int width, int height, uint8_t* half, int half_stride) {
    for (int y = 0; y < (height + 1) / 2; ++y) {
        const uint8_t* upper = full + int64_t(2 * y) * width;
        const uint8_t* lower = full + int64_t(std::min(2 * y + 1, height - 1)) * width;
        for (int x = 0; x < (width + 1) / 2; ++x) {
            const int left = 2 * x, right = std::min(2 * x + 1, width - 1);
            const int mean = (upper[left] + upper[right] + lower[left] + lower[right] + 2) >> 2;
            half[int64_t(y) * half_stride + x] = uint8_t(mean ^ 0x80);
        }
    }
}

}  // namespace

int node_room(int width, int height, int fields) { return int(round_up(fields * grid_size(width) * grid_size(height), 64)) + 64; }

int64_t frame_bytes(int width, int height, RenderFormat format) {
    const int64_t luma = int64_t(width) * height, chroma = int64_t((width + 1) / 2) * ((height + 1) / 2);
    return format == kYuv420 ? luma + 2 * chroma : 3 * luma;
}

void RenderSource::Free::operator()(uint8_t* memory) const { ::operator delete(memory, std::align_val_t(kLine)); }

RenderSource::RenderSource(const uint8_t* rgb, int width, int height, const int16_t* basis, int channels, int fields)
    : width_(width), height_(height), channels_(channels), fields_(fields) {
    const int half_width = (width + 1) / 2, half_height = (height + 1) / 2;
    const int blocks = block_count(fields * grid_size(width) * grid_size(height));
    const int64_t full_bytes = plane_bytes(width, height), half_bytes = plane_bytes(half_width, half_height);
    const int64_t grid_bytes = int64_t(blocks) * pair_count(channels) * kBlockNodes * 2 * int64_t(sizeof(int16_t));
    const size_t bytes = 4 * full_bytes + 2 * half_bytes + grid_bytes;
    memory_.reset(static_cast<uint8_t*>(::operator new(bytes, std::align_val_t(kLine))));

    uint8_t* next = memory_.get();
    for (int plane = kRed; plane < kPlanes; ++plane) {
        const bool half = plane >= kCb;
        stride_[plane] = plane_stride(half ? half_width : width);
        plane_[plane] = next + int64_t(kBorderPx) * stride_[plane] + kBorderPx;
        next += half ? half_bytes : full_bytes;
    }
    grids_ = reinterpret_cast<int16_t*>(next);
    std::memset(grids_, 0, size_t(grid_bytes));
    live_.assign(size_t(blocks), 0);
    prepare_planes(rgb);
    pack_basis(basis);
}

void RenderSource::prepare_planes(const uint8_t* rgb) {
    std::vector<uint8_t> cb(size_t(width_) * height_), cr(cb.size());
    for (int y = 0; y < height_; ++y) {
        const uint8_t* in = rgb + int64_t(y) * width_ * 3;
        uint8_t* out[4];
        for (int plane = kRed; plane <= kLuma; ++plane) out[plane] = plane_[plane] + int64_t(y) * stride_[plane];
        uint8_t* cb_row = cb.data() + int64_t(y) * width_;
        uint8_t* cr_row = cr.data() + int64_t(y) * width_;
        for (int x = 0; x < width_; ++x) {
            const int r = in[3 * x], g = in[3 * x + 1], b = in[3 * x + 2];
            out[kRed][x] = uint8_t(r ^ 0x80);
            out[kGreen][x] = uint8_t(g ^ 0x80);
            out[kBlue][x] = uint8_t(b ^ 0x80);
            out[kLuma][x] = uint8_t(((19595 * r + 38470 * g + 7471 * b + 32768) >> 16) ^ 0x80);
            cb_row[x] = uint8_t((-11059 * r - 21709 * g + 32768 * b + 8421375) >> 16);
            cr_row[x] = uint8_t((32768 * r - 27439 * g - 5329 * b + 8421375) >> 16);
        }
    }
    halve(cb.data(), width_, height_, plane_[kCb], stride_[kCb]);
    halve(cr.data(), width_, height_, plane_[kCr], stride_[kCr]);
    for (int plane = kRed; plane < kPlanes; ++plane) {
        const bool half = plane >= kCb;
        replicate_edges(plane_[plane], stride_[plane], half ? (width_ + 1) / 2 : width_, half ? (height_ + 1) / 2 : height_);
    }
}

void RenderSource::pack_basis(const int16_t* basis) {
    const int nodes = fields_ * grid_size(width_) * grid_size(height_), pairs = pair_count(channels_);
    for (int channel = 0; channel < channels_; ++channel) {
        const int16_t* grid = basis + int64_t(channel) * nodes;
        for (int node = 0; node < nodes; ++node) {
            if (grid[node] == 0) continue;
            const int block = node / kBlockNodes, pair = channel / 2;
            grids_[((int64_t(block) * pairs + pair) * kBlockNodes + node % kBlockNodes) * 2 + channel % 2] = grid[node];
            live_[size_t(block)] |= uint64_t(1) << pair;
        }
    }
}

RenderParams RenderSource::params(RenderFormat format) const {
    RenderParams p{};
    const int first = format == kYuv420 ? kLuma : kRed;
    for (int i = 0; i < 3; ++i) {
        p.source[i] = plane_[first + i];
        p.source_stride[i] = stride_[first + i];
    }
    p.basis = grids_;
    p.basis_live = live_.data();
    p.width = width_;
    p.height = height_;
    p.channels = channels_;
    p.fields = fields_;
    p.format = format;
    p.frame_stride = frame_bytes(width_, height_, format);
    return p;
}

int RenderSource::node_room() const { return mie::node_room(width_, height_, fields_); }

void RenderSource::sum_nodes(const int16_t* coefficients, int16_t* nodes, SimdLevel level) const {
    mie::sum_nodes(params(kRgb), coefficients, nodes, level);
}

}  // namespace mie
