// The 468-vertex face mesh, the shape of every action unit on it, and its fit to detected landmarks.
#pragma once
#include <array>
#include <string>
#include <vector>

namespace mie {

constexpr int kMeshVertices = 468;

struct Vec3 {
    double x = 0, y = 0, z = 0;
};
inline Vec3 operator+(Vec3 a, Vec3 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
inline Vec3 operator-(Vec3 a, Vec3 b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
inline Vec3 operator*(double s, Vec3 a) { return {s * a.x, s * a.y, s * a.z}; }
inline double dot(Vec3 a, Vec3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
inline Vec3 cross(Vec3 a, Vec3 b) { return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x}; }

// One engine unit ("AU12L"): vertex displacement at full intensity, and the intensities its grids are built at.
struct UnitShape {
    std::string name;
    std::vector<Vec3> delta;     // [468], canonical frame (cm, x right in the image of a facing person's left, y up, z forward)
    std::vector<double> levels;  // ascending, last = 1
};

struct FaceMesh {
    std::vector<Vec3> canonical;                // [468] cm
    std::vector<std::array<int, 3>> triangles;  // [898]
    std::vector<UnitShape> units;
    std::vector<std::array<int, 3>> across;  // per triangle: the triangle beyond its edge (k, k + 1), -1 beyond the mesh border
    std::vector<int> boundary;               // vertices of the mesh border
    std::vector<char> is_mouth;              // per triangle: between the inner lips

    FaceMesh(std::vector<Vec3> canonical_cm, std::vector<std::array<int, 3>> faces, std::vector<UnitShape> shapes);
};

// Edges of the mesh and the vertices they join.
struct Outline {
    std::vector<int> vertex;
    std::vector<std::array<int, 2>> edge;  // positions in `vertex`
};

// Outline of the mesh as seen in the image at `points` [468]: edges with the mesh on one side and nothing on the other. On a turned head
// the far part of the mesh border lies hidden behind the cheek, and the cheek's contour is the outline there.
Outline visible_outline(const FaceMesh& mesh, const std::vector<Vec3>& points);

// Scaled-orthographic pose of the mesh: image = scale * rotation * canonical + shift (image axes: y down, z away from the camera).
struct MeshFit {
    double scale_px = 0;  // px per cm
    double rotation[3][3] = {};
    Vec3 shift;
    Vec3 turn(Vec3 v) const;  // scale * rotation * v
};

// Least-squares similarity (Horn 1987, unit quaternions) between the canonical mesh and landmarks [468] px.
MeshFit fit_mesh(const FaceMesh& mesh, const Vec3* landmarks_px);

}  // namespace mie
