// _core.RenderSource and _core.render: the CPU renderer for Python.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdlib>
#include <deque>
#include <iterator>
#include <mutex>
#include <new>
#include <optional>
#include <string>

#include "bind.h"
#include "kernels/render/noise.h"
#include "kernels/render/source.h"

namespace py = pybind11;

namespace mie {
namespace {

using Bytes = py::array_t<uint8_t, py::array::c_style>;
using Words = py::array_t<int16_t, py::array::c_style>;

const char* const kFormats[] = {"rgb", "planar", "yuv420"};
const char* const kLevels[] = {"scalar", "avx2", "avx512"};

void require(bool holds, const std::string& message) {
    if (!holds) throw py::value_error(message);
}

RenderFormat format_of(const std::string& name) {
    for (int i = 0; i < 3; ++i) {
        if (name == kFormats[i]) return RenderFormat(i);
    }
    throw py::value_error("render: format is '" + name + "', expected rgb, planar or yuv420");
}

std::unique_ptr<RenderSource> make_source(const Bytes& rgb, const Words& basis) {
    require(rgb.ndim() == 3 && rgb.shape(2) == 3, "RenderSource: rgb must be [H, W, 3]");
    const auto height = rgb.shape(0), width = rgb.shape(1);
    require(height >= 1 && width >= 1 && height <= kMaxRenderSidePx && width <= kMaxRenderSidePx, "RenderSource: sides must be 1..8192 px");
    require(basis.ndim() == 4 && basis.shape(0) >= 1 && basis.shape(0) <= kMaxRenderChannels,
            "RenderSource: basis must be [K, F, GH, GW] with K of 1..128");
    require(basis.shape(1) == 2 || basis.shape(1) == 3, "RenderSource: basis must have 2 or 3 fields");
    require(basis.shape(2) == grid_size(int(height)) && basis.shape(3) == grid_size(int(width)),
            "RenderSource: basis grids must be ceil(H / 4) + 1 by ceil(W / 4) + 1 nodes");
    const int channels = int(basis.shape(0)), fields = int(basis.shape(1));
    py::gil_scoped_release release;
    return std::make_unique<RenderSource>(rgb.data(), int(width), int(height), basis.data(), channels, fields);
}

// Result arrays on 64-byte boundaries (whole vectors of a row never straddle two cache lines), kept for the next call when Python lets
// go of them: fresh pages from the system cost as much time as rendering into them.
class FrameMemory {
  public:
    static FrameMemory& shared() {
        static auto* memory = new FrameMemory;  // never destroyed: arrays may outlive the module
        return *memory;
    }

    struct Block {
        size_t size;
        uint8_t* data;
    };

    Block* take(size_t size) {
        {
            const std::lock_guard<std::mutex> hold(lock_);
            for (auto it = idle_.rbegin(); it != idle_.rend(); ++it)  // the last used is still in the caches
                if ((*it)->size == size) {
                    Block* block = *it;
                    idle_.erase(std::next(it).base()), idle_bytes_ -= size;
                    return block;
                }
        }
        return new Block{size, static_cast<uint8_t*>(::operator new(size, kLine))};
    }

    void give(Block* block) {
        const std::lock_guard<std::mutex> hold(lock_);
        idle_.push_back(block), idle_bytes_ += block->size;
        while (idle_bytes_ > kIdleBytes) {  // the longest idle goes first
            Block* old = idle_.front();
            idle_.pop_front(), idle_bytes_ -= old->size;
            ::operator delete(old->data, kLine);
            delete old;
        }
    }

