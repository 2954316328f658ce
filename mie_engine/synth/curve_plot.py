"""A small plot of action-unit curves over time, drawn with Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

INK, MUTED, FAINT, PAPER = "#1d2733", "#6b7785", "#e4e7eb", "#ffffff"
PALETTE = ("#3563c9", "#e2552d", "#1f9d6b", "#a04fd0", "#d99a00", "#d6417e", "#12909f", "#8a5a3c", "#6f7f1f", "#5c6470")
_PREFERRED = (4, 12, 1, 6, 2, 7, 5, 10, 9, 14, 15, 17, 20, 23, 24, 25, 26)
_OVERSAMPLING = 4  # Pillow's lines have hard edges: draw large, then shrink
_LEGEND_PX = 92
_LEFT_PX, _TOP_PX, _BOTTOM_PX = 40, 26, 26


@cache
def font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own scalable font."""
    return ImageFont.load_default(size_px)


@dataclass(frozen=True)
class Curve:
    """One line of the plot: its name, its values [T], and whether it is the second side of a pair (dashed)."""

    name: str
    values: npt.NDArray[np.float64]
    dashed: bool
    colour: str


def curves_of(values: npt.NDArray[np.float64], units: Sequence[str]) -> list[Curve]:
    """The moving units of `values` [T, U], strongest first; two sides that move alike become one line."""
    moving: list[tuple[str, npt.NDArray[np.float64]]] = []
    for k, name in enumerate(units):
        if not np.any(values[:, k] > 1e-6):
            continue
        twin = name[:-1] + {"L": "R", "R": "L"}.get(name[-1], "?")
        alike = twin in units and np.array_equal(values[:, k], values[:, units.index(twin)])
        if not (alike and name.endswith("R")):
            moving.append((name[:-1] if alike else name, values[:, k]))
    moving.sort(key=lambda item: (-float(item[1].max()), item[0]))
    taken: dict[str, str] = {}
    for name, _ in moving:
        taken.setdefault(name.rstrip("LR"), _colour(name.rstrip("LR"), taken))
    strongest: set[str] = set()
    curves = []
    for name, line in moving:
        number = name.rstrip("LR")
        curves.append(Curve(name, line, number in strongest, taken[number]))
        strongest.add(number)
    return curves


def _colour(name: str, taken: dict[str, str]) -> str:
    """The unit's usual colour, or the next free one, so that a sheet reads the same from row to row."""
    number = int(name[2:]) if name[2:].isdigit() else 0
    first = _PREFERRED.index(number) if number in _PREFERRED else number
    ring = [PALETTE[(first + k) % len(PALETTE)] for k in range(len(PALETTE))]
    return next((colour for colour in ring if colour not in taken.values()), ring[0])


def plot(curves: list[Curve], apex_frame: int, duration_s: float, size_px: tuple[int, int]) -> Image.Image:
    """Draw the curves of one clip.

    Args:
        curves: from curves_of.
        apex_frame: frame marked as the apex.
        duration_s: time of the last frame, s.
        size_px: width and height of the picture.

    Returns:
        RGB image.
    """
    width, height = size_px
    left, right, top, bottom = _LEFT_PX, width - _LEGEND_PX - 16, _TOP_PX, height - _BOTTOM_PX
    frames = len(curves[0].values) if curves else 2
    peak = max((float(curve.values.max()) for curve in curves), default=0.1)
    step = next(s for s in (0.02, 0.05, 0.1, 0.2, 0.25, 0.5) if peak <= 4 * s or s == 0.5)
    ceiling = max(1, int(np.ceil(peak / step - 1e-9))) * step

    def x_of(frame: float) -> float:
        return left + (right - left) * frame / (frames - 1)

    def y_of(level: float) -> float:
        return bottom - (bottom - top) * level / ceiling

    image = Image.new("RGB", (width * _OVERSAMPLING, height * _OVERSAMPLING), PAPER)
    pen = _Pen(ImageDraw.Draw(image))
    levels = [k * step for k in range(round(ceiling / step) + 1)]
    for level in levels:
        pen.line([(left, y_of(level)), (right, y_of(level))], MUTED if level == 0 else FAINT, 1)
    times_ms = _ticks_ms(duration_s * 1000)
    for time_ms in times_ms:
        x = left + (right - left) * time_ms / (duration_s * 1000)
        pen.line([(x, bottom), (x, bottom + 4)], MUTED, 1)
    pen.dashes([(x_of(apex_frame), y) for y in np.linspace(top - 4, bottom, 200)], MUTED, 1, 3)
    for curve in reversed(curves):
        points = [(x_of(frame), y_of(float(level))) for frame, level in enumerate(curve.values)]
        (pen.dashed_line if curve.dashed else pen.line)(points, curve.colour, 2.2)
        for point in points if frames <= 24 else []:
            pen.dot(point, curve.colour, 2.6)
    image = image.resize((width, height), Image.Resampling.LANCZOS)

    draw = ImageDraw.Draw(image)
    for level in levels:
        draw.text((left - 8, y_of(level)), f"{level:g}" if level else "0", MUTED, font(12), anchor="rm")
    for time_ms in times_ms:
        x = left + (right - left) * time_ms / (duration_s * 1000)
        draw.text((x, bottom + 8), f"{time_ms:.0f}", MUTED, font(12), anchor="mt")
    draw.text((right + 8, bottom + 8), "ms", MUTED, font(12), anchor="lt")
    apex_ms = apex_frame / (frames - 1) * duration_s * 1000
    label = f"apex {apex_ms:.0f} ms"
    half = draw.textlength(label, font(12)) / 2
    draw.text((min(max(x_of(apex_frame), left + half), right - half), top - 8), label, INK, font(12), anchor="ms")
    _legend(draw, curves, right + 22, top, bottom)
    return image


