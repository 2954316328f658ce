#include "layout_crop.h"

#include <cmath>
#include <stdexcept>

namespace mie {

Affine layout_crop(const double (*landmarks)[3], int size) {
    if (size < 1) throw std::invalid_argument("crop size must be at least 1 px");
    const auto middle = [&](int a, int b, int axis) { return 0.5 * (landmarks[a][axis] + landmarks[b][axis]); };
    const double right_x = middle(33, 133, 0), right_y = middle(33, 133, 1);
    const double dx = middle(362, 263, 0) - right_x, dy = middle(362, 263, 1) - right_y;
    const double eyes = std::sqrt(dx * dx + dy * dy);
    if (!(eyes > 1e-6 && std::isfinite(eyes))) throw std::invalid_argument("landmarks do not span a face: the eyes coincide");
    const double ux = dx / eyes, uy = dy / eyes;
    const double mx = middle(61, 291, 0) - right_x, my = middle(61, 291, 1) - right_y;
    const double drop = ux * my - uy * mx;  // from the line of the eyes down to the mouth
    // A mouth this near the eyes, or above them, is not seen by any camera; the crop would be a smear.
    if (!(drop > 0.1 * eyes && drop < 10 * eyes))
        throw std::invalid_argument("landmarks do not span a face: the mouth is not below the eyes");

    const double sx = eyes / ((kLayoutLeftEyeX - kLayoutRightEyeX) * size), sy = drop / ((kLayoutMouthY - kLayoutEyesY) * size);
    const double x0 = 0.5 - kLayoutRightEyeX * size, y0 = 0.5 - kLayoutEyesY * size;  // pixel 0 as seen from the right eye, crop px
    const double a = ux * sx, b = -uy * sy, c = uy * sx, d = ux * sy;
    return {{{a, b, right_x + a * x0 + b * y0}, {c, d, right_y + c * x0 + d * y0}}};
}

}  // namespace mie
