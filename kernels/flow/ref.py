"""The definition of flow: f with later(x + f(x)) = onset(x), coarse to fine, in float32 NumPy.

Per cell: (J + w I) f = q + J n + w mean8(f), J = <g g'>, q = -<g t>, over the pixels of the cell after a whole-pixel shift n = round(f):
images are never interpolated while solving. w follows the noise and the local gradient of the flow. Where the flow jumps, pixels choose
between the flows of both sides. Jacobi sweeps solve it; their numbers are part of the definition: stopping early regularises.
Source: Lucas and Kanade (IJCAI 1981) for the tensor, Horn and Schunck (Artificial Intelligence 17, 1981) for the smoothness.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...limits import MAX_FLOW_PX

if TYPE_CHECKING:
    from .op import FlowCall

Floats = NDArray[np.floating[Any]]
f32 = np.float32

UNIT_PX = 32  # frames are filled up to whole units, right and bottom
CELL_PX, FINE_PX = 4, 2  # sides of a cell: of every level; of the last solve at level 0
LEVELS, MIN_LEVEL_PX = 4, 8  # images at 1, 1/2, 1/4, 1/8, as long as the shorter side keeps so many px
MARGIN_PX = 2  # reach of the derivative: pixels nearer to the border of either image have no say
SWEEPS, FINE_SWEEPS = (16, 24, 24, 24), 8  # finest level first
SWEEPS_ACROSS = 3  # at the coarsest level at least so many per cell of its longer side, in eights: motion must reach what has no texture
ALPHA_COARSE = f32(600)  # smoothness of the levels above 0
ALPHA_MIN, ALPHA_MAX = f32(50), f32(10000)  # level 0
GRADIENT_GLOBAL, GRADIENT_FLOOR = f32(0.1), f32(1e-5)  # share of the typical value of the frame; px^2
FINE_FACTOR = f32(10)  # smaller cells are so much smoother than their size asks for
GAIN_MIN, GAIN_MAX = 0.25, 4.0
MIN_VALID, MIN_DEVIATION = 16, 0.25  # px and grey levels that a gain is estimated from
REACH = 3  # cells of 2 px from a jump to the flow beyond it
JUMP_PX, SHARPNESS = f32(0.5), f32(0.7)  # least jump over 2 reaches; its least share of the change over 4 reaches, which a slope fails


class Brightness(NamedTuple):
    """onset = gain * later + offset."""

    gain: np.float32
    offset: np.float32


def padded(x: Floats, before: int, after: int, axis: int, mode: Any = "edge") -> Floats:
    """More samples at the ends of one axis."""
    widths = [(0, 0)] * x.ndim
    widths[axis] = before, after
    return np.pad(x, widths, mode)


def prefilter(frame: NDArray[np.uint8]) -> Floats:
    """[1 6 1] / 8 in x and y of the frame filled up to whole units; mirrored at its border. A multiple of 1/64."""
    height, width = frame.shape
    x: Floats = np.pad(frame, ((0, -height % UNIT_PX), (0, -width % UNIT_PX)), "edge").astype(f32)
    for axis in (0, 1):
        p = np.moveaxis(padded(x, 1, 1, axis, "reflect"), axis, 0)
        x = np.moveaxis((p[:-2] + 6 * p[1:-1] + p[2:]) / 8, 0, axis)
    return x


def halved(image: Floats) -> Floats:
    """[1 3 3 1] / 8 in x and y at every second sample, edge repeated."""
    for axis in (0, 1):
        p = np.moveaxis(padded(image, 1, 1, axis), axis, 0)
        image = np.moveaxis((p[:-3:2] + 3 * p[1:-2:2] + 3 * p[2:-1:2] + p[3::2]) / 8, 0, axis)
    return image


def pyramid(frame: NDArray[np.uint8]) -> list[Floats]:
    """The prefiltered frame and its halves."""
    images = [prefilter(frame)]
    while len(images) < LEVELS and min(frame.shape) >> len(images) >= MIN_LEVEL_PX:
        images.append(halved(images[-1]))
    return images


def doubled(field: Floats) -> Floats:
    """Bilinear [..., h, w] -> [..., 2 h, 2 w] cells of half the side: weights 3/4 and 1/4, edge repeated."""
    for axis in (-2, -1):
        p = np.moveaxis(padded(field, 1, 1, axis), axis, 0)
        lower, upper = (3 * p[1:-1] + p[:-2]) / 4, (3 * p[1:-1] + p[2:]) / 4
        field = np.moveaxis(np.stack([lower, upper], 1).reshape(-1, *p.shape[1:]), 0, axis)
    return field


def spread(grid: NDArray[Any], times: int) -> NDArray[Any]:
    """Nearest [..., h, w] -> [..., times h, times w]."""
    return grid.repeat(times, -2).repeat(times, -1)


def cell_means(x: Floats, side: int) -> Floats:
    """Means of side x side blocks of the last two axes."""
    height, width = x.shape[-2:]
    means: Floats = x.reshape(*x.shape[:-2], height // side, side, width // side, side).mean((-3, -1))
    return means


def derivative(image: Floats, axis: int) -> Floats:
    """[1 -8 0 8 -1] / 12; wrong in the margin, which nobody uses."""
    one, two = (np.roll(image, -k, axis) - np.roll(image, k, axis) for k in (1, 2))
    return (8 * one - two) / f32(12)


def brightness(a: Floats, b: Floats) -> Brightness:
    """Equal mean and standard deviation over valid pixels [n] of the onset and the later frame; gain 1 where they cannot tell."""
    if a.size == 0:
        return Brightness(f32(1), f32(0))
    deviation_a, deviation_b = a.std(dtype=float), b.std(dtype=float)
    known = a.size >= MIN_VALID and min(deviation_a, deviation_b) >= MIN_DEVIATION
    gain = min(max(deviation_a / deviation_b, GAIN_MIN), GAIN_MAX) if known else 1.0
    return Brightness(f32(gain), f32(a.mean(dtype=float) - gain * b.mean(dtype=float)))


def tensor(a: Floats, b: Floats, shift: Floats, size: tuple[int, int]) -> tuple[Floats, Brightness]:
    """Means over cells of 2 px of (xx, xy, yy, -xt, -yt, tt): derivatives of the pair after whole-pixel shifts [2, h / 4, w / 4].

    The spatial derivative is that of the sum of both images: this makes the linearisation exact to second order. Only pixels of the true
    size (height, width) count.
    """
    rows, columns = a.shape
    y, x = np.mgrid[:rows, :columns]
    to_x, to_y = np.stack([x, y]) + spread(shift, CELL_PX).astype(int)
    valid = np.ones(a.shape, bool)
    for at, side in ((y, size[0]), (x, size[1]), (to_y, size[0]), (to_x, size[1])):
        valid &= (at >= MARGIN_PX) & (at < side - MARGIN_PX)
    place = to_y.clip(0, rows - 1), to_x.clip(0, columns - 1)
    match = brightness(a[valid], b[place][valid])
    t = (match.gain * b[place] - a) + match.offset  # exactly 0 for equal frames
    scale = match.gain / (1 + match.gain)
    dx, dy = (scale * (derivative(a, axis) + derivative(b, axis)[place]) for axis in (1, 0))
    products = np.stack([dx * dx, dx * dy, dy * dy, -dx * t, -dy * t, t * t])
    return cell_means(np.where(valid, products, f32(0)), FINE_PX), match


def solve(j: Floats, shift: Floats, weight: Floats, f: Floats, sweeps: int) -> Floats:
    """Jacobi sweeps f <- (J + w I)^-1 (q + J n + w mean8(f)); mean8 weighs sides 1/6, corners 1/12, edge repeated."""
    xx, xy, yy, right_x, right_y, _ = j
    right_x, right_y = right_x + xx * shift[0] + xy * shift[1], right_y + xy * shift[0] + yy * shift[1]
    a, c = xx + weight, yy + weight
    determinant = a * c - xy * xy
    for _ in range(sweeps):
        p = padded(padded(f, 1, 1, 1), 1, 1, 2)
        s = p[:, :-2] + 2 * p[:, 1:-1] + p[:, 2:]
        mean = (s[..., :-2] + 2 * s[..., 1:-1] + s[..., 2:] - 4 * f) / 12
        u, v = right_x + weight * mean[0], right_y + weight * mean[1]
        f = np.stack([(c * u - xy * v) / determinant, (a * v - xy * u) / determinant])
    return f


def noise(j: Floats, shift: Floats, f: Floats, size: tuple[int, int]) -> np.float32:
    """Standard deviation of the residual that the predicted flow leaves at level 0: neither motion nor gain count as noise."""
    u, v = f - shift
    xx, xy, yy, right_x, right_y, tt = j
    energy = tt - 2 * (u * right_x + v * right_y) + u * u * xx + 2 * u * v * xy + v * v * yy
    inner = np.s_[2 : size[0] // CELL_PX - 2, 2 : size[1] // CELL_PX - 2]
    return f32(np.sqrt(np.maximum(energy[inner], 0)).mean())


def gradient(f: Floats, size: tuple[int, int]) -> Floats:
    """Squared gradient of level 1's flow (mean of both sides), [1 4 6 4 1] / 16 smoothed, and a share of what is typical: (px / 4 px)^2."""
    e: Floats = np.zeros(f.shape[1:], f32)
    for axis in (1, 2):
        p = np.diff(padded(f, 1, 1, axis), axis=axis) ** 2
        e += (p.take(range(1, p.shape[axis]), axis) + p.take(range(p.shape[axis] - 1), axis)).sum(0) / 2
    rows, columns = size[0] // 8, size[1] // 8
    inner = e[rows // 8 : rows - rows // 8, columns // 8 : columns - columns // 8]
    typical = np.sqrt(inner).mean() ** 2  # a single jump must not make the rest of the face less smooth
    for axis in (0, 1):
        p = np.moveaxis(padded(e, 2, 2, axis), axis, 0)
        e = np.moveaxis((p[:-4] + 4 * p[1:-3] + 6 * p[2:-2] + 4 * p[3:-1] + p[4:]) / 16, 0, axis)
    result: Floats = (1 - GRADIENT_GLOBAL) * e + GRADIENT_GLOBAL * typical + GRADIENT_FLOOR
    return result


class Solved(NamedTuple):
    """What the solver knows in the end; the grid is the natural input of strain."""

    grid: Floats  # [2, ceil(H / 2), ceil(W / 2)] px
    match: Brightness  # of level 0
    noise: np.float32


def solved(onset: list[Floats], later: list[Floats], size: tuple[int, int]) -> Solved:
    """Flow on cells of 2 px from two pyramids of frames of the true size (height, width)."""
    top = len(onset) - 1
    f = np.zeros((2, *(side // CELL_PX for side in onset[top].shape)), f32)
    weight: Floats = np.full((1, 1), ALPHA_COARSE / 16)
    for level in range(top, -1, -1):
        slope = gradient(f, size) if level == 0 else None
        if level < top:
            limit = f32(MAX_FLOW_PX / 2**level)
            f = (2 * doubled(f)).clip(-limit, limit)
        shift = np.rint(f)
        fine, match = tensor(onset[level], later[level], shift, (size[0] >> level, size[1] >> level))
        j = cell_means(fine, 2)
        if slope is not None:  # empirical Bayes: noise variance over the flow's own
            sigma = noise(j, shift, f, size)
            weight = spread((sigma * sigma / slope).clip(ALPHA_MIN, ALPHA_MAX), 2) / 16
        across = -(-SWEEPS_ACROSS * max(f.shape) // 8) * 8 if level == top else 0
        f = solve(j, shift, weight, f, max(SWEEPS[level], across))
    f = solve(fine, spread(shift, 2), FINE_FACTOR * 4 * spread(weight, 2), doubled(f), FINE_SWEEPS)
    grid = f[:, : (size[0] + 1) // 2, : (size[1] + 1) // 2]
    return Solved(grid.clip(-f32(MAX_FLOW_PX), f32(MAX_FLOW_PX)), match, sigma)


def jumps(grid: Floats, axis: int) -> NDArray[np.bool_]:
    """Cells [h, w] across which the flow changes within one reach to either side, and hardly more within two."""
    f = np.moveaxis(grid, axis, 1)
    count, found = f.shape[1], np.zeros(f.shape[1:], bool)
    if count > 4 * REACH:
        near, far = (
            ((f[:, 2 * REACH + k : count - 2 * REACH + k] - f[:, 2 * REACH - k : count - 2 * REACH - k]) ** 2).sum(0)
            for k in (REACH, 2 * REACH)
        )
        found[2 * REACH : count - 2 * REACH] = near > np.maximum(JUMP_PX**2, SHARPNESS**2 * far)
    return np.moveaxis(found, 0, axis - 1)


def edge_costs(a: Floats, b: Floats, match: Brightness, cells: NDArray[np.int64], f: Floats, size: tuple[int, int]) -> Floats:
    """Mean squared residual of one flow per cell, [2, n], over the 3 x 3 px around each of the cell's 4 pixels: [n, 2, 2]; inf outside."""
    whole = np.floor(f).astype(np.int64)
    part = (f - whole)[:, :, None, None]
    k = np.arange(-1, 3)
    y, x = 2 * cells[0][:, None, None] + k[:, None], 2 * cells[1][:, None, None] + k
    to_y, to_x = y + whole[1][:, None, None], x + whole[0][:, None, None]
    inside = np.ones(len(y), bool)
    for at, side, more in ((y, size[0], 0), (x, size[1], 0), (to_y, size[0], 1), (to_x, size[1], 1)):
        inside &= (at.min((1, 2)) >= 0) & (at.max((1, 2)) + more < side)

    def pick(image: Floats, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Floats:
        picked: Floats = image[rows.clip(0, size[0] - 1), columns.clip(0, size[1] - 1)]
        return picked

    upper, lower = (pick(b, to_y + r, to_x) * (1 - part[0]) + pick(b, to_y + r, to_x + 1) * part[0] for r in (0, 1))
    squares = (match.gain * (upper * (1 - part[1]) + lower * part[1]) + match.offset - pick(a, y, x)) ** 2
    costs = np.stack([[squares[:, j : j + 3, i : i + 3].mean((1, 2)) for i in (0, 1)] for j in (0, 1)])
    return np.where(inside, costs, f32(np.inf)).transpose(2, 0, 1)


def full_size(found: Solved, a: Floats, b: Floats, size: tuple[int, int]) -> Floats:
    """The grid doubled to [2, H, W]; where it jumps, a pixel takes the flow of either side if that matches better by the noise's variance.

    Smoothness blurs a jump over some 6 px; the flow one reach away is hardly blurred, and the pixels tell to which side they belong.
    """
    height, width = size
    grid = found.grid
    pixels = doubled(grid).reshape(2, grid.shape[1], 2, grid.shape[2], 2).transpose(0, 1, 3, 2, 4).copy()  # a view per cell
    along = {axis: jumps(grid, axis) for axis in (1, 2)}
    cells = np.stack(np.nonzero(along[1] | along[2]))
    at = cells[0], cells[1]
    own = edge_costs(a, b, found.match, cells, grid[:, at[0], at[1]], size)
    best = own - found.noise**2
    chosen = pixels[:, at[0], at[1]]
    for axis in (1, 2):
        for step in (REACH, -REACH):
            there = [cells[0], cells[1]]
            there[axis - 1] = (there[axis - 1] + step).clip(0, grid.shape[axis] - 1)
            candidate = grid[:, there[0], there[1]]
            cost = edge_costs(a, b, found.match, cells, candidate, size)
            wins = (cost < best) & np.isfinite(own) & along[axis][at][:, None, None]
            best = np.where(wins, cost, best)
            chosen = np.where(wins, candidate[:, :, None, None], chosen)
    pixels[:, at[0], at[1]] = chosen
    return pixels.transpose(0, 1, 3, 2, 4).reshape(2, 2 * grid.shape[1], 2 * grid.shape[2])[:, :height, :width]


def flow(call: FlowCall) -> Floats:
    """Flow of every pair of a checked call, float32 [N, 2, H, W] px."""
    size = call.later.shape[1], call.later.shape[2]
    onsets = [pyramid(frame) for frame in call.onset]
    fields = []
    for i, frame in enumerate(call.later):
        onset, later = onsets[i if len(onsets) > 1 else 0], pyramid(frame)
        fields.append(full_size(solved(onset, later, size), onset[0], later[0], size))
    return np.stack(fields)
