// mie_engine._core: one file per step binds that step; this one lists them.
#include <pybind11/pybind11.h>

#include "bind.h"

PYBIND11_MODULE(_core, m) {
    m.doc() = "The C++ runtime of mie_engine";
    m.attr("__version__") = MIE_VERSION;
    mie::bind_render(m);
    mie::bind_features(m);
    mie::bind_face(m);
    mie::bind_align(m);
    mie::bind_track(m);
    mie::bind_geometry(m);
    mie::bind_jpeg(m);
    mie::bind_flow(m);
    mie::bind_recognizer(m);
    mie::bind_shard(m);
    mie::bind_ststnet(m);
    mie::bind_blend_pack(m);
}
