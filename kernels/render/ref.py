"""The definition of render in NumPy integers: slow, obvious, right. Every other path gives the same bytes.

Units: coefficient Q12; basis Q9 px and gain Q14; node Q7 px and Q12; pixel displacement Q10 px (Q11 of chroma px) and gain Q15; value Q7.
`>>` is the arithmetic shift. Grid node g lies on the pixel corner 4 g - 1/2, so a cell holds 4 px at 1/8, 3/8, 5/8 and 7/8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .op import RenderCall

Integers = NDArray[np.int64]
Bytes = NDArray[np.uint8]

NODE_STEP_PX = 4
NODE_LIMIT = 3584  # 28 px in Q7; 0.875 in Q12
NODE_SHIFT = 14  # Q12 * Q9 px -> Q7 px; Q12 * Q14 -> Q12
PHILOX_MULTIPLY = 0xD2511F53, 0xCD9E8D57
PHILOX_KEY_STEP = 0x9E3779B9, 0xBB67AE85  # golden ratio, sqrt(3) - 1
WORD = np.uint64(0xFFFFFFFF)
HALF_WORD = np.uint64(32)

# round(42 q), q the half-normal quantile at (i + 1/2) / 128: fixed data, part of the definition
NOISE_TABLE: Integers = np.fromstring(
    "0 1 1 1 2 2 3 3 3 4 4 5 5 6 6 6 7 7 8 8 8 9 9 10 10 11 11 11 12 12 13 13 "
    "14 14 14 15 15 16 16 17 17 18 18 18 19 19 20 20 21 21 22 22 23 23 24 24 25 25 26 26 27 27 28 28 "
    "29 29 30 30 31 31 32 32 33 33 34 35 35 36 36 37 38 38 39 39 40 41 41 42 43 43 44 45 46 46 47 48 "
    "49 50 50 51 52 53 54 55 56 57 58 59 60 61 63 64 65 67 68 70 71 73 75 77 79 82 85 88 93 98 106 121",
    np.int64,
    sep=" ",
)


NOISE_RMS = float(np.sqrt(np.mean(NOISE_TABLE**2)))


def odd_round(value: Integers, shift: int) -> Integers:
    """round(value / 2**shift), ties away from zero: odd_round(-v) == -odd_round(v), which keeps mirrored input exactly mirrored."""
    rounded: Integers = (value + (1 << (shift - 1)) - (value < 0)) >> shift
    return rounded


def grid_size(pixels: int) -> int:
    """Nodes along a side of `pixels` px."""
    return (pixels + NODE_STEP_PX - 1) // NODE_STEP_PX + 1


def sum_nodes(coefficients: Integers | NDArray[np.int16], basis: NDArray[np.int16]) -> NDArray[np.int16]:
    """int16 [K] Q12 and int16 [K, F, GH, GW] -> int16 [F, GH, GW]: the grids of one frame."""
    total = np.tensordot(coefficients.astype(np.int64), basis.astype(np.int64), 1)
    return np.clip(odd_round(total, NODE_SHIFT), -NODE_LIMIT, NODE_LIMIT).astype(np.int16)


def field(nodes: NDArray[np.int16], height: int, width: int, half: bool) -> Integers:
    """One grid [GH, GW] at every pixel of a plane: Q7 -> Q10 px (Q11 of chroma px), Q12 -> Q15."""
    n = nodes.astype(np.int64)
    x, y = np.arange(width), np.arange(height)
    shift = 1 if half else 2
    across, down = (4 * (x & 1) + 2, 4 * (y & 1) + 2) if half else (2 * (x & 3) + 1, 2 * (y & 3) + 1)  # eighths of a cell
    i, j = x >> shift, y >> shift
    row = odd_round(8 * n[:, i] + (n[:, i + 1] - n[:, i]) * across, 3)
    exact: Integers = 8 * row[j] + (row[j + 1] - row[j]) * down[:, None]
    return exact


def sample(plane: Bytes, dx: Integers, dy: Integers, half: bool) -> Integers:
    """Bilinear sample of a plane [h, w] at every displaced pixel, Q7 0..32640, the edge replicated."""
    height, width = plane.shape
    bits = 11 if half else 10
    mask = (1 << bits) - 1
    fraction, fy = dx & mask, dy & mask
    fx = (fraction + (1 << (bits - 8)) - 1 + (fraction >> (bits - 1))) >> (bits - 7)  # Q7 in 0..128, ties away from 1/2
    x, y = np.arange(width) + (dx >> bits), np.arange(height)[:, None] + (dy >> bits)
    source = plane.astype(np.int64)

    def tap(row: Integers, column: Integers) -> Integers:
        return source[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]

    upper: Integers = (128 - fx) * tap(y, x) + fx * tap(y, x + 1)
    lower: Integers = (128 - fx) * tap(y + 1, x) + fx * tap(y + 1, x + 1)
    return upper + (((lower - upper) * fy + (1 << (bits - 1))) >> bits)


def philox4x32(counter: Sequence[Any], key: tuple[int, int]) -> tuple[NDArray[np.uint64], ...]:
    """Philox4x32-10 (Salmon et al., SC 2011): four counter words and two key words to four random words, elementwise."""
    a, b, c, d = (np.asarray(word, np.uint64) for word in counter)
    key0, key1 = key
    for _ in range(10):
        p, q = np.uint64(PHILOX_MULTIPLY[0]) * a, np.uint64(PHILOX_MULTIPLY[1]) * c
        a, b, c, d = (q >> HALF_WORD) ^ b ^ np.uint64(key0), q & WORD, (p >> HALF_WORD) ^ d ^ np.uint64(key1), p & WORD
        key0, key1 = (key0 + PHILOX_KEY_STEP[0]) & 0xFFFFFFFF, (key1 + PHILOX_KEY_STEP[1]) & 0xFFFFFFFF
    return a, b, c, d


def noise_word(sigma_levels: float) -> int:
    """Multiplier that turns 256 * table into Q7 noise of a Gaussian sigma in grey levels, 0..84; an int16, full at 83.8 levels."""
    word = round(sigma_levels * 128 * 32768 / (256 * NOISE_RMS))
    return min(word, 32767)


def noise(height: int, width: int, noise_q15: int, key: tuple[int, int], frame: int, plane: int) -> Integers:
    """Q7 noise of a plane: one random byte per pixel, 16 px of a row share a Philox call with counter (x / 16, y, frame, plane)."""
    x, y = np.arange(width), np.arange(height)
    words = np.stack(philox4x32(np.broadcast_arrays((x >> 4)[None], y[:, None], frame, plane), key))
    word = np.where(x >> 3 & 1, np.where(x >> 2 & 1, words[3], words[2]), np.where(x >> 2 & 1, words[1], words[0]))
    byte = (word >> (8 * (x & 3)).astype(np.uint64) & np.uint64(255)).astype(np.int64)
    value: Integers = np.where(byte >= 128, -NOISE_TABLE[byte & 127], NOISE_TABLE[byte & 127])
    scaled: Integers = (256 * value * noise_q15 + (1 << 14)) >> 15
    return scaled


def ycbcr(rgb: Bytes) -> Bytes:
    """RGB [H, W, 3] to JPEG's full-range YCbCr [H, W, 3] in 16-bit integer weights."""
    r, g, b = (rgb[..., c].astype(np.int64) for c in range(3))
    y = (19595 * r + 38470 * g + 7471 * b + 32768) >> 16
    cb = (-11059 * r - 21709 * g + 32768 * b + 8421375) >> 16
    cr = (32768 * r - 27439 * g - 5329 * b + 8421375) >> 16
    return np.stack([y, cb, cr], -1).astype(np.uint8)