  private:
    static constexpr std::align_val_t kLine{64};
    static constexpr size_t kIdleBytes = size_t(64) << 20;
    std::mutex lock_;
    std::deque<Block*> idle_;
    size_t idle_bytes_ = 0;
};

Bytes new_frames(const std::vector<py::ssize_t>& shape) {
    size_t size = 1;
    for (const py::ssize_t side : shape) size *= size_t(side);
    FrameMemory::Block* block = FrameMemory::shared().take(size);
    const py::capsule owner(block, [](void* held) { FrameMemory::shared().give(static_cast<FrameMemory::Block*>(held)); });
    return Bytes(shape, block->data, owner);
}

using Floats = py::array_t<float, py::array::c_style>;

void check_coefficients(const RenderSource& source, const Words& coefficients) {
    require(coefficients.ndim() == 2 && coefficients.shape(0) >= 1 && coefficients.shape(1) == source.channels(),
            "render: coefficients must be [T, " + std::to_string(source.channels()) + "]");
    for (py::ssize_t frame = 0; frame < coefficients.shape(0); ++frame) {
        int sum = 0;
        for (int channel = 0; channel < source.channels(); ++channel) sum += std::abs(int(*coefficients.data(frame, channel)));
        if (sum > 32767) {
            throw py::value_error("render: sum of |coefficients| is " + std::to_string(sum) + " in frame " + std::to_string(frame) +
                                  ", at most 32767; scale them down");
        }
    }
}

Bytes render(const RenderSource& source, const Words& coefficients, const std::string& format_name, int noise_q15, uint32_t key0,
             uint32_t key1, uint32_t first_frame, const std::string& level_name, int threads, const std::optional<Bytes>& out,
             const std::optional<Words>& onset, std::optional<Floats> flow, std::optional<Floats> strain) {
    const RenderFormat format = format_of(format_name);
    const SimdLevel level = level_of(level_name);
    check_coefficients(source, coefficients);
    require(noise_q15 >= 0 && noise_q15 <= 32767, "render: noise_q15 must be 0..32767");
    require(threads >= 1, "render: threads must be at least 1");
    const auto frames = coefficients.shape(0);
    const py::ssize_t height = source.height(), width = source.width();
    std::vector<py::ssize_t> shape{frames, height, width, 3};
    if (format == kPlanar) shape = {frames, 3, height, width};
    if (format == kYuv420) shape = {frames, frame_bytes(source.width(), source.height(), format)};
    Bytes target = out ? *out : new_frames(shape);
    require(target.ndim() == py::ssize_t(shape.size()) && std::equal(shape.begin(), shape.end(), target.shape()) && target.writeable(),
            "render: out must be a writeable array of the result's shape");

    RenderParams params = source.params(format);
    params.coefficients = coefficients.data();
    params.frames = int32_t(frames);
    params.first_frame = first_frame;
    params.noise_q15 = noise_q15;
    params.key[0] = key0;
    params.key[1] = key1;
    params.target = target.mutable_data();

    // Flow and strain of the same frames, in the same pass
    MotionParams motion{};
    if (flow || strain) {
        require(width >= 2 && height >= 2, "render: motion needs frames of at least 2 x 2 px");
        const auto fits = [&](const Floats& a, py::ssize_t values) {
            return a.size() == frames * height * width * values && a.ndim() >= 3 && a.shape(0) == frames && a.writeable();
        };
        require((!flow || fits(*flow, 2)) && (!strain || fits(*strain, 1)), "render: flow must be [T, H, W, 2], strain [T, H, W]");
        if (onset) {
            check_coefficients(source, *onset);
            params.onset = onset->data();
        }
        motion = {flow ? flow->mutable_data() : nullptr, strain ? strain->mutable_data() : nullptr};
        params.motion = &motion;
    }
    {
        py::gil_scoped_release release;
        render_cpu(params, level, threads);
    }
    return target;
}

}  // namespace

SimdLevel level_of(const std::string& name) {
    for (int i = 0; i < 3; ++i) {
        if (name != kLevels[i]) continue;
        require(SimdLevel(i) <= best_simd(), "simd: this processor has no " + name + ", its best level is " + kLevels[int(best_simd())]);
        return SimdLevel(i);
    }
    throw py::value_error("simd: level is '" + name + "', expected scalar, avx2 or avx512");
}

void bind_render(py::module_& m) {
    py::class_<RenderSource>(m, "RenderSource", "A face prepared for rendering: padded planes and packed basis grids.")
        .def(py::init(&make_source), py::arg("rgb").noconvert(), py::arg("basis").noconvert());
    m.def("render", &render, py::arg("source"), py::arg("coefficients").noconvert(), py::arg("format"), py::arg("noise_q15"),
          py::arg("key0"), py::arg("key1"), py::arg("first_frame"), py::arg("level"), py::arg("threads"),
          py::arg("out").noconvert() = py::none(), py::arg("onset").noconvert() = py::none(), py::arg("flow").noconvert() = py::none(),
          py::arg("strain").noconvert() = py::none(),
          "Render coefficient rows int16 Q12 [T, K] to uint8 frames, into `out` when given; fills flow and strain when given.");
    m.def(
        "simd_levels", [] { return std::vector<std::string>(kLevels, kLevels + int(best_simd()) + 1); },
        "Instruction sets that this processor runs, plainest first.");
    m.def("noise_word", &noise_word, py::arg("sigma_levels"), "Noise multiplier of a Gaussian sigma in grey levels.");
}

}  // namespace mie
