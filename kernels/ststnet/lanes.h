// ststnet: logits = W avg2(max3(bn(relu(conv3(map))))) + b, in one pass over 28 x 28 x 3 floats, 16 channels in 16 / V::kLanes registers.
// A 3 x 3 window of conv outputs, the nine that one maximum takes, stays in nine registers for 27 multiply-adds each; nothing but 400
// pooled values is written. Read 9408 bytes a map, written 4 a logit. A path includes this after defining MIE_INLINE with its target.
// Source: Liong et al., FG 2019 (the network).
#include <cstring>

#include "params.h"

#if defined(__clang__)
#define MIE_UNROLL_ALL _Pragma("unroll")
#else
#define MIE_UNROLL_ALL _Pragma("GCC unroll 9")
#endif

namespace mie {
namespace {

constexpr int kStride = 32;          // of a padded plane: 2 px for the filters and 1 for the windows before, 1 behind
constexpr float kExcluded = -3e38f;  // where a window hangs over the border

template <class V>
MIE_INLINE bool run_ststnet(const StstnetParams& p) {
    using Type = typename V::Type;
    constexpr int kSide = kStstnetSidePx, kGroups = kStstnetChannels / V::kLanes;
    const float* bias = p.packed + kStstnetTaps * kStstnetChannels;
    const float* sign = bias + kStstnetChannels;
    const float* linear = p.packed + kStstnetHead;
    const float* offset = linear + int64_t(p.outputs) * kStstnetCells * kStstnetChannels;
    alignas(64) float planes[3][kStride][kStride] = {};
    alignas(64) float pooled[kStstnetCells * kStstnetChannels];

    const Type zero = V::spread(0);
    for (int64_t n = 0; n < p.count; ++n) {
        const float* map = p.maps + n * 3 * kSide * kSide;
        uint32_t wrong = 0;  // an exponent of ones: NaN or infinity
        for (int i = 0; i < 3 * kSide * kSide; ++i) {
            uint32_t bits;
            std::memcpy(&bits, map + i, sizeof bits);
            wrong |= uint32_t((bits & 0x7f800000) == 0x7f800000);
        }
        if (wrong) return false;
        for (int c = 0; c < 3; ++c)
            for (int y = 0; y < kSide; ++y) std::memcpy(&planes[c][y + 3][3], map + (c * kSide + y) * kSide, kSide * sizeof(float));

        for (int cell = 0; cell < kStstnetCells; ++cell)
            for (int group = 0; group < kGroups; ++group) {
                const float* filters = p.packed + group * V::kLanes;
                Type sum = zero;
                for (int window = 0; window < 4; ++window) {
                    const int wy = cell / 5 * 2 + window / 2, wx = cell % 5 * 2 + window % 2;
                    const Type top = V::spread(wy ? 0 : kExcluded), left = V::spread(wx ? 0 : kExcluded);
                    Type at[9] = {V::min(top, left), top, top, left, zero, zero, left, zero, zero};
                    for (int c = 0; c < 3; ++c) {
                        const float* from = &planes[c][3 * wy][3 * wx];
                        MIE_UNROLL_ALL
                        for (int tap = 0; tap < 9; ++tap) {
                            const Type w = V::load(filters + (9 * c + tap) * kStstnetChannels);
                            MIE_UNROLL_ALL
                            for (int i = 0; i < 9; ++i)
                                at[i] = V::fma(w, V::spread(from[(i / 3 + tap / 3) * kStride + i % 3 + tap % 3]), at[i]);
                        }
                    }
                    Type most = at[0];
                    MIE_UNROLL_ALL
                    for (int i = 1; i < 9; ++i) most = V::max(most, at[i]);
                    most = V::add(most, V::load(bias + group * V::kLanes));
                    sum = V::add(sum, V::max(V::multiply(most, V::load(sign + group * V::kLanes)), zero));
                }
                V::store(pooled + cell * kStstnetChannels + group * V::kLanes, sum);
            }

        for (int o = 0; o < p.outputs; ++o) {
            const float* weights = linear + int64_t(o) * kStstnetCells * kStstnetChannels;
            Type sum = zero;
            for (int i = 0; i < kStstnetCells * kStstnetChannels; i += V::kLanes)
                sum = V::fma(V::load(weights + i), V::load(pooled + i), sum);
            alignas(64) float part[V::kLanes];
            V::store(part, sum);
            float logit = offset[o];
            for (int i = 0; i < V::kLanes; ++i) logit += part[i];
            p.logits[n * p.outputs + o] = logit;
        }
    }
    return true;
}

}  // namespace
}  // namespace mie
