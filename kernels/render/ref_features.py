"""The definition of features: slow, obvious, right. Integers (int64) and, where named, one IEEE float32 operation at a time.

Q formats: coefficient Q12, basis Q9 px, node and peaks Q7 px, lattice Q16 px, turn Q12, flow Q10 px; on the lattice flow Q14 and
strain Q15; blur weight and unit noise Q12; gain Q14. The lattice is 56 x 56, the maps are its 2 x 2 sums.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .ref import NODE_LIMIT, NOISE_TABLE, odd_round, philox4x32, sum_nodes
from .ref_motion import Int, invert, twice_gradient

LATTICE = 56
COEFFICIENT_BUDGET_Q12 = 32767
LATTICE_FLOW_LIMIT_Q14 = (1 << 20) - 1  # 64 lattice px

# 42 * (half-normal quantile at (i + 1/2) / 128), rounded: fixed data, part of the definition
UNIT_Q12 = round(2.0**24 / (256 * float(np.sqrt((NOISE_TABLE**2).mean()))))  # 256ths of the table -> Q12 of its deviation
POWERS_Q14 = np.array([round(2 ** (14 + i / 64)) for i in range(65)], np.int64)  # 2^0 .. 2^1


class Batch(NamedTuple):
    """Checked arguments of features; see features.features. Optional parts are None when switched off."""

    basis: NDArray[np.int16]  # [K, F, GH, GW] Q9 px
    coefficients: NDArray[np.int16]  # [N, K] Q12
    relative: NDArray[np.int16] | None  # [N, K] Q12
    channel_peak_q7: NDArray[np.int32] | None  # [K]
    lattice: NDArray[np.int32]  # [N, 6] Q16 px
    turn: NDArray[np.int16]  # [N, 4] Q12
    patch_blur: NDArray[np.int16] | None  # [N, 13] Q12
    patch_log2_q12: int
    noise_blur: NDArray[np.int16] | None  # [N, 13] Q12
    noise_level_q12: NDArray[np.int16] | None  # [N]
    keys: NDArray[np.uint32] | None  # [N, 2]


def odd_divide(value: int, divisor: int) -> int:
    """Nearest of value / divisor (divisor > 0), ties away from zero."""
    size = (2 * abs(value) + divisor) // (2 * divisor)
    return -size if value < 0 else size


def displacement_nodes(coefficients: Int, basis: NDArray[np.int16]) -> Int:
    """Displacement nodes [2, GH, GW] Q7 px of one coefficient vector [K]."""
    return sum_nodes(coefficients, basis[:, :2]).astype(np.int64)


def with_relative(coefficients: Int, relative: NDArray[np.int16], channel_peak_q7: NDArray[np.int32], nodes: Int) -> Int:
    """Adds each channel's fraction of the present peak; additions share, in order, what the sum of |c| leaves of 32767."""
    peak_q7 = math.isqrt(int((nodes**2).sum(0).max()))
    result = coefficients.copy()
    budget = COEFFICIENT_BUDGET_Q12 - int(abs(coefficients).sum())
    for k in np.flatnonzero(relative):
        added = odd_divide(int(relative[k]) * peak_q7, int(channel_peak_q7[k]))
        added = max(-budget, min(added, budget))
        result[k] += added
        budget -= abs(added)
    return result


def random_field(key: NDArray[np.uint32], kind: int, blur_q12: NDArray[np.int16]) -> Int:
    """Blurred unit-variance noise [56, 56] Q12, periodic; kind 0 patches, 1 noise of u, 2 noise of v."""
    group, row = np.arange(4, dtype=np.uint64)[None], np.arange(LATTICE, dtype=np.uint64)[:, None]
    words = np.stack(philox4x32(np.broadcast_arrays(group, row, kind, 7), (int(key[0]), int(key[1]))), -1).astype(
        "<u4"
    )  # [row, group, word]
    byte = np.ascontiguousarray(words).view(np.uint8).reshape(LATTICE, 64)[:, :LATTICE]
    field: Int = NOISE_TABLE[byte & 127] * np.where(byte >= 128, -1, 1)
    for axis in (1, 0):
        sides = [field * int(blur_q12[0])]
        sides += [(np.roll(field, t, axis) + np.roll(field, -t, axis)) * int(w) for t, w in enumerate(blur_q12) if t]
        field = odd_round(np.sum(sides, 0), 8)  # first 16ths, then 256ths of the table
    return odd_round(field * UNIT_Q12, 12)


