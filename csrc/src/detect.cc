// The graph is MediaPipe's, step by step, because the landmarks are only as good as the agreement with what the network was tuned on.
// Measured on 143 portraits against MediaPipe 0.10.21: mean distance over 478 landmarks in per cent of the inter-ocular distance,
// mean over faces (worst face):
//   as written                                                                              0.019 (0.10)
//   region of interest made square, as older graphs do                                      0.024 (0.10)
//   coordinates rounded to 1/32 px with halves away from the centre, instead of to even     0.044 (0.34)
//   coordinates not rounded to 1/32 px, samples not rounded to 8 bits                       0.053 (0.32)
//   pixel centres instead of corners mapped onto each other in both windows                 0.51 (1.9)
//   a second pass on a region made from the landmarks, as video mode does                   1.04 (2.3)
#include "detect.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace mie {
namespace {

constexpr double kMinScore = 0.5, kMinOverlap = 0.3;
constexpr double kRoiScale = 1.5;
constexpr int kFractionBits = 5;  // OpenCV's bilinear warp, which MediaPipe uses, works on a grid of 1/32 px
constexpr int kPoints = 6;

double sigmoid(double logit) { return 1.0 / (1.0 + std::exp(-std::clamp(logit, -100.0, 100.0))); }

// Rotated rectangle -> window of side x side px. Corners map to corners: the sample of pixel 0 lies on the rectangle's very corner.
Affine window(const Region& r, int side) {
    const double a = r.axis.x * r.width / side, b = -r.axis.y * r.height / side;
    const double c = r.axis.y * r.width / side, d = r.axis.x * r.height / side;
    return {{{a, b, r.centre.x - 0.5 * side * (a + b)}, {c, d, r.centre.y - 0.5 * side * (c + d)}}};
}

std::vector<float> network_input(const Frame& image, const Affine& to_source, int side, Border border, float scale, float offset) {
    std::vector<float> input(size_t(side) * side * 3);
    align_float(image, {to_source, side, 1, kFractionBits, border}, Layout::hwc, scale, offset, input.data());
    return input;
}

// Centres of the anchors, all of unit size: two per cell of 16 x 16, six per cell of 8 x 8
std::vector<Point> anchors() {
    std::vector<Point> centres;
    centres.reserve(kAnchors);
    for (const auto& [cells, copies] : {std::pair{16, 2}, std::pair{8, 6}})
        for (int y = 0; y < cells; ++y)
            for (int x = 0; x < cells; ++x) centres.insert(centres.end(), size_t(copies), {(x + 0.5) / cells, (y + 0.5) / cells});
    return centres;
}

// Network output -> detections in units of the letterbox
std::vector<Detection> decode(const float* regressors, const float* scores) {
    static const std::vector<Point> kCentres = anchors();
    std::vector<Detection> detections;
    for (int i = 0; i < kAnchors; ++i) {
        const double score = sigmoid(scores[i]);
        if (!(score >= kMinScore)) continue;
        const float* r = regressors + i * kRegressors;
        const auto place = [&](int k) {
            return Point{r[k] / double(kDetectorSide) + kCentres[i].x, r[k + 1] / double(kDetectorSide) + kCentres[i].y};
        };
        const Point centre = place(0);
        const double width = r[2] / double(kDetectorSide), height = r[3] / double(kDetectorSide);
        // No face is empty or several times the picture: such a box is noise, and its window would be too.
        if (!(width > 0 && height > 0 && width < 4 && height < 4 && std::fabs(centre.x) < 4 && std::fabs(centre.y) < 4)) continue;
        Detection d{score, centre.x - width / 2, centre.y - height / 2, centre.x + width / 2, centre.y + height / 2, {}};
        for (int k = 0; k < kPoints; ++k) d.points[k] = place(4 + 2 * k);
        detections.push_back(d);
    }
    return detections;
}

// Mean of a group by score, with the score of its best
Detection blend(const std::vector<Detection>& group) {
    Detection sum{group.front().score, 0, 0, 0, 0, {}};
    double total = 0;
    for (const Detection& d : group) total += d.score;
    for (const Detection& d : group) {
        const double weight = d.score / total;
        sum.left += weight * d.left, sum.top += weight * d.top, sum.right += weight * d.right, sum.bottom += weight * d.bottom;
        for (int k = 0; k < kPoints; ++k) sum.points[k].x += weight * d.points[k].x, sum.points[k].y += weight * d.points[k].y;
    }
    return sum;
}

// Weighted non-maximum suppression: a box absorbs what overlaps it instead of deleting it
std::vector<Detection> suppress(std::vector<Detection> rest) {
    std::stable_sort(rest.begin(), rest.end(), [](const Detection& a, const Detection& b) { return a.score > b.score; });
    std::vector<Detection> kept;
    while (!rest.empty()) {
        const Detection best = rest.front();
        const auto apart =
            std::stable_partition(rest.begin(), rest.end(), [&](const Detection& d) { return overlap(d, best) > kMinOverlap; });
        // A vanishingly small box may not even overlap itself after rounding; it still has to leave the list.
        if (apart == rest.begin()) {
            rest.erase(rest.begin());
            continue;
        }
        kept.push_back(blend({rest.begin(), apart}));
        rest.erase(rest.begin(), apart);
    }
    return kept;
}

}  // namespace

