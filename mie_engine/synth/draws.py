"""Random numbers as a pure function of (seed, clip, stream): Philox4x32-10 (Salmon et al., SC 2011), a whole batch of clips at once.

Only additions, multiplications and table look-ups follow: no log, cos or exp, whose last bit differs between machines and SIMD levels.
"""

from __future__ import annotations

from enum import IntEnum
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]

_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_MULTIPLY = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_DOMAIN = 0x706C616E  # "plan": keeps these counters apart from those of any other user of the same key

_QUANTILE_STEPS = 4096
# Rounded, so that the last bit of the libm that made them does not matter; the open ends hold the mid-bin quantile (3.7 sigma).
_QUANTILES: Floats = np.round(
    [NormalDist().inv_cdf(min(max(k, 0.5), _QUANTILE_STEPS - 0.5) / _QUANTILE_STEPS) for k in range(_QUANTILE_STEPS + 1)], 9
)


class Stream(IntEnum):
    """One independent sequence per decision, so that a new decision never shifts the others."""

    EMOTION = 1
    SOURCE = 2
    ACTIVE = 3
    INTENSITY = 4
    COMBINATION = 5
    SIDE = 6
    CUT = 7
    TIMING = 8
    PHASE = 9
    DRIFT = 10
    SIDE_GAIN = 11
    TWITCH = 12
    BLINK = 13
    HEAD = 14
    GEOMETRY = 15
    FLOW_NOISE = 16


def philox(counter: tuple[Words, Words, Words, Words], key: tuple[int, int]) -> tuple[Words, Words, Words, Words]:
    """Ten rounds of Philox4x32 on arrays of 32-bit words held in uint64."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        first, second = _MULTIPLY[0] * c0, _MULTIPLY[1] * c2
        c0, c1, c2, c3 = (
            (second >> _SHIFT) ^ c1 ^ np.uint64(k0),
            second & _LOW,
            (first >> _SHIFT) ^ c3 ^ np.uint64(k1),
            first & _LOW,
        )
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3


class Draws:
    """The random numbers of a batch of clips.

    Args:
        seed: 0 to 2**64 - 1.
        clips: integer [N], clip numbers below 2**32, in any order.
    """

    def __init__(self, seed: int, clips: npt.NDArray[np.int64]) -> None:
        self.seed = seed
        self.clips = clips

    def of(self, chosen: npt.NDArray[np.bool_]) -> Draws:
        """The same numbers for the chosen clips only."""
        return Draws(self.seed, self.clips[chosen])

    def uniform(self, stream: Stream, count: int) -> Floats:
        """[N, count] numbers in the open interval (0, 1), on a grid of 2**-32; column k does not depend on `count`."""
        blocks = -(-count // 4)
        shape = (len(self.clips), blocks)
        counter = (
            np.broadcast_to(np.arange(blocks, dtype=np.uint64), shape),
            np.broadcast_to(self.clips.astype(np.uint64)[:, None], shape),
            np.full(shape, int(stream), np.uint64),
            np.full(shape, _DOMAIN, np.uint64),
        )
        words = np.stack(philox(counter, (self.seed & 0xFFFFFFFF, self.seed >> 32)), -1).reshape(len(self.clips), blocks * 4)
        return (words[:, :count].astype(np.float64) + 0.5) * 2.0**-32

    def normal(self, stream: Stream, count: int) -> Floats:
        """[N, count] standard normal numbers, by linear interpolation in 4,096 quantiles (cut at 3.7 sigma)."""
        return normal_of(self.uniform(stream, count))


def normal_of(uniform: Floats) -> Floats:
    """Standard normal quantiles of numbers in (0, 1)."""
    return _between(uniform * _QUANTILE_STEPS, _QUANTILES)


def quantile_of(uniform: Floats, at: Floats, values: Floats) -> Floats:
    """Piecewise-linear inverse distribution function: `values` [K] at the rising probabilities `at` [K], from 0 to 1."""
    piece = np.clip(np.searchsorted(at, uniform, "right") - 1, 0, len(at) - 2)
    return values[piece] + (values[piece + 1] - values[piece]) * ((uniform - at[piece]) / (at[piece + 1] - at[piece]))


def between(uniform: Floats, limits: tuple[float, float]) -> Floats:
    """U(low, high) from numbers in (0, 1)."""
    return limits[0] + (limits[1] - limits[0]) * uniform


def _between(position: Floats, table: Floats) -> Floats:
    cell = position.astype(np.intp)
    return table[cell] + (table[cell + 1] - table[cell]) * (position - cell)
