"""The definition of motion: slow, obvious, right. Integers (int64), one IEEE float32 division a step and one square root a pixel.

Q formats: node Q7 px; position, displacement and flow Q10 px, positions counted from the image's corner (pixel x lies at 1024 x + 512);
slope Q12; difference of flow over two pixels Q11.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .ref import odd_round

Int = NDArray[np.int64]

STEPS = 56  # of Newton's method, at most: across an opening mouth, where one line of skin fills 25 px, it goes px by px
HALVING_STEPS = 24  # at most, for points that a steep edge (a closing lid, lips rolled in) keeps jumping to and fro
STEP_LIMIT_Q10 = 8192  # 8 px
MISS_LIMIT_Q10 = 40960  # 40 px: keeps the step's numerator below 2**31
FOLD_LIMIT_Q12 = 3584  # 0.875; cells that shrink the face by more fold it
SLOPE_LIMIT_Q12 = 20480  # 5: a lid's edge over one cell
DETERMINANT_FLOOR_Q24 = 1 << 18  # 1/64: (1 - 0.875) squared
FLOW_LIMIT_Q10 = 57344  # 56 px: onset and later node limits together
RESIDUAL_Q10 = 1  # a point that misses by no more has arrived
GRADIENT_LIMIT_Q11 = 16383  # just under 8 px per px: keeps the sum under the root below 2**31


def odd_truncate(value: NDArray[np.float32]) -> Int:
    """Nearest integer of a float32, ties away from zero, as C does it: add a half outward, cut."""
    half = np.where(value < 0, np.float32(-0.5), np.float32(0.5))
    return np.trunc(value + half).astype(np.int64)


def sample(nodes: Int, x: Int, y: Int, u: Int, v: Int) -> tuple[Int, Int, Int]:
    """Displacement at (x + u, y + v) [2, ...] and its slopes across and down; the field goes on unchanged beyond the grid.

    On a node line the cell on the side of (x, y) gives the slopes, so that a mirrored field gives mirrored slopes.
    """
    rows, columns = nodes.shape[1:]
    cx, cy = np.clip(x + u, 0, (columns - 1) << 12), np.clip(y + v, 0, (rows - 1) << 12)
    gx, gy = np.clip((cx - (u > 0)) >> 12, 0, columns - 2), np.clip((cy - (v > 0)) >> 12, 0, rows - 2)
    tx, ty = cx - (gx << 12), cy - (gy << 12)
    n00, n10, n01, n11 = nodes[:, gy, gx], nodes[:, gy, gx + 1], nodes[:, gy + 1, gx], nodes[:, gy + 1, gx + 1]
    above = odd_round((n00 << 12) + (n10 - n00) * tx, 9)
    below = odd_round((n01 << 12) + (n11 - n01) * tx, 9)
    value = odd_round((above << 12) + (below - above) * ty, 12)
    across = odd_round(((n10 - n00) << 12) + ((n11 - n01) - (n10 - n00)) * ty, 9)  # Q7 per 4 px is Q9, here Q12
    return value, across, below - above  # Q10 per 4 px is Q12


def newton_step(later: Int, goal: Int, x: Int, y: Int, u: Int, v: Int) -> tuple[Int, Int, Int]:
    """How far u misses (the larger component) and the step of Newton's method from there."""
    value, across, down = sample(later, x, y, u, v)
    miss_x, miss_y = (np.clip(goal[k] - value[k] - flow, -MISS_LIMIT_Q10, MISS_LIMIT_Q10) for k, flow in enumerate((u, v)))
    xx, yy = (4096 + np.clip(slope, -FOLD_LIMIT_Q12, SLOPE_LIMIT_Q12) for slope in (across[0], down[1]))
    xy, yx = (np.clip(slope, -SLOPE_LIMIT_Q12, SLOPE_LIMIT_Q12) for slope in (down[0], across[1]))
    determinant = np.maximum(xx * yy - xy * yx, DETERMINANT_FLOOR_Q24).astype(np.float32)
    numerators = yy * miss_x - xy * miss_y, xx * miss_y - yx * miss_x
    du, dv = (odd_truncate(n.astype(np.float32) / determinant * np.float32(4096)) for n in numerators)
    return np.maximum(abs(miss_x), abs(miss_y)), np.clip(du, -STEP_LIMIT_Q10, STEP_LIMIT_Q10), np.clip(dv, -STEP_LIMIT_Q10, STEP_LIMIT_Q10)


