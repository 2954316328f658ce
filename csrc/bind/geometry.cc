// _core.FaceMesh and _core.FaceBasis: the mesh with its action units, and the grids of one face.
#include "csrc/src/geometry.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>

#include "bind.h"
#include "csrc/src/action_units.h"

namespace py = pybind11;

namespace mie {
namespace {

std::vector<Vec3> points(const Doubles& a, const char* what) {
    if (a.ndim() != 2 || a.shape(0) < kMeshVertices || a.shape(1) != 3)
        throw std::invalid_argument(std::string(what) + ": expected [468 or more, 3]");
    std::vector<Vec3> p(size_t(a.shape(0)));
    for (size_t i = 0; i < p.size(); ++i) p[i] = {a.at(i, 0), a.at(i, 1), a.at(i, 2)};
    return p;
}

py::array_t<int16_t> coefficients(const FaceMesh& mesh, const FaceBasis& basis, const Doubles& intensity, const Doubles& rigid_px) {
    const auto units = py::ssize_t(mesh.units.size());
    if (intensity.ndim() != 2 || intensity.shape(1) != units)
        throw std::invalid_argument("intensity: expected [rows, " + std::to_string(units) + "]");
    if (rigid_px.ndim() != 2 || rigid_px.shape(0) != intensity.shape(0) || rigid_px.shape(1) != 6)
        throw std::invalid_argument("rigid_px: expected [rows, 6]");
    py::array_t<int16_t> out({intensity.shape(0), py::ssize_t(basis.channels.size())});
    unit_coefficients(mesh, basis, intensity.data(), rigid_px.data(), intensity.shape(0), out.mutable_data());
    return out;
}

}  // namespace

void bind_geometry(py::module_& m) {
    m.attr("RIGID_PEAK_PX") = kRigidPeakPx;
    m.attr("INTEROCULAR_CM") = kInterocularCm;
    py::dict shapes;
    for (const auto& action : action_unit_shapes()) shapes[py::int_(action.number)] = py::tuple(py::cast(action.shapes));
    m.attr("ACTION_UNIT_SHAPES") = shapes;
    py::class_<FaceMesh, std::shared_ptr<FaceMesh>>(m, "FaceMesh")
        .def(py::init([](const std::string& path) { return std::make_shared<FaceMesh>(load_face_mesh(path)); }), py::arg("path"))
        .def_property_readonly("units",
                               [](const FaceMesh& mesh) {
                                   std::vector<std::string> names;
                                   for (const auto& unit : mesh.units) names.push_back(unit.name);
                                   return names;
                               })
        .def("fit", [](const FaceMesh& mesh, const Doubles& landmarks) {
            const auto p = points(landmarks, "landmarks");
            const MeshFit fit = fit_mesh(mesh, p.data());
            std::vector<std::vector<double>> rotation(3, std::vector<double>(3));
            for (int r = 0; r < 3; ++r)
                for (int c = 0; c < 3; ++c) rotation[r][c] = fit.rotation[r][c];
            return py::make_tuple(fit.scale_px, rotation, std::vector<double>{fit.shift.x, fit.shift.y, fit.shift.z});
        });
    py::class_<FaceBasis, std::shared_ptr<FaceBasis>>(m, "FaceBasis")
        .def(py::init([](const FaceMesh& mesh, const Doubles& landmarks, int width, int height, const std::vector<double>& ceiling) {
            const auto p = points(landmarks, "landmarks");
            if (ceiling.size() != mesh.units.size()) throw std::invalid_argument("ceiling: expected one value per unit");
            py::gil_scoped_release release;
            return std::make_shared<FaceBasis>(build_basis(mesh, p.data(), width, height, ceiling.data()));
        }))
        .def_property_readonly("channels",
                               [](const FaceBasis& b) {
                                   std::vector<std::tuple<std::string, double, int, double>> out;
                                   for (const auto& c : b.channels) out.emplace_back(c.unit, c.level, c.scale, c.peak_px);
                                   return out;
                               })
        .def_property_readonly("grids",  // int16 [channels, 3, grid height, grid width], a view that keeps the basis alive
                               [](const py::object& self) {
                                   const auto& b = self.cast<const FaceBasis&>();
                                   return py::array_t<int16_t>({py::ssize_t(b.channels.size()), py::ssize_t(3), py::ssize_t(b.grid_height),
                                                                py::ssize_t(b.grid_width)},
                                                               b.grids.data(), self);
                               })
        .def("coefficients", [](const FaceBasis& b, const FaceMesh& mesh, const Doubles& intensity,
                                const Doubles& rigid_px) { return coefficients(mesh, b, intensity, rigid_px); })
        .def("beyond_reach", [](const FaceBasis& b, const py::array_t<int16_t, py::array::c_style>& c) {
            if (c.ndim() != 2 || size_t(c.shape(1)) != b.channels.size())
                throw std::invalid_argument("coefficients: expected one value per channel");
            const auto [row, peak_px] = beyond_reach(b, c.data(), c.shape(0));
            return std::make_pair(row, peak_px);
        });
}

}  // namespace mie
