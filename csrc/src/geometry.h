// From landmarks to the renderer's basis: per action unit a backward displacement grid and a shading grid, once per face.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kernels/render/params.h"
#include "mesh.h"

namespace mie {

// One grid triple (dx, dy, gain) of a face: `scale` times the whole change a unit makes at one of its levels.
struct Channel {
    std::string unit;    // "AU12L", or a rigid motion of the head: "tx" "ty" "roll" "scale" "yaw" "pitch"
    double level;        // intensity the grids were built at (rigid motions: 1)
    int scale = 1;       // 1, 2 or 4: the larger the grids, the smaller the coefficients, whose sum the renderer bounds
    double peak_px = 0;  // largest displacement on the grid, that is at coefficient 1
};

struct FaceBasis {
    int width = 0, height = 0, grid_width = 0, grid_height = 0;
    std::vector<Channel> channels;
    std::vector<int16_t> grids;  // [channels][3][grid_height][grid_width]: displacement Q9 px, gain Q14
};

constexpr double kRigidPeakPx = 8;  // what a rigid channel moves at coefficient 1: everywhere (tx, ty), at the image corner (roll, scale),
                                    // at the nearest point (yaw, pitch)

// landmarks [468] px in an image of width x height; ceiling [units of the mesh]: the highest intensity that will be asked for,
// 0 where a unit is not needed. All arithmetic is float64 in a fixed order.
FaceBasis build_basis(const FaceMesh& mesh, const Vec3* landmarks_px, int width, int height, const double* ceiling);

// Intensities [rows][units of the mesh] in 0..1 and rigid motions [rows][6] px -> coefficients int16 [rows][channels] Q12.
// Between two levels both grids share the weight, below the first one it shrinks in proportion.
void unit_coefficients(const FaceMesh& mesh, const FaceBasis& basis, const double* intensity, const double* rigid_px, int64_t rows,
                       int16_t* out);

constexpr double kMaxDisplacementPx = double(kNodeLimit) / 128;  // what the renderer carries

// First row of coefficients [rows][channels] that asks for a larger displacement, and that displacement (px); -1 when none does.
std::pair<int64_t, double> beyond_reach(const FaceBasis& basis, const int16_t* coefficients, int64_t rows);

}  // namespace mie
