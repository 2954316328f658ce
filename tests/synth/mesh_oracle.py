"""What a unit does to the mesh and to the nodes, written again in plain NumPy float64: the independent half of the geometry tests."""

from __future__ import annotations

import functools

import numpy as np

from mie_engine._core import ACTION_UNIT_SHAPES, INTEROCULAR_CM
from mie_engine.synth.action_units import UNITS
from mie_engine.synth.faces import Face
from mie_engine.synth.geometry import MESH_FILE, face_mesh

NODE_STEP_PX = 4


def table() -> list[np.ndarray]:
    """Names, deltas, canonical vertices and triangles, as they lie in the file."""
    with MESH_FILE.open("rb") as file:
        return [np.load(file) for _ in range(4)]


@functools.cache
def mesh() -> tuple[np.ndarray, np.ndarray]:
    """Canonical vertices [468, 3] cm and triangles [898, 3]."""
    _, _, canonical, triangles = table()
    return canonical.astype(float), triangles.astype(int)


@functools.cache
def mirror_of() -> np.ndarray:
    """Index of every vertex's mirror image."""
    canonical, _ = mesh()
    return np.array([np.abs(canonical * [-1, 1, 1] - vertex).sum(1).argmin() for vertex in canonical])


@functools.cache
def delta_cm(unit: str) -> np.ndarray:
    """Vertex displacement [468, 3] of a unit at full intensity: its shapes, each averaged with the mirror image of its other side."""
    names, deltas, _, _ = table()
    shapes = dict(zip(names.astype(str).tolist(), deltas.astype(float) * INTEROCULAR_CM, strict=True))
    side = unit[-1] if unit[-1] in "LR" else ""
    total = np.zeros((468, 3))
    for name, weight in ACTION_UNIT_SHAPES[int(unit[2:].rstrip("LR"))]:
        name += side if name.endswith("_") else ""
        twin = name[:-1] + {"L": "R", "R": "L"}[name[-1]] if name[-2:] in ("_L", "_R") else name
        total += weight * (shapes[name] + shapes[twin][mirror_of()] * [-1, 1, 1]) / 2
    return total


def move_px(face: Face, unit: str, level: float = 1.0) -> np.ndarray:
    """Vertex displacement [468, 3] in the face's pixels: scale * rotation * displacement of its fit."""
    scale, rotation, _ = face_mesh().fit(face.landmarks_px)
    return level * scale * delta_cm(unit) @ np.array(rotation).T


def asked_px(face: Face, intensity: np.ndarray) -> np.ndarray:
    """Vertex displacement [468, 3] px of intensities over UNITS, added up."""
    return np.sum([move_px(face, UNITS[unit], intensity[unit]) for unit in np.flatnonzero(intensity)], axis=0)


def at_nodes(points: np.ndarray, values: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertex values [468, D] of the mesh at `points` [468, 3], interpolated at the nodes of the nearest surface.

    Returns:
        covered bool [G, G] and values float64 [G, G, D].
    """
    grid = (size + NODE_STEP_PX - 1) // NODE_STEP_PX + 1
    depth, result = np.full((grid, grid), np.inf), np.zeros((grid, grid, values.shape[1]))
    for triangle in mesh()[1]:
        corners = points[triangle]
        low = np.maximum(np.ceil((corners[:, :2].min(0) + 0.5) / NODE_STEP_PX), 0).astype(int)
        high = np.minimum(np.floor((corners[:, :2].max(0) + 0.5) / NODE_STEP_PX), grid - 1).astype(int)
        if (high < low).any():
            continue
        system = np.vstack([corners[:, :2].T, np.ones(3)])
        if abs(np.linalg.det(system)) < 1e-9:
            continue
        y, x = (g.ravel() for g in np.mgrid[low[1] : high[1] + 1, low[0] : high[0] + 1])
        weight = np.linalg.solve(system, np.stack([x * NODE_STEP_PX - 0.5, y * NODE_STEP_PX - 0.5, np.ones(x.size)])).T
        z = weight @ corners[:, 2]
        seen = (weight > -1e-12).all(1) & (z < depth[y, x])
        depth[y[seen], x[seen]] = z[seen]
        result[y[seen], x[seen]] = (weight @ values[triangle])[seen]
    return np.isfinite(depth), result


def smallest_determinant(field: np.ndarray) -> np.ndarray:
    """Of node cells [G - 1, G - 1]: the least determinant of y -> y + field(y) at its corners, field [2, G, G] px; below 0 it folds."""
    across, down = np.diff(field, axis=2) / NODE_STEP_PX, np.diff(field, axis=1) / NODE_STEP_PX
    corners = [(across[:, j : j + down.shape[1]], down[:, :, i : i + across.shape[2]]) for i in (0, 1) for j in (0, 1)]
    return np.min([(1 + a[0]) * (1 + d[1]) - a[1] * d[0] for a, d in corners], axis=0)


def bilinear(nodes: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Node values [D, G, G] at pixel positions x, y [...] -> [D, ...]; beyond the grid its border goes on."""
    gx = np.clip((x + 0.5) / NODE_STEP_PX, 0, nodes.shape[2] - 1)
    gy = np.clip((y + 0.5) / NODE_STEP_PX, 0, nodes.shape[1] - 1)
    i, j = np.minimum(gx.astype(int), nodes.shape[2] - 2), np.minimum(gy.astype(int), nodes.shape[1] - 2)
    tx, ty = gx - i, gy - j
    upper = nodes[:, j, i] * (1 - tx) + nodes[:, j, i + 1] * tx
    lower = nodes[:, j + 1, i] * (1 - tx) + nodes[:, j + 1, i + 1] * tx
    return upper * (1 - ty) + lower * ty
