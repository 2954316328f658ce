#include "spot.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <utility>

namespace mie {
namespace {

using Complex = std::complex<double>;

// Lengths in px of the 224 px crop, in which the eyes are 101 px apart.
constexpr double kFloorPx = 0.22;   // the faintest published intensities (.1 of AU 4, 14, 24) move a group by .4 px and more
constexpr double kNoiseFactor = 5;  // a threshold of five medians of the contrast at rest
constexpr double kNoiseRate = 0.5;  // 1/s: how fast the estimate of that median follows
constexpr double kNoiseMinPx = 0.01;
constexpr double kMaxLagS = 0.4, kLagStepS = 0.03, kMaxSpanS = 0.56;
constexpr double kApartS = 0.2;                         // one peak in 2 x this
constexpr double kMinWidthS = 0.04, kMaxWidthS = 0.55;  // 0.5 s is the definition, a tenth the error of the extrapolated ends
constexpr double kMaxReturn = 0.35;                     // of the height: what may be left after the offset
constexpr double kBeforeS = 0.5, kAfterS = 0.25;        // rest asked for on either side
constexpr double kMaxBulge = 0.25, kMinBulgePx = 0.15;  // of the height: bends before and after; slow drift is a straight line
constexpr double kMaxShift = 0.55, kMinShiftPx = 0.3;   // of the height: how far d may wander there
constexpr double kBlinkPx = 1.6;                        // vertical, mean over a lid's box: AU 5 and 7 at the intensities above stay below
constexpr double kBlinkMaxS = 0.7;
constexpr double kBlinkLeak = 0.1;                           // of the blink: how far it pulls the skin along
constexpr double kBlinkLeakInStep[] = {0.3, 0.3, 0.3, 0.2};  // where a group rises and falls with it
constexpr double kTalkLeak = 0.15;                           // of the mouth's motion
constexpr double kTooLargePx[] = {8, 8, 12, 15};
constexpr double kHeadShare = 1.5, kHeadRangePx = 25;  // pulse of the head relative to the peak's; its way during the event
constexpr double kDecideS = 0.6, kForgetS = 2.4;

constexpr int kCells = kCropSide / 2, kBlockCells = 4, kBlocks = kCells / kBlockCells;
constexpr int kBrow = 0, kLid = 1, kMouth = 3;
constexpr int kFirst[] = {0, 6, 10, 16, 26};  // numbers of Motion::region that belong to each group

struct Box {
    double left, right, top, bottom;  // fractions of the crop
    bool holds(double x, double y) const { return x >= left && x < right && y >= top && y < bottom; }
};
constexpr Box kRegionBoxes[kRegions] = {
    {.10, .37, .03, .143}, {.40, .60, .03, .18},  {.63, .90, .03, .143},  // brows; above the reach of a blink
    {.16, .37, .18, .286}, {.63, .84, .18, .286},                         // lids
    {.38, .62, .40, .56},  {.14, .36, .36, .56},  {.64, .86, .36, .56},   // nose, cheeks
    {.22, .40, .60, .78},  {.60, .78, .60, .78},  {.40, .60, .57, .69},  {.40, .60, .70, .80}, {.36, .64, .83, .97},  // corners, lips, chin
};
constexpr Box kNotHead[] = {{.14, .41, .19, .33}, {.59, .86, .19, .33}, {.2, .8, .57, .86}};  // eyes and mouth
constexpr double kMiddleX = .5, kMiddleY = .45, kRadiusX = .47, kRadiusY = .53;

double place(int block) { return (block + 0.5) / kBlocks; }

struct Layout {
    std::vector<int> head;                          // blocks that move with the head
    std::array<std::vector<int>, kRegions> region;  // blocks of each region
    Layout() {
        for (int k = 0; k < kBlocks * kBlocks; ++k) {
            const double x = place(k % kBlocks), y = place(k / kBlocks);
            for (int r = 0; r < kRegions; ++r)
                if (kRegionBoxes[r].holds(x, y)) region[r].push_back(k);
            const bool excluded = std::any_of(std::begin(kNotHead), std::end(kNotHead), [&](const Box& box) { return box.holds(x, y); });
            if (!excluded && std::pow((x - kMiddleX) / kRadiusX, 2) + std::pow((y - kMiddleY) / kRadiusY, 2) < 1) head.push_back(k);
        }
    }
};

Complex position(int block) { return {place(block % kBlocks) - kMiddleX, place(block / kBlocks) - kMiddleY}; }

double distance(const float* a, const float* b, int count) {
    double sum = 0;
    for (int k = 0; k < count; ++k) sum += double(a[k] - b[k]) * (a[k] - b[k]);
    return std::sqrt(sum);
}

// |d - chord| at `d`, the chord going from a to b and standing at `share` of it
double off_chord(const float* a, const float* d, const float* b, double share, int count) {
    double sum = 0;
    for (int k = 0; k < count; ++k) {
        const double gap = d[k] - a[k] - (b[k] - a[k]) * share;
        sum += gap * gap;
    }
    return std::sqrt(sum);
}

double shared_s(double on_a, double off_a, double on_b, double off_b) { return std::min(off_a, off_b) - std::max(on_a, on_b); }

}  // namespace

Motion Motion::operator+(const Motion& other) const {
    Motion sum = other;
    for (size_t k = 0; k < region.size(); ++k) sum.region[k] += region[k];
    for (size_t k = 0; k < head.size(); ++k) sum.head[k] += head[k];
    return sum;
}

Motion face_motion(const float* u, const float* v) {
    static const Layout kLayout;
    std::array<Complex, kBlocks * kBlocks> flow;
    for (int k = 0; k < kBlocks * kBlocks; ++k) {
        const int first = (k / kBlocks * kCells + k % kBlocks) * kBlockCells;
        double x = 0, y = 0;
        for (int j = 0; j < kBlockCells; ++j)
            for (int i = 0; i < kBlockCells; ++i) x += u[first + j * kCells + i], y += v[first + j * kCells + i];
        flow[k] = Complex(x, y) / double(kBlockCells * kBlockCells);
    }

    // Similarity flow = shift + turn * position by iterated least squares (Tukey's weights): what moves on its own drops out.
    const std::vector<int>& blocks = kLayout.head;
    std::vector<double> weight(blocks.size(), 1.0), error(blocks.size()), sorted(blocks.size());
    Complex shift, turn;
    Motion motion;
    for (int pass = 0; pass < 5; ++pass) {
        double total = 0, spread = 0;
        Complex middle, mean, product;
        for (size_t i = 0; i < blocks.size(); ++i) {
            total += weight[i];
            middle += weight[i] * position(blocks[i]);
            mean += weight[i] * flow[blocks[i]];
        }
        middle /= total, mean /= total;
        for (size_t i = 0; i < blocks.size(); ++i) {
            const Complex arm = position(blocks[i]) - middle;
            product += weight[i] * std::conj(arm) * flow[blocks[i]];
            spread += weight[i] * std::norm(arm);
        }
        turn = product / spread;
        shift = mean - turn * middle;
        for (size_t i = 0; i < blocks.size(); ++i) error[i] = std::abs(flow[blocks[i]] - shift - turn * position(blocks[i]));
        sorted = error;
        std::nth_element(sorted.begin(), sorted.begin() + sorted.size() / 2, sorted.end());
        motion.misfit = float(sorted[sorted.size() / 2]);
        const double reach = 4.5 * std::max(double(motion.misfit), 0.03);
        for (size_t i = 0; i < blocks.size(); ++i) {
            const double part = std::max(0.0, 1 - error[i] * error[i] / (reach * reach));
            weight[i] = part * part + 1e-6;
        }
    }

    const Complex edge = turn * kRadiusX;
    motion.head = {float(shift.real()), float(shift.imag()), float(edge.real()), float(edge.imag())};
    for (int r = 0; r < kRegions; ++r) {
        Complex sum;
        for (int k : kLayout.region[r]) sum += flow[k] - shift - turn * position(k);
        sum /= double(kLayout.region[r].size());
        motion.region[2 * r] = float(sum.real()), motion.region[2 * r + 1] = float(sum.imag());
    }
    return motion;
}

void Spotter::push(int64_t frame, double time_s, const Motion& total) {
    samples_.push_back({frame, time_s, total, {}, {}, {}});
    advance(time_s);
    while (samples_.size() > 1 && samples_.front().time_s < time_s - kForgetS) {
        samples_.pop_front();
        --measured_, --considered_;
    }
}

void Spotter::finish() {
    advance(1e300);
    samples_.clear(), blinks_.clear();
    measured_ = considered_ = 0;
}

// Three steps behind the newest frame: contrast needs the lag, a peak its neighbourhood, a decision the rest after the offset.
void Spotter::advance(double now_s) {
    const int count = int(samples_.size());
    for (; measured_ < count && samples_[measured_].time_s <= now_s - kMaxLagS; ++measured_) measure_contrast(measured_);
    for (; considered_ < measured_ && samples_[considered_].time_s <= now_s - kDecideS; ++considered_) consider(considered_);
    decide(now_s);
}

void Spotter::measure_contrast(int at) {
    Sample& sample = samples_[at];
    std::vector<int> before, after;
    const auto lags = [&](std::vector<int>& chosen, int step) {
        double last_s = sample.time_s;
        for (int i = at + step; i >= 0 && i < int(samples_.size()); i += step) {
            const double lag_s = std::fabs(samples_[i].time_s - sample.time_s);
            if (lag_s > kMaxLagS + 1e-6) break;
            if (std::fabs(samples_[i].time_s - last_s) < kLagStepS) continue;
            chosen.push_back(i);
            last_s = samples_[i].time_s;
        }
    };
    lags(before, -1), lags(after, 1);
    sample.contrast.fill(0);
    for (int a : before)
        for (int b : after) {
            const double span_s = samples_[b].time_s - samples_[a].time_s, share = (sample.time_s - samples_[a].time_s) / span_s;
            if (span_s > kMaxSpanS) continue;
            for (int g = 0; g < kGroups; ++g) {
                const int first = kFirst[g], size = kFirst[g + 1] - first;
                const float *from = &samples_[a].motion.region[first], *to = &samples_[b].motion.region[first];
                const double contrast = off_chord(from, &sample.motion.region[first], to, share, size) - 0.6 * distance(from, to, size);
                if (contrast > sample.contrast[g]) sample.contrast[g] = contrast, sample.before[g] = at - a, sample.after[g] = b - at;
            }
        }
    energy_.push_back({sample.time_s, *std::max_element(sample.contrast.begin(), sample.contrast.end())});
    if (at == 0) return;
    const double step = std::exp(kNoiseRate * std::min(sample.time_s - samples_[at - 1].time_s, kMaxStepS));
    for (int g = 0; g < kGroups; ++g)
        noise_px_[g] = std::max(kNoiseMinPx, sample.contrast[g] > noise_px_[g] ? noise_px_[g] * step : noise_px_[g] / step);
}

// Is this sample the highest of its neighbourhood, and what is the peak?
void Spotter::consider(int at) {
    const Sample& sample = samples_[at];
    for (int g = 0; g < kGroups; ++g) {
        Peak peak{};
        peak.threshold_px = std::max(kFloorPx, kNoiseFactor * noise_px_[g]);
        if (sample.contrast[g] < peak.threshold_px) continue;
        bool highest = true;
        for (int i = at - 1; i >= 0 && samples_[i].time_s >= sample.time_s - kApartS; --i)
            highest = highest && samples_[i].contrast[g] < sample.contrast[g];
        for (int i = at + 1; i < measured_ && samples_[i].time_s <= sample.time_s + kApartS; ++i)
            highest = highest && samples_[i].contrast[g] <= sample.contrast[g];
        if (!highest) continue;
        peak.group = g, peak.apex = at, peak.a = at - sample.before[g], peak.b = at + sample.after[g];
        const bool measured = measure(peak);
        if (!measured || peak.jump_px > kMaxReturn * peak.height_px) {
            reject(Reason::not_returning);
            continue;
        }
        const double width_s = peak.offset_s - peak.onset_s;
        if (g == kLid) {
            const auto& d = samples_[peak.apex].motion.region;
            const auto& d0 = samples_[peak.a].motion.region;
            const double lids_px =
                std::max(std::fabs(d[kFirst[g] + 1] - d0[kFirst[g] + 1]), std::fabs(d[kFirst[g] + 3] - d0[kFirst[g] + 3]));
            if (lids_px > kBlinkPx && width_s < kBlinkMaxS) {
                reject(Reason::blink);
                blinks_.push_back(peak);
                continue;
            }
        }
        const double one_frame_s = samples_[peak.b].time_s - samples_[peak.b - 1].time_s;
        if (width_s < kMinWidthS || width_s > kMaxWidthS + one_frame_s)
            reject(Reason::too_long);
        else if (peak.height_px > kTooLargePx[g])
            reject(Reason::too_large);
        else if (head_moves(peak))
            reject(Reason::head);
        else if (!is_alone(peak))
            reject(Reason::repeated);
        else
            peaks_.push_back(peak);
    }
}

// Time at which `level` (from sample `low` on) falls below `at`, walking from the apex; NaN when it does not.
double Spotter::crossing(const std::vector<double>& level, int low, int from, int step, double at) const {
    int i = from;
    while (i >= low && i < low + int(level.size()) && level[i - low] > at) i += step;
    if (i < low || i >= low + int(level.size())) return NAN;
    const int j = i - step;
    const double share = (at - level[i - low]) / (level[j - low] - level[i - low]);
    return samples_[i].time_s + (samples_[j].time_s - samples_[i].time_s) * share;
}

// Onset, apex and offset on d projected onto the peak's own direction. The ends are extrapolated from where a quarter and three quarters
// of the height are passed, for ramps shaped 3 s^2 - 2 s^3: a quarter is passed at s = .326, three quarters at .674.
bool Spotter::measure(Peak& peak) const {
    const int first = kFirst[peak.group], size = kFirst[peak.group + 1] - first, count = int(samples_.size());
    std::vector<double> level;
    for (int pass = 0; pass < 3; ++pass) {
        const Sample &a = samples_[peak.a], &b = samples_[peak.b];
        const auto above = [&](int i, int k) {
            const double share = (samples_[i].time_s - a.time_s) / (b.time_s - a.time_s);
            return samples_[i].motion.region[k] - a.motion.region[k] - (b.motion.region[k] - a.motion.region[k]) * share;
        };
        const int low = nearest(a.time_s - kMaxLagS), high = nearest(b.time_s + kMaxLagS);
        level.assign(size_t(high - low + 1), 0);
        for (int k = first; k < first + size; ++k) {
            const double direction = above(peak.apex, k);
            for (int i = low; i <= high; ++i) level[i - low] += direction * above(i, k);
        }
        for (int i = peak.a; i <= peak.b; ++i)
            if (level[i - low] > level[peak.apex - low]) peak.apex = i;
        const double top = level[peak.apex - low];
        if (!(top > 0)) return false;
        const double quarter_up = crossing(level, low, peak.apex, -1, top / 4), most_up = crossing(level, low, peak.apex, -1, top * 3 / 4);
        const double quarter_down = crossing(level, low, peak.apex, 1, top / 4),
                     most_down = crossing(level, low, peak.apex, 1, top * 3 / 4);
        if (!(std::isfinite(quarter_up + most_up) && std::isfinite(quarter_down + most_down))) return false;
        peak.onset_s = quarter_up - (most_up - quarter_up) * 0.326 / 0.348;
        peak.offset_s = quarter_down + (quarter_down - most_down) * 0.326 / 0.348;
        peak.a = peak.apex, peak.b = peak.apex;
        while (peak.a > 0 && samples_[peak.a].time_s > peak.onset_s - 0.01) --peak.a;
        while (peak.b < count - 1 && samples_[peak.b].time_s < peak.offset_s + 0.01) ++peak.b;
        if (peak.a == peak.apex || peak.b == peak.apex) return false;
    }
    const Sample &a = samples_[peak.a], &apex = samples_[peak.apex], &b = samples_[peak.b];
    const double span_s = b.time_s - a.time_s;
    peak.height_px =
        off_chord(&a.motion.region[first], &apex.motion.region[first], &b.motion.region[first], (apex.time_s - a.time_s) / span_s, size);
    peak.jump_px = distance(&a.motion.region[first], &b.motion.region[first], size);
    // what the drift before and after accounts for is no failure to return
    const Sample &a0 = samples_[nearest(a.time_s - 0.2)], &b1 = samples_[nearest(b.time_s + 0.2)];
    double left = 0;
    for (int k = first; k < first + size; ++k) {
        const double before = a.time_s > a0.time_s ? (a.motion.region[k] - a0.motion.region[k]) / (a.time_s - a0.time_s) : 0;
        const double after = b1.time_s > b.time_s ? (b1.motion.region[k] - b.motion.region[k]) / (b1.time_s - b.time_s) : 0;
        const double gap = b.motion.region[k] - a.motion.region[k] - span_s * (before + after) / 2;
        left += gap * gap;
    }
    peak.jump_px = std::min(peak.jump_px, std::sqrt(left));
    const Sample &onset = samples_[nearest(peak.onset_s)], &offset = samples_[nearest(peak.offset_s)];
    peak.onset_frame = onset.frame, peak.apex_frame = apex.frame, peak.offset_frame = offset.frame;
    peak.onset_s = onset.time_s, peak.apex_s = apex.time_s, peak.offset_s = offset.time_s;
    return true;
}

bool Spotter::head_moves(const Peak& peak) const {
    const Sample &a = samples_[peak.a], &apex = samples_[peak.apex], &b = samples_[peak.b];
    const double share = (apex.time_s - a.time_s) / (b.time_s - a.time_s);
    if (off_chord(a.motion.head.data(), apex.motion.head.data(), b.motion.head.data(), share, 4) > kHeadShare * peak.height_px) return true;
    for (int i = peak.a; i <= peak.b; ++i)
        if (distance(a.motion.head.data(), samples_[i].motion.head.data(), 4) > kHeadRangePx) return true;
    return false;
}

// Largest distance of d from the straight line between the ends of a time span
double Spotter::bulge(int group, double from_s, double to_s) const {
    const int low = nearest(from_s), high = nearest(to_s), first = kFirst[group], size = kFirst[group + 1] - first;
    const Sample &a = samples_[low], &b = samples_[high];
    double largest = 0;
    for (int i = low + 1; i < high; ++i)
        largest = std::max(largest, off_chord(&a.motion.region[first], &samples_[i].motion.region[first], &b.motion.region[first],
                                              (samples_[i].time_s - a.time_s) / (b.time_s - a.time_s), size));
    return largest;
}

bool Spotter::is_alone(const Peak& peak) const {
    const int first = kFirst[peak.group], size = kFirst[peak.group + 1] - first;
    const Sample &a = samples_[peak.a], &b = samples_[peak.b];
    const double bend =
        std::max(bulge(peak.group, peak.onset_s - kBeforeS, a.time_s), bulge(peak.group, b.time_s, peak.offset_s + kAfterS));
    if (bend > std::max(kMaxBulge * peak.height_px, kMinBulgePx)) return false;
    double wander = 0;
    for (int i = nearest(peak.onset_s - kBeforeS); i < peak.a; ++i)
        wander = std::max(wander, distance(&samples_[i].motion.region[first], &a.motion.region[first], size));
    for (int i = nearest(peak.offset_s + kAfterS); i > peak.b; --i)
        wander = std::max(wander, distance(&samples_[i].motion.region[first], &b.motion.region[first], size));
    if (wander > std::max(kMaxShift * peak.height_px, kMinShiftPx)) return false;
    return peak.group == kMouth || peak.height_px > kTalkLeak * bulge(kMouth, peak.onset_s - kDecideS, peak.offset_s + kAfterS);
}

int Spotter::nearest(double time_s) const {
    const auto at = std::lower_bound(samples_.begin(), samples_.end(), time_s, [](const Sample& s, double t) { return s.time_s < t; });
    if (at == samples_.end()) return int(samples_.size()) - 1;
    if (at == samples_.begin()) return 0;
    return int(at - samples_.begin()) - (time_s - (at - 1)->time_s < at->time_s - time_s ? 1 : 0);
}

// The peaks of all groups that belong together become one event, timed by the clearest of them.
void Spotter::decide(double now_s) {
    while (!peaks_.empty()) {
        const auto earliest =
            std::min_element(peaks_.begin(), peaks_.end(), [](const Peak& p, const Peak& q) { return p.offset_s < q.offset_s; });
        if (earliest->offset_s > now_s - kDecideS) break;
        const Peak seed = *earliest;
        std::vector<Peak> together;
        peaks_.erase(std::remove_if(peaks_.begin(), peaks_.end(),
                                    [&](const Peak& p) {
                                        const double shorter_s = std::min(p.offset_s - p.onset_s, seed.offset_s - seed.onset_s);
                                        if (shared_s(p.onset_s, p.offset_s, seed.onset_s, seed.offset_s) <= 0.3 * shorter_s) return false;
                                        together.push_back(p);
                                        return true;
                                    }),
                     peaks_.end());
        const Peak* best = nullptr;
        for (const Peak& peak : together) {
            const bool leaks = std::any_of(blinks_.begin(), blinks_.end(), [&](const Peak& blink) {
                const double both_s = shared_s(peak.onset_s, peak.offset_s, blink.onset_s, blink.offset_s);
                const double peak_s = peak.offset_s - peak.onset_s, blink_s = blink.offset_s - blink.onset_s;
                const bool in_step = both_s > 0.55 * (peak_s + blink_s - both_s);
                return both_s > 0.5 * std::min(peak_s, blink_s) &&
                       peak.height_px < (in_step ? kBlinkLeakInStep[peak.group] : kBlinkLeak) * blink.height_px;
            });
            if (!leaks && (!best || peak.height_px / peak.threshold_px > best->height_px / best->threshold_px)) best = &peak;
        }
        if (best)
            events_.push_back({best->onset_frame, best->apex_frame, best->offset_frame, best->onset_s, best->apex_s, best->offset_s,
                               best->height_px, best->threshold_px});
    }
    blinks_.erase(std::remove_if(blinks_.begin(), blinks_.end(), [&](const Peak& p) { return p.offset_s < now_s - kForgetS; }),
                  blinks_.end());
}

std::vector<SpottedEvent> Spotter::take_events() { return std::exchange(events_, {}); }
std::vector<Energy> Spotter::take_energy() { return std::exchange(energy_, {}); }

}  // namespace mie
