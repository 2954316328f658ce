// The tables of a JPEG file and its header: ITU-T T.81, Annex K, quality scaled as the Independent JPEG Group does.
#pragma once
#include <vector>

#include "params.h"

namespace mie {

JpegTables make_jpeg_tables(int quality);

// Everything before the coded blocks: SOI, JFIF 1.01, tables, frame and scan headers.
std::vector<uint8_t> make_jpeg_header(int quality, int width, int height);

}  // namespace mie
