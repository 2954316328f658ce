"""The definition of align: slow, obvious, right. Integers (int64) from the quantised affine on.

Positions are counted from the centres of the output and of the source in 2^-32 px, then rounded, halves to even, to 2^-fraction_bits px.
Grey of an RGB frame is made in the source, before the window; YUV planes are windowed each at its own resolution and joined after it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
LUMA = (19595, 38470, 7471)  # .299 .587 .114 in Q16
# BT.601 in Q16: black level, weight of Y, of V in red, of U and V in green, of U in blue
FULL = (0, 65536, 91881, 22554, 46802, 116130)
LIMITED = (16, 76309, 104597, 25675, 53279, 132201)  # Y 16..235, chroma 16..240


class AlignCall(NamedTuple):
    """What every backend of align receives: arguments that passed the contract."""

    planes: list[Bytes]  # grey or rgb: one; nv12: Y, UV; yuv420: Y, U, V
    full_range: bool
    matrix: NDArray[np.float64]
    size: int
    supersample: int
    fraction_bits: int
    zero_border: bool
    output: str
    scale: float
    offset: float


def to_byte(value_q16: NDArray[Any]) -> Bytes:
    """Q16 to the nearest of 0..255."""
    level: Bytes = np.clip((value_q16 + 32768) >> 16, 0, 255).astype(np.uint8)
    return level


def fine(px: float) -> int:
    """Nearest of px * 2^32, halves away from zero."""
    scaled = px * 2.0**32
    return int(scaled) + int(math.copysign(abs(scaled - int(scaled)) >= 0.5, scaled))


def positions(call: AlignCall, matrix: NDArray[np.float64], axis: int, extent_px: int) -> NDArray[np.int64]:
    """Where the samples [S n, S n] lie along an axis, 2^-fraction_bits px."""
    a, b, c = (float(v) for v in matrix[axis])
    n, half, shift = call.supersample, 0.5 * (call.size - 1), 32 - call.fraction_bits
    middle = fine(a * half + b * half + c - 0.5 * (extent_px - 1))
    place = 1 - n * call.size + 2 * np.arange(n * call.size, dtype=np.int64)  # from the centre, in half samples
    exact = fine(a / (2 * n)) * place[None, :] + fine(b / (2 * n)) * place[:, None] + middle
    rounded = (exact + (1 << (shift - 1)) - 1 + ((exact >> shift) & 1)) >> shift
    return rounded + ((extent_px - 1) << (call.fraction_bits - 1))


def window(call: AlignCall, plane: Bytes, matrix: NDArray[np.float64], black: int = 0) -> Bytes:
    """One channel [H, W] through the window: uint8 [S, S]; outside a zero border lies black."""
    height, width = plane.shape
    bits, n = call.fraction_bits, call.supersample
    x, y = (positions(call, matrix, axis, extent) for axis, extent in enumerate((width, height)))
    total = np.zeros(x.shape, np.int64)
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        tx, ty = (x >> bits) + dx, (y >> bits) + dy
        cx, cy = np.clip(tx, 0, width - 1), np.clip(ty, 0, height - 1)
        tap = plane[cy, cx].astype(np.int64)
        if call.zero_border:
            tap[(cx != tx) | (cy != ty)] = black
        fx, fy = x & ((1 << bits) - 1), y & ((1 << bits) - 1)
        total += tap * (fx if dx else (1 << bits) - fx) * (fy if dy else (1 << bits) - fy)
    weight = (n * n) << (2 * bits)
    sums = total.reshape(call.size, n, call.size, n).sum((1, 3))
    mean: Bytes = ((sums + weight // 2) // weight).astype(np.uint8)
    return mean


def grey(call: AlignCall) -> Bytes:
    """[S, S]."""
    first = call.planes[0]
    if first.ndim == 3:
        first = to_byte(first.astype(np.int64) @ np.array(LUMA))
    if len(call.planes) == 1 or call.full_range:
        return window(call, first, call.matrix)
    return to_byte(LIMITED[1] * (window(call, first, call.matrix, LIMITED[0]).astype(np.int64) - LIMITED[0]))


def rgb(call: AlignCall) -> Bytes:
    """[S, S, 3]."""
    first = call.planes[0]
    if len(call.planes) == 1:
        return np.stack([window(call, first[..., c] if first.ndim == 3 else first, call.matrix) for c in range(3)], -1)
    chroma = [call.planes[1][..., 0], call.planes[1][..., 1]] if len(call.planes) == 2 else call.planes[1:]
    half = (call.matrix - [0, 0, 0.5]) / 2  # chroma c is centred on 2 c + 1/2
    black, y_weight, rv, gu, gv, bu = FULL if call.full_range else LIMITED
    y = y_weight * (window(call, first, call.matrix, black).astype(np.int64) - black)
    u, v = (window(call, plane, half, 128).astype(np.int64) - 128 for plane in chroma)
    return np.stack([to_byte(y + rv * v), to_byte(y - gu * u - gv * v), to_byte(y + bu * u)], -1)


def align(call: AlignCall) -> NDArray[Any]:
    """See op.align."""
    if call.output == "grey":
        return grey(call)
    if call.output == "rgb":
        return rgb(call)
    scaled = rgb(call).astype(np.float32) * np.float32(call.scale) + np.float32(call.offset)
    return scaled if call.output == "hwc" else np.ascontiguousarray(scaled.transpose(2, 0, 1))
