// What an event shows: the flow from its onset to its apex, as the map that the recogniser network reads.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/flow/flow.h"
#include "kernels/flow/maps.h"

namespace mie {

struct LabelNetwork {
    int classes, aus;  // numbers of logits
    int side;          // of the maps: 28, 56 or 64 px
    Strain strain;
    double temperature;  // divides the class logits
    // maps [3][side][side], 0..255, in the order u, v, strain -> logits [classes], au_logits [aus]
    std::function<void(const float* maps, float* logits, float* au_logits)> run;
};

struct Label {
    int best;                   // class, or -1: the evidence is too low for one
    double score;               // probability of the best class, also when abstaining
    std::vector<float> scores;  // probabilities of the classes; sum 1
    std::vector<float> aus;     // evidence for each action unit, 0..1
};

// Not thread-safe.
class Labeller {
  public:
    Labeller(LabelNetwork network, SimdLevel level);

    // Crops [kCropSide][kCropSide] in the same place; signal_to_threshold: height of the peak over what it had to exceed.
    // Throws std::runtime_error when the network returns numbers that are not finite.
    Label label(const uint8_t* onset, const uint8_t* apex, double signal_to_threshold);

  private:
    LabelNetwork network_;
    FlowSolver flow_;
    std::vector<float> u_, v_, maps_;
    std::vector<uint8_t> packed_;
};

}  // namespace mie