def halve(plane: Bytes) -> Bytes:
    """Rounded mean of 2 x 2 px; the last row and column of odd sizes count twice."""
    height, width = plane.shape
    p = np.pad(plane, ((0, height & 1), (0, width & 1)), "edge").astype(np.int64)
    mean: Integers = (p[::2, ::2] + p[::2, 1::2] + p[1::2, ::2] + p[1::2, 1::2] + 2) >> 2
    return mean.astype(np.uint8)


def render_plane(
    plane: Bytes, nodes: NDArray[np.int16], half: bool, noise_q15: int = 0, key: tuple[int, int] = (0, 0), frame: int = 0, index: int = 0
) -> Bytes:
    """One plane [h, w] of one frame; nodes int16 [2 or 3, GH, GW]; half: a chroma plane of 4:2:0, whose zero is 128."""
    height, width = plane.shape
    zero = 128 << 7 if half else 0
    value: Integers = sample(plane, field(nodes[0], height, width, half), field(nodes[1], height, width, half), half) - zero
    if len(nodes) == 3:
        gain = field(nodes[2], height, width, half)
        value = np.minimum(value + ((value * gain + (1 << 14)) >> 15), 32767)
    if noise_q15:
        value = np.clip(value + noise(height, width, noise_q15, key, frame, index), -32768, 32767)
    rounded: Integers = np.clip((value + zero + 64) >> 7, 0, 255)
    return rounded.astype(np.uint8)


def source_planes(pixels: Bytes, format: str) -> list[Bytes]:
    """The three planes that a format renders: R, G, B, or Y and the halved Cb, Cr."""
    if format != "yuv420":
        return [pixels[..., c] for c in range(3)]
    converted = ycbcr(pixels)
    return [converted[..., 0], halve(converted[..., 1]), halve(converted[..., 2])]


def render(call: RenderCall) -> Bytes:
    """All frames of a checked call."""
    planes = source_planes(call.source.pixels, call.format)
    frames = []
    for t, coefficients in enumerate(call.coefficients):
        nodes = sum_nodes(coefficients, call.source.basis)
        frame = (call.first_frame + t) & 0xFFFFFFFF
        half = [call.format == "yuv420" and index > 0 for index in range(3)]
        done = [render_plane(p, nodes, half[i], call.noise_q15, call.key, frame, i) for i, p in enumerate(planes)]
        if call.format == "yuv420":
            frames.append(np.concatenate([plane.ravel() for plane in done]))
        else:
            frames.append(np.stack(done, -1 if call.format == "rgb" else 0))
    return np.stack(frames)
