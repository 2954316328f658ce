// features: arrays are checked by kernels/render/features.py; here only what memory safety needs.
#include "kernels/render/features.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "bind.h"
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

template <class T>
const T* optional_data(const std::optional<Array<T>>& array, std::initializer_list<py::ssize_t> shape, const char* what) {
    require(!array || has_shape(*array, shape), what);
    return array ? array->data() : nullptr;
}

py::tuple features(const Array<int16_t>& basis, const Array<int16_t>& coefficients, const std::optional<Array<int16_t>>& relative,
                   const std::optional<Array<int32_t>>& channel_peak_q7, const Array<int32_t>& lattice, const Array<int16_t>& turn,
                   const std::optional<Array<int16_t>>& patch_blur, int patch_log2_q12, const std::optional<Array<int16_t>>& noise_blur,
                   const std::optional<Array<int16_t>>& noise_level, const std::optional<Array<uint32_t>>& keys, const std::string& level) {
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
    const SimdLevel simd = level_of(level);
    {
        py::gil_scoped_release release;
        features_cpu(p, simd);
    }
    return py::make_tuple(maps, ranges);
}

}  // namespace

void bind_features(py::module_& m) {
    m.def("features", features, py::arg("basis").noconvert(), py::arg("coefficients").noconvert(), py::arg("relative").none(true),
          py::arg("channel_peak_q7").none(true), py::arg("lattice").noconvert(), py::arg("turn").noconvert(),
          py::arg("patch_blur").none(true), py::arg("patch_log2_q12"), py::arg("noise_blur").none(true), py::arg("noise_level").none(true),
          py::arg("keys").none(true), py::arg("level"), "Feature maps and ranges; see mie_engine.kernels.features.");
}

}  // namespace mie
