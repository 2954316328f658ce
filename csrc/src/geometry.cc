// Per unit and level: move the mesh, rasterise it at the nodes, read off where each node's content came from.
// Backward displacement D(y) = x - y for the mesh point x that arrives at y; gain = change of Lambert shading, and dark between parting
// lips.
#include "geometry.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "kernels/common/simd.h"
#include "kernels/render/params.h"

namespace mie {
namespace {

constexpr double kFalloffIod = 0.95;      // reach of the motion beyond the mesh border, inter-ocular distances
constexpr double kIodCm = 6.386;          // inter-ocular distance of the canonical face
constexpr int kBorderSamples = 3;         // points per border edge that carry its motion outwards
constexpr double kBorderAtRestPx = 2;     // a border that moves less keeps the weights of the face at rest
constexpr double kStillBorder = 1e-3;     // px or relative gain: nothing to continue
constexpr double kAmbient = 0.45;         // share of light that does not depend on the normal
constexpr double kMouthGain = -0.84;      // an open mouth keeps this much less light than skin
constexpr double kShading = 0.6;          // strength: the mesh exaggerates the turn of thin skin
constexpr double kGainLimit = 0.2;        // and noisy normals must not flash
constexpr double kLipSlack = 1.25;        // a smile stretches closed lips this much without opening them
constexpr int kLargestScale = 4;          // of unit grids: coefficients of 10 bits and up to 32 units in one frame
constexpr double kLipAreaPx2 = 0.5;       // triangles smaller than this are no opening
const Vec3 kLight = {0, -0.42, -0.9075};  // from above the camera; y down, z away

// Area-weighted vertex normals, towards the camera (negative z).
std::vector<Vec3> vertex_normals(const FaceMesh& mesh, const std::vector<Vec3>& p) {
    std::vector<Vec3> n(p.size());
    for (const auto& t : mesh.triangles) {
        const Vec3 f = cross(p[t[1]] - p[t[0]], p[t[2]] - p[t[0]]);
        for (int v : t) n[v] = n[v] + f;
    }
    for (auto& v : n) {
        const double length = std::sqrt(dot(v, v));
        if (length > 0) v = (1 / length) * v;
    }
    return n;
}

std::vector<double> shading(const FaceMesh& mesh, const std::vector<Vec3>& p) {
    const auto normals = vertex_normals(mesh, p);
    std::vector<double> light(p.size());
    for (size_t i = 0; i < p.size(); ++i) light[i] = kAmbient + (1 - kAmbient) * std::max(0.0, dot(normals[i], kLight));
    return light;
}

// Visits every sample point (x0 + step * i, y0 + step * j) inside each triangle: fn(triangle, i, j, w0, w1, w2).
template <class Fn>
void rasterise(const FaceMesh& mesh, const std::vector<Vec3>& p, double origin, double step, int columns, int rows, const Fn& fn,
               bool only_mouth = false) {
    for (size_t t = 0; t < mesh.triangles.size(); ++t) {
        if (only_mouth && !mesh.is_mouth[t]) continue;
        const Vec3 &a = p[mesh.triangles[t][0]], &b = p[mesh.triangles[t][1]], &c = p[mesh.triangles[t][2]];
        const double area = (b.x - a.x) * (c.y - a.y) - (c.x - a.x) * (b.y - a.y);
        if (std::fabs(area) < 1e-9) continue;
        const double share = 1 / area;
        const auto first = [&](double lowest) { return std::max(0, int(std::ceil((lowest - origin) / step - 1e-9))); };
        const auto last = [&](double highest, int n) { return std::min(n - 1, int(std::floor((highest - origin) / step + 1e-9))); };
        const int i0 = first(std::min({a.x, b.x, c.x})), i1 = last(std::max({a.x, b.x, c.x}), columns);
        const int j0 = first(std::min({a.y, b.y, c.y})), j1 = last(std::max({a.y, b.y, c.y}), rows);
        for (int j = j0; j <= j1; ++j)
            for (int i = i0; i <= i1; ++i) {
                const double x = origin + step * i, y = origin + step * j;
                const double w1 = ((x - a.x) * (c.y - a.y) - (c.x - a.x) * (y - a.y)) * share;
                const double w2 = ((b.x - a.x) * (y - a.y) - (x - a.x) * (b.y - a.y)) * share;
                const double w0 = 1 - w1 - w2;
                if (w0 < -1e-12 || w1 < -1e-12 || w2 < -1e-12) continue;
                fn(int(t), i, j, w0, w1, w2);
            }
    }
}

// One border sample's pull on every outside node; contraction is off, so each clone gives the same bits.
MIE_CLONES void spread(double sx, double sy, double length, double t, size_t count, const double* x, const double* y, double* here,
                       double* there, double* total) {
    for (size_t n = 0; n < count; ++n) {
        const double r2 = (sx - x[n]) * (sx - x[n]) + (sy - y[n]) * (sy - y[n]) + 1, w = length / (r2 * r2);
        here[n] += w * (1 - t), there[n] += w * t, total[n] += w;
    }
}

// Squared distance of the nodes to one outline edge, kept where it is the smallest so far.
MIE_CLONES void approach(Vec3 a, Vec3 b, size_t count, const double* x, const double* y, double* nearest2) {
    const double ex = b.x - a.x, ey = b.y - a.y, length2 = ex * ex + ey * ey, share = length2 > 0 ? 1 / length2 : 0;
    for (size_t n = 0; n < count; ++n) {
        const double along = ((x[n] - a.x) * ex + (y[n] - a.y) * ey) * share, t = std::min(std::max(along, 0.0), 1.0);
        const double rx = a.x + t * ex - x[n], ry = a.y + t * ey - y[n];
        nearest2[n] = std::min(nearest2[n], rx * rx + ry * ry);
    }
}

// One outline vertex's share of the motion of every outside node.
MIE_CLONES void gather(const double* weight, size_t count, Vec3 v, double* dx, double* dy, double* gain) {
    for (size_t n = 0; n < count; ++n) dx[n] += weight[n] * v.x, dy[n] += weight[n] * v.y, gain[n] += weight[n] * v.z;
}

// The mesh at rest in the image, and how motion continues beyond its border.
class Stage {
  public:
    Stage(const FaceMesh& mesh, const Vec3* landmarks_px, int width, int height)
        : mesh_(mesh),
          rest_(landmarks_px, landmarks_px + kMeshVertices),
          fit_(fit_mesh(mesh, landmarks_px)),
          width_(width),
          height_(height) {
        grid_width_ = grid_size(width), grid_height_ = grid_size(height);
        falloff_px_ = kFalloffIod * kIodCm * fit_.scale_px;
        rest_light_ = shading(mesh_, rest_);
        rest_outline_ = visible_outline(mesh_, rest_);
    }

