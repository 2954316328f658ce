"""strain of a flow field; flow_maps: the 8-bit maps (u, v, strain) of estimated flow that recognisers read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import ShapeError, UsageError
from .. import require
from ..registry import Op, core, core_missing, cpu_if_simd, simd_level
from . import ref, ref_maps
from .op import FlowCall, checked_pairs
from .ref_maps import KINDS, SIDES, Floats

STRAIN = Op("strain")
FLOW_MAPS = Op("flow_maps")

Maps = tuple[NDArray[np.uint8], Floats]


class MapsCall(NamedTuple):
    """What every backend of flow_maps receives."""

    pairs: FlowCall
    side: int
    strain: str


def strain(flow: Floats, kind: str = "true", *, backend: str = "auto") -> Floats:
    """Strain of flow fields per px, in one of three definitions of the field; the same bits on every backend.

    Args:
        flow: float32 [N, 2, H, W] (u, v) px, sides of at least 2; NaN gives NaN.
        kind: "true": sqrt(ux^2 + vy^2 + (uy + vx)^2 / 2) by central differences, one-sided at the border; "shift": by differences to the
            next pixel (SKD-TSTSAN); "meb": Sobel sums with axes swapped, which rotation alone makes 11.3 times its angle (MEB). The last
            two serve comparison with published results.
        backend: "auto", "cpu" or "ref"; all but "auto" run or raise.

    Returns:
        float32 [N, H, W].

    Raises:
        ShapeError: another shape or dtype. UsageError: an unknown kind or backend. BackendError: the backend cannot run here.
    """
    _, _, height, width = require.shape("strain: flow", flow, "[N, 2, H, W]", dtype="float32", hint="pass flow as kernels.flow gives it")
    if min(height, width) < 2:
        raise ShapeError(f"strain: flow has shape {list(flow.shape)}, sides must be at least 2 px")
    result: Floats = STRAIN.run((np.ascontiguousarray(flow), require.one_of("strain: kind", kind, KINDS)), backend)
    return result


def flow_maps(
    onset: NDArray[np.uint8],
    later: NDArray[np.uint8],
    *,
    side: int = 28,
    strain: str = "true",
    backend: str = "auto",
    simd: str = "auto",
    threads: int = 0,
) -> Maps:
    """Maps of the estimated flow of frame pairs, as `features` gives them of exact flow; no full-size field is made.

    The flow on cells of 2 x 2 px goes to a lattice of 2 side x 2 side points (means over the area of a point; where a point is smaller
    than a cell, linear between cells), in px of that lattice; strain is taken there; 2 x 2 points are averaged.

    Args:
        onset: uint8 grey [N, H, W], or [1, H, W]: one onset for all later frames. Sides 32 to 4096 px.
        later: uint8 grey [N, H, W].
        side: 28, 56 or 64.
        strain: "true", "shift" or "meb", see `strain`.
        backend: "auto", "cpu" or "ref"; all but "auto" run or raise.
        simd: instruction set of the cpu backend: "auto", "scalar", "avx2" or "avx512"; all but "auto" run or raise.
        threads: pairs are shared out to so many threads by the cpu backend, 0 (all cores) to 256.

    Returns:
        maps uint8 [N, side, side, 3], u, v and strain each scaled from least to largest onto 0..255 (constant: 0); and ranges float32
        [N, 3, 2], these values. A sample depends on nothing but its own pair.

    Raises:
        ShapeError, RangeError: frames or numbers that `flow` refuses. UsageError: an unknown side, strain, backend or instruction set.
        BackendError: the backend or instruction set asked for cannot run here.
    """
    if isinstance(side, bool) or side not in SIDES:
        raise UsageError(f"flow_maps: side is {side!r}, allowed are {', '.join(map(str, SIDES))}")
    pairs = checked_pairs("flow_maps", onset, later, simd, threads)
    call = MapsCall(pairs, int(side), require.one_of("flow_maps: strain", strain, KINDS))
    result: Maps = FLOW_MAPS.run(call, cpu_if_simd("flow_maps", backend, simd))
    return result


@STRAIN.backend("ref")
def _strain_ref(call: tuple[Floats, str]) -> Floats:
    return np.stack([ref_maps.strain(flow, call[1]) for flow in call[0]])


@STRAIN.backend("cpu", missing=core_missing)
def _strain_cpu(call: tuple[Floats, str]) -> Floats:
    result: Floats = core().strain(*call)
    return result


@FLOW_MAPS.backend("ref")
def _flow_maps_ref(call: MapsCall) -> Maps:
    onsets = [ref.pyramid(frame) for frame in call.pairs.onset]
    size = call.pairs.later.shape[1], call.pairs.later.shape[2]
    made = []
    for i, frame in enumerate(call.pairs.later):
        grid = ref.solved(onsets[i if len(onsets) > 1 else 0], ref.pyramid(frame), size).grid.astype(np.float32)
        made.append(ref_maps.flow_maps(grid, size, call.side, call.strain))
    maps, ranges = zip(*made, strict=True)
    return np.stack(maps), np.stack(ranges)


@FLOW_MAPS.backend("cpu", missing=core_missing)
def _flow_maps_cpu(call: MapsCall) -> Maps:
    pairs = call.pairs
    level = simd_level("flow_maps", pairs.simd)
    maps, ranges = core().flow_maps(pairs.onset, pairs.later, call.side, call.strain, level, pairs.threads)
    return maps, ranges
