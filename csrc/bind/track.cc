// Following faces through a video, and the crop that all later steps read.
#include <pybind11/stl.h>

#include "../src/layout_crop.h"
#include "bind.h"

namespace py = pybind11;

namespace mie {
namespace {

// The callables that Networks holds are Python's: the tracker lives and dies with the GIL held, and lets go of it to push.
const std::vector<TrackedFace>& push(FaceTracker& tracker, const py::object& planes, bool full_range, double time_s) {
    const Frame frame = frame_of(planes, full_range);
    py::gil_scoped_release released;
    return tracker.push(frame, time_s);
}

Doubles layout_crop_py(const Doubles& landmarks, int size) {
    const Affine crop = layout_crop(landmarks_of(landmarks), size);
    return Doubles({2, 3}, &crop.m[0][0]);
}

}  // namespace

void bind_track(py::module_& m) {
    py::class_<TrackedFace>(m, "TrackedFace", "One face of FaceTracker.push.")
        .def_readonly("id", &TrackedFace::id)
        .def_readonly("fresh", &TrackedFace::fresh)
        .def_readonly("presence", &TrackedFace::presence)
        .def_property_readonly(
            "landmarks", [](const TrackedFace& f) { return Doubles({kLandmarks, 3}, &f.landmarks[0][0]); }, "float64 [478, 3], px");
    py::class_<FaceTracker>(m, "FaceTracker", "Faces followed through the frames of one video.")
        .def(py::init([](const py::object& run_detector, const py::object& run_landmarks, int max_faces, double landmark_interval_s) {
                 return FaceTracker(networks_of(run_detector, run_landmarks), {max_faces, landmark_interval_s});
             }),
             py::arg("run_detector"), py::arg("run_landmarks"), py::arg("max_faces"), py::arg("landmark_interval_s"))
        .def("push", &push, py::arg("planes"), py::arg("full_range"), py::arg("time_s"), py::return_value_policy::copy);
    m.def("layout_crop", &layout_crop_py, py::arg("landmarks"), py::arg("size"), "float64 [2, 3], crop px -> image px.");
}

}  // namespace mie