    int nodes() const { return grid_width_ * grid_height_; }
    int grid_width() const { return grid_width_; }
    int grid_height() const { return grid_height_; }
    const MeshFit& fit() const { return fit_; }
    const std::vector<Vec3>& rest() const { return rest_; }

    struct Fields {
        std::vector<double> dx, dy, gain;  // px, px, relative
    };

    // The grids of the face moved by `move` [468] px.
    Fields fields(const std::vector<Vec3>& move) {
        std::vector<Vec3> moved(kMeshVertices), attribute(kMeshVertices);
        for (int i = 0; i < kMeshVertices; ++i) moved[i] = rest_[i] + move[i];
        const auto light = shading(mesh_, moved);
        double border_px = 0;
        for (int v : rest_outline_.vertex) border_px = std::max({border_px, std::fabs(move[v].x), std::fabs(move[v].y)});
        for (int i = 0; i < kMeshVertices; ++i)
            attribute[i] = {-move[i].x, -move[i].y, std::clamp(kShading * (light[i] / rest_light_[i] - 1), -kGainLimit, kGainLimit)};
        Fields f = carry(moved, attribute, border_px > kBorderAtRestPx);
        darken_mouth(moved, f.gain);
        return f;
    }

    // Depth above the mesh border, 1 at the nearest point, continued outside like any motion: the field of a small turn of the head.
    std::vector<double> depth_map() {
        double border = 0, nearest = std::numeric_limits<double>::infinity();
        for (int v : mesh_.boundary) border += rest_[v].z / double(mesh_.boundary.size());
        for (const Vec3& v : rest_) nearest = std::min(nearest, v.z);
        std::vector<Vec3> attribute(kMeshVertices);
        for (int i = 0; i < kMeshVertices; ++i) attribute[i].x = (rest_[i].z - border) / (nearest - border);
        return carry(rest_, attribute, false).dx;
    }

