#include "action_units.h"

#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <map>
#include <stdexcept>
#include <system_error>

namespace mie {
namespace {

constexpr int kTriangles = 898, kNameBytes = 16;

// Micro-expressions live below the first level; the dark gap moves with the lips: finer steps.
const std::vector<double> kLevels = {0.4, 1.0}, kLipPartingLevels = {0.1, 0.2, 0.4, 0.7, 1.0};
bool parts_lips(int number) { return number >= 25 && number <= 27; }

// The data of one .npy array, which must have this type and shape.
template <class T>
std::vector<T> array(std::ifstream& file, const std::string& path, const std::string& type, const std::string& shape, size_t count) {
    unsigned char head[10];
    std::string about;
    if (file.read(reinterpret_cast<char*>(head), sizeof head) && std::memcmp(head, "\x93NUMPY\x01", 7) == 0) {
        about.resize(size_t(head[8] + 256 * head[9]));
        file.read(about.data(), std::streamsize(about.size()));
    }
    const bool fits = about.find("'" + type + "'") != std::string::npos && about.find("'fortran_order': False") != std::string::npos &&
                      about.find("'shape': (" + shape + ")") != std::string::npos;
    std::vector<T> values(count);
    if (!fits || !file.read(reinterpret_cast<char*>(values.data()), std::streamsize(count * sizeof(T))))
        throw std::invalid_argument(path + " is not the engine's face mesh: expected an array " + type + " (" + shape + ")");
    return values;
}

std::vector<Vec3> points(const float* xyz) {
    std::vector<Vec3> p(kMeshVertices);
    for (int i = 0; i < kMeshVertices; ++i) p[i] = {xyz[3 * i], xyz[3 * i + 1], xyz[3 * i + 2]};
    return p;
}

Vec3 flip(Vec3 v) { return {-v.x, v.y, v.z}; }

std::vector<int> mirror_of(const std::vector<Vec3>& canonical) {
    std::vector<int> nearest(canonical.size());
    for (size_t i = 0; i < canonical.size(); ++i) {
        double least = HUGE_VAL;
        for (size_t k = 0; k < canonical.size(); ++k) {
            const Vec3 apart = flip(canonical[i]) - canonical[k];
            if (dot(apart, apart) < least) least = dot(apart, apart), nearest[i] = int(k);
        }
    }
    return nearest;
}

}  // namespace

// AU26 and AU27 are shares of a jaw that could open further: .6 is a dropped jaw, up to 28 px at 256 px and thus the most that every
// shipped face can show; .75 a stretched one, which a third of them can show up to .8 or .95 only.
const std::vector<ActionUnitShapes>& action_unit_shapes() {
    static const std::vector<ActionUnitShapes> kShapes = {
        {1, {{"browInnerUp_", 1}}},
        {2, {{"browOuterUp_", 1}}},
        {4, {{"browDown_", 1}}},
        {5, {{"eyeWide_", 1}}},
        {6, {{"cheekRaiser_", 1}, {"cheekSquint_", 0.5}}},
        {7, {{"eyeSquint_", 1}}},
        {9, {{"noseSneer_", 0.9}, {"browDown_", 0.5}, {"mouthUpperUp_", 0.4}}},  // FACS: the levator also lifts lip, lowers brow
        {10, {{"mouthUpperUp_", 1}}},
        {12, {{"mouthSmile_", 1}}},
        {14, {{"mouthDimple_", 1}}},
        {15, {{"mouthFrown_", 1}}},
        {16, {{"mouthLowerDown_", 1}}},
        {17, {{"mouthShrugLower", 1}, {"mouthShrugUpper", 0.5}}},
        {18, {{"mouthPucker", 1}}},
        {20, {{"mouthStretch_", 1}}},
        {22, {{"mouthFunnel", 1}}},
        {23, {{"mouthRollUpper", 0.4}, {"mouthRollLower", 0.4}}},
        {24, {{"mouthPress_", 1}}},
        {25, {{"mouthUpperUp_L", 0.25}, {"mouthUpperUp_R", 0.25}, {"mouthLowerDown_L", 0.8}, {"mouthLowerDown_R", 0.8}}},
        {26, {{"jawOpen", 0.6}}},
        {27, {{"jawOpen", 0.75}}},
        {28, {{"mouthRollUpper", 1}, {"mouthRollLower", 1}}},
        {43, {{"eyeBlink_", 1}}},
        {45, {{"eyeBlink_", 1}}},
    };
    return kShapes;
}

std::vector<std::string> unit_names() {
    std::vector<std::string> names;
    for (const ActionUnitShapes& action : action_unit_shapes())
        for (const char* side : {"L", "R"}) {
            names.push_back("AU" + std::to_string(action.number) + (action.one_sided() ? side : ""));
            if (!action.one_sided()) break;
        }
    return names;
}

FaceMesh load_face_mesh(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::system_error(errno, std::generic_category(), path);
    constexpr size_t kShapeCount = 55, kNumbers = size_t(kMeshVertices) * 3;
    const auto names = array<char>(file, path, "|S16", "55,", kShapeCount * kNameBytes);
    const auto deltas = array<float>(file, path, "<f4", "55, 468, 3", kShapeCount * kNumbers);
    const auto canonical = points(array<float>(file, path, "<f4", "468, 3", kNumbers).data());
    const auto corners = array<int32_t>(file, path, "<i4", "898, 3", size_t(kTriangles) * 3);

    std::vector<std::array<int, 3>> triangles(kTriangles);
    for (int t = 0; t < kTriangles; ++t)
        for (int k = 0; k < 3; ++k) {
            triangles[t][k] = corners[size_t(3 * t + k)];
            if (triangles[t][k] < 0 || triangles[t][k] >= kMeshVertices)
                throw std::invalid_argument(path + ": a triangle has no such corner");
        }
    std::map<std::string, std::vector<Vec3>> shapes;
    for (size_t s = 0; s < kShapeCount; ++s) {
        const char* name = names.data() + s * kNameBytes;
        auto& shape = shapes[std::string(name, strnlen(name, kNameBytes))] = points(deltas.data() + s * kNumbers);
        for (Vec3& v : shape) v = kInterocularCm * v;
    }
    const std::vector<int> mirror = mirror_of(canonical);

    std::vector<UnitShape> units;
    for (const ActionUnitShapes& action : action_unit_shapes()) {
        for (const std::string side : {"L", "R"}) {
            UnitShape unit{"AU" + std::to_string(action.number), std::vector<Vec3>(kMeshVertices),
                           parts_lips(action.number) ? kLipPartingLevels : kLevels};
            if (action.one_sided()) unit.name += side;
            for (auto [name, weight] : action.shapes) {
                if (name.back() == '_') name += side;
                std::string twin = name;
                if (twin[twin.size() - 2] == '_') twin.back() = twin.back() == 'L' ? 'R' : 'L';
                const auto &shape = shapes.at(name), &other = shapes.at(twin);
                for (int i = 0; i < kMeshVertices; ++i)
                    unit.delta[i] = unit.delta[i] + weight * (0.5 * (shape[i] + flip(other[size_t(mirror[i])])));
            }
            units.push_back(unit);
            if (!action.one_sided()) break;
        }
    }
    return FaceMesh(canonical, triangles, units);
}

}  // namespace mie
