#include "face_crop.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace mie {

constexpr double kRoom = 1.35;
constexpr int kFractionBits = 8;

void FaceCrop::to_crop(const double image[3], double crop[3]) const {
    const double dx = image[0] - cx, dy = image[1] - cy, middle = 0.5 * (size - 1);
    crop[0] = (ux * dx + uy * dy) / px_per_px + middle;
    crop[1] = (ux * dy - uy * dx) / px_per_px + middle;
    crop[2] = image[2] / px_per_px;
}

FaceCrop face_crop(const double (*landmarks)[3], int size) {
    // Eye corners, not irises: a glance aside must not turn the head
    const auto middle = [&](int a, int b, int axis) { return 0.5 * (landmarks[a][axis] + landmarks[b][axis]); };
    const double dx = middle(362, 263, 0) - middle(33, 133, 0), dy = middle(362, 263, 1) - middle(33, 133, 1);
    const double length = std::sqrt(dx * dx + dy * dy);
    if (!(length > 1e-6 && std::isfinite(length))) throw std::invalid_argument("landmarks do not span a face: the eyes coincide");
    const double ux = dx / length, uy = dy / length;

    double low[2] = {HUGE_VAL, HUGE_VAL}, high[2] = {-HUGE_VAL, -HUGE_VAL};
    for (int k = 0; k < kLandmarks; ++k) {
        const double x = landmarks[k][0], y = landmarks[k][1];
        const double turned[2] = {ux * x + uy * y, ux * y - uy * x};
        for (int axis = 0; axis < 2; ++axis) {
            low[axis] = std::min(low[axis], turned[axis]);
            high[axis] = std::max(high[axis], turned[axis]);
        }
    }
    const double side = kRoom * std::max(high[0] - low[0], high[1] - low[1]);
    if (!std::isfinite(side)) throw std::invalid_argument("landmarks do not span a face: not finite");
    const double mu = 0.5 * (low[0] + high[0]), mv = 0.5 * (low[1] + high[1]);
    const double cx = ux * mu - uy * mv, cy = uy * mu + ux * mv;

    const double s = side / size, half = 0.5 * (size - 1);
    const Affine to_source = {{{ux * s, -uy * s, cx - half * s * (ux - uy)}, {uy * s, ux * s, cy - half * s * (uy + ux)}}};
    return {to_source, s, ux, uy, cx, cy, size};
}

void cut(const Frame& image, const FaceCrop& crop, uint8_t* target) {
    align_rgb(image, {crop.to_source, crop.size, supersample_for(crop.to_source), kFractionBits, Border::replicate}, target);
}

}  // namespace mie
