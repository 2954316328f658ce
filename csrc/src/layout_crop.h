// The crop that flow, energy and feature maps share: eyes and mouth at fixed places, x and y scaled separately.
#pragma once
#include "kernels/align/align.h"

namespace mie {

// Places in parts of the crop's side, from its edge: pixel i is centred at i + 0.5. Eye centres are the midpoints of the corners
// 33, 133 (right) and 362, 263 (left), the mouth is the midpoint of 61, 291. Source: the layout of the MEGC2019 composite's crops.
constexpr double kLayoutRightEyeX = 0.275, kLayoutLeftEyeX = 0.725, kLayoutEyesY = 0.265, kLayoutMouthY = 0.69;

// Crop of size x size px with level eyes. Throws std::invalid_argument when eyes and mouth do not span a face.
Affine layout_crop(const double (*landmarks)[3], int size);

}  // namespace mie
