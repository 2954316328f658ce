// Frames in, labelled micro-expressions out: track -> layout crop -> flow -> spot -> label.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "label.h"
#include "spot.h"
#include "track.h"

namespace mie {

struct RecognizedEvent {
    int face;  // id of the tracker
    SpottedEvent spot;
    Label label;
    std::vector<uint8_t> onset, apex;  // the crops that were compared, grey [kCropSide][kCropSide]
};

struct FaceEnergy {
    int face;
    Energy energy;
};

struct RecognizerCounts {
    int64_t frames = 0, faces = 0, frames_without_face = 0;
    int64_t small_faces = 0;  // looks at a face whose eyes are less than kMinInterocularPx apart
    int64_t breaks = 0;       // cuts and gaps, over which nothing can be spotted
    std::array<int64_t, kReasons> rejected{};
};

constexpr double kMinInterocularPx = 20;  // below, a published intensity moves the skin by less than a tenth of a pixel

// Not thread-safe. Memory is bounded by max_faces, whatever the length of the video. What the networks throw passes through.
class Recognizer {
  public:
    Recognizer(Networks networks, LabelNetwork network, TrackOptions track, SimdLevel level);

    // The next frame. time_s must grow (std::invalid_argument).
    void push(const Frame& frame, int64_t index, double time_s);
    // The video has ended: what is still open is decided.
    void finish();

    // What was found since the last call. An event is known 0.6 s after its offset.
    std::vector<RecognizedEvent> poll();
    std::vector<FaceEnergy> poll_energy();
    const std::vector<TrackedFace>& faces() const { return faces_; }  // of the last frame
    RecognizerCounts counts() const;

  private:
    struct Crop {
        int64_t index;
        double time_s;
        Affine to_source;
        std::vector<uint8_t> grey;
    };
    struct Face {
        Face(int number, SimdLevel level) : id(number), flow(kCropSide, kCropSide, level) {}
        int id;
        FlowSolver flow;
        Spotter spotter;
        Affine to_source{};  // frozen, so that neither landmarks nor rounding become motion
        Motion base;         // of the reference, since the segment began
        double reference_s = 0;
        std::deque<Crop> crops;
    };

    void follow(Face& face, const Frame& frame, int64_t index, double time_s, const Affine& wanted);
    void begin(Face& face, const Frame& frame, int64_t index, double time_s, const Affine& wanted);
    void collect(Face& face);
    void leave(Face& face);

    FaceTracker tracker_;
    Labeller labeller_;
    SimdLevel level_;
    std::map<int, std::unique_ptr<Face>> followed_;
    std::vector<TrackedFace> faces_;
    std::vector<RecognizedEvent> events_;
    std::vector<FaceEnergy> energy_;
    RecognizerCounts counts_;
    std::vector<float> u_, v_;
};

}  // namespace mie
