// _core.TarWriter and the frame encoders: the end of the synthesis road.
#include "csrc/src/shard.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cerrno>
#include <system_error>

#include "bind.h"

namespace py = pybind11;

namespace mie {
namespace {

using Words = py::array_t<int16_t, py::array::c_style>;

std::vector<std::pair<int64_t, int64_t>> pairs(const std::vector<TarEntry>& entries) {
    std::vector<std::pair<int64_t, int64_t>> out;
    for (const TarEntry& e : entries) out.emplace_back(e.offset, e.size);
    return out;
}

std::vector<std::pair<int64_t, int64_t>> add_clip_of(TarWriter& tar, const RenderSource& source, const Words& coefficients,
                                                     const std::vector<std::string>& names, int noise_q15, uint32_t key0, uint32_t key1,
                                                     FrameEncoder& encoder, const std::string& level_name) {
    const SimdLevel level = level_of(level_name);
    if (coefficients.ndim() != 2 || coefficients.shape(1) != source.channels() || size_t(coefficients.shape(0)) != names.size())
        throw std::invalid_argument("add_clip: coefficients must be [names, " + std::to_string(source.channels()) + "]");
    py::gil_scoped_release release;
    return pairs(add_clip(tar, source, coefficients.data(), names, {noise_q15, {key0, key1}}, encoder, level));
}

// Frames that another backend rendered: uint8 [T, bytes of the encoder's format].
std::vector<std::pair<int64_t, int64_t>> add_frames(TarWriter& tar, const py::array_t<uint8_t, py::array::c_style>& frames, int width,
                                                    int height, const std::vector<std::string>& names, FrameEncoder& encoder) {
    const int64_t bytes = frame_bytes(width, height, encoder.format());
    if (frames.ndim() < 1 || size_t(frames.shape(0)) != names.size() || frames.size() != py::ssize_t(names.size()) * bytes)
        throw std::invalid_argument("add_frames: expected " + std::to_string(bytes) + " bytes for each of " + std::to_string(names.size()) +
                                    " names");
    std::vector<TarEntry> entries;
    py::gil_scoped_release release;
    std::vector<uint8_t> file;
    for (size_t t = 0; t < names.size(); ++t) {
        encoder.encode(frames.data() + int64_t(t) * bytes, width, height, file);
        entries.push_back(tar.add(names[t], file.data(), file.size()));
    }
    return pairs(entries);
}

// A Python function as encoder: memoryview of the frame, width, height -> bytes.
std::unique_ptr<FrameEncoder> callback_encoder(const std::string& format, py::function function) {
    if (format != "rgb" && format != "yuv420") throw py::value_error("CallbackEncoder: format is '" + format + "', expected rgb or yuv420");
    const RenderFormat layout = format == "rgb" ? kRgb : kYuv420;
    auto held = std::shared_ptr<py::function>(new py::function(std::move(function)), [](py::function* f) {
        py::gil_scoped_acquire acquire;
        delete f;
    });
    return std::make_unique<CallbackEncoder>(layout, [held, layout](const uint8_t* frame, int width, int height) {
        py::gil_scoped_acquire acquire;
        const py::memoryview view = py::memoryview::from_memory(frame, py::ssize_t(frame_bytes(width, height, layout)));
        const std::string bytes = py::bytes((*held)(view, width, height));
        return std::vector<uint8_t>(bytes.begin(), bytes.end());
    });
}

}  // namespace

void bind_shard(py::module_& m) {
    py::register_local_exception_translator([](std::exception_ptr thrown) {
        try {
            if (thrown) std::rethrow_exception(thrown);
        } catch (const std::system_error& e) {  // keeps errno, so that a full disk reads as one
            PyErr_SetObject(PyExc_OSError, py::make_tuple(e.code().value(), e.what()).ptr());
        }
    });
    py::class_<FrameEncoder>(m, "FrameEncoder");
    m.def(
        "jpeg_encoder", [](int quality, const std::string& level) { return make_jpeg_encoder(quality, level_of(level)); },
        py::arg("quality"), py::arg("level"));
    m.def("callback_encoder", &callback_encoder, py::arg("format"), py::arg("function"));
    py::class_<TarWriter>(m, "TarWriter")
        .def(py::init<std::string>(), py::arg("path"))
        .def(
            "add",
            [](TarWriter& tar, const std::string& name, const py::bytes& data) {
                const std::string_view view = data;
                const TarEntry e = tar.add(name, view.data(), view.size());
                return std::make_pair(e.offset, e.size);
            },
            py::arg("name"), py::arg("data"))
        .def("add_clip", &add_clip_of, py::arg("source"), py::arg("coefficients").noconvert(), py::arg("names"), py::arg("noise_q15"),
             py::arg("key0"), py::arg("key1"), py::arg("encoder"), py::arg("level"))
        .def("add_frames", &add_frames, py::arg("frames").noconvert(), py::arg("width"), py::arg("height"), py::arg("names"),
             py::arg("encoder"))
        .def("finish", &TarWriter::finish, py::call_guard<py::gil_scoped_release>());
}

}  // namespace mie
