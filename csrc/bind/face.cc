#include "bind.h"

namespace mie {
void bind_face(pybind11::module_&) {}
}  // namespace mie
