// _core.strain, _core.flow_maps and _core.grid_maps: strain and the maps of estimated flow, for Python. The ops check shapes.
#include <pybind11/numpy.h>

#include <algorithm>
#include <functional>
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
using Sizes = std::vector<py::ssize_t>;
using Body = std::function<void(int64_t first, int64_t last)>;

Strain kind_of(const std::string& name) {
    if (name != "true" && name != "shift" && name != "meb") throw py::value_error("strain is '" + name + "', expected true, shift or meb");
    return name == "true" ? Strain::true_ : name == "shift" ? Strain::shift : Strain::meb;
}

// In one piece per thread: an onset that all frames share is prepared once in each.
void share_out(int64_t count, int threads, const Body& body) {
    const int workers = threads > 0 ? threads : std::max(1, int(std::thread::hardware_concurrency()));
    py::gil_scoped_release released;
    parallel_for(count, (count + workers - 1) / workers, workers, body);
}

Floats strain_py(const Floats& flow, const std::string& kind_name) {
    const Strain kind = kind_of(kind_name);
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
    const Strain kind = kind_of(kind_name);
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
    const int height = int(later.shape(1)), width = int(later.shape(2));
    const int64_t pixels = int64_t(height) * width, apart = onset.shape(0) == 1 ? 0 : pixels;
    Frames maps(Sizes{later.shape(0), side, side, 3});
    Floats ranges(Sizes{later.shape(0), 3, 2});
    const uint8_t *from = onset.data(), *to = later.data();
    uint8_t* map = maps.mutable_data();
    float* range = ranges.mutable_data();
    share_out(later.shape(0), threads, [&](int64_t first, int64_t last) {
        Solver& s = solver_of(width, height, level);
        for (int64_t i = first; i < last; ++i) {
            if (i == first || apart) s.flow.onset(from + i * apart, width);
            s.flow.later(to + i * pixels, width, s.u.data(), s.v.data());
            flow_maps(s.u.data(), s.v.data(), s.flow.grid_width(), s.flow.grid_height(), width, height, side, kind,
                      map + i * side * side * 3, range + 6 * i);
        }
    });
    return py::make_tuple(maps, ranges);
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
