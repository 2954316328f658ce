"""geometry: landmarks -> the renderer's basis grids (displacement and shading of every action unit), once per face.

The work is done in libmie: csrc/src/action_units.cc says which mesh shapes make an action unit, csrc/src/geometry.cc makes the grids.
"""

from __future__ import annotations

import functools
from pathlib import Path

from .. import _core

MESH_FILE = Path(__file__).resolve().parent.parent / "assets" / "mesh" / "mp468_ict_arkit_deltas.npy"
RIGID = ("tx", "ty", "roll", "scale", "yaw", "pitch")  # rigid channels, after the units, in this order


@functools.cache
def face_mesh() -> _core.FaceMesh:
    """The canonical mesh with the shape of every engine unit, made exactly symmetric: the left unit is the mirrored right one."""
    return _core.FaceMesh(str(MESH_FILE))
