// _core.flow, _core.strain, _core.flow_maps and _core.grid_maps: estimated flow, strain, and the maps of both, for Python.
#include "kernels/flow/flow.h"

#include <pybind11/numpy.h>

#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include "bind.h"
#include "kernels/common/parallel.h"

namespace py = pybind11;

namespace mie {
namespace {

using Floats = py::array_t<float, py::array::c_style>;
using Frames = py::array_t<uint8_t, py::array::c_style>;
using Sizes = std::vector<py::ssize_t>;

// In one piece per thread: an onset that all frames share is prepared once in each.
template <class Body>
void share_out(int64_t count, int threads, const Body& body) {
    const int workers = threads > 0 ? threads : std::max(1, int(std::thread::hardware_concurrency()));
    py::gil_scoped_release released;
    parallel_for(count, (count + workers - 1) / workers, workers, body);
}

// Calls use(solver with its onset, later frame, i) for every pair.
template <class Use>
void over_pairs(const Frames& onset, const Frames& later, SimdLevel level, int threads, const Use& use) {
    const int height = later.ndim() == 3 ? int(later.shape(1)) : 0, width = later.ndim() == 3 ? int(later.shape(2)) : 0;
    if (onset.ndim() != 3 || onset.shape(1) != height || onset.shape(2) != width ||
        (onset.shape(0) != 1 && onset.shape(0) != later.shape(0)) || std::min(width, height) < kMinFlowSidePx ||
        std::max(width, height) > kMaxFlowSidePx)
        throw py::value_error("flow: later must be [N, H, W] with sides of 32 to 4096 px, onset the same or [1, H, W]");
    const int64_t pixels = int64_t(height) * width, apart = onset.shape(0) == 1 ? 0 : pixels;
    const uint8_t *from = onset.data(), *to = later.data();
    share_out(later.shape(0), threads, [&](int64_t first, int64_t last) {
        constexpr int64_t kKeptPx = 2 << 20;
        static thread_local std::unique_ptr<FlowSolver> solver;  // of the size last asked for: fresh memory costs more than a flow
        if (!solver || solver->width() != width || solver->height() != height || solver->level() != level)
            solver = std::make_unique<FlowSolver>(width, height, level);
        for (int64_t i = first; i < last; ++i) {
            if (i == first || apart) solver->onset(from + i * apart, width);
            use(*solver, to + i * pixels, i);
        }
        if (pixels > kKeptPx) solver.reset();
    });
}

Floats flow(const Frames& onset, const Frames& later, const std::string& level, int threads) {
    Floats result(later.ndim() == 3 ? Sizes{later.shape(0), 2, later.shape(1), later.shape(2)} : Sizes{});
    float* out = result.mutable_data();
    over_pairs(onset, later, level_of(level), threads, [&](FlowSolver& solver, const uint8_t* frame, int64_t i) {
        const int64_t pixels = int64_t(solver.width()) * solver.height();
        solver.later(frame, solver.width());
        solver.full_size(out + 2 * i * pixels, out + (2 * i + 1) * pixels);
    });
    return result;
}

Floats strain_py(const Floats& flow, const std::string& kind_name) {
    const Strain kind = strain_kind(kind_name);
    const int height = int(flow.shape(2)), width = int(flow.shape(3));
    const int64_t pixels = int64_t(height) * width;
    Floats result(Sizes{flow.shape(0), height, width});
    const float* from = flow.data();
    float* to = result.mutable_data();
    share_out(flow.shape(0), 0, [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i)
            strain(from + 2 * i * pixels, from + (2 * i + 1) * pixels, width, height, kind, to + i * pixels);
    });
    return result;
}

py::tuple grid_maps(const Floats& grid, int height, int width, int side, const std::string& kind_name) {
    const Strain kind = strain_kind(kind_name);
    const int64_t count = grid.shape(0), cells = grid.shape(2) * grid.shape(3);
    Frames maps(Sizes{grid.shape(0), side, side, 3});
    Floats ranges(Sizes{grid.shape(0), 3, 2});
    for (int64_t i = 0; i < count; ++i) {
        const float* u = grid.data() + 2 * i * cells;
        flow_maps(u, u + cells, int(grid.shape(3)), int(grid.shape(2)), width, height, side, kind, maps.mutable_data(i),
                  ranges.mutable_data(i));
    }
    return py::make_tuple(maps, ranges);
}

py::tuple flow_maps_py(const Frames& onset, const Frames& later, int side, const std::string& kind_name, const std::string& level,
                       int threads) {
    const Strain kind = strain_kind(kind_name);
    Frames maps(Sizes{later.shape(0), side, side, 3});
    Floats ranges(Sizes{later.shape(0), 3, 2});
    uint8_t* map = maps.mutable_data();
    float* range = ranges.mutable_data();
    over_pairs(onset, later, level_of(level), threads, [&](FlowSolver& solver, const uint8_t* frame, int64_t i) {
        static thread_local std::vector<float> u, v;
        const int grid_w = solver.grid_width(), grid_h = solver.grid_height();
        u.resize(size_t(grid_w) * grid_h), v.resize(u.size());
        solver.later(frame, solver.width(), u.data(), v.data());
        flow_maps(u.data(), v.data(), grid_w, grid_h, solver.width(), solver.height(), side, kind, map + i * side * side * 3,
                  range + 6 * i);
    });
    return py::make_tuple(maps, ranges);
}

}  // namespace

void bind_flow(py::module_& m) {
    m.def("flow", &flow, py::arg("onset").noconvert(), py::arg("later").noconvert(), py::arg("level"), py::arg("threads"),
          "Flow of uint8 frames [1 or N, H, W] -> [N, H, W] as float32 [N, 2, H, W] px; threads 0 takes all cores.");
    m.def("strain", &strain_py, py::arg("flow").noconvert(), py::arg("kind"), "Strain [N, H, W] of flow float32 [N, 2, H, W].");
    m.def("grid_maps", &grid_maps, py::arg("grid").noconvert(), py::arg("height"), py::arg("width"), py::arg("side"), py::arg("kind"),
          "Maps and ranges of flow on cells of 2 x 2 px, float32 [N, 2, ceil(H / 2), ceil(W / 2)].");
    m.def("flow_maps", &flow_maps_py, py::arg("onset").noconvert(), py::arg("later").noconvert(), py::arg("side"), py::arg("kind"),
          py::arg("level"), py::arg("threads"), "Maps and ranges of the flow between uint8 frames [1 or N, H, W] and [N, H, W].");
}

}  // namespace mie