def gain_of(patches: Int, log2_q12: int) -> Int:
    """2^(strength (m - 1)) in Q14, by a table of 64 steps an octave; from 2^-8 to below 2^4."""
    power = np.clip(odd_round((np.clip(patches, -32767, 32767) - 4096) * log2_q12, 12), -32768, 16383)
    octave, step, rest = power >> 12, (power >> 6) & 63, power & 63
    mantissa = POWERS_Q14[step] + (((POWERS_Q14[step + 1] - POWERS_Q14[step]) * rest + 32) >> 6)
    gain_q14: Int = ((mantissa << (octave + 8)) + 128) >> 8
    return gain_q14


def lattice_flow(batch: Batch, index: int) -> Int:
    """Flow [2, 56, 56] in lattice px, Q14, of one sample, with all its nuisances."""
    coefficients = batch.coefficients[index].astype(np.int64)
    nodes = displacement_nodes(coefficients, batch.basis)
    if batch.relative is not None and batch.channel_peak_q7 is not None and batch.relative[index].any():
        coefficients = with_relative(coefficients, batch.relative[index], batch.channel_peak_q7, nodes)
        nodes = displacement_nodes(coefficients, batch.basis)

    j, i = (g.astype(np.int64) for g in np.mgrid[:LATTICE, :LATTICE])
    ox, oy, xx, xy, yx, yy = (int(v) for v in batch.lattice[index])
    x, y = (((o + i * a + j * b + 32) >> 6) + 512 for o, a, b in ((ox, xx, xy), (oy, yx, yy)))
    u, v = np.clip(invert(nodes, np.zeros((2, 1, 1), np.int64), x, y), -8 * NODE_LIMIT, 8 * NODE_LIMIT)

    t = batch.turn[index].astype(np.int64)
    limit = LATTICE_FLOW_LIMIT_Q14
    flow = np.clip(np.stack([odd_round(t[0] * u + t[1] * v, 8), odd_round(t[2] * u + t[3] * v, 8)]), -limit, limit)
    if batch.patch_blur is not None and batch.keys is not None:
        gain = gain_of(random_field(batch.keys[index], 0, batch.patch_blur[index]), batch.patch_log2_q12)
        flow = np.clip(odd_round(flow * gain, 14), -limit, limit)
    if batch.noise_blur is not None and batch.noise_level_q12 is not None and batch.keys is not None:
        peak = math.isqrt(int((flow**2).sum(0).max()))
        scale = odd_round(np.array(int(batch.noise_level_q12[index]) * peak, np.int64), 12)
        noise = np.stack([random_field(batch.keys[index], kind, batch.noise_blur[index]) for kind in (1, 2)])
        flow = np.clip(flow + odd_round(noise * scale, 12), -limit, limit)
    return flow


def lattice_strain(flow: Int) -> Int:
    """Strain [56, 56] Q15 of flow Q14."""
    across, down = twice_gradient(flow)  # Q15
    twice_square = 2 * across[0] ** 2 + 2 * down[1] ** 2 + (down[0] + across[1]) ** 2  # Q30, below 2**48
    root = np.sqrt(twice_square.astype(np.float32) * np.float32(0.5))
    strain: Int = (root + np.float32(0.5)).astype(np.int64)
    return strain


def features(batch: Batch) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Maps [N, 28, 28, 3] and ranges [N, 3, 2]; see features.features."""
    count, side = len(batch.coefficients), LATTICE // 2
    maps, ranges = np.zeros((count, side, side, 3), np.uint8), np.empty((count, 3, 2), np.float32)
    for index in range(count):
        flow = lattice_flow(batch, index)
        planes = np.concatenate([flow, lattice_strain(flow)[None]])
        sums = planes.reshape(3, side, 2, side, 2).sum((2, 4))  # Q16, Q16, Q17
        for c, unit in enumerate((2.0**-16, 2.0**-16, 2.0**-17)):
            low, high = int(sums[c].min()), int(sums[c].max())
            ranges[index, c] = np.array([low, high], np.int64).astype(np.float32) * np.float32(unit)
            if high > low:
                level = (sums[c] - low).astype(np.float32) * np.float32(255) / np.array(high - low).astype(np.float32)
                maps[index, :, :, c] = (level + np.float32(0.5)).astype(np.uint8)
    return maps, ranges
