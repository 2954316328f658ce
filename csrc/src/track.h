// Faces of a video: found by BlazeFace, then followed from landmarks to landmarks.
#pragma once
#include <vector>

#include "detect.h"

namespace mie {

struct TrackOptions {
    int max_faces = 2;
    double landmark_interval_s = 0.1;  // landmarks say where the crop lies, the flow says what moves: they need not be measured often
    double detect_interval_s = 1.0;    // how often to look for further faces
};

struct TrackedFace {
    int id;                           // from 0 in the order of appearance
    bool fresh;                       // the landmarks were measured in this frame; otherwise they are those of the last measurement
    double presence;                  // of the last measurement, 0.5..1
    double landmarks[kLandmarks][3];  // px; z in the scale of x, smaller is nearer
};

// Follows faces through the frames of one video. A face that is lost and found again at the same place within 2 s keeps its id.
// A frame of another size ends all faces: those found in it are new. Not thread-safe.
class FaceTracker {
  public:
    // Throws std::invalid_argument for max_faces outside 1..16 or intervals outside 0..60 s.
    FaceTracker(Networks networks, TrackOptions options);

    // The faces of the next frame, oldest first; valid until the next call. time_s must grow from frame to frame
    // (std::invalid_argument).
    const std::vector<TrackedFace>& push(const Frame& frame, double time_s);

  private:
    struct Shape {
        double time_s;
        double points[kLandmarks][3];
    };
    struct Track {
        int id;
        bool lost;
        double presence, seen_s;
        std::vector<Shape> recent;  // measurements of the last kWindow_s, newest last
    };
    bool measure(const Frame& frame, double time_s, Track& track) const;
    void look_for_faces(const Frame& frame, double time_s);
    int followed() const;

    Networks networks_;
    TrackOptions options_;
    std::vector<Track> tracks_;
    std::vector<TrackedFace> faces_;
    int next_id_ = 0, width_ = 0, height_ = 0;
    double time_s_, measured_s_, detected_s_;
};

}  // namespace mie
