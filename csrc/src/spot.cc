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
constexpr double kBlinkPx = 1.6;                        // mean over a lid's box; AU 5 and 7 at the intensities above stay below
constexpr double kBlinkMaxS = 0.7;
constexpr double kBlinkLeak = 0.1;                           // of the blink: how far it pulls the skin along
constexpr double kBlinkLeakInStep[] = {0.3, 0.3, 0.3, 0.2};  // where a group rises and falls with it
constexpr double kTalkLeak = 0.15;                           // of the mouth's motion
constexpr double kTooLargePx[] = {8, 8, 12, 15};
constexpr double kHeadShare = 1.5, kHeadRangePx = 25;  // pulse of the head relative to the peak's; its way during the event
constexpr double kDecideS = 0.6, kForgetS = 2.4;

constexpr int kCells = kCropSide / 2, kBlockCells = 4, kBlocks = kCells / kBlockCells;
constexpr int kLid = 1, kMouth = 3, kHead = 4;
constexpr int kFirst[] = {0, 6, 10, 16, 26, 30};  // where each group's numbers begin in Motion::d

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

}  // namespace

Motion Motion::operator+(const Motion& other) const {
    Motion sum = other;
    for (size_t k = 0; k < d.size(); ++k) sum.d[k] += d[k];
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

    const auto put = [&](int at, Complex value) { motion.d[at] = float(value.real()), motion.d[at + 1] = float(value.imag()); };
    for (int r = 0; r < kRegions; ++r) {
        Complex sum;
        for (int k : kLayout.region[r]) sum += flow[k] - shift - turn * position(k);
        put(2 * r, sum / double(kLayout.region[r].size()));
    }
    put(kFirst[kHead], shift), put(kFirst[kHead] + 2, turn * kRadiusX);
    return motion;
}

void Spotter::push(int64_t frame, double time_s, const Motion& total) {
    samples_.push_back({frame, time_s, total.d, {}, {}, {}});
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
            if (samples_[b].time_s - samples_[a].time_s > kMaxSpanS) continue;
            for (int g = 0; g < kGroups; ++g) {
                const double contrast = off_chord(g, a, at, b) - 0.6 * distance(g, a, b);
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
        const double threshold_px = std::max(kFloorPx, kNoiseFactor * noise_px_[g]);
        if (sample.contrast[g] < threshold_px) continue;
        bool highest = true;
        for (int i = at - 1; i >= 0 && samples_[i].time_s >= sample.time_s - kApartS; --i)
            highest = highest && samples_[i].contrast[g] < sample.contrast[g];
        for (int i = at + 1; i < measured_ && samples_[i].time_s <= sample.time_s + kApartS; ++i)
            highest = highest && samples_[i].contrast[g] <= sample.contrast[g];
        if (!highest) continue;

        Peak peak{{}, g, at - sample.before[g], at, at + sample.after[g], 0};
        peak.event.threshold_px = threshold_px;
        const auto reject = [&](Reason reason) { ++rejected_[int(reason)]; };
        const bool returns = measure(peak) && peak.left_px <= kMaxReturn * peak.event.motion_px;
        const double one_frame_s = samples_[peak.b].time_s - samples_[peak.b - 1].time_s;
        if (!returns)
            reject(Reason::not_returning);
        else if (blinks(peak))
            reject(Reason::blink), blinks_.push_back(peak);
        else if (peak.length_s() < kMinWidthS || peak.length_s() > kMaxWidthS + one_frame_s)
            reject(Reason::too_long);
        else if (peak.event.motion_px > kTooLargePx[g])
            reject(Reason::too_large);
        else if (head_moves(peak))
            reject(Reason::head);
        else if (!is_alone(peak))
            reject(Reason::repeated);
        else
            peaks_.push_back(peak);
    }
}

