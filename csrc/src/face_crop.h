// The aligned crop of one face: eyes level, face centred, square.
#pragma once
#include <vector>

#include "detect.h"

namespace mie {

// With u the unit vector between the eye centres (midpoints of the corners 33, 133 and 362, 263) and v = u turned by 90 degrees,
// the landmarks span a box of width w along u and height h along v around the point c. The crop is the square around c with sides
// along u and v and side = 1.35 max(w, h): the margin of 17 % is where a motion of forehead, cheeks and chin fades out.
struct FaceCrop {
    Affine to_source;       // crop px -> image px
    double px_per_px;       // image px per crop px: side / size
    double ux, uy, cx, cy;  // u and c above, image px
    int size;               // px

    // Image px -> crop px; z is scaled like x and y.
    void to_crop(const double image[3], double crop[3]) const;
};

// Throws std::invalid_argument when the landmarks do not span a face (eyes in one point, or not finite).
FaceCrop face_crop(const double (*landmarks)[3], int size);

// The pixels of a crop, antialiased; outside the image its edge is repeated. target uint8 [size][size][3].
void cut(const Frame& image, const FaceCrop& crop, uint8_t* target);

}  // namespace mie
