// Recognising: the spotter on given motion (tests), and the recogniser on frames.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>

#include "../src/spot.h"
#include "bind.h"

namespace py = pybind11;

namespace mie {
namespace {

using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;
using Doubles = py::array_t<double, py::array::c_style | py::array::forcecast>;

py::dict rejections(const std::array<int64_t, kReasons>& counts) {
    const char* names[kReasons] = {"blink", "head", "too_long", "too_large", "repeated", "not_returning"};
    py::dict named;
    for (int k = 0; k < kReasons; ++k) named[names[k]] = counts[k];
    return named;
}

py::tuple face_motion_py(const Floats& flow) {
    if (flow.ndim() != 3 || flow.shape(0) != 2 || flow.shape(1) != kCropSide / 2 || flow.shape(2) != kCropSide / 2)
        throw py::value_error("flow must be [2, 112, 112]");
    const Motion motion = face_motion(flow.data(0), flow.data(1));
    return py::make_tuple(Floats({kRegions, 2}, motion.region.data()), Floats(4, motion.head.data()), motion.misfit);
}

py::tuple spot(const Doubles& time_s, const Floats& region, const Floats& head) {
    const py::ssize_t count = time_s.size();
    if (region.size() != count * 2 * kRegions || head.size() != count * 4) throw py::value_error("region must be [T, 13, 2], head [T, 4]");
    Spotter spotter;
    for (py::ssize_t i = 0; i < count; ++i) {
        Motion motion;
        std::copy_n(region.data() + i * 2 * kRegions, 2 * kRegions, motion.region.begin());
        std::copy_n(head.data() + i * 4, 4, motion.head.begin());
        spotter.push(i, time_s.data()[i], motion);
    }
    spotter.finish();
    py::list events;
    for (const SpottedEvent& e : spotter.take_events())
        events.append(py::make_tuple(e.onset_frame, e.apex_frame, e.offset_frame, e.motion_px, e.threshold_px));
    return py::make_tuple(events, rejections(spotter.rejected()));
}

}  // namespace

void bind_recognizer(py::module_& m) {
    m.def("face_motion", &face_motion_py, py::arg("flow"), "Regions [13, 2], head [4] (px) and misfit of a flow field [2, 112, 112].");
    m.def("spot", &spot, py::arg("time_s"), py::arg("region"), py::arg("head"),
          "Events (onset, apex, offset frame, height, threshold) and rejections of displacements float32 [T, 13, 2], [T, 4], px.");
}

}  // namespace mie
