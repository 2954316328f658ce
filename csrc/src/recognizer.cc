#include "recognizer.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "layout_crop.h"

namespace mie {
namespace {

constexpr double kReferenceS = 0.4;  // one event fits between two references, and the light has hardly changed
constexpr double kFarPx = 12;        // a crop this far from the face (of 224 px) is taken anew
constexpr double kCutMisfitPx = 6;   // half the skin moves on its own and far: another picture
constexpr double kKeepS = 1.6;       // longest event + decision: what labels may still ask for

Affine inverse(const Affine& a) {
    const auto& m = a.m;
    const double det = m[0][0] * m[1][1] - m[0][1] * m[1][0];
    const double p = m[1][1] / det, q = -m[0][1] / det, r = -m[1][0] / det, s = m[0][0] / det;
    return {{{p, q, -p * m[0][2] - q * m[1][2]}, {r, s, -r * m[0][2] - s * m[1][2]}}};
}

Affine after(const Affine& outer, const Affine& inner) {
    Affine both{};
    for (int i = 0; i < 2; ++i) {
        for (int k = 0; k < 3; ++k) both.m[i][k] = outer.m[i][0] * inner.m[0][k] + outer.m[i][1] * inner.m[1][k];
        both.m[i][2] += outer.m[i][2];
    }
    return both;
}

// Largest distance between where two crops put a point of the face, px of the crop
double apart_px(const Affine& frozen, const Affine& wanted) {
    const Affine moved = after(inverse(frozen), wanted);
    double largest = 0;
    for (const double x : {0.1, 0.9})
        for (const double y : {0.1, 0.9}) {
            const double i = x * kCropSide, j = y * kCropSide;
            largest = std::max(largest, std::hypot(moved.m[0][0] * i + moved.m[0][1] * j + moved.m[0][2] - i,
                                                   moved.m[1][0] * i + moved.m[1][1] * j + moved.m[1][2] - j));
        }
    return largest;
}

void read(const Frame& frame, const Affine& to_source, std::vector<uint8_t>& grey) {
    grey.resize(size_t(kCropSide) * kCropSide);
    align_grey(frame, {to_source, kCropSide, supersample_for(to_source), 8, Border::replicate}, grey.data());
}

}  // namespace

Recognizer::Recognizer(Networks networks, LabelNetwork network, TrackOptions track, SimdLevel level)
    : tracker_(std::move(networks), track),
      labeller_(std::move(network), level),
      level_(level),
      u_(size_t(kCropSide / 2) * (kCropSide / 2)),
      v_(u_.size()) {}

void Recognizer::push(const Frame& frame, int64_t index, double time_s) {
    faces_ = tracker_.push(frame, time_s);
    ++counts_.frames;
    counts_.frames_without_face += faces_.empty();
    for (auto at = followed_.begin(); at != followed_.end();) {
        const bool here = std::any_of(faces_.begin(), faces_.end(), [&](const TrackedFace& face) { return face.id == at->first; });
        if (!here) {
            leave(*at->second);
        }
        at = here ? std::next(at) : followed_.erase(at);
    }
    for (const TrackedFace& tracked : faces_) {
        counts_.faces = std::max<int64_t>(counts_.faces, tracked.id + 1);
        Affine wanted;
        try {
            wanted = layout_crop(tracked.landmarks, kCropSide);
        } catch (const std::invalid_argument&) {
            continue;  // a face seen from the side has no layout; it is still followed
        }
        const double eyes_px = (kLayoutLeftEyeX - kLayoutRightEyeX) * kCropSide * std::hypot(wanted.m[0][0], wanted.m[1][0]);
        if (eyes_px < kMinInterocularPx) {
            counts_.small_faces += tracked.fresh;
            continue;
        }
        std::unique_ptr<Face>& face = followed_[tracked.id];
        if (!face) face = std::make_unique<Face>(tracked.id, level_);
        follow(*face, frame, index, time_s, wanted);
        collect(*face);
    }
}

void Recognizer::begin(Face& face, const Frame& frame, int64_t index, double time_s, const Affine& wanted) {
    counts_.breaks += !face.crops.empty();
    face.spotter.finish();
    collect(face);
    face.crops.clear();
    face.to_source = wanted;
    face.crops.push_back({index, time_s, wanted, {}});
    read(frame, wanted, face.crops.back().grey);
    face.flow.onset(face.crops.back().grey.data(), kCropSide);
    face.base = {};
    face.reference_s = time_s;
    face.spotter.push(index, time_s, face.base);
}

void Recognizer::follow(Face& face, const Frame& frame, int64_t index, double time_s, const Affine& wanted) {
    const double step_s = face.crops.empty() ? HUGE_VAL : time_s - face.crops.back().time_s;
    if (step_s < Spotter::kMinStepS) return;
    if (step_s > Spotter::kMaxStepS) return begin(face, frame, index, time_s, wanted);

    Crop crop{index, time_s, face.to_source, {}};
    if (face.crops.front().time_s < time_s - kKeepS) {
        crop.grey = std::move(face.crops.front().grey);  // its memory serves again
        face.crops.pop_front();
    }
    read(frame, face.to_source, crop.grey);
    face.flow.later(crop.grey.data(), kCropSide, u_.data(), v_.data());
    const Motion step = face_motion(u_.data(), v_.data());
    if (step.misfit > kCutMisfitPx) return begin(face, frame, index, time_s, wanted);
    const Motion total = face.base + step;
    face.spotter.push(index, time_s, total);
    const bool far = apart_px(face.to_source, wanted) > kFarPx;
    if (far) {  // both crops show this frame: the motion goes on from here as seen through the new one
        face.to_source = crop.to_source = wanted;
        read(frame, wanted, crop.grey);
    }
    if (far || time_s - face.reference_s > kReferenceS - 1e-6) {
        face.flow.onset(crop.grey.data(), kCropSide);
        face.base = total;
        face.reference_s = time_s;
    }
    face.crops.push_back(std::move(crop));
}

void Recognizer::collect(Face& face) {
    for (const Energy& energy : face.spotter.take_energy()) energy_.push_back({face.id, energy});
    for (const SpottedEvent& spot : face.spotter.take_events()) {
        const auto crop_of = [&](int64_t index) {
            return std::find_if(face.crops.begin(), face.crops.end(), [&](const Crop& crop) { return crop.index >= index; });
        };
        const auto onset = crop_of(spot.onset_frame), apex = crop_of(spot.apex_frame);
        const Frame source{PixelFormat::grey, kCropSide, kCropSide, {onset->grey.data()}, {kCropSide}, true};
        std::vector<uint8_t> start;
        read(source, after(inverse(onset->to_source), apex->to_source), start);
        Label label = labeller_.label(start.data(), apex->grey.data(), spot.motion_px / spot.threshold_px);
        events_.push_back({face.id, spot, std::move(label), std::move(start), apex->grey});
    }
}

void Recognizer::leave(Face& face) {
    face.spotter.finish();
    collect(face);
    for (int k = 0; k < kReasons; ++k) counts_.rejected[k] += face.spotter.rejected()[k];
}

void Recognizer::finish() {
    for (auto& [id, face] : followed_) leave(*face);
    followed_.clear();
    faces_.clear();
}

std::vector<RecognizedEvent> Recognizer::poll() { return std::exchange(events_, {}); }
std::vector<FaceEnergy> Recognizer::poll_energy() { return std::exchange(energy_, {}); }

RecognizerCounts Recognizer::counts() const {
    RecognizerCounts counts = counts_;
    for (const auto& [id, face] : followed_)
        for (int k = 0; k < kReasons; ++k) counts.rejected[k] += face->spotter.rejected()[k];
    return counts;
}

}  // namespace mie
