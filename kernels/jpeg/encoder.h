// YUV 4:2:0 frames -> baseline JPEG files.
#pragma once
#include <vector>

#include "../common/simd.h"
#include "params.h"

namespace mie {

// Holds the tables of one quality and working memory; one per thread. Throws std::invalid_argument.
class JpegEncoder {
  public:
    JpegEncoder(int quality, SimdLevel level);  // quality 1..100

    // frame: Y [height][width], then Cb and Cr [(height+1)/2][(width+1)/2]; sides of 1..8192 px. Replaces what `file` held.
    void encode(const uint8_t* frame, int width, int height, std::vector<uint8_t>& file);

  private:
    JpegTables tables_;
    JpegBlocks blocks_;
    int quality_, width_ = 0, height_ = 0;  // of header_
    SimdLevel level_;
    std::vector<uint8_t> header_, coded_;
};

}  // namespace mie