  private:
    static constexpr double kOrigin = -0.5;  // node 0 lies on the corner of pixel 0

    // How the motion of the mesh's outline continues at the nodes it does not cover: transfinite Shepard interpolation, the integral of
    // motion / r^4 along the outline over the integral of 1 / r^4, so that it meets the outline's own motion there; times a falloff
    // that is flat at both ends. Weights lie node-innermost: every loop over nodes is a plain vector loop.
    struct Outside {
        std::vector<int> node;
        std::vector<int> vertex;     // of the outline
        std::vector<double> weight;  // [vertex][node], falloff included
    };

    Outside outside_of(const std::vector<Vec3>& p, const Outline& outline, const std::vector<double>& depth, bool keep_covered) const {
        Outside o;
        o.vertex = outline.vertex;
        std::vector<int> candidate;
        std::vector<double> x, y;
        for (int n = 0; n < nodes(); ++n) {
            if (std::isfinite(depth[n]) && !keep_covered) continue;
            candidate.push_back(n);
            x.push_back(kOrigin + kNodeStepPx * (n % grid_width_)), y.push_back(kOrigin + kNodeStepPx * (n / grid_width_));
        }
        std::vector<double> near2(candidate.size(), std::numeric_limits<double>::infinity()), falloff;
        for (const auto& edge : outline.edge)
            approach(p[o.vertex[edge[0]]], p[o.vertex[edge[1]]], x.size(), x.data(), y.data(), near2.data());
        for (size_t c = 0; c < candidate.size(); ++c) {
            const double s = near2[c] / (falloff_px_ * falloff_px_);
            // Covered nodes near a border at rest are kept too: moving a little may uncover them.
            if (s >= 1 || (std::isfinite(depth[candidate[c]]) && near2[c] > 4 * kBorderAtRestPx * kBorderAtRestPx)) continue;
            x[o.node.size()] = x[c], y[o.node.size()] = y[c];
            o.node.push_back(candidate[c]), falloff.push_back((1 - s) * (1 - s));
        }
        const size_t count = o.node.size();
        o.weight.assign(o.vertex.size() * count, 0);
        std::vector<double> total(count, 0);
        for (const auto& edge : outline.edge) {
            const Vec3 &a = p[o.vertex[edge[0]]], &b = p[o.vertex[edge[1]]];
            const double length = std::sqrt((b.x - a.x) * (b.x - a.x) + (b.y - a.y) * (b.y - a.y));
            double *here = &o.weight[edge[0] * count], *there = &o.weight[edge[1] * count];
            for (int k = 0; k < kBorderSamples; ++k) {
                const double t = (k + 0.5) / kBorderSamples, sx = a.x + t * (b.x - a.x), sy = a.y + t * (b.y - a.y);
                spread(sx, sy, length, t, count, x.data(), y.data(), here, there, total.data());
            }
        }
        for (size_t b = 0; b < o.vertex.size(); ++b)
            for (size_t n = 0; n < count; ++n) o.weight[b * count + n] *= falloff[n] / total[n];
        return o;
    }

