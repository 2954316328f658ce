// _core.flow: dense optical flow for Python.
#include "kernels/flow/flow.h"

#include <pybind11/numpy.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "bind.h"
#include "kernels/common/parallel.h"

namespace py = pybind11;

namespace mie {
namespace {

using Frames = py::array_t<uint8_t, py::array::c_style>;

// Solvers of the size last asked for: fresh memory costs more than a flow
class Solvers {
  public:
    std::unique_ptr<FlowSolver> take(int width, int height, SimdLevel level) {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            if (!idle_.empty()) {
                std::unique_ptr<FlowSolver> solver = std::move(idle_.back());
                idle_.pop_back();
                if (solver->width() == width && solver->height() == height && solver->level() == level) return solver;
                idle_.clear();
            }
        }
        return std::make_unique<FlowSolver>(width, height, level);
    }
    void give_back(std::unique_ptr<FlowSolver> solver) {
        constexpr int64_t kKeptPx = 2 << 20;
        if (int64_t(solver->width()) * solver->height() > kKeptPx) return;
        std::lock_guard<std::mutex> lock(mutex_);
        idle_.push_back(std::move(solver));
    }

  private:
    std::mutex mutex_;
    std::vector<std::unique_ptr<FlowSolver>> idle_;
};
Solvers& solvers() {
    static Solvers* all = new Solvers;  // never destroyed: a thread may still hold one at exit
    return *all;
}

py::array_t<float> flow(const Frames& onset, const Frames& later, const std::string& level_name, int threads) {
    const SimdLevel level = level_of(level_name);
    if (onset.ndim() != 3 || later.ndim() != 3) throw py::value_error("flow: onset and later must be [N, H, W]");
    const int64_t count = later.shape(0);
    const int height = int(later.shape(1)), width = int(later.shape(2));
    if (onset.shape(1) != height || onset.shape(2) != width || (onset.shape(0) != 1 && onset.shape(0) != count))
        throw py::value_error("flow: onset must be [1, H, W] or of the shape of later");
    if (std::min(width, height) < kMinFlowSidePx || std::max(width, height) > kMaxFlowSidePx)
        throw py::value_error("flow: frames must have sides of 32 to 4096 px");
    if (threads <= 0) threads = std::max(1, int(std::thread::hardware_concurrency()));

    py::array_t<float> result(std::vector<py::ssize_t>{py::ssize_t(count), 2, height, width});
    const int64_t pixels = int64_t(width) * height, shared = onset.shape(0) == 1 && count > 1;
    const uint8_t *from = onset.data(), *to = later.data();
    float* out = result.mutable_data();
    const int64_t span = (count + threads - 1) / threads;  // one piece per thread: a shared onset is prepared once in each
    py::gil_scoped_release release;
    parallel_for(count, span, threads, [&](int64_t first, int64_t last) {
        std::unique_ptr<FlowSolver> solver = solvers().take(width, height, level);
        for (int64_t i = first; i < last; ++i) {
            if (i == first || !shared) solver->onset(from + (shared ? 0 : i * pixels), width);
            solver->later(to + i * pixels, width);
            float* u = out + 2 * i * pixels;
            solver->full_size(u, u + pixels);
        }
        solvers().give_back(std::move(solver));
    });
    return result;
}

}  // namespace

void bind_flow(py::module_& m) {
    m.def("flow", &flow, py::arg("onset").noconvert(), py::arg("later").noconvert(), py::arg("level"), py::arg("threads"),
          "Flow of uint8 frames [1 or N, H, W] -> [N, H, W] as float32 [N, 2, H, W] px; threads 0 takes all cores.");
}

}  // namespace mie
