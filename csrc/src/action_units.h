// The engine's action units and the shapes of ICT-FaceKit that make them: from the mesh file to a FaceMesh.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "mesh.h"

namespace mie {

constexpr double kInterocularCm = 6.386;  // of the canonical face; the shapes are stored in inter-ocular distances

struct ActionUnitShapes {
    int number;                                          // FACS
    std::vector<std::pair<std::string, double>> shapes;  // weight at full intensity; `_` at the end stands for the side of a one-sided unit
    bool one_sided() const { return shapes.front().first.back() == '_'; }
};

const std::vector<ActionUnitShapes>& action_unit_shapes();
std::vector<std::string> unit_names();  // "AU1L", "AU1R", ..., in the order of the mesh's units

// Reads assets/mesh/mp468_ict_arkit_deltas.npy: four .npy arrays in a row, names [S] of 16 bytes, deltas float32 [S][468][3],
// canonical float32 [468][3], triangles int32 [898][3]. One UnitShape per unit ("AU12L", "AU12R", "AU17"), made exactly symmetric: the
// left unit is the mirrored right one. Throws std::system_error when it cannot be read, std::invalid_argument when it is another file.
FaceMesh load_face_mesh(const std::string& path);

}  // namespace mie
