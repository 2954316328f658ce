// Recognising: the spotter on given motion (tests), and the recogniser on frames.
#include "../src/recognizer.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "bind.h"

namespace py = pybind11;
using namespace pybind11::literals;

namespace mie {
namespace {

using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;

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
    return py::make_tuple(Floats({kRegions, 2}, motion.d.data()), Floats(4, motion.d.data() + 2 * kRegions), motion.misfit);
}

py::tuple spot(const Doubles& time_s, const Floats& region, const Floats& head) {
    const py::ssize_t count = time_s.size();
    if (region.size() != count * 2 * kRegions || head.size() != count * 4) throw py::value_error("region must be [T, 13, 2], head [T, 4]");
    Spotter spotter;
    for (py::ssize_t i = 0; i < count; ++i) {
        Motion motion;
        std::copy_n(region.data() + i * 2 * kRegions, 2 * kRegions, motion.d.begin());
        std::copy_n(head.data() + i * 4, 4, motion.d.begin() + 2 * kRegions);
        spotter.push(i, time_s.data()[i], motion);
    }
    spotter.finish();
    py::list events;
    for (const SpottedEvent& e : spotter.take_events())
        events.append(py::make_tuple(e.onset_frame, e.apex_frame, e.offset_frame, e.motion_px, e.threshold_px));
    return py::make_tuple(events, rejections(spotter.rejected()));
}

// A Python network: float32 [1, 3, side, side] -> logits [1, classes], au_logits [1, aus]
LabelNetwork label_network(const py::object& run, int classes, int aus, int side, const std::string& strain, double temperature) {
    if (side != 28 && side != 56 && side != 64) throw py::value_error("side must be 28, 56 or 64");
    return {classes, aus, side, strain_kind(strain), temperature, [=](const float* maps, float* logits, float* au_logits) {
                call_network(run, {1, 3, side, side}, maps, classes, logits, aus, au_logits);
            }};
}

py::array_t<uint8_t> picture(const std::vector<uint8_t>& grey) { return py::array_t<uint8_t>({kCropSide, kCropSide}, grey.data()); }

py::dict event_fields(const RecognizedEvent& e) {
    return py::dict("face"_a = e.face, "onset_frame"_a = e.spot.onset_frame, "apex_frame"_a = e.spot.apex_frame,
                    "offset_frame"_a = e.spot.offset_frame, "onset_s"_a = e.spot.onset_s, "apex_s"_a = e.spot.apex_s,
                    "offset_s"_a = e.spot.offset_s, "motion_px"_a = e.spot.motion_px, "threshold_px"_a = e.spot.threshold_px,
                    "best"_a = e.label.best, "score"_a = e.label.score, "scores"_a = e.label.scores, "aus"_a = e.label.aus,
                    "onset"_a = picture(e.onset), "apex"_a = picture(e.apex));
}

py::dict counts_of(const Recognizer& recognizer) {
    const RecognizerCounts c = recognizer.counts();
    return py::dict("frames"_a = c.frames, "faces"_a = c.faces, "frames_without_face"_a = c.frames_without_face,
                    "small_faces"_a = c.small_faces, "breaks"_a = c.breaks, "rejected"_a = rejections(c.rejected));
}

}  // namespace

void bind_recognizer(py::module_& m) {
    m.attr("CROP_SIDE_PX") = kCropSide;
    m.def("face_motion", &face_motion_py, py::arg("flow"), "Regions [13, 2], head [4] (px) and misfit of a flow field [2, 112, 112].");
    m.def("spot", &spot, py::arg("time_s"), py::arg("region"), py::arg("head"),
          "Events (onset, apex, offset frame, height, threshold) and rejections of displacements float32 [T, 13, 2], [T, 4], px.");
    py::class_<Recognizer>(m, "Recognizer", "Frames in, labelled events out; lives and dies with the GIL held.")
        .def(py::init([](const py::object& run_detector, const py::object& run_landmarks, const py::object& run, int classes, int aus,
                         int side, const std::string& strain, double temperature, int max_faces, const std::string& simd) {
                 return std::make_unique<Recognizer>(networks_of(run_detector, run_landmarks),
                                                     label_network(run, classes, aus, side, strain, temperature), TrackOptions{max_faces},
                                                     level_of(simd));
             }),
             py::arg("run_detector"), py::arg("run_landmarks"), py::arg("run"), py::arg("classes"), py::arg("aus"), py::arg("side"),
             py::arg("strain"), py::arg("temperature"), py::arg("max_faces"), py::arg("simd"))
        .def("push",
             [](Recognizer& recognizer, const py::object& planes, bool full_range, int64_t index, double time_s) {
                 const Frame frame = frame_of(planes, full_range);
                 py::gil_scoped_release released;
                 recognizer.push(frame, index, time_s);
             })
        .def("finish", &Recognizer::finish, py::call_guard<py::gil_scoped_release>())
        .def("poll",
             [](Recognizer& recognizer) {
                 py::list events;
                 for (const RecognizedEvent& event : recognizer.poll()) events.append(event_fields(event));
                 return events;
             })
        .def("poll_energy",
             [](Recognizer& recognizer) {
                 py::list points;
                 for (const FaceEnergy& e : recognizer.poll_energy())
                     points.append(py::make_tuple(e.face, e.energy.time_s, e.energy.motion_px));
                 return points;
             })
        .def_property_readonly("faces", &Recognizer::faces, py::return_value_policy::copy)
        .def_property_readonly("counts", &counts_of);
}

}  // namespace mie
