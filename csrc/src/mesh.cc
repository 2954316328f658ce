// Horn, B. K. P. (1987): closed-form solution of absolute orientation using unit quaternions.
#include "mesh.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <stdexcept>

namespace mie {
namespace {

// Vertices along the inner edges of the upper and lower lip, as MediaPipe numbers them.
constexpr int kInnerLips[] = {78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95};

std::vector<std::array<int, 3>> neighbours(const std::vector<std::array<int, 3>>& triangles) {
    std::map<std::pair<int, int>, int> owner;  // of directed edges: the neighbour walks the same edge the other way
    for (size_t t = 0; t < triangles.size(); ++t)
        for (int k = 0; k < 3; ++k) owner[{triangles[t][k], triangles[t][(k + 1) % 3]}] = int(t);
    std::vector<std::array<int, 3>> across(triangles.size());
    for (size_t t = 0; t < triangles.size(); ++t)
        for (int k = 0; k < 3; ++k) {
            const auto found = owner.find({triangles[t][(k + 1) % 3], triangles[t][k]});
            across[t][k] = found == owner.end() ? -1 : found->second;
        }
    return across;
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
    across = neighbours(triangles);
    std::set<int> border;
    for (size_t t = 0; t < triangles.size(); ++t)
        for (int k = 0; k < 3; ++k)
            if (across[t][k] < 0) border.insert({triangles[t][k], triangles[t][(k + 1) % 3]});
    if (border.empty()) throw std::invalid_argument("mesh: the triangles have no border");
    boundary.assign(border.begin(), border.end());
    const auto inner = [](int v) { return std::find(std::begin(kInnerLips), std::end(kInnerLips), v) != std::end(kInnerLips); };
    for (const auto& t : triangles) is_mouth.push_back(inner(t[0]) && inner(t[1]) && inner(t[2]));
}

Outline visible_outline(const FaceMesh& mesh, const std::vector<Vec3>& points) {
    constexpr double kOutsidePx = 0.05;
    const auto side = [&](const Vec3& a, const Vec3& b, double x, double y) { return (b.x - a.x) * (y - a.y) - (x - a.x) * (b.y - a.y); };
    const auto is_covered = [&](double x, double y) {
        for (const auto& t : mesh.triangles) {
            const Vec3 &a = points[t[0]], &b = points[t[1]], &c = points[t[2]];
            if ((x < a.x && x < b.x && x < c.x) || (x > a.x && x > b.x && x > c.x)) continue;
            const bool ab = side(a, b, x, y) > 0, bc = side(b, c, x, y) > 0, ca = side(c, a, x, y) > 0;
            if (ab == bc && bc == ca) return true;
        }
        return false;
    };
    const auto third = [&](int t, int v, int w) {
        const auto& corner = mesh.triangles[t];
        return points[corner[0] + corner[1] + corner[2] - v - w];
    };
    Outline outline;
    std::vector<int> position(points.size(), -1);
    for (size_t t = 0; t < mesh.triangles.size(); ++t)
        for (int k = 0; k < 3; ++k) {
            const int v = mesh.triangles[t][k], w = mesh.triangles[t][(k + 1) % 3], beyond = mesh.across[t][k];
            if (beyond >= 0 && beyond < int(t)) continue;  // seen from there
            const Vec3 &a = points[v], &b = points[w];
            const double length = std::hypot(b.x - a.x, b.y - a.y);
            if (length < kOutsidePx) continue;
            const Vec3 here = third(int(t), v, w);
            const bool inside = side(a, b, here.x, here.y) > 0;
            if (beyond >= 0) {
                const Vec3 there = third(beyond, v, w);
                if ((side(a, b, there.x, there.y) > 0) != inside) continue;  // the mesh goes on
            }
            const double out = (inside ? -kOutsidePx : kOutsidePx) / length;
            if (is_covered((a.x + b.x) / 2 - out * (b.y - a.y), (a.y + b.y) / 2 + out * (b.x - a.x))) continue;
            std::array<int, 2> edge{v, w};
            for (int& end : edge) {
                if (position[end] < 0) position[end] = int(outline.vertex.size()), outline.vertex.push_back(end);
                end = position[end];
            }
            outline.edge.push_back(edge);
        }
    return outline;
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
