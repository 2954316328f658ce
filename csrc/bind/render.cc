#include "bind.h"

namespace mie {
void bind_render(pybind11::module_&) {}
}  // namespace mie
