"""flow: dense sub-pixel motion between pairs of grey frames, made for motion of 0.1 to 6 px in the presence of sensor noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import RangeError, ShapeError
from ...limits import MAX_FLOW_SIDE_PX, MAX_RENDER_BYTES, MAX_WORKERS, MIN_FLOW_SIDE_PX
from .. import require
from ..registry import Op, core, core_missing, cpu_if_simd, simd_level
from . import ref

FLOW = Op("flow")


@dataclass(frozen=True)
class FlowCall:
    """What every backend of flow receives: arguments that passed the contract."""

    onset: NDArray[np.uint8]  # [N or 1, H, W], contiguous
    later: NDArray[np.uint8]  # [N, H, W], contiguous
    simd: str
    threads: int


def flow(
    onset: NDArray[np.uint8], later: NDArray[np.uint8], *, backend: str = "auto", simd: str = "auto", threads: int = 0
) -> NDArray[np.float32]:
    """Estimate where every pixel of the onset went: later(x + flow(x)) = onset(x); every pair for itself, equal frames give exactly 0.

    Args:
        onset: uint8 grey [N, H, W], or [1, H, W]: one onset for all later frames, prepared once. Sides 32 to 4096 px.
        later: uint8 grey [N, H, W].
        backend: "auto", "cuda", "triton", "cpu" or "ref"; all but "auto" run or raise.
        simd: instruction set of the cpu backend: "auto", "scalar", "avx2" or "avx512"; all but "auto" run or raise.
        threads: pairs are shared out to so many threads by the cpu backend, 0 (all cores) to 256.

    Returns:
        float32 [N, 2, H, W]: u (right), v (down) in px, each within +-MAX_FLOW_PX. Motion beyond 24 px is not found.

    Raises:
        ShapeError: another shape or dtype, or frames of two sizes.
        RangeError: a side, the size of the answer or threads outside its range.
        UsageError: an unknown backend or instruction set.
        BackendError: the backend or instruction set asked for cannot run here.

    Source: see ref.py.
    """
    call = checked_pairs("flow", onset, later, simd, threads)
    count, height, width = call.later.shape
    if count * height * width * 8 > MAX_RENDER_BYTES:
        raise RangeError(f"flow: {count} pairs of {height} x {width} px need more than {MAX_RENDER_BYTES} bytes; pass fewer at a time")
    field: NDArray[np.float32] = FLOW.run(call, cpu_if_simd("flow", backend, simd))
    return field


def checked_pairs(name: str, onset: NDArray[np.uint8], later: NDArray[np.uint8], simd: str, threads: int) -> FlowCall:
    """The call of an op that takes flow's frames. Raises as `flow` does."""
    count, height, width = require.shape(f"{name}: later", later, "[N, H, W]", dtype="uint8", hint="pass grey frames")
    onsets, *sides = require.shape(f"{name}: onset", onset, "[N, H, W]", dtype="uint8", hint="pass grey frames")
    if sides != [height, width] or onsets not in (1, count):
        expected = f"{[count, height, width]} as later has, or one frame {[1, height, width]}"
        raise ShapeError(f"{name}: onset has shape {list(onset.shape)}, expected {expected}")
    for side, px in (("height", height), ("width", width)):
        require.integer(f"{name}: {side} in px", px, MIN_FLOW_SIDE_PX, MAX_FLOW_SIDE_PX, "crop or scale the frames")
    workers = require.integer(f"{name}: threads", threads, 0, MAX_WORKERS)
    return FlowCall(np.ascontiguousarray(onset), np.ascontiguousarray(later), simd, workers)


FLOW.backend("ref")(ref.flow)


@FLOW.backend("cpu", missing=core_missing)
def _flow_cpu(call: FlowCall) -> NDArray[np.float32]:
    field: NDArray[np.float32] = core().flow(call.onset, call.later, simd_level("flow", call.simd), call.threads)
    return field