// Onset, apex and offset on d projected onto the peak's own direction. The ends are extrapolated from where a quarter and three quarters
// of the height are passed, for ramps shaped 3 s^2 - 2 s^3: a quarter is passed at s = .326, three quarters at .674.
bool Spotter::measure(Peak& peak) const {
    const int first = kFirst[peak.group], end = kFirst[peak.group + 1], count = int(samples_.size());
    std::vector<double> level;
    SpottedEvent& event = peak.event;
    for (int pass = 0; pass < 3; ++pass) {
        const Sample &a = samples_[peak.a], &b = samples_[peak.b];
        const auto above = [&](int i, int k) {
            return samples_[i].d[k] - a.d[k] - (b.d[k] - a.d[k]) * (samples_[i].time_s - a.time_s) / (b.time_s - a.time_s);
        };
        const int low = nearest(a.time_s - kMaxLagS), high = nearest(b.time_s + kMaxLagS);
        level.assign(size_t(high - low + 1), 0);
        for (int k = first; k < end; ++k) {
            const double direction = above(peak.apex, k);
            for (int i = low; i <= high; ++i) level[i - low] += direction * above(i, k);
        }
        for (int i = peak.a; i <= peak.b; ++i)
            if (level[i - low] > level[peak.apex - low]) peak.apex = i;
        const double top = level[peak.apex - low];
        if (!(top > 0)) return false;
        const auto passed_s = [&](int step, double share) {  // NaN when the level never falls so far
            int i = peak.apex;
            while (i >= low && i <= high && level[i - low] > share * top) i += step;
            if (i < low || i > high) return double(NAN);
            const double part = (share * top - level[i - low]) / (level[i - step - low] - level[i - low]);
            return samples_[i].time_s + (samples_[i - step].time_s - samples_[i].time_s) * part;
        };
        const double up_s = passed_s(-1, 0.25), down_s = passed_s(1, 0.25);
        event.onset_s = up_s - (passed_s(-1, 0.75) - up_s) * 0.326 / 0.348;
        event.offset_s = down_s + (down_s - passed_s(1, 0.75)) * 0.326 / 0.348;
        if (!std::isfinite(event.onset_s + event.offset_s)) return false;
        peak.a = peak.b = peak.apex;
        while (peak.a > 0 && samples_[peak.a].time_s > event.onset_s - 0.01) --peak.a;
        while (peak.b < count - 1 && samples_[peak.b].time_s < event.offset_s + 0.01) ++peak.b;
        if (peak.a == peak.apex || peak.b == peak.apex) return false;
    }
    event.motion_px = off_chord(peak.group, peak.a, peak.apex, peak.b);
    // what the drift before and after accounts for is no failure to return
    const Sample &a = samples_[peak.a], &b = samples_[peak.b];
    const Sample &a0 = samples_[nearest(a.time_s - 0.2)], &b1 = samples_[nearest(b.time_s + 0.2)];
    double left = 0;
    for (int k = first; k < end; ++k) {
        const double before = a.time_s > a0.time_s ? (a.d[k] - a0.d[k]) / (a.time_s - a0.time_s) : 0;
        const double after = b1.time_s > b.time_s ? (b1.d[k] - b.d[k]) / (b1.time_s - b.time_s) : 0;
        left += std::pow(b.d[k] - a.d[k] - (b.time_s - a.time_s) * (before + after) / 2, 2);
    }
    peak.left_px = std::min(distance(peak.group, peak.a, peak.b), std::sqrt(left));
    const Sample &onset = samples_[nearest(event.onset_s)], &apex = samples_[peak.apex], &offset = samples_[nearest(event.offset_s)];
    event.onset_frame = onset.frame, event.apex_frame = apex.frame, event.offset_frame = offset.frame;
    event.onset_s = onset.time_s, event.apex_s = apex.time_s, event.offset_s = offset.time_s;
    return true;
}

bool Spotter::blinks(const Peak& peak) const {
    const auto way_px = [&](int k) {
        const auto &now = samples_[peak.apex].d, &before = samples_[peak.a].d;
        return std::hypot(now[k] - before[k], now[k + 1] - before[k + 1]);
    };
    return peak.group == kLid && peak.length_s() < kBlinkMaxS && std::max(way_px(kFirst[kLid]), way_px(kFirst[kLid] + 2)) > kBlinkPx;
}

bool Spotter::head_moves(const Peak& peak) const {
    bool moves = off_chord(kHead, peak.a, peak.apex, peak.b) > kHeadShare * peak.event.motion_px;
    for (int i = peak.a; i <= peak.b; ++i) moves = moves || distance(kHead, peak.a, i) > kHeadRangePx;
    return moves;
}

