#include "label.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "spot.h"

namespace mie {
namespace {

// Of three classes the best has at least .33; below .45 it is hardly ahead of the second.
constexpr double kMinProbability = 0.45;
// A peak that just passes the threshold is there, but its direction is noise by a fifth and more.
constexpr double kMinSignal = 1.2;

}  // namespace

Labeller::Labeller(LabelNetwork network, SimdLevel level)
    : network_(std::move(network)),
      flow_(kCropSide, kCropSide, level),
      u_(size_t(flow_.grid_width()) * flow_.grid_height()),
      v_(u_.size()),
      maps_(size_t(3) * network_.side * network_.side),
      packed_(maps_.size()) {
    if (network_.classes < 1 || network_.aus < 0 || !(network_.temperature > 0)) throw std::invalid_argument("label: not a recogniser");
}

Label Labeller::label(const uint8_t* onset, const uint8_t* apex, double signal_to_threshold) {
    flow_.onset(onset, kCropSide);
    flow_.later(apex, kCropSide, u_.data(), v_.data());
    float range[3][2];
    flow_maps(u_.data(), v_.data(), flow_.grid_width(), flow_.grid_height(), kCropSide, kCropSide, network_.side, network_.strain,
              packed_.data(), &range[0][0]);
    const size_t pixels = packed_.size() / 3;
    for (size_t k = 0; k < packed_.size(); ++k) maps_[k % 3 * pixels + k / 3] = packed_[k];

    Label label{-1, 0, std::vector<float>(size_t(network_.classes)), std::vector<float>(size_t(network_.aus))};
    network_.run(maps_.data(), label.scores.data(), label.aus.data());
    const float top = *std::max_element(label.scores.begin(), label.scores.end());
    double sum = 0;
    for (float& score : label.scores) sum += score = float(std::exp((score - top) / network_.temperature));
    for (float& score : label.scores) score = float(score / sum);
    for (float& au : label.aus) {
        au = float(1 / (1 + std::exp(-double(au))));
        if (!std::isfinite(au)) throw std::runtime_error("the recogniser network returned a number that is not finite");
    }
    if (!std::isfinite(sum)) throw std::runtime_error("the recogniser network returned a number that is not finite");
    const auto best = std::max_element(label.scores.begin(), label.scores.end());
    label.score = *best;
    if (label.score >= kMinProbability && signal_to_threshold >= kMinSignal) label.best = int(best - label.scores.begin());
    return label;
}

}  // namespace mie
