// Every binding file offers one function; each releases the GIL around native work.
#pragma once
#include <pybind11/pybind11.h>

#include <string>

#include "kernels/common/simd.h"

namespace mie {
SimdLevel level_of(const std::string& name);  // "scalar", "avx2" or "avx512"; raises where the processor lacks it

void bind_render(pybind11::module_& m);
void bind_motion(pybind11::module_& m);
void bind_face(pybind11::module_& m);
void bind_geometry(pybind11::module_& m);
void bind_jpeg(pybind11::module_& m);
void bind_shard(pybind11::module_& m);
void bind_ststnet(pybind11::module_& m);
}  // namespace mie
