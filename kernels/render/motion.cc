#include "motion.h"

namespace mie {
void motion_frame(const MotionParams&, const int16_t*, const int16_t*, int, int, int) {}
}  // namespace mie
