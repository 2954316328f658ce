// Rendered frame -> bytes of an image file. JPEG goes straight from YUV 4:2:0 planes through kernels/jpeg.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/common/simd.h"
#include "kernels/render/params.h"

namespace mie {

class FrameEncoder {
  public:
    virtual ~FrameEncoder() = default;
    virtual RenderFormat format() const = 0;  // the frame layout it takes
    virtual void encode(const uint8_t* frame, int width, int height, std::vector<uint8_t>& out) = 0;
};

// Baseline JPEG 4:2:0, quality 1..100, the same bytes on every CPU. One per thread. Throws std::invalid_argument.
std::unique_ptr<FrameEncoder> make_jpeg_encoder(int quality, SimdLevel level);

// Any encoder the caller brings: gets the frame's bytes, returns the file's.
class CallbackEncoder final : public FrameEncoder {
  public:
    using Function = std::function<std::vector<uint8_t>(const uint8_t* frame, int width, int height)>;
    CallbackEncoder(RenderFormat format, Function function) : format_(format), function_(std::move(function)) {}
    RenderFormat format() const override { return format_; }
    void encode(const uint8_t* frame, int width, int height, std::vector<uint8_t>& out) override { out = function_(frame, width, height); }

  private:
    RenderFormat format_;
    Function function_;
};

}  // namespace mie
