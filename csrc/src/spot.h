// Micro-expressions in the motion of one face: what rises and returns within half a second while head, lids and speech are at rest.
//
// Every frame's crop is compared with a reference at most 0.4 s old (flow); the head's own motion is taken away (robust similarity over
// forehead, nose and cheeks) and the rest averaged over 13 regions. Chained over the references that is a displacement d(t) per region.
// Of a group of regions, contrast(t) = max over a < t < b of |d(t) - chord(t)| - 0.6 |d(b) - d(a)|, the chord going from d(a) to d(b):
// a pulse keeps its height, a step or a drift cancels. Peaks of the contrast above a threshold that follows the noise are measured on
// d projected onto their own direction, and kept if they are alone, as short, as small and as independent of head, lids and mouth as a
// micro-expression is.
#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <vector>

namespace mie {

constexpr int kCropSide = 224;  // px, of the layout crop
constexpr int kRegions = 13;

// What moved since another frame, px of the crop.
struct Motion {
    std::array<float, 2 * kRegions> region{};  // x, y of each region, head removed
    std::array<float, 4> head{};               // shift x, y at the middle of the face; growth and turn at its edge
    float misfit = 0;                          // median distance of the skin from the head's motion: large after a cut
    Motion operator+(const Motion& other) const;
};

// u, v: flow on the 112 x 112 cells of the crop, px.
Motion face_motion(const float* u, const float* v);

struct SpottedEvent {
    int64_t onset_frame, apex_frame, offset_frame;
    double onset_s, apex_s, offset_s;
    double motion_px;     // height of the peak
    double threshold_px;  // what a peak had to exceed here
};

struct Energy {
    double time_s, motion_px;  // the largest contrast of any group
};

// Peaks that are not micro-expressions, by reason.
enum class Reason { blink, head, too_long, too_large, repeated, not_returning };
constexpr int kReasons = 6;

// Streaming: constant memory, an event is known 0.6 s after its offset. Not thread-safe.
class Spotter {
  public:
    // total: motion since the first frame. time_s must grow; steps above kMaxStepS need a finish() in between.
    void push(int64_t frame, double time_s, const Motion& total);
    // No more frames follow this one: decides what is still open and forgets the frames, not the noise.
    void finish();

    std::vector<SpottedEvent> take_events();
    std::vector<Energy> take_energy();
    const std::array<int64_t, kReasons>& rejected() const { return rejected_; }

    static constexpr double kMinStepS = 0.0079;  // 126 Hz are enough for a 40 ms pulse: closer frames may be left out
    static constexpr double kMaxStepS = 0.126;   // below 8 Hz a pulse of half a second has no shape

  private:
    static constexpr int kGroups = 4;  // brows, lids, middle, mouth
    struct Sample {
        int64_t frame;
        double time_s;
        Motion motion;
        std::array<double, kGroups> contrast;
        std::array<int, kGroups> before, after;  // samples from here to a and b
    };
    struct Peak {
        int group, a, apex, b;  // samples
        double onset_s, apex_s, offset_s, height_px, jump_px, threshold_px;
        int64_t onset_frame, apex_frame, offset_frame;
    };

    void measure_contrast(int sample);
    void consider(int sample);
    bool measure(Peak& peak) const;
    bool is_alone(const Peak& peak) const;
    bool head_moves(const Peak& peak) const;
    double bulge(int group, double from_s, double to_s) const;
    double crossing(const std::vector<double>& level, int low, int from, int step, double at) const;
    int nearest(double time_s) const;
    void decide(double now_s);
    void advance(double now_s);
    void reject(Reason reason) { ++rejected_[int(reason)]; }

    std::deque<Sample> samples_;
    int measured_ = 0, considered_ = 0;  // samples whose contrast is known, that were looked at as peaks
    std::array<double, kGroups> noise_px_{0.04, 0.04, 0.04, 0.04};
    std::vector<Peak> peaks_, blinks_;
    std::vector<SpottedEvent> events_;
    std::vector<Energy> energy_;
    std::array<int64_t, kReasons> rejected_{};
};

}  // namespace mie
