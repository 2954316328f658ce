#include "bind.h"

namespace mie {
void bind_shard(pybind11::module_&) {}
}  // namespace mie
