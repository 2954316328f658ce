"""align: a similarity or affine window of a frame, its colour and its scaling in one pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import RangeError, ShapeError
from ...limits import MAX_WIDTH_PX, MAX_WINDOW_REACH_PX
from .. import require
from ..registry import Op, core, core_missing
from . import ref
from .ref import AlignCall, Bytes

ALIGN = Op("align")

OUTPUTS = ("grey", "rgb", "hwc", "chw")
BORDERS = ("replicate", "zero")
MAX_SUPERSAMPLE = 16


def align(
    frame: Bytes | Sequence[Bytes],
    to_source: NDArray[np.floating[Any]],
    size: int,
    *,
    output: str = "grey",
    scale: float = 1.0,
    offset: float = 0.0,
    full_range: bool = False,
    supersample: int = 0,
    fraction_bits: int = 8,
    border: str = "replicate",
    backend: str = "auto",
) -> NDArray[Any]:
    """Read an affine window out of a frame; the same bytes on every backend.

    Args:
        frame: uint8 [H, W, 3] RGB, [H, W] grey, or the planes of YUV 4:2:0: (Y [H, W], U, V [ceil(H / 2), ceil(W / 2)]) or NV12's
            (Y, UV [ceil(H / 2), ceil(W / 2), 2]); rows may lie apart, pixels may not.
        to_source: float [2, 3], takes output px (i, j) to source px (x, y); pixel centres at integers.
        size: S, sides of the output, 1 to 8192 px.
        output: "grey" or "rgb" (uint8), "hwc" or "chw" (float32 RGB: sample * scale + offset).
        scale, offset: of the float outputs.
        full_range: of YUV: Y 0..255 (JPEG), or 16..235 (False, most video). Colours are BT.601's.
        supersample: bilinear samples per output px and axis, 1 to 16; 0: as many as keep them at most one source px apart.
        fraction_bits: source positions are rounded to 2^-fraction_bits px, 1 to 8.
        border: outside the frame, "replicate" (its edge) or "zero" (black).
        backend: "auto", "cpu" or "ref"; all but "auto" run or raise.

    Returns:
        uint8 [S, S], uint8 [S, S, 3], float32 [S, S, 3] or float32 [3, S, S].

    Raises:
        ShapeError: an array of another shape or dtype. RangeError: a number outside its range, a window that is not finite or too far.
        UsageError: an unknown output, border or backend. BackendError: the backend asked for cannot run here.
    """
    planes = _planes(frame)
    require.integer("align: size", size, 1, MAX_WIDTH_PX)
    matrix = _matrix(to_source, size, planes[0].shape)
    samples = require.integer("align: supersample", supersample, 0, MAX_SUPERSAMPLE, "0 chooses") or supersample_for(matrix)
    call = AlignCall(
        planes,
        bool(full_range),
        matrix,
        size,
        samples,
        require.integer("align: fraction_bits", fraction_bits, 1, 8),
        require.one_of("align: border", border, BORDERS) == "zero",
        require.one_of("align: output", output, OUTPUTS),
        require.between("align: scale", scale, -1e6, 1e6),
        require.between("align: offset", offset, -1e6, 1e6),
    )
    result: NDArray[Any] = ALIGN.run(call, backend)
    return result


def supersample_for(matrix: NDArray[np.float64]) -> int:
    """Samples per axis that keep neighbouring samples at most one source pixel apart: ceil(scale), 1..16."""
    squared = (matrix[0, :2] ** 2 + matrix[1, :2] ** 2).max()
    return int(min(max(math.ceil(math.sqrt(squared) - 1e-9), 1), MAX_SUPERSAMPLE))


def _planes(frame: Bytes | Sequence[Bytes]) -> list[Bytes]:
    planes: list[Any] = list(frame) if isinstance(frame, (tuple, list)) else [frame]
    if len(planes) not in (1, 2, 3):
        raise ShapeError(f"align: frame has {len(planes)} planes, expected an array, (Y, UV) or (Y, U, V)")
    colour = len(planes) == 1 and getattr(planes[0], "ndim", 0) == 3
    height, width, *_ = require.shape("align: frame", planes[0], "[H, W, 3]" if colour else "[H, W]", dtype="uint8")
    require.integer("align: height", height, 1, MAX_WINDOW_REACH_PX)
    require.integer("align: width", width, 1, MAX_WINDOW_REACH_PX)
    pattern = f"[{(height + 1) // 2}, {(width + 1) // 2}{', 2' if len(planes) == 2 else ''}]"
    for name, plane in zip(("UV",) if len(planes) == 2 else ("U", "V"), planes[1:], strict=False):
        require.shape(f"align: {name}", plane, pattern, dtype="uint8")
    packed = [p.strides[1] == p[0, 0].nbytes and (p.ndim == 2 or p.strides[2] == 1) for p in planes]
    return [p if is_packed else np.ascontiguousarray(p) for p, is_packed in zip(planes, packed, strict=True)]


def _matrix(to_source: NDArray[np.floating[Any]], size: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    matrix = np.ascontiguousarray(to_source, np.float64)
    if matrix.shape != (2, 3):
        raise ShapeError(f"align: to_source has shape {list(matrix.shape)}, expected [2, 3]")
    with np.errstate(all="ignore"):
        middle = matrix[:, :2].sum(1) * (size - 1) / 2 + matrix[:, 2] - (np.array(shape[1::-1]) - 1) / 2
        reach_px = float((abs(middle) + abs(matrix[:, :2]).sum(1) * size / 2).max())
    if not reach_px < MAX_WINDOW_REACH_PX - 2:
        raise RangeError(f"align: the window of to_source {matrix.tolist()} is not finite or more than {MAX_WINDOW_REACH_PX} px away")
    return matrix


ALIGN.backend("ref")(ref.align)


@ALIGN.backend("cpu", missing=core_missing)
def _align_cpu(call: AlignCall) -> NDArray[Any]:
    result: NDArray[Any] = core().align(*call)
    return result
