"""blend_pack: a generator's raw heads and the face it was given -> uint8 pixels: tanh, sigmoid, blend, scale, round, pack, in one pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, ShapeError
from .. import require
from ..registry import Op, core, core_missing
from . import ref

BLEND_PACK = Op("blend_pack")

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class BlendPackCall:
    """What every backend of blend_pack receives: arguments that passed the contract."""

    color: Floats  # [N, 3, H, W], contiguous
    mask: Floats  # [N, 1, H, W], contiguous
    source: NDArray[np.uint8]  # [N, H, W, 3], contiguous


def blend_pack(color: Floats, mask: Floats, source: NDArray[np.uint8], backend: str = "auto") -> NDArray[np.uint8]:
    """Blend the generated colour into the source: m source + (1 - m) colour, m = sigmoid(mask), colour = tanh(color) on 0..255.

    Args:
        color: float32 [N, 3, H, W], finite, before tanh.
        mask: float32 [N, 1, H, W], finite, before the sigmoid.
        source: uint8 [N, H, W, 3].
        backend: "auto", "cuda", "triton", "cpu" or "ref"; all but "auto" run or raise.

    Returns:
        uint8 [N, H, W, 3], the same bytes on every backend.

    Raises:
        ShapeError: another shape or dtype. InputError: heads that are not finite.
        UsageError: an unknown backend. BackendError: the one asked for cannot run here.

    Source: see ref.py.
    """
    count, height, width, _ = require.shape("blend_pack: source", source, "[N, H, W, 3]", dtype="uint8")
    for name, head, planes in (("color", color, 3), ("mask", mask, 1)):
        found = require.shape(f"blend_pack: {name}", head, f"[N, {planes}, H, W]", dtype="float32")
        if found != (count, planes, height, width):
            raise ShapeError(f"blend_pack: {name} has shape {list(found)}, expected {[count, planes, height, width]} as source has")
    call = BlendPackCall(np.ascontiguousarray(color), np.ascontiguousarray(mask), np.ascontiguousarray(source))
    packed: NDArray[np.uint8] = BLEND_PACK.run(call, backend)
    return packed


def _not_finite() -> InputError:
    return InputError("blend_pack: the heads hold NaN or infinity; the network or its input is broken")


@BLEND_PACK.backend("ref")
def _blend_pack_ref(call: BlendPackCall) -> NDArray[np.uint8]:
    if not (np.isfinite(call.color).all() and np.isfinite(call.mask).all()):
        raise _not_finite()
    return ref.blend_pack(call)


@BLEND_PACK.backend("cpu", missing=core_missing)
def _blend_pack_cpu(call: BlendPackCall) -> NDArray[np.uint8]:
    packed: NDArray[np.uint8] | None = core().blend_pack(call.color, call.mask, call.source)
    if packed is None:
        raise _not_finite()
    return packed
