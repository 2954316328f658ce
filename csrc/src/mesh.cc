// Horn, B. K. P. (1987): closed-form solution of absolute orientation using unit quaternions.
#include "mesh.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>

namespace mie {
namespace {

// Vertices along the inner edges of the upper and lower lip, as MediaPipe numbers them.
constexpr int kInnerLips[] = {78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95};

std::vector<int> border_loop(const std::vector<std::array<int, 3>>& triangles) {
    std::map<std::pair<int, int>, int> uses;  // directed edges: a border edge has no opposite
    for (const auto& t : triangles)
        for (int k = 0; k < 3; ++k) ++uses[{t[k], t[(k + 1) % 3]}];
    std::map<int, int> next;
    for (const auto& [edge, count] : uses)
        if (count == 1 && !uses.count({edge.second, edge.first})) next[edge.first] = edge.second;
    std::vector<int> loop;
    if (next.empty()) throw std::invalid_argument("mesh: the triangles have no border");
    for (int v = next.begin()->first; loop.size() < next.size(); v = next.at(v)) loop.push_back(v);
    return loop;
}

// Eigenvector of the largest eigenvalue of a symmetric 4x4 matrix, by cyclic Jacobi rotations.
std::array<double, 4> principal_axis(double a[4][4]) {
    double v[4][4] = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}};
    for (int sweep = 0; sweep < 50; ++sweep) {
        double off = 0;
        for (int p = 0; p < 4; ++p)
            for (int q = p + 1; q < 4; ++q) off += a[p][q] * a[p][q];
        if (off < 1e-24) break;
        for (int p = 0; p < 4; ++p)
            for (int q = p + 1; q < 4; ++q) {
                if (a[p][q] == 0) continue;
                const double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
                const double t = (theta < 0 ? -1.0 : 1.0) / (std::fabs(theta) + std::sqrt(theta * theta + 1));
                const double c = 1 / std::sqrt(t * t + 1), s = t * c;
                for (int k = 0; k < 4; ++k) {
                    const double kp = a[k][p], kq = a[k][q];
                    a[k][p] = c * kp - s * kq, a[k][q] = s * kp + c * kq;
                }
                for (int k = 0; k < 4; ++k) {
                    const double pk = a[p][k], qk = a[q][k];
                    a[p][k] = c * pk - s * qk, a[q][k] = s * pk + c * qk;
                    const double vp = v[k][p], vq = v[k][q];
                    v[k][p] = c * vp - s * vq, v[k][q] = s * vp + c * vq;
                }
            }
    }
    int best = 0;
    for (int k = 1; k < 4; ++k)
        if (a[k][k] > a[best][best]) best = k;
    return {v[0][best], v[1][best], v[2][best], v[3][best]};
}

}  // namespace

FaceMesh::FaceMesh(std::vector<Vec3> canonical_cm, std::vector<std::array<int, 3>> faces, std::vector<UnitShape> shapes)
    : canonical(std::move(canonical_cm)), triangles(std::move(faces)), units(std::move(shapes)) {
    if (canonical.size() != kMeshVertices)
        throw std::invalid_argument("mesh: expected 468 vertices, got " + std::to_string(canonical.size()));
    for (const auto& t : triangles)
        for (int v : t)
            if (v < 0 || v >= kMeshVertices) throw std::invalid_argument("mesh: a triangle names vertex " + std::to_string(v));
    for (const auto& u : units)
        if (u.delta.size() != kMeshVertices || u.levels.empty() || !std::is_sorted(u.levels.begin(), u.levels.end()) ||
            u.levels.back() != 1)
            throw std::invalid_argument("mesh: unit " + u.name + " needs 468 displacements and ascending levels that end at 1");
    boundary = border_loop(triangles);
    const auto inner = [](int v) { return std::find(std::begin(kInnerLips), std::end(kInnerLips), v) != std::end(kInnerLips); };
    for (const auto& t : triangles) is_mouth.push_back(inner(t[0]) && inner(t[1]) && inner(t[2]));
}

Vec3 MeshFit::turn(Vec3 v) const {
    const auto row = [&](int r) { return scale_px * (rotation[r][0] * v.x + rotation[r][1] * v.y + rotation[r][2] * v.z); };
    return {row(0), row(1), row(2)};
}

MeshFit fit_mesh(const FaceMesh& mesh, const Vec3* landmarks_px) {
    const int n = kMeshVertices;
    // The mesh has y up and z forward, the image y down and z away from the camera: flip both first, a rotation about x.
    const auto model = [&](int i) { return Vec3{mesh.canonical[i].x, -mesh.canonical[i].y, -mesh.canonical[i].z}; };
    Vec3 mean_model, mean_image;
    for (int i = 0; i < n; ++i) mean_model = mean_model + model(i), mean_image = mean_image + landmarks_px[i];
    mean_model = (1.0 / n) * mean_model, mean_image = (1.0 / n) * mean_image;
    double s[3][3] = {}, size_model = 0;
    for (int i = 0; i < n; ++i) {
        const Vec3 a = model(i) - mean_model, b = landmarks_px[i] - mean_image;
        const double av[3] = {a.x, a.y, a.z}, bv[3] = {b.x, b.y, b.z};
        for (int r = 0; r < 3; ++r)
            for (int c = 0; c < 3; ++c) s[r][c] += av[r] * bv[c];
        size_model += dot(a, a);
    }
    double h[4][4] = {{s[0][0] + s[1][1] + s[2][2], s[1][2] - s[2][1], s[2][0] - s[0][2], s[0][1] - s[1][0]},
                      {s[1][2] - s[2][1], s[0][0] - s[1][1] - s[2][2], s[0][1] + s[1][0], s[2][0] + s[0][2]},
                      {s[2][0] - s[0][2], s[0][1] + s[1][0], -s[0][0] + s[1][1] - s[2][2], s[1][2] + s[2][1]},
                      {s[0][1] - s[1][0], s[2][0] + s[0][2], s[1][2] + s[2][1], -s[0][0] - s[1][1] + s[2][2]}};
    const auto q = principal_axis(h);
    const double w = q[0], x = q[1], y = q[2], z = q[3];
    const double r[3][3] = {{w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)},
                            {2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)},
                            {2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z}};
    MeshFit fit;
    double along = 0;
    for (int a = 0; a < 3; ++a)
        for (int b = 0; b < 3; ++b) along += r[a][b] * s[b][a];
    fit.scale_px = along / size_model;
    for (int a = 0; a < 3; ++a) fit.rotation[a][0] = r[a][0], fit.rotation[a][1] = -r[a][1], fit.rotation[a][2] = -r[a][2];
    if (!(fit.scale_px > 0)) throw std::invalid_argument("mesh: the landmarks do not span a face");
    const Vec3 mean_canonical{mean_model.x, -mean_model.y, -mean_model.z};
    fit.shift = mean_image - fit.turn(mean_canonical);
    return fit;
}

}  // namespace mie