double overlap(const Detection& a, const Detection& b) {
    const double width = std::min(a.right, b.right) - std::max(a.left, b.left);
    const double height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
    if (width <= 0 || height <= 0) return 0;
    const double both = width * height;
    return both / ((a.right - a.left) * (a.bottom - a.top) + (b.right - b.left) * (b.bottom - b.top) - both);
}

std::vector<Detection> detect(const Frame& image, const Networks& networks) {
    // Letterbox: the longer side fills the input, the rest is black
    const double side = std::max(image.width, image.height);
    const Point centre{0.5 * image.width, 0.5 * image.height};
    const Affine letterbox = window({centre, side, side, {1, 0}}, kDetectorSide);
    const std::vector<float> input = network_input(image, letterbox, kDetectorSide, Border::zero, 1 / 127.5f, -1.0f);
    std::vector<float> regressors(size_t(kAnchors) * kRegressors), scores(kAnchors);
    networks.detector(input.data(), regressors.data(), scores.data());

    std::vector<Detection> faces = suppress(decode(regressors.data(), scores.data()));
    const double x0 = centre.x - 0.5 * side, y0 = centre.y - 0.5 * side;
    for (Detection& d : faces) {
        d.left = d.left * side + x0, d.right = d.right * side + x0, d.top = d.top * side + y0, d.bottom = d.bottom * side + y0;
        for (Point& p : d.points) p = {p.x * side + x0, p.y * side + y0};
    }
    const auto area = [](const Detection& d) { return (d.right - d.left) * (d.bottom - d.top); };
    std::stable_sort(faces.begin(), faces.end(), [&](const Detection& a, const Detection& b) { return area(a) > area(b); });
    return faces;
}

Region region_of(const Detection& face) {
    const double dx = face.points[1].x - face.points[0].x, dy = face.points[1].y - face.points[0].y;
    const double length = std::sqrt(dx * dx + dy * dy);
    const Point axis = length > 0 ? Point{dx / length, dy / length} : Point{1, 0};
    const Point centre{0.5 * (face.left + face.right), 0.5 * (face.top + face.bottom)};
    return {centre, kRoiScale * (face.right - face.left), kRoiScale * (face.bottom - face.top), axis};
}

double landmarks_in(const Frame& image, const Networks& networks, const Region& region, double (*landmarks)[3]) {
    const Affine roi = window(region, kLandmarkSide);
    const std::vector<float> input = network_input(image, roi, kLandmarkSide, Border::replicate, 1 / 255.0f, 0.0f);
    std::vector<float> points(size_t(kLandmarks) * 3);
    float presence = 0;
    networks.landmarks(input.data(), points.data(), &presence);

    for (int k = 0; k < kLandmarks; ++k) {
        const double x = points[3 * k], y = points[3 * k + 1], z = points[3 * k + 2];
        if (!std::isfinite(x + y + z)) throw std::runtime_error("the landmark network returned a number that is not finite");
        for (int row = 0; row < 2; ++row) landmarks[k][row] = roi.m[row][0] * x + roi.m[row][1] * y + roi.m[row][2];
        landmarks[k][2] = z * region.width / kLandmarkSide;
    }
    return sigmoid(presence);
}

std::vector<FaceFound> find_faces(const Frame& image, const Networks& networks, int max_faces) {
    std::vector<FaceFound> faces;
    const std::vector<Detection> detections = detect(image, networks);
    for (size_t i = 0; i < detections.size() && int(i) < max_faces; ++i) {
        const Detection& d = detections[i];
        FaceFound face{d.score, 0, {d.left, d.top, d.right, d.bottom}, {}};
        face.presence = landmarks_in(image, networks, region_of(d), face.landmarks);
        if (face.presence >= kMinPresence) faces.push_back(face);
    }
    return faces;
}

}  // namespace mie
