// _core.strain, _core.flow_maps and _core.grid_maps: strain and the maps of estimated flow, for Python.
#include <pybind11/numpy.h>

#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include "bind.h"
#include "kernels/common/parallel.h"
#include "kernels/flow/flow.h"
#include "kernels/flow/maps.h"

namespace py = pybind11;

namespace mie {
namespace {

using Floats = py::array_t<float, py::array::c_style>;
using Frames = py::array_t<uint8_t, py::array::c_style>;

Strain kind_of(const std::string& name) {
    if (name == "true") return Strain::true_;
    if (name == "shift") return Strain::shift;
    if (name == "meb") return Strain::meb;
    throw py::value_error("strain is '" + name + "', expected true, shift or meb");
}

int threads_of(int threads) { return threads > 0 ? threads : std::max(1, int(std::thread::hardware_concurrency())); }

Floats strain_py(const Floats& flow, const std::string& kind_name) {
    const Strain kind = kind_of(kind_name);
    const int64_t count = flow.shape(0), pixels = flow.shape(2) * flow.shape(3);
    const int height = int(flow.shape(2)), width = int(flow.shape(3));
    Floats result(std::vector<py::ssize_t>{py::ssize_t(count), height, width});
    const float* from = flow.data();
    float* to = result.mutable_data();
    py::gil_scoped_release released;
    parallel_for(count, 1, threads_of(0), [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i)
            strain(from + 2 * i * pixels, from + (2 * i + 1) * pixels, width, height, kind, to + i * pixels);
    });
    return result;
}

struct Maps {
    Frames maps;
    Floats ranges;
    uint8_t* map;
    float* range;
    Maps(int64_t count, int side)
        : maps(std::vector<py::ssize_t>{py::ssize_t(count), side, side, 3}),
          ranges(std::vector<py::ssize_t>{py::ssize_t(count), 3, 2}),
          map(maps.mutable_data()),
          range(ranges.mutable_data()) {}
};

py::tuple grid_maps(const Floats& grid, int height, int width, int side, const std::string& kind_name) {
    const Strain kind = kind_of(kind_name);
    const int64_t count = grid.shape(0), cells = grid.shape(2) * grid.shape(3);
    const int grid_h = int(grid.shape(2)), grid_w = int(grid.shape(3));
    Maps m(count, side);
    for (int64_t i = 0; i < count; ++i)
        flow_maps(grid.data() + 2 * i * cells, grid.data() + (2 * i + 1) * cells, grid_w, grid_h, width, height, side, kind,
                  m.map + i * side * side * 3, m.range + 6 * i);
    return py::make_tuple(m.maps, m.ranges);
}

// A solver of the size last asked for and its cells, kept by each thread: fresh memory costs more than a flow.
struct Solver {
    FlowSolver flow;
    SimdLevel level;
    std::vector<float> u, v;
    Solver(int width, int height, SimdLevel simd)
        : flow(width, height, simd), level(simd), u(size_t(flow.grid_width()) * flow.grid_height()), v(u.size()) {}
};

Solver& solver_of(int width, int height, SimdLevel level) {
    static thread_local std::unique_ptr<Solver> kept;
    if (!kept || kept->flow.width() != width || kept->flow.height() != height || kept->level != level)
        kept = std::make_unique<Solver>(width, height, level);
    return *kept;
}

py::tuple flow_maps_py(const Frames& onset, const Frames& later, int side, const std::string& kind_name, const std::string& level_name,
                       int threads) {
    const Strain kind = kind_of(kind_name);
    const SimdLevel level = level_of(level_name);
    const int64_t count = later.shape(0), pixels = later.shape(1) * later.shape(2);
    const int height = int(later.shape(1)), width = int(later.shape(2));
    const bool shared = onset.shape(0) == 1;
    Maps m(count, side);
    const uint8_t *from = onset.data(), *to = later.data();
    {
        py::gil_scoped_release released;
        const int workers = threads_of(threads);
        parallel_for(count, (count + workers - 1) / workers, workers, [&](int64_t first, int64_t last) {
            Solver& s = solver_of(width, height, level);
            for (int64_t i = first; i < last; ++i) {
                if (i == first || !shared) s.flow.onset(from + (shared ? 0 : i * pixels), width);
                s.flow.later(to + i * pixels, width, s.u.data(), s.v.data());
                flow_maps(s.u.data(), s.v.data(), s.flow.grid_width(), s.flow.grid_height(), width, height, side, kind,
                          m.map + i * side * side * 3, m.range + 6 * i);
            }
        });
    }
    return py::make_tuple(m.maps, m.ranges);
}

}  // namespace

void bind_flow_maps(py::module_& m) {
    m.def("strain", &strain_py, py::arg("flow").noconvert(), py::arg("kind"), "Strain [N, H, W] of flow float32 [N, 2, H, W].");
    m.def("grid_maps", &grid_maps, py::arg("grid").noconvert(), py::arg("height"), py::arg("width"), py::arg("side"), py::arg("kind"),
          "Maps and ranges of flow on cells of 2 x 2 px, float32 [N, 2, ceil(H / 2), ceil(W / 2)].");
    m.def("flow_maps", &flow_maps_py, py::arg("onset").noconvert(), py::arg("later").noconvert(), py::arg("side"), py::arg("kind"),
          py::arg("level"), py::arg("threads"), "Maps and ranges of the flow between uint8 frames [1 or N, H, W] and [N, H, W].");
}

}  // namespace mie