def _legend(draw: ImageDraw.ImageDraw, curves: list[Curve], x: float, top: float, bottom: float) -> None:
    if not curves:
        draw.text((x, top), "at rest", MUTED, font(13), anchor="lm")
        return
    room = int((bottom - top) // 20)
    shown = curves if len(curves) <= room else curves[: room - 1]
    for k, curve in enumerate(shown):
        y = top + 4 + 20 * k
        draw.text((x, y), curve.name, curve.colour, font(14), anchor="lm")
        draw.text((x + _LEGEND_PX - 20, y), f"{curve.values.max():.2f}", MUTED, font(12), anchor="rm")
    if len(shown) < len(curves):
        draw.text((x, top + 4 + 20 * len(shown)), f"+ {len(curves) - len(shown)} more", MUTED, font(12), anchor="lm")


def _ticks_ms(duration_ms: float) -> list[float]:
    step = next((s for s in (10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if duration_ms / s <= 6), 10_000)
    return [float(k * step) for k in range(int(duration_ms / step + 1e-9) + 1)]


class _Pen:
    """Lines in picture px on the oversampled canvas."""

    def __init__(self, draw: ImageDraw.ImageDraw) -> None:
        self.draw = draw

    def line(self, points: list[tuple[float, float]], colour: str, width_px: float) -> None:
        scaled = [(x * _OVERSAMPLING, y * _OVERSAMPLING) for x, y in points]
        self.draw.line(scaled, colour, round(width_px * _OVERSAMPLING), joint="curve")

    def dot(self, point: tuple[float, float], colour: str, radius_px: float) -> None:
        x, y, r = (value * _OVERSAMPLING for value in (*point, radius_px))
        self.draw.ellipse((x - r, y - r, x + r, y + r), colour)

    def dashed_line(self, points: list[tuple[float, float]], colour: str, width_px: float) -> None:
        along = np.array(points)
        fine = np.linspace(0, len(along) - 1, 40 * len(along))
        self.dashes(
            [(float(np.interp(t, range(len(along)), along[:, 0])), float(np.interp(t, range(len(along)), along[:, 1]))) for t in fine],
            colour,
            width_px,
            6,
        )

    def dashes(self, path: list[tuple[float, float]], colour: str, width_px: float, dash_px: float) -> None:
        length, piece = 0.0, [path[0]]
        for before, after in pairwise(path):
            drawn = int(length / dash_px) % 2 == 0
            length += float(np.hypot(after[0] - before[0], after[1] - before[1]))
            if drawn:
                piece.append(after)
            if int(length / dash_px) % 2 != (0 if drawn else 1):
                if len(piece) > 1:
                    self.line(piece, colour, width_px)
                piece = [after]
        if len(piece) > 1:
            self.line(piece, colour, width_px)
