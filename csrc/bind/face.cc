// Faces: the networks are Python callables (normally onnxruntime sessions); the GIL is held only while one of them is called.
#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstring>
#include <string>

#include "../src/face_crop.h"
#include "bind.h"

namespace py = pybind11;

namespace mie {
namespace {

using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;

void take(const py::handle& output, py::ssize_t count, const char* what, float* target) {
    const Floats array = py::cast<Floats>(output);
    if (array.size() != count)
        throw py::value_error(std::string(what) + " has " + std::to_string(array.size()) + " numbers, expected " + std::to_string(count));
    std::memcpy(target, array.data(), size_t(array.nbytes()));
}

std::vector<FaceFound> find_faces_py(const py::array& rgb, const py::object& run_detector, const py::object& run_landmarks, int max_faces) {
    const Frame view = frame_of(rgb, true);
    const Networks networks = networks_of(run_detector, run_landmarks);
    py::gil_scoped_release released;
    return find_faces(view, networks, max_faces);
}

py::tuple align_face(const py::array& rgb, const Doubles& landmarks, int size) {
    const Frame view = frame_of(rgb, true);
    const auto* points = landmarks_of(landmarks);
    if (size < 1 || size > 8192) throw py::value_error("size must lie in 1..8192 px");
    py::array_t<uint8_t> target({size, size, 3});
    Doubles moved({kLandmarks, 3});
    uint8_t* pixels = target.mutable_data();
    auto* crop_points = reinterpret_cast<double (*)[3]>(moved.mutable_data());
    {
        py::gil_scoped_release released;
        const FaceCrop crop = face_crop(points, size);
        for (int k = 0; k < kLandmarks; ++k) crop.to_crop(points[k], crop_points[k]);
        cut(view, crop, pixels);
    }
    return py::make_tuple(target, moved);
}

}  // namespace

void call_network(const py::object& network, const std::vector<py::ssize_t>& shape, const float* image, py::ssize_t first_count,
                  float* first, py::ssize_t second_count, float* second) {
    py::gil_scoped_acquire held;
    Floats input(shape);
    std::memcpy(input.mutable_data(), image, size_t(input.nbytes()));
    const py::tuple outputs = py::cast<py::tuple>(network(input));
    if (outputs.size() != 2) throw py::value_error("a network must return two arrays");
    take(outputs[0], first_count, "the network's first output", first);
    take(outputs[1], second_count, "the network's second output", second);
}

const double (*landmarks_of(const Doubles& landmarks))[3] {
    if (landmarks.ndim() != 2 || landmarks.shape(0) != kLandmarks || landmarks.shape(1) != 3)
        throw py::value_error("landmarks must be [478, 3]");
    return reinterpret_cast<const double (*)[3]>(landmarks.data());
}

Networks networks_of(const py::object& run_detector, const py::object& run_landmarks) {
    return {[=](const float* image, float* regressors, float* scores) {
                call_network(run_detector, {1, kDetectorSide, kDetectorSide, 3}, image, kAnchors * kRegressors, regressors, kAnchors,
                             scores);
            },
            [=](const float* image, float* landmarks, float* presence) {
                call_network(run_landmarks, {1, kLandmarkSide, kLandmarkSide, 3}, image, kLandmarks * 3, landmarks, 1, presence);
            }};
}

void bind_face(py::module_& m) {
    py::class_<FaceFound>(m, "FaceFound", "One face of find_faces.")
        .def_readonly("score", &FaceFound::score)
        .def_readonly("presence", &FaceFound::presence)
        .def_property_readonly(
            "box", [](const FaceFound& f) { return Doubles(4, f.box); }, "float64 [4]: left, top, right, bottom, px")
        .def_property_readonly(
            "landmarks", [](const FaceFound& f) { return Doubles({kLandmarks, 3}, &f.landmarks[0][0]); }, "float64 [478, 3], px");
    m.def("find_faces", &find_faces_py, py::arg("rgb"), py::arg("run_detector"), py::arg("run_landmarks"), py::arg("max_faces"),
          "Faces of uint8 [H, W, 3], largest first; each network maps float32 [1, N, N, 3] to a pair of arrays.");
    m.def("align_face", &align_face, py::arg("rgb"), py::arg("landmarks"), py::arg("size"),
          "The aligned crop uint8 [size, size, 3] and the landmarks float64 [478, 3] in its pixels.");
}

}  // namespace mie
