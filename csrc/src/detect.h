// Faces in an image: BlazeFace boxes, then 478 FaceMesh landmarks each. The networks are the caller's.
#pragma once
#include <array>
#include <functional>
#include <vector>

#include "kernels/align/align.h"

namespace mie {

constexpr int kLandmarks = 478;     // 468 of the mesh, then 5 per iris: centre, right, top, left, bottom (in the image)
constexpr int kDetectorSide = 128;  // px
constexpr int kLandmarkSide = 256;  // px
constexpr int kAnchors = 896;       // 16 x 16 x 2, then 8 x 8 x 6
constexpr int kRegressors = 16;     // box centre and size, then six points: right eye, left eye, nose, mouth, ears

struct Networks {
    // image [128][128][3] in -1..1 -> regressors [896][16] in px of that image, scores [896] as logits
    std::function<void(const float* image, float* regressors, float* scores)> detector;
    // image [256][256][3] in 0..1 -> landmarks [478][3] in px of that image, presence as a logit
    std::function<void(const float* image, float* landmarks, float* presence)> landmarks;
};

struct Point {
    double x, y;
};

struct Detection {
    double score;
    double left, top, right, bottom;  // px
    std::array<Point, 6> points;      // right eye, left eye, nose, mouth, ears; px
};

// Boxes of BlazeFace, largest first.
std::vector<Detection> detect(const Frame& image, const Networks& networks);

double overlap(const Detection& a, const Detection& b);  // intersection over union of the boxes, 0..1

// What the landmark network looks at: a rectangle whose width runs along the unit vector `axis`. px
struct Region {
    Point centre;
    double width, height;
    Point axis;
};

Region region_of(const Detection& face);  // half as large again as the box, turned so that the eyes are level

// Landmarks (px; z in the scale of x, smaller is nearer) of the face in a region; returns the network's belief in it, 0..1.
double landmarks_in(const Frame& image, const Networks& networks, const Region& region, double (*landmarks)[3]);

constexpr double kMinPresence = 0.5;  // below, there is no face

struct FaceFound {
    double score;                     // of the detector, 0.5..1
    double presence;                  // of the landmark network, 0.5..1
    double box[4];                    // of the detector: left, top, right, bottom; px
    double landmarks[kLandmarks][3];  // px; z in the scale of x, smaller is nearer
};

// Faces, largest box first; only the max_faces largest boxes are given to the landmark network.
// Follows MediaPipe's face_landmarker graph in image mode (mediapipe/tasks/cc/vision/face_landmarker).
std::vector<FaceFound> find_faces(const Frame& image, const Networks& networks, int max_faces);

}  // namespace mie
