#include "encode.h"

#include "kernels/jpeg/encoder.h"

namespace mie {
namespace {

class YuvToJpeg final : public FrameEncoder {
  public:
    YuvToJpeg(int quality, SimdLevel level) : jpeg_(quality, level) {}
    RenderFormat format() const override { return kYuv420; }
    void encode(const uint8_t* frame, int width, int height, std::vector<uint8_t>& out) override {
        jpeg_.encode(frame, width, height, out);
    }

  private:
    JpegEncoder jpeg_;
};

}  // namespace

std::unique_ptr<FrameEncoder> make_jpeg_encoder(int quality, SimdLevel level) { return std::make_unique<YuvToJpeg>(quality, level); }

}  // namespace mie
