"""The contact sheet of a dataset: what a person looks at first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from ..errors import RangeError
from .curve_plot import INK, MUTED, curves_of, font, plot
from .flow_colour import flow_colour, wheel

SHEET, FRAME = "#f6f7f9", "#d5dae0"
CLASS_COLOURS = {"negative": "#b23a48", "positive": "#1f8a5b", "surprise": "#b7791f"}
DIFFERENCE_GAIN = 8

_TILE_PX, _GAP_PX, _MARGIN_PX = 224, 14, 44
_TEXT_PX, _PLOT_PX = 176, 520
_HEADER_PX, _HEADINGS_PX, _ROW_PX, _FOOTER_PX = 150, 34, _TILE_PX + 26, 24
_GHOST = 0.3  # how far the face shows through its motion, for orientation
_HEADINGS = ("onset", "apex", f"difference x {DIFFERENCE_GAIN}", "motion", "action units, intensity over ms")
SHEET_WIDTH_PX = 2 * _MARGIN_PX + _TEXT_PX + 4 * (_TILE_PX + _GAP_PX) + _GAP_PX + _PLOT_PX


@dataclass(frozen=True, eq=False)
class PreviewSample:
    """One row of the sheet.

    name: shown first. label: such as "negative: anger"; its first word picks the colour. source: such as "micro". onset, apex: uint8
    [S, S, 3]. flow: float32 [S, S, 2], px from onset to apex. curves: float64 [T, U], 0 to 1. units: the U names. apex_frame: 1 to
    T - 1. duration_s: time of the last frame.
    """

    name: str
    label: str
    source: str
    onset: npt.NDArray[np.uint8]
    apex: npt.NDArray[np.uint8]
    flow: npt.NDArray[np.float32]
    curves: npt.NDArray[np.float64]
    units: tuple[str, ...]
    apex_frame: int
    duration_s: float


def contact_sheet(samples: Sequence[PreviewSample], *, title: str, plan_hash: str) -> Image.Image:
    """Draw onset, apex, magnified difference, motion and action-unit curves of some clips, one row each.

    Args:
        samples: at least one.
        title: head of the sheet.
        plan_hash: hex; its first 12 digits are shown.

    Returns:
        RGB image, the same for the same input.

    Raises:
        RangeError: no samples.
    """
    if not samples:
        raise RangeError("contact sheet: no samples, give at least one.")
    height = _HEADER_PX + _HEADINGS_PX + len(samples) * _ROW_PX + _FOOTER_PX
    sheet = Image.new("RGB", (SHEET_WIDTH_PX, height), SHEET)
    draw = ImageDraw.Draw(sheet)
    _header(sheet, draw, title, f"{len(samples)} clips  ·  plan {plan_hash[:12]}")
    for heading, x in zip(_HEADINGS, _columns(), strict=True):
        draw.text((x, _HEADER_PX + 14), heading, MUTED, font(16), anchor="lm")
    for k, sample in enumerate(samples):
        _row(sheet, draw, sample, _HEADER_PX + _HEADINGS_PX + k * _ROW_PX)
    return sheet


def _columns() -> list[int]:
    first = _MARGIN_PX + _TEXT_PX
    tiles = [first + k * (_TILE_PX + _GAP_PX) for k in range(4)]
    return [*tiles, tiles[-1] + _TILE_PX + 2 * _GAP_PX]


def _header(sheet: Image.Image, draw: ImageDraw.ImageDraw, title: str, subtitle: str) -> None:
    draw.text((_MARGIN_PX, 64), _fitted(draw, title, 38, SHEET_WIDTH_PX - 560), INK, font(38), anchor="lm")
    draw.text((_MARGIN_PX, 104), subtitle, MUTED, font(18), anchor="lm")
    size = 92
    x, y = SHEET_WIDTH_PX - _MARGIN_PX - size, 30
    disc = Image.fromarray(wheel(size))
    sheet.paste(disc, (x, y), disc)
    draw.text((x - 22, y + 20), "motion, onset to apex", INK, font(16), anchor="rm")
    draw.text((x - 22, y + 46), "hue: direction in the picture", MUTED, font(15), anchor="rm")
    draw.text((x - 22, y + 70), "saturation: amount, full at the clip's peak", MUTED, font(15), anchor="rm")
    draw.line((_MARGIN_PX, _HEADER_PX - 8, SHEET_WIDTH_PX - _MARGIN_PX, _HEADER_PX - 8), FRAME, 1)


def _row(sheet: Image.Image, draw: ImageDraw.ImageDraw, sample: PreviewSample, top: int) -> None:
    peak_px = float(np.hypot(sample.flow[..., 0], sample.flow[..., 1]).max())
    difference = np.clip(128 + DIFFERENCE_GAIN * (sample.apex.astype(np.int32) - sample.onset), 0, 255).astype(np.uint8)
    columns = _columns()
    grey = sample.onset.astype(np.float64).mean(axis=2, keepdims=True) / 255
    motion = np.round(flow_colour(sample.flow, peak_px) * (1 - _GHOST * (1 - grey))).astype(np.uint8)
    for pixels, x in zip((sample.onset, sample.apex, difference, motion), columns, strict=False):
        tile = Image.fromarray(pixels).resize((_TILE_PX, _TILE_PX), Image.Resampling.LANCZOS)
        sheet.paste(tile, (x, top))
    draw.rectangle((columns[3], top, columns[3] + _TILE_PX - 1, top + _TILE_PX - 1), outline=FRAME)
    draw.text((columns[3] + _TILE_PX - 8, top + _TILE_PX - 8), f"peak {peak_px:.2f} px", INK, font(13), anchor="rs")
    _caption(draw, sample, top)
    curves = curves_of(sample.curves, sample.units)
    sheet.paste(plot(curves, sample.apex_frame, sample.duration_s, (_PLOT_PX, _TILE_PX)), (columns[4], top))
    draw.rectangle((columns[4], top, columns[4] + _PLOT_PX - 1, top + _TILE_PX - 1), outline=FRAME)


def _caption(draw: ImageDraw.ImageDraw, sample: PreviewSample, top: int) -> None:
    room = _TEXT_PX - 18
    klass, _, detail = (part.strip() for part in sample.label.partition(":"))
    colour = CLASS_COLOURS.get(klass, MUTED)
    draw.rounded_rectangle((_MARGIN_PX, top + 2, _MARGIN_PX + 5, top + _TILE_PX - 3), 2, colour)
    lines = (
        (24, klass, colour, 24),
        (54, detail if detail != klass else "", INK, 17),
        (106, sample.source, MUTED, 15),
        (130, f"{sample.duration_s * 1000:.0f} ms, {len(sample.curves)} frames", MUTED, 15),
        (_TILE_PX - 14, sample.name, MUTED, 15),
    )
    for y, text, ink, size in lines:
        draw.text((_MARGIN_PX + 20, top + y), _fitted(draw, text, size, room - 6), ink, font(size), anchor="lm")


def _fitted(draw: ImageDraw.ImageDraw, text: str, size: int, room_px: int) -> str:
    if draw.textlength(text, font(size)) <= room_px:
        return text
    while text and draw.textlength(text + "...", font(size)) > room_px:
        text = text[:-1]
    return text + "..."
