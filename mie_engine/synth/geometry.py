"""geometry: landmarks -> the renderer's basis grids (displacement and shading of every action unit), once per face.

The work is done in libmie (csrc/src/geometry.cc); here stands which mesh shapes make an action unit.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .action_units import UNITS

MESH_FILE = Path(__file__).resolve().parent.parent / "assets" / "mesh" / "mp468_ict_arkit_deltas.npz"
INTEROCULAR_CM = 6.386  # of the canonical face; the shapes are stored in inter-ocular distances
RIGID = ("tx", "ty", "roll", "scale", "yaw", "pitch")  # rigid channels, after the units, in this order

# Action unit -> shapes of ICT-FaceKit and their weight at full intensity (FACS; `_` stands for the side of a one-sided unit).
# AU26 and AU27 are shares of a jaw that could open further: .6 is a dropped jaw, up to 28 px at 256 px and thus the most that every shipped
# face can show; .75 a stretched one, which a third of them can show up to .8 or .95 only.
SHAPES: dict[int, tuple[tuple[str, float], ...]] = {
    1: (("browInnerUp_", 1.0),),
    2: (("browOuterUp_", 1.0),),
    4: (("browDown_", 1.0),),
    5: (("eyeWide_", 1.0),),
    6: (("cheekRaiser_", 1.0), ("cheekSquint_", 0.5)),
    7: (("eyeSquint_", 1.0),),
    9: (("noseSneer_", 0.9), ("browDown_", 0.5), ("mouthUpperUp_", 0.4)),  # FACS: the levator also lifts the lip and lowers the brow
    10: (("mouthUpperUp_", 1.0),),
    12: (("mouthSmile_", 1.0),),
    14: (("mouthDimple_", 1.0),),
    15: (("mouthFrown_", 1.0),),
    16: (("mouthLowerDown_", 1.0),),
    17: (("mouthShrugLower", 1.0), ("mouthShrugUpper", 0.5)),
    18: (("mouthPucker", 1.0),),
    20: (("mouthStretch_", 1.0),),
    22: (("mouthFunnel", 1.0),),
    23: (("mouthRollUpper", 0.4), ("mouthRollLower", 0.4)),
    24: (("mouthPress_", 1.0),),
    25: (("mouthUpperUp_L", 0.25), ("mouthUpperUp_R", 0.25), ("mouthLowerDown_L", 0.8), ("mouthLowerDown_R", 0.8)),
    26: (("jawOpen", 0.6),),
    27: (("jawOpen", 0.75),),
    28: (("mouthRollUpper", 1.0), ("mouthRollLower", 1.0)),
    43: (("eyeBlink_", 1.0),),
    45: (("eyeBlink_", 1.0),),
}
LEVELS = (0.4, 1.0)  # micro-expressions live below the first one
LIP_PARTING_LEVELS = (0.1, 0.2, 0.4, 0.7, 1.0)  # the dark gap moves with the lips: finer steps
LIP_PARTING = (25, 26, 27)


def mirror_permutation(vertices: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each vertex [n, 3] of a mesh symmetric in x, the index of its mirror image."""
    mirrored = vertices * [-1.0, 1.0, 1.0]
    return np.asarray(np.linalg.norm(mirrored[:, None] - vertices[None], axis=2).argmin(1))


@functools.cache
def face_mesh() -> _core.FaceMesh:
    """The canonical mesh with the shape of every engine unit, made exactly symmetric: the left unit is the mirrored right one."""
    with np.load(MESH_FILE, allow_pickle=False) as table:
        canonical = table["canonical"].astype(np.float64)
        shapes = {
            str(name): delta.astype(np.float64) * INTEROCULAR_CM for name, delta in zip(table["names"], table["delta_iod"], strict=True)
        }
        triangles = table["faces"].tolist()
    mirror = mirror_permutation(canonical)

    def flipped(delta: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(delta[mirror] * [-1.0, 1.0, 1.0])

    def symmetric(shape: str) -> NDArray[np.float64]:
        other = shape[:-1] + {"L": "R", "R": "L"}[shape[-1]] if shape[-2:] in ("_L", "_R") else shape
        return np.asarray((shapes[shape] + flipped(shapes[other])) / 2)

    units = []
    for unit in UNITS:
        side = unit[-1] if unit[-1] in "LR" else ""
        number = int(unit[2:].rstrip("LR"))
        delta = np.zeros_like(canonical)
        for shape, weight in SHAPES[number]:
            delta += weight * symmetric(shape + side if shape.endswith("_") else shape)
        units.append((unit, delta, list(LIP_PARTING_LEVELS if number in LIP_PARTING else LEVELS)))
    return _core.FaceMesh(canonical, triangles, units)
