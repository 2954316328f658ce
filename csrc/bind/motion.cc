#include "bind.h"

namespace mie {
void bind_motion(pybind11::module_&) {}
}  // namespace mie
