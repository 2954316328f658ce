// flow for any processor: vectors of 16 bytes, which compilers know on every architecture.
#define MIE_LANE_BYTES 16
#include "solve.h"

namespace mie {
const FlowPath kFlowPortable{build_pyramid, solve, full_size, double_grid};
}  // namespace mie