def invert(later: Int, goal: Int, x: Int, y: Int) -> Int:
    """Flow [2, ...] with u = goal - later(x + u), by Newton's method from rest; then, for points that still miss, with halved steps.

    A point never moves once it has arrived, so points may be grouped at will.
    """
    u, v = np.zeros_like(x), np.zeros_like(y)

    def move(from_u: Int, from_v: Int, du: Int, dv: Int, active: NDArray[np.bool_]) -> tuple[Int, Int]:
        to_u, to_v = (np.clip(at + np.where(active, step, 0), -FLOW_LIMIT_Q10, FLOW_LIMIT_Q10) for at, step in ((from_u, du), (from_v, dv)))
        return to_u, to_v

    for _ in range(STEPS):
        miss, du, dv = newton_step(later, goal, x, y, u, v)
        if not (miss > RESIDUAL_Q10).any():
            return np.stack([u, v])
        u, v = move(u, v, du, dv, miss > RESIDUAL_Q10)
    best_u, best_v, best_miss = u, v, np.full_like(u, MISS_LIMIT_Q10 + 1)
    for _ in range(HALVING_STEPS):
        miss, new_du, new_dv = newton_step(later, goal, x, y, u, v)
        helps = miss < best_miss
        best_u, best_v, best_miss = (np.where(helps, new, old) for new, old in ((u, best_u), (v, best_v), (miss, best_miss)))
        du, dv = (np.where(helps, new, (old + (old < 0)) >> 1) for new, old in ((new_du, du), (new_dv, dv)))  # halves towards zero
        if not (best_miss > RESIDUAL_Q10).any():
            break
        u, v = move(best_u, best_v, du, dv, best_miss > RESIDUAL_Q10)
    return np.stack([best_u, best_v])


def twice_gradient(field: Int) -> tuple[Int, Int]:
    """Differences across and down over two samples [..., H, W]; at the border twice the one-sided difference."""
    padded = np.pad(field, [(0, 0)] * (field.ndim - 2) + [(1, 1), (1, 1)])
    for axis in (-1, -2):
        line = np.moveaxis(padded, axis, 0)
        line[0], line[-1] = 2 * line[1] - line[2], 2 * line[-2] - line[-3]
    return padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2], padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]


def strain_of(flow: Int) -> NDArray[np.float32]:
    """sqrt(u_x^2 + v_y^2 + (u_y + v_x)^2 / 2) of Q10 flow [2, H, W]."""
    across, down = (np.clip(g, -GRADIENT_LIMIT_Q11, GRADIENT_LIMIT_Q11) for g in twice_gradient(flow))
    twice_square = 2 * across[0] ** 2 + 2 * down[1] ** 2 + (down[0] + across[1]) ** 2  # Q22, below 2**31
    strain: NDArray[np.float32] = np.sqrt(twice_square.astype(np.float32) * np.float32(2.0**-23))
    return strain


def motion(
    later: NDArray[np.int16], onset: NDArray[np.int16] | None, height: int, width: int, flow: bool, strain: bool
) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
    """Flow [N, H, W, 2] in px and strain [N, H, W] of later nodes [N, 2, GH, GW]; see op.render_with_motion."""
    y, x = (g.astype(np.int64) * 1024 + 512 for g in np.mgrid[:height, :width])
    still = np.zeros_like(x)
    goal = np.stack([still, still]) if onset is None else sample(onset.astype(np.int64), x, y, still, still)[0]
    flows = [invert(nodes.astype(np.int64), goal, x, y) for nodes in later]
    shown = np.empty((len(later), height, width, 2), np.float32) if flow else None
    strained = np.empty((len(later), height, width), np.float32) if strain else None
    for index, one in enumerate(flows):
        if shown is not None:
            shown[index] = np.moveaxis(one, 0, -1).astype(np.float32) / np.float32(1024)
        if strained is not None:
            strained[index] = strain_of(one)
    return shown, strained
