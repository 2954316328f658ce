// A face is measured in a region made from its last landmarks. MediaPipe's video mode takes 1.5 times their bounding box; here size and
// place are those that the detector's regions have on average, relative to the landmarks of upright faces, because that is what the
// landmark network was tuned on. Mean distance over 478 landmarks in per cent of the inter-ocular distance, 66 faces, against
//                                      image mode, upright    upright image mode, picture turned by 30 degrees
//   image mode                              0                  1.95
//   MediaPipe's video mode                  1.04               0.95
//   this region                             0.80               0.83
// so a found face is measured twice, the second time in this region.
#include "track.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace mie {
namespace {

constexpr double kNever = -HUGE_VAL;
constexpr double kWindow_s = 0.3;      // measurements that are averaged
constexpr double kForget_s = 2.0;      // how long a lost face keeps its id
constexpr double kSlack_s = 0.001;     // timestamps are rounded, often to milliseconds
constexpr double kSameFace = 0.3;      // overlap of two boxes of one face
constexpr double kRegionScale = 1.54;  // of the root of the bounding box's area
constexpr double kRegionDrop = 0.028;  // its centre below that of the bounding box, in its own size

Region region_of(const double (*points)[3]) {
    const auto middle = [&](int a, int b, int axis) { return 0.5 * (points[a][axis] + points[b][axis]); };
    const double dx = middle(362, 263, 0) - middle(33, 133, 0), dy = middle(362, 263, 1) - middle(33, 133, 1);
    const double length = std::sqrt(dx * dx + dy * dy);
    const Point axis = length > 0 ? Point{dx / length, dy / length} : Point{1, 0};
    double low[2] = {HUGE_VAL, HUGE_VAL}, high[2] = {-HUGE_VAL, -HUGE_VAL};
    for (int k = 0; k < kLandmarks; ++k) {
        const double turned[2] = {axis.x * points[k][0] + axis.y * points[k][1], axis.x * points[k][1] - axis.y * points[k][0]};
        for (int i = 0; i < 2; ++i) low[i] = std::min(low[i], turned[i]), high[i] = std::max(high[i], turned[i]);
    }
    const double side = kRegionScale * std::sqrt((high[0] - low[0]) * (high[1] - low[1]));
    const double u = 0.5 * (low[0] + high[0]), v = 0.5 * (low[1] + high[1]) + kRegionDrop * side;
    return {{axis.x * u - axis.y * v, axis.y * u + axis.x * v}, side, side, axis};
}

Detection box_of(const double (*points)[3]) {
    Detection box{1, HUGE_VAL, HUGE_VAL, -HUGE_VAL, -HUGE_VAL, {}};
    for (int k = 0; k < kLandmarks; ++k) {
        box.left = std::min(box.left, points[k][0]), box.right = std::max(box.right, points[k][0]);
        box.top = std::min(box.top, points[k][1]), box.bottom = std::max(box.bottom, points[k][1]);
    }
    return box;
}

struct Moments {
    double x = 0, y = 0;
    explicit Moments(const double (*points)[3]) {
        for (int k = 0; k < kLandmarks; ++k) x += points[k][0] / kLandmarks, y += points[k][1] / kLandmarks;
    }
};

// Adds `points`, moved onto `target` by the affine map that fits best, to `sum`: what remains is the jitter of the measurements, and
// the motion of the head, which the map takes up, is not delayed by the average.
void add_aligned(const double (*points)[3], const double (*target)[3], double (*sum)[2]) {
    const Moments p(points), q(target);
    double xx = 0, xy = 0, yy = 0, ux = 0, uy = 0, vx = 0, vy = 0;
    for (int k = 0; k < kLandmarks; ++k) {
        const double x = points[k][0] - p.x, y = points[k][1] - p.y, u = target[k][0] - q.x, v = target[k][1] - q.y;
        xx += x * x, xy += x * y, yy += y * y, ux += u * x, uy += u * y, vx += v * x, vy += v * y;
    }
    const double det = xx * yy - xy * xy;
    const bool flat = !(det > 1e-6 * xx * yy);  // all on one line: nothing to fit, only shift
    const double a = flat ? 1 : (ux * yy - uy * xy) / det, b = flat ? 0 : (uy * xx - ux * xy) / det;
    const double c = flat ? 0 : (vx * yy - vy * xy) / det, d = flat ? 1 : (vy * xx - vx * xy) / det;
    for (int k = 0; k < kLandmarks; ++k) {
        const double x = points[k][0] - p.x, y = points[k][1] - p.y;
        sum[k][0] += a * x + b * y + q.x;
        sum[k][1] += c * x + d * y + q.y;
    }
}

}  // namespace

FaceTracker::FaceTracker(Networks networks, TrackOptions options)
    : networks_(std::move(networks)), options_(options), time_s_(kNever), measured_s_(kNever), detected_s_(kNever) {
    if (options.max_faces < 1 || options.max_faces > 16) throw std::invalid_argument("max_faces must lie in 1..16");
    for (const double interval : {options.landmark_interval_s, options.detect_interval_s})
        if (!(interval >= 0 && interval <= 60)) throw std::invalid_argument("intervals must lie in 0..60 s");
}

