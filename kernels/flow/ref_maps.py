"""The definition of strain and of the maps of estimated flow: float32, one IEEE operation at a time, so that every backend gives its bits.

true: sqrt(ux^2 + vy^2 + (uy + vx)^2 / 2), central differences, one-sided at the border (the optical-strain literature).
shift: the same with differences to the next sample, its last row and column repeated (SKD-TSTSAN).
meb: sqrt(ux^2 + vy^2 + (uy^2 + vx^2) / 2), Sobel sums (gain 8) on a border of zeros, x pointing down and y right (MEB): rotation strains.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
f32 = np.float32

KINDS = ("true", "shift", "meb")
SIDES = (28, 56, 64)


def strain(flow: Floats, kind: str) -> Floats:
    """Strain [H, W] of flow [2, H, W], per sample."""
    p = np.pad(flow, ((0, 0), (1, 1), (1, 1)))
    if kind == "true":  # ghosts continue the border in a straight line
        for axis in (2, 1):
            line = np.moveaxis(p, axis, 0)
            line[0], line[-1] = 2 * line[1] - line[2], 2 * line[-2] - line[-3]
    if kind == "meb":
        across, down = (q[..., :-2] + 2 * q[..., 1:-1] + q[..., 2:] for q in (p.swapaxes(1, 2), p))  # over three rows; columns
        gx, gy = (across[:, 2:] - across[:, :-2]).swapaxes(1, 2), down[:, 2:] - down[:, :-2]
        return half_root(gy[0], gx[1], gx[0] * gx[0] + gy[1] * gy[1], 0.5)
    first, step = (0, 0.125) if kind == "true" else (1, 0.5)
    gx = p[:, 1:-1, 2:] - p[:, 1:-1, first : first + flow.shape[2]]
    gy = p[:, 2:, 1:-1] - p[:, first : first + flow.shape[1], 1:-1]
    shear = gy[0] + gx[1]
    found = half_root(gx[0], gy[1], shear * shear, step)
    if kind == "shift":
        found[:, -1] = found[:, -2]
        found[-1] = found[-2]
    return found


def half_root(xx: Floats, yy: Floats, shear: Floats, scale: float) -> Floats:
    """sqrt(scale * (2 (xx^2 + yy^2) + shear))."""
    root: Floats = np.sqrt((2 * (xx * xx + yy * yy) + shear) * f32(scale))
    return root


def axis_weights(cells: int, extent_px: int, points: int) -> tuple[NDArray[np.int64], Floats]:
    """First cell [points] and weights [points, taps] that take a line of cells of 2 px to lattice points that share out extent_px.

    A point that spans one cell or more is their mean over its span; a smaller one lies between two cell centres.
    """
    span = extent_px / (2 * points)  # in cells
    edge = np.arange(points + 1) * extent_px / (2 * points)
    if span >= 1:
        first = np.floor(edge[:-1]).astype(np.int64)
        taps = int((np.ceil(edge[1:]) - first).max())
        cell = first[:, None] + np.arange(taps)
        weights = (np.minimum(edge[1:, None], cell + 1) - np.maximum(edge[:-1, None], cell)).clip(0) / span
        return first, weights.astype(f32)
    place = np.clip((np.arange(points) + 0.5) * extent_px / (2 * points) - 0.5, 0, cells - 1)
    first = np.minimum(np.floor(place), cells - 2).astype(np.int64)
    return first, np.stack([1 - (place - first), place - first], 1).astype(f32)


def resampled(grid: Floats, extent_px: int, points: int, factor: Any = 1) -> Floats:
    """[..., cells, n] to [..., points, n] along the second axis from the end, times factor."""
    cells = grid.shape[-2]
    first, weights = axis_weights(cells, extent_px, points)
    total: Any = f32(0)
    for tap in range(weights.shape[1]):
        total = total + (weights[:, tap, None] * factor) * grid[..., np.minimum(first + tap, cells - 1), :]
    result: Floats = total
    return result


def flow_maps(grid: Floats, size: tuple[int, int], side: int, kind: str) -> tuple[NDArray[np.uint8], Floats]:
    """Map [side, side, 3] and ranges [3, 2] of flow [2, ceil(H / 2), ceil(W / 2)] on cells of 2 x 2 px; see maps.flow_maps."""
    points = 2 * side
    to_lattice_px = np.array([points / size[1], points / size[0]], f32)[:, None, None]
    lattice = resampled(resampled(grid, size[0], points, to_lattice_px).swapaxes(1, 2), size[1], points).swapaxes(1, 2)
    planes = np.concatenate([lattice, strain(lattice, kind)[None]])
    means = ((planes[:, ::2, ::2] + planes[:, ::2, 1::2]) + (planes[:, 1::2, ::2] + planes[:, 1::2, 1::2])) * f32(0.25)
    low, high = means.min((1, 2)), means.max((1, 2))
    spread = np.where(high > low, high - low, f32(1))
    level = (means - low[:, None, None]) * f32(255) / spread[:, None, None] + f32(0.5)
    return np.moveaxis(level.astype(np.uint8), 0, -1).copy(), np.stack([low, high], 1)
