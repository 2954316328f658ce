// Every binding file offers one function; each releases the GIL around native work.
#pragma once
#include <pybind11/numpy.h>

#include <string>

#include "../src/track.h"
#include "kernels/common/simd.h"
#include "kernels/flow/maps.h"

namespace mie {
SimdLevel level_of(const std::string& name);  // "scalar", "avx2" or "avx512"; raises where the processor lacks it
// Views of uint8 [H, W, 3], [H, W] or a tuple (Y, U, V) or (Y, UV), which must outlive the frame; raises on anything else.
Frame frame_of(const pybind11::object& planes, bool full_range);
// Float64 [478, 3], as points; raises on another shape
using Doubles = pybind11::array_t<double, pybind11::array::c_style | pybind11::array::forcecast>;
const double (*landmarks_of(const Doubles& landmarks))[3];
// A Python callable, float32 of a shape -> a pair of arrays of so many numbers; takes the GIL
void call_network(const pybind11::object& network, const std::vector<pybind11::ssize_t>& shape, const float* image,
                  pybind11::ssize_t first_count, float* first, pybind11::ssize_t second_count, float* second);
Networks networks_of(const pybind11::object& run_detector, const pybind11::object& run_landmarks);

void bind_render(pybind11::module_& m);
void bind_features(pybind11::module_& m);
void bind_face(pybind11::module_& m);
void bind_align(pybind11::module_& m);
void bind_geometry(pybind11::module_& m);
void bind_jpeg(pybind11::module_& m);
void bind_track(pybind11::module_& m);
void bind_flow(pybind11::module_& m);
void bind_recognizer(pybind11::module_& m);
void bind_shard(pybind11::module_& m);
void bind_ststnet(pybind11::module_& m);
void bind_blend_pack(pybind11::module_& m);
}  // namespace mie
