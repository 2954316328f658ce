// _core.align: an affine window of a frame, for Python.
#include "kernels/align/align.h"

#include <pybind11/numpy.h>

#include <cstring>

#include "bind.h"

namespace py = pybind11;

namespace mie {
namespace {

py::array align(const py::object& planes, bool full_range, const py::array_t<double, py::array::c_style>& matrix, int size, int supersample,
                int fraction_bits, bool zero_border, const std::string& output, float scale, float offset) {
    const Frame frame = frame_of(planes, full_range);
    Window window{{}, size, supersample, fraction_bits, zero_border ? Border::zero : Border::replicate};
    std::memcpy(window.to_source.m, matrix.data(), sizeof window.to_source.m);
    const bool bytes = output == "grey" || output == "rgb", hwc = output == "rgb" || output == "hwc";
    std::vector<py::ssize_t> shape{size, size};
    if (output != "grey") shape.insert(hwc ? shape.end() : shape.begin(), 3);
    py::array target(bytes ? py::dtype::of<uint8_t>() : py::dtype::of<float>(), shape);
    void* pixels = target.mutable_data();
    {
        py::gil_scoped_release released;
        if (output == "grey")
            align_grey(frame, window, static_cast<uint8_t*>(pixels));
        else if (bytes)
            align_rgb(frame, window, static_cast<uint8_t*>(pixels));
        else
            align_float(frame, window, hwc ? Layout::hwc : Layout::chw, scale, offset, static_cast<float*>(pixels));
    }
    return target;
}

}  // namespace

Frame frame_of(const py::object& planes, bool full_range) {
    const bool one = py::isinstance<py::array>(planes);
    const py::tuple tuple = one ? py::make_tuple(planes) : py::cast<py::tuple>(planes);
    const auto refuse = [] {
        throw py::value_error("a frame is uint8 [H, W, 3], [H, W], or the planes of 4:2:0 video, with packed pixels");
    };
    if (tuple.empty() || tuple.size() > 3) refuse();
    const PixelFormat formats[] = {PixelFormat::grey, PixelFormat::nv12, PixelFormat::yuv420};
    Frame frame{formats[tuple.size() - 1], 0, 0, {}, {}, full_range};
    for (size_t i = 0; i < tuple.size(); ++i) {
        if (!py::isinstance<py::array_t<uint8_t>>(tuple[i])) refuse();
        const auto plane = py::cast<py::array>(tuple[i]);
        if (plane.ndim() < 2 || plane.ndim() > 3 || plane.size() == 0 || plane.shape(0) > 1 << 22 || plane.shape(1) > 1 << 22) refuse();
        const py::ssize_t channels = plane.ndim() == 3 ? plane.shape(2) : 1;
        if (plane.strides(1) != channels || (plane.ndim() == 3 && plane.strides(2) != 1)) refuse();
        frame.plane[i] = static_cast<const uint8_t*>(plane.data()), frame.stride[i] = plane.strides(0);
        if (i == 0) {
            if (channels == 3 && tuple.size() == 1)
                frame.format = PixelFormat::rgb;
            else if (channels != 1)
                refuse();
            frame.height = int(plane.shape(0)), frame.width = int(plane.shape(1));
        } else if (plane.shape(0) != (frame.height + 1) / 2 || plane.shape(1) != (frame.width + 1) / 2 ||
                   channels != (tuple.size() == 2 ? 2 : 1)) {
            refuse();
        }
    }
    return frame;
}

void bind_align(py::module_& m) {
    m.def("align", &align, py::arg("planes"), py::arg("full_range"), py::arg("matrix"), py::arg("size"), py::arg("supersample"),
          py::arg("fraction_bits"), py::arg("zero_border"), py::arg("output"), py::arg("scale"), py::arg("offset"),
          "The window of a frame given as its planes: output grey or rgb (uint8), hwc or chw (float32).");
}

}  // namespace mie
