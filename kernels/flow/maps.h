// Strain of a flow field, and the 8-bit maps (u, v, strain) that recognisers read.
#pragma once
#include <cstdint>
#include <string>

namespace mie {

enum class Strain { true_, shift, meb };  // defined in ref_maps.py

Strain strain_kind(const std::string& name);  // "true", "shift" or "meb"; throws std::invalid_argument

// Fields are float [height][width], sides of at least 2.
void strain(const float* u, const float* v, int width, int height, Strain kind, float* target);

// From flow on cells of 2 x 2 px ([grid_h][grid_w] = ceil(height / 2), ceil(width / 2), in px), of at least 2 x 2 cells: side 28, 56
// or 64. map is [side][side][3], each channel scaled from its least to its largest value (range [3][2]: px of the lattice of 2 side
// points, px, strain) onto 0..255. Runs on the calling thread; its buffers are kept from call to call.
void flow_maps(const float* u, const float* v, int grid_w, int grid_h, int width, int height, int side, Strain kind, uint8_t* map,
               float* range);

}  // namespace mie
