// _core.ststnet: the recogniser STSTNet for Python.
#include <pybind11/numpy.h>

#include "bind.h"
#include "kernels/ststnet/params.h"

namespace py = pybind11;

namespace mie {
namespace {

using Floats = py::array_t<float, py::array::c_style>;

py::object run(const Floats& maps, const Floats& packed, int outputs, const std::string& level_name) {
    const SimdLevel level = level_of(level_name);
    const py::ssize_t each = 3 * kStstnetSidePx * kStstnetSidePx, head = kStstnetCells * kStstnetChannels + 1;
    if (maps.ndim() != 4 || maps.size() != maps.shape(0) * each) throw py::value_error("ststnet: maps must be [N, 3, 28, 28]");
    if (outputs < 1 || packed.size() != kStstnetHead + outputs * head) throw py::value_error("ststnet: weights are not packed for outputs");
    Floats logits({maps.shape(0), py::ssize_t(outputs)});
    const StstnetParams params{maps.data(), maps.shape(0), packed.data(), outputs, logits.mutable_data()};
    bool finite;
    {
        py::gil_scoped_release release;
        finite = ststnet(params, level);
    }
    if (!finite) return py::none();
    return std::move(logits);
}

}  // namespace

void bind_ststnet(py::module_& m) {
    m.def("ststnet", &run, py::arg("maps").noconvert(), py::arg("packed").noconvert(), py::arg("outputs"), py::arg("level"),
          "Logits float32 [N, outputs] of maps float32 [N, 3, 28, 28], or None when a map is not finite.");
}

}  // namespace mie