    // Per-vertex attributes (dx, dy, gain) of the mesh at `p`, at every node: interpolated inside, continued outside.
    Fields carry(const std::vector<Vec3>& p, const std::vector<Vec3>& attribute, bool is_border_moving) {
        Fields f{std::vector<double>(nodes()), std::vector<double>(nodes()), std::vector<double>(nodes())};
        std::vector<double> depth(nodes(), std::numeric_limits<double>::infinity());
        const auto set = [&](int n, Vec3 v) { f.dx[n] = v.x, f.dy[n] = v.y, f.gain[n] = v.z; };
        rasterise(mesh_, p, kOrigin, kNodeStepPx, grid_width_, grid_height_, [&](int t, int i, int j, double w0, double w1, double w2) {
            const auto& v = mesh_.triangles[t];
            const int n = j * grid_width_ + i;
            const double z = w0 * p[v[0]].z + w1 * p[v[1]].z + w2 * p[v[2]].z;
            if (z >= depth[n]) return;  // the nearest surface is the visible one
            depth[n] = z;
            set(n, w0 * attribute[v[0]] + w1 * attribute[v[1]] + w2 * attribute[v[2]]);
        });
        const Outline fresh_outline = is_border_moving ? visible_outline(mesh_, p) : Outline{};
        const Outline& outline = is_border_moving ? fresh_outline : rest_outline_;
        double border = 0;
        for (int v : outline.vertex)
            border = std::max({border, std::fabs(attribute[v].x), std::fabs(attribute[v].y), std::fabs(attribute[v].z)});
        if (border < kStillBorder) return f;
        Outside fresh;
        if (is_border_moving)
            fresh = outside_of(p, outline, depth, false);
        else if (rest_outside_.node.empty())
            rest_outside_ = outside_of(rest_, outline, depth, true);
        const Outside& o = is_border_moving ? fresh : rest_outside_;
        const size_t count = o.node.size();
        std::vector<double> dx(count), dy(count), gain(count);
        for (size_t b = 0; b < o.vertex.size(); ++b) {
            const Vec3 v = attribute[o.vertex[b]];
            const double* w = &o.weight[b * count];
            gather(w, count, v, dx.data(), dy.data(), gain.data());
        }
        for (size_t n = 0; n < count; ++n)
            if (!std::isfinite(depth[o.node[n]])) set(o.node[n], {dx[n], dy[n], gain[n]});
        return f;
    }

    // Between the inner lips the mesh stretches; what appears there is the mouth, not skin: dark by the share of new area,
    // averaged over each node's cell so that a one-pixel gap already reads as a soft dark line.
    void darken_mouth(const std::vector<Vec3>& moved, std::vector<double>& gain) const {
        std::vector<double> opened(mesh_.triangles.size(), 0);
        const auto area = [&](const std::vector<Vec3>& p, int t) {
            const auto& v = mesh_.triangles[t];
            return std::fabs((p[v[1]].x - p[v[0]].x) * (p[v[2]].y - p[v[0]].y) - (p[v[2]].x - p[v[0]].x) * (p[v[1]].y - p[v[0]].y)) / 2;
        };
        double low[2] = {1e9, 1e9}, high[2] = {-1e9, -1e9};
        for (size_t t = 0; t < opened.size(); ++t) {
            if (!mesh_.is_mouth[t]) continue;
            const double after = area(moved, int(t));
            opened[t] = std::max(0.0, (after - kLipSlack * area(rest_, int(t))) / (after + kLipAreaPx2));
            if (opened[t] == 0) continue;
            for (int v : mesh_.triangles[t]) {
                low[0] = std::min(low[0], moved[v].x), high[0] = std::max(high[0], moved[v].x);
                low[1] = std::min(low[1], moved[v].y), high[1] = std::max(high[1], moved[v].y);
            }
        }
        if (low[0] > high[0]) return;
        std::vector<double> dark(size_t(width_) * height_, 0);
        rasterise(
            mesh_, moved, 0, 1, width_, height_,
            [&](int t, int i, int j, double, double, double) { dark[size_t(j) * width_ + i] = opened[t]; }, true);
        const auto node = [](double px, int n) { return std::clamp(int(std::floor(px / kNodeStepPx)), 0, n - 1); };
        for (int gj = node(low[1] - 4, grid_height_); gj <= node(high[1] + 8, grid_height_); ++gj)
            for (int gi = node(low[0] - 4, grid_width_); gi <= node(high[0] + 8, grid_width_); ++gi) {
                double sum = 0, weight = 0;
                for (int j = 4 * gj - 4; j < 4 * gj + 4; ++j)
                    for (int i = 4 * gi - 4; i < 4 * gi + 4; ++i) {
                        const double w = (4 - std::fabs(j + 0.5 - 4 * gj)) * (4 - std::fabs(i + 0.5 - 4 * gi));
                        weight += w;
                        if (i >= 0 && j >= 0 && i < width_ && j < height_) sum += w * dark[size_t(j) * width_ + i];
                    }
                double& g = gain[size_t(gj) * grid_width_ + gi];
                g += (kMouthGain - g) * (sum / weight);
            }
    }

