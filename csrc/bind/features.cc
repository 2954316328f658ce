// motion and features: arrays are checked by kernels/render/motion.py; here only what memory safety needs.
#include "kernels/render/motion.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "bind.h"
#include "kernels/render/features.h"
#include "kernels/render/params.h"

namespace py = pybind11;

namespace mie {
namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;

void require(bool condition, const char* what) {
    if (!condition) throw std::invalid_argument(what);
}

template <class T>
bool has_shape(const Array<T>& array, std::initializer_list<py::ssize_t> shape) {
    return array.ndim() == py::ssize_t(shape.size()) && std::equal(shape.begin(), shape.end(), array.shape());
}

// The levels above what this machine has are refused, so a test can ask for each by number.
SimdLevel chosen_level(int level) {
    require(level >= -1 && level <= int(best_simd()), "motion: SIMD level must be -1 (best) or one that this machine supports");
    return level < 0 ? best_simd() : SimdLevel(level);
}

void motion(const Array<int16_t>& later, const std::optional<Array<int16_t>>& onset, int height, int width,
            std::optional<Array<float>> flow, std::optional<Array<float>> strain, int level) {
    require(height >= 2 && width >= 2 && later.ndim() == 4, "motion: nodes must be [N, 2, GH, GW] of a frame of at least 2 x 2 px");
    const py::ssize_t count = later.shape(0), gh = grid_size(height), gw = grid_size(width);
    require(has_shape(later, {count, 2, gh, gw}), "motion: later nodes do not fit the size");
    require(!onset || has_shape(*onset, {2, gh, gw}), "motion: onset nodes do not fit the size");
    require(!flow || has_shape(*flow, {count, height, width, 2}), "motion: flow does not fit");
    require(!strain || has_shape(*strain, {count, height, width}), "motion: strain does not fit");
    const MotionParams params{flow ? flow->mutable_data() : nullptr, strain ? strain->mutable_data() : nullptr};
    const int16_t *later_nodes = later.data(), *onset_nodes = onset ? onset->data() : nullptr;
    const SimdLevel simd = chosen_level(level);
    py::gil_scoped_release release;
    for (int n = 0; n < int(count); ++n) motion_frame(params, onset_nodes, later_nodes + n * 2 * gh * gw, width, height, n, simd);
}

template <class T>
const T* optional_data(const std::optional<Array<T>>& array, std::initializer_list<py::ssize_t> shape, const char* what) {
    require(!array || has_shape(*array, shape), what);
    return array ? array->data() : nullptr;
}

py::tuple features(const Array<int16_t>& basis, const Array<int16_t>& coefficients, const std::optional<Array<int16_t>>& relative,
                   const std::optional<Array<int32_t>>& channel_peak_q7, const Array<int32_t>& lattice, const Array<int16_t>& turn,
                   const std::optional<Array<int16_t>>& patch_blur, int patch_log2_q12, const std::optional<Array<int16_t>>& noise_blur,
                   const std::optional<Array<int16_t>>& noise_level, const std::optional<Array<uint32_t>>& keys, int level) {
    require(basis.ndim() == 4 && basis.shape(1) >= 2 && basis.shape(2) >= 2 && basis.shape(3) >= 2,
            "features: basis must be [K, F, GH, GW]");
    const py::ssize_t count = coefficients.ndim() == 2 ? coefficients.shape(0) : -1, channels = basis.shape(0);
    require(has_shape(coefficients, {count, channels}), "features: coefficients must be [N, K]");
    require(has_shape(lattice, {count, 6}) && has_shape(turn, {count, 4}), "features: lattice must be [N, 6] and turn [N, 4]");
    FeatureParams p{};
    p.basis = basis.data(), p.coefficients = coefficients.data(), p.lattice = lattice.data(), p.turn = turn.data();
    p.relative = optional_data(relative, {count, channels}, "features: relative must be [N, K]");
    p.peak_q7 = optional_data(channel_peak_q7, {channels}, "features: channel_peak_q7 must be [K]");
    p.patch_blur = optional_data(patch_blur, {count, kBlurTaps}, "features: patch_blur must be [N, 13]");
    p.noise_blur = optional_data(noise_blur, {count, kBlurTaps}, "features: noise_blur must be [N, 13]");
    p.noise_level = optional_data(noise_level, {count}, "features: noise_level must be [N]");
    p.key = optional_data(keys, {count, 2}, "features: keys must be [N, 2]");
    require(!p.relative || p.peak_q7, "features: relative needs channel_peak_q7");
    require((!p.patch_blur && !p.noise_blur) || p.key, "features: random fields need keys");
    require(!p.noise_blur || p.noise_level, "features: noise_blur needs noise_level");
    p.patch_log2_q12 = patch_log2_q12;
    p.channels = int32_t(channels), p.fields = int32_t(basis.shape(1)), p.samples = int32_t(count);
    p.gh = int32_t(basis.shape(2)), p.gw = int32_t(basis.shape(3));
    Array<uint8_t> maps({count, py::ssize_t(kMapSide), py::ssize_t(kMapSide), py::ssize_t(3)});
    Array<float> ranges({count, py::ssize_t(3), py::ssize_t(2)});
    p.maps = maps.mutable_data(), p.ranges = ranges.mutable_data();
    const SimdLevel simd = chosen_level(level);
    {
        py::gil_scoped_release release;
        features_cpu(p, simd);
    }
    return py::make_tuple(maps, ranges);
}

}  // namespace

void bind_motion(py::module_& m) {
    m.def("motion", motion, py::arg("later").noconvert(), py::arg("onset").noconvert().none(true), py::arg("height"), py::arg("width"),
          py::arg("flow").noconvert().none(true), py::arg("strain").noconvert().none(true), py::arg("level") = -1,
          "Writes flow and strain of later nodes; see mie_engine.kernels.motion.");
    m.def("features", features, py::arg("basis").noconvert(), py::arg("coefficients").noconvert(), py::arg("relative").none(true),
          py::arg("channel_peak_q7").none(true), py::arg("lattice").noconvert(), py::arg("turn").noconvert(),
          py::arg("patch_blur").none(true), py::arg("patch_log2_q12"), py::arg("noise_blur").none(true), py::arg("noise_level").none(true),
          py::arg("keys").none(true), py::arg("level") = -1, "Feature maps and ranges; see mie_engine.kernels.features.");
}

}  // namespace mie
