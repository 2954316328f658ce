#include "bind.h"

namespace mie {
void bind_geometry(pybind11::module_&) {}
}  // namespace mie