    const FaceMesh& mesh_;
    std::vector<Vec3> rest_;
    MeshFit fit_;
    int width_, height_, grid_width_, grid_height_;
    double falloff_px_;
    std::vector<double> rest_light_;
    Outline rest_outline_;
    Outside rest_outside_;
};

constexpr double kDisplacementUnit = 512, kGainUnit = 16384, kWordLimit = 32767;  // Q9, Q14, int16

int16_t quantise(double value, double scale) {  // nearest, ties away from zero: mirrored values stay mirrored
    const double v = std::clamp(value * scale, -kWordLimit, kWordLimit);
    return int16_t(v < 0 ? v - 0.5 : v + 0.5);
}

void append(FaceBasis& basis, const std::string& unit, double level, const Stage::Fields& f, int largest_scale) {
    const auto largest = [](const std::vector<double>& values) {
        double found = 0;
        for (double v : values) found = std::max(found, std::fabs(v));
        return found;
    };
    const double word = std::max({largest(f.dx) * kDisplacementUnit, largest(f.dy) * kDisplacementUnit, largest(f.gain) * kGainUnit});
    Channel channel{unit, level};
    while (channel.scale < largest_scale && 2 * channel.scale * word <= kWordLimit) channel.scale *= 2;
    double peak2 = 0;
    for (size_t n = 0; n < f.dx.size(); ++n) peak2 = std::max(peak2, f.dx[n] * f.dx[n] + f.dy[n] * f.dy[n]);
    channel.peak_px = channel.scale * std::sqrt(peak2);
    for (double v : f.dx) basis.grids.push_back(quantise(v, channel.scale * kDisplacementUnit));
    for (double v : f.dy) basis.grids.push_back(quantise(v, channel.scale * kDisplacementUnit));
    for (double v : f.gain) basis.grids.push_back(quantise(v, channel.scale * kGainUnit));
    basis.channels.push_back(channel);
}

}  // namespace

FaceBasis build_basis(const FaceMesh& mesh, const Vec3* landmarks_px, int width, int height, const double* ceiling) {
    for (int i = 0; i < kMeshVertices; ++i)
        if (!std::isfinite(landmarks_px[i].x + landmarks_px[i].y + landmarks_px[i].z))
            throw std::invalid_argument("geometry: landmark " + std::to_string(i) + " is not finite");
    Stage stage(mesh, landmarks_px, width, height);
    FaceBasis basis;
    basis.width = width, basis.height = height, basis.grid_width = stage.grid_width(), basis.grid_height = stage.grid_height();

    // Action units: left and right of one level lie side by side, because the node sum reads channels in pairs
    std::vector<Vec3> move(kMeshVertices);
    const auto add = [&](const UnitShape& unit, double level) {
        for (int i = 0; i < kMeshVertices; ++i) move[i] = stage.fit().turn(level * unit.delta[i]);
        append(basis, unit.name, level, stage.fields(move), kLargestScale);
    };
    for (size_t u = 0; u < mesh.units.size(); ++u) {
        const bool is_pair = u + 1 < mesh.units.size() && mesh.units[u].name.back() == 'L' && mesh.units[u + 1].name.back() == 'R';
        const double highest = std::max(ceiling[u], is_pair ? ceiling[u + 1] : 0.0);
        double below = 0;
        for (double level : mesh.units[u].levels) {
            if (below >= highest) break;
            add(mesh.units[u], level);
            if (is_pair) add(mesh.units[u + 1], level);
            below = level;
        }
        u += is_pair;
    }

    // Rigid motions of the head, whole image: each moves kRigidPeakPx at coefficient 1
    const auto depth = stage.depth_map();
    const double cx = (width - 1) / 2.0, cy = (height - 1) / 2.0, corner = std::hypot(cx, cy);
    for (const char* name : {"tx", "ty", "roll", "scale", "yaw", "pitch"}) {
        Stage::Fields f{std::vector<double>(stage.nodes()), std::vector<double>(stage.nodes()), std::vector<double>(stage.nodes())};
        const std::string rigid = name;
        for (int n = 0; n < stage.nodes(); ++n) {
            const double x = (kNodeStepPx * (n % basis.grid_width) - 0.5 - cx) / corner,
                         y = (kNodeStepPx * (n / basis.grid_width) - 0.5 - cy) / corner;
            if (rigid == "tx") f.dx[n] = -kRigidPeakPx;
            if (rigid == "ty") f.dy[n] = -kRigidPeakPx;
            if (rigid == "roll") f.dx[n] = kRigidPeakPx * y, f.dy[n] = -kRigidPeakPx * x;
            if (rigid == "scale") f.dx[n] = -kRigidPeakPx * x, f.dy[n] = -kRigidPeakPx * y;
            if (rigid == "yaw") f.dx[n] = -kRigidPeakPx * depth[n];
            if (rigid == "pitch") f.dy[n] = -kRigidPeakPx * depth[n];
        }
        append(basis, rigid, 1, f, 1);
    }
    if (basis.channels.size() > size_t(kMaxRenderChannels)) throw std::invalid_argument("geometry: more channels than the renderer sums");
    return basis;
}

void unit_coefficients(const FaceMesh& mesh, const FaceBasis& basis, const double* intensity, const double* rigid_px, int64_t rows,
                       int16_t* out) {
    const int channels = int(basis.channels.size()), units = int(mesh.units.size());
    // Each channel's unit, and the levels built below and above it
    struct Hat {
        int unit = -1;
        double below = 0, level = 1, above = std::numeric_limits<double>::infinity();
    };
    std::vector<Hat> hats(channels);
    std::vector<double> top(units, 0);
    for (int c = 0; c < channels; ++c) {
        hats[c].level = basis.channels[c].level;
        for (int u = 0; u < units; ++u)
            if (mesh.units[u].name == basis.channels[c].unit) hats[c].unit = u, top[u] = std::max(top[u], hats[c].level);
        for (int k = 0; k < c; ++k)
            if (hats[c].unit >= 0 && hats[k].unit == hats[c].unit) {
                hats[c].below = std::max(hats[c].below, hats[k].level);
                hats[k].above = std::min(hats[k].above, hats[c].level);
            }
    }
    for (int64_t row = 0; row < rows; ++row) {
        const double* value = intensity + row * units;
        for (int u = 0; u < units; ++u)
            if (!(value[u] >= 0 && value[u] <= top[u]))
                throw std::invalid_argument("coefficients: " + mesh.units[u].name + " = " + std::to_string(value[u]) +
                                            " was not prepared for (0 to " + std::to_string(top[u]) + ")");
        int rigid = 0, sum = 0;
        for (int c = 0; c < channels; ++c) {
            const Hat& h = hats[c];
            double weight;
            if (h.unit < 0)
                weight = rigid_px[row * 6 + rigid++] / kRigidPeakPx;
            else if (value[h.unit] <= h.level)
                weight = std::max(0.0, (value[h.unit] - h.below) / (h.level - h.below));
            else
                weight = std::max(0.0, (h.above - value[h.unit]) / (h.above - h.level));
            const int q12 = int(std::lround(weight * 4096 / basis.channels[c].scale));
            if (std::abs(q12) > 32767 || (sum += std::abs(q12)) > 32767)
                throw std::invalid_argument("coefficients: the motions of row " + std::to_string(row) +
                                            " add up to more than the renderer sums: ask for fewer or weaker units");
            out[row * channels + c] = int16_t(q12);
        }
    }
}

std::pair<int64_t, double> beyond_reach(const FaceBasis& basis, const int16_t* coefficients, int64_t rows) {
    const size_t channels = basis.channels.size(), nodes = size_t(basis.grid_width) * basis.grid_height;
    std::vector<int64_t> sum(2 * nodes);
    for (int64_t row = 0; row < rows; ++row) {
        const int16_t* own = coefficients + size_t(row) * channels;
        double bound_px = 0;
        for (size_t c = 0; c < channels; ++c) bound_px += std::abs(int(own[c])) / 4096.0 * basis.channels[c].peak_px;
        if (bound_px <= kMaxDisplacementPx) continue;  // all peaks in one place: only then the exact sum is worth its time
        std::fill(sum.begin(), sum.end(), 0);
        for (size_t c = 0; c < channels; ++c)
            if (own[c])
                for (size_t n = 0; n < 2 * nodes; ++n) sum[n] += int64_t(own[c]) * basis.grids[c * 3 * nodes + n];
        int64_t peak = 0;
        for (int64_t s : sum) peak = std::max(peak, std::abs(s));
        const double peak_px = double(peak) / (4096.0 * 512.0);
        if (peak_px > kMaxDisplacementPx) return {row, peak_px};
    }
    return {-1, 0};
}

}  // namespace mie