bool Spotter::is_alone(const Peak& peak) const {
    const double from_s = peak.event.onset_s - kBeforeS, to_s = peak.event.offset_s + kAfterS, height_px = peak.event.motion_px;
    const double bend = std::max(bulge(peak.group, from_s, samples_[peak.a].time_s), bulge(peak.group, samples_[peak.b].time_s, to_s));
    double wander = 0;
    for (int i = nearest(from_s); i < peak.a; ++i) wander = std::max(wander, distance(peak.group, i, peak.a));
    for (int i = nearest(to_s); i > peak.b; --i) wander = std::max(wander, distance(peak.group, i, peak.b));
    return bend <= std::max(kMaxBulge * height_px, kMinBulgePx) && wander <= std::max(kMaxShift * height_px, kMinShiftPx) &&
           (peak.group == kMouth || height_px > kTalkLeak * bulge(kMouth, from_s, to_s));
}

int Spotter::nearest(double time_s) const {
    const auto at = std::lower_bound(samples_.begin(), samples_.end(), time_s, [](const Sample& s, double t) { return s.time_s < t; });
    if (at == samples_.end()) return int(samples_.size()) - 1;
    if (at == samples_.begin()) return 0;
    return int(at - samples_.begin()) - (time_s - (at - 1)->time_s < at->time_s - time_s ? 1 : 0);
}

double Spotter::distance(int group, int i, int j) const {
    double sum = 0;
    for (int k = kFirst[group]; k < kFirst[group + 1]; ++k) sum += std::pow(double(samples_[i].d[k]) - samples_[j].d[k], 2);
    return std::sqrt(sum);
}

// Distance of d at sample i from the straight line between samples a and b
double Spotter::off_chord(int group, int a, int i, int b) const {
    const Sample &from = samples_[a], &here = samples_[i], &to = samples_[b];
    const double share = (here.time_s - from.time_s) / (to.time_s - from.time_s);
    double sum = 0;
    for (int k = kFirst[group]; k < kFirst[group + 1]; ++k) sum += std::pow(here.d[k] - from.d[k] - (to.d[k] - from.d[k]) * share, 2);
    return std::sqrt(sum);
}

// Largest distance of d from the straight line between the ends of a time span
double Spotter::bulge(int group, double from_s, double to_s) const {
    const int low = nearest(from_s), high = nearest(to_s);
    double largest = 0;
    for (int i = low + 1; i < high; ++i) largest = std::max(largest, off_chord(group, low, i, high));
    return largest;
}

double Spotter::Peak::shared_s(const Peak& other) const {
    return std::min(event.offset_s, other.event.offset_s) - std::max(event.onset_s, other.event.onset_s);
}

// The peaks of all groups that belong together become one event, timed by the clearest of them.
void Spotter::decide(double now_s) {
    const auto leaks = [&](const Peak& peak, const Peak& blink) {
        const double both_s = peak.shared_s(blink);
        const bool in_step = both_s > 0.55 * (peak.length_s() + blink.length_s() - both_s);
        return both_s > 0.5 * std::min(peak.length_s(), blink.length_s()) &&
               peak.event.motion_px < (in_step ? kBlinkLeakInStep[peak.group] : kBlinkLeak) * blink.event.motion_px;
    };
    const auto clearness = [](const Peak& peak) { return peak.event.motion_px / peak.event.threshold_px; };
    while (!peaks_.empty()) {
        const Peak seed = *std::min_element(peaks_.begin(), peaks_.end(),
                                            [](const Peak& p, const Peak& q) { return p.event.offset_s < q.event.offset_s; });
        if (seed.event.offset_s > now_s - kDecideS) break;
        const auto together = std::partition(
            peaks_.begin(), peaks_.end(), [&](const Peak& p) { return p.shared_s(seed) <= 0.3 * std::min(p.length_s(), seed.length_s()); });
        const Peak* best = nullptr;
        for (auto peak = together; peak != peaks_.end(); ++peak) {
            const bool leak = std::any_of(blinks_.begin(), blinks_.end(), [&](const Peak& blink) { return leaks(*peak, blink); });
            if (!leak && (!best || clearness(*peak) > clearness(*best))) best = &*peak;
        }
        if (best) events_.push_back(best->event);
        peaks_.erase(together, peaks_.end());
    }
    const auto old = [&](const Peak& blink) { return blink.event.offset_s < now_s - kForgetS; };
    blinks_.erase(std::remove_if(blinks_.begin(), blinks_.end(), old), blinks_.end());
}

std::vector<SpottedEvent> Spotter::take_events() { return std::exchange(events_, {}); }
std::vector<Energy> Spotter::take_energy() { return std::exchange(energy_, {}); }

}  // namespace mie
