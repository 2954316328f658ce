// _core.blend_pack: a generator's raw heads to pixels for Python.
#include <pybind11/numpy.h>

#include "bind.h"
#include "kernels/blend_pack/params.h"

namespace py = pybind11;

namespace mie {
namespace {

using Floats = py::array_t<float, py::array::c_style>;
using Bytes = py::array_t<uint8_t, py::array::c_style>;

py::object run(const Floats& color, const Floats& mask, const Bytes& source) {
    if (source.ndim() != 4 || source.shape(3) != 3 || color.size() != source.size() || 3 * mask.size() != source.size())
        throw py::value_error("blend_pack: color [N, 3, H, W], mask [N, 1, H, W] and source [N, H, W, 3] do not fit");
    Bytes packed({source.shape(0), source.shape(1), source.shape(2), py::ssize_t(3)});
    const BlendPackParams params{color.data(),         mask.data(), source.data(), source.shape(0), source.shape(1) * source.shape(2),
                                 packed.mutable_data()};
    bool finite;
    {
        py::gil_scoped_release release;
        finite = blend_pack(params);
    }
    if (!finite) return py::none();
    return std::move(packed);
}

}  // namespace

void bind_blend_pack(py::module_& m) {
    m.def("blend_pack", &run, py::arg("color").noconvert(), py::arg("mask").noconvert(), py::arg("source").noconvert(),
          "uint8 [N, H, W, 3] of raw heads and the source, or None when a head is not finite.");
}

}  // namespace mie