int FaceTracker::followed() const {
    return int(std::count_if(tracks_.begin(), tracks_.end(), [](const Track& t) { return !t.lost; }));
}

bool FaceTracker::measure(const Frame& frame, double time_s, Track& track) const {
    const Region region = region_of(track.recent.back().points);
    const auto& [x, y] = region.centre;
    // Where half the face has left the picture, or the face is larger than the picture, the network sees mostly repeated edges.
    if (!(x >= 0 && y >= 0 && x < frame.width && y < frame.height && region.width < 2 * std::max(frame.width, frame.height))) return false;
    Shape shape{time_s, {}};
    track.presence = landmarks_in(frame, networks_, region, shape.points);
    if (!(track.presence >= kMinPresence)) return false;
    track.recent.push_back(shape);
    const auto old = [&](const Shape& s) { return s.time_s < time_s - kWindow_s - kSlack_s; };
    track.recent.erase(track.recent.begin(), std::find_if_not(track.recent.begin(), track.recent.end(), old));
    track.seen_s = time_s;
    return true;
}

void FaceTracker::look_for_faces(const Frame& frame, double time_s) {
    detected_s_ = time_s;
    int tries = options_.max_faces;
    for (const Detection& detection : detect(frame, networks_)) {
        const auto known = [&](const Detection& box, bool lost) {
            return std::find_if(tracks_.begin(), tracks_.end(),
                                [&](const Track& t) { return t.lost == lost && overlap(box, box_of(t.recent.back().points)) > kSameFace; });
        };
        if (followed() >= options_.max_faces || tries == 0) return;
        if (known(detection, false) != tracks_.end()) continue;
        --tries;
        Track track{next_id_, false, 0, time_s, {{time_s, {}}}};
        if (!(landmarks_in(frame, networks_, mie::region_of(detection), track.recent.back().points) >= kMinPresence)) continue;
        if (!measure(frame, time_s, track)) continue;
        track.recent.erase(track.recent.begin());
        const Detection box = box_of(track.recent.back().points);
        if (known(box, false) != tracks_.end()) continue;
        const auto before = known(box, true);
        if (before == tracks_.end()) {
            ++next_id_;
            tracks_.push_back(track);
        } else {
            track.id = before->id;
            *before = track;
        }
    }
}

const std::vector<TrackedFace>& FaceTracker::push(const Frame& frame, double time_s) {
    if (!(time_s > time_s_ && std::isfinite(time_s))) throw std::invalid_argument("time_s must be finite and grow from frame to frame");
    time_s_ = time_s;
    if (frame.width != width_ || frame.height != height_) {
        tracks_.clear();
        measured_s_ = kNever;
        width_ = frame.width, height_ = frame.height;
    }
    if (time_s - measured_s_ < options_.landmark_interval_s - kSlack_s) {
        for (TrackedFace& face : faces_) face.fresh = false;
        return faces_;
    }
    measured_s_ = time_s;

    const int before = followed();
    for (Track& track : tracks_)
        if (!track.lost) track.lost = !measure(frame, time_s, track);
    // Two tracks that slid onto one face: the older one has it.
    for (size_t i = 0; i < tracks_.size(); ++i)
        for (size_t j = i + 1; j < tracks_.size(); ++j)
            if (!tracks_[i].lost && !tracks_[j].lost &&
                overlap(box_of(tracks_[i].recent.back().points), box_of(tracks_[j].recent.back().points)) > kSameFace)
                tracks_[j].lost = true;
    const int now = followed();
    if (now == 0 || now < before || (now < options_.max_faces && time_s - detected_s_ >= options_.detect_interval_s - kSlack_s))
        look_for_faces(frame, time_s);
    const auto forgotten = [&](const Track& t) { return t.lost && time_s - t.seen_s > kForget_s; };
    tracks_.erase(std::remove_if(tracks_.begin(), tracks_.end(), forgotten), tracks_.end());
    std::sort(tracks_.begin(), tracks_.end(), [](const Track& a, const Track& b) { return a.id < b.id; });

    faces_.clear();
    for (const Track& track : tracks_) {
        if (track.lost) continue;
        TrackedFace face{track.id, true, track.presence, {}};
        const Shape& newest = track.recent.back();
        double sum[kLandmarks][2] = {};
        for (const Shape& shape : track.recent) add_aligned(shape.points, newest.points, sum);
        for (int k = 0; k < kLandmarks; ++k) {
            for (int axis = 0; axis < 2; ++axis) face.landmarks[k][axis] = sum[k][axis] / double(track.recent.size());
            face.landmarks[k][2] = newest.points[k][2];
        }
        faces_.push_back(face);
    }
    return faces_;
}

}  // namespace mie
