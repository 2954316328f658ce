// _core.encode_jpeg: the CPU JPEG encoder for Python.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "bind.h"
#include "kernels/jpeg/encoder.h"
#include "kernels/render/source.h"

namespace py = pybind11;

namespace mie {
namespace {

std::vector<py::bytes> encode_frames(const py::array_t<uint8_t, py::array::c_style>& frames, int width, int height, int quality,
                                     const std::string& level_name) {
    const SimdLevel level = level_of(level_name);
    JpegEncoder encoder(quality, level);
    const int64_t bytes = frame_bytes(width, height, kYuv420);
    if (frames.ndim() != 2 || frames.shape(1) != bytes)
        throw py::value_error("encode_jpeg: frames must be [T, " + std::to_string(bytes) + "]");
    std::vector<py::bytes> files;
    std::vector<uint8_t> file;
    for (py::ssize_t t = 0; t < frames.shape(0); ++t) {
        const uint8_t* frame = frames.data(t, 0);
        {
            py::gil_scoped_release release;
            encoder.encode(frame, width, height, file);
        }
        files.emplace_back(reinterpret_cast<const char*>(file.data()), file.size());
    }
    return files;
}

}  // namespace

void bind_jpeg(py::module_& m) {
    m.attr("JPEG_VERSION") = kJpegVersion;
    m.def("encode_jpeg", &encode_frames, py::arg("frames").noconvert(), py::arg("width"), py::arg("height"), py::arg("quality"),
          py::arg("level"), "Encode yuv420 frames uint8 [T, bytes] as baseline JPEG files.");
}

}  // namespace mie
