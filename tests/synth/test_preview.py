"""The contact sheet: size, determinism, colour directions, what the plots show, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from mie_engine.errors import RangeError, ShapeError
from mie_engine.synth.action_units import UNITS, parse
from mie_engine.synth.curve_plot import curves_of, plot
from mie_engine.synth.flow_colour import flow_colour, wheel
from mie_engine.synth.preview import SHEET_WIDTH_PX, PreviewSample, contact_sheet

SEED = 2


def sample(**changes: Any) -> PreviewSample:
    rng = np.random.default_rng(SEED)
    side, frames = changes.pop("side", 64), changes.pop("frames", 16)
    onset = rng.integers(0, 256, (side, side, 3), np.uint8)
    bump = np.interp(np.arange(frames), [0, frames // 2, frames], [0, 1, 0])
    fields: dict[str, Any] = {
        "name": "000000001 / face",
        "label": "negative: anger",
        "source": "micro",
        "onset": onset,
        "apex": np.roll(onset, 1, axis=0),
        "flow": rng.normal(0, 1, (side, side, 2)).astype(np.float32),
        "curves": bump[:, None] * parse({"AU4": 0.2, "AU12L": 0.3, "AU12R": 0.1, "AU17": 0.15}),
        "units": UNITS,
        "apex_frame": frames // 2,
        "duration_s": 0.4,
    }
    return PreviewSample(**{**fields, **changes})


def test_one_row_each_and_the_same_every_time() -> None:
    one, three = (contact_sheet([sample()] * count, title="Sheet", plan_hash="ab" * 32) for count in (1, 3))
    assert one.mode == "RGB"
    assert one.width == three.width == SHEET_WIDTH_PX
    row = (three.height - one.height) // 2
    assert row > 224
    again = contact_sheet([sample()] * 3, title="Sheet", plan_hash="ab" * 32)
    assert three.tobytes() == again.tobytes()
    pixels = np.asarray(three)
    assert np.array_equal(pixels[300 : 300 + row], pixels[300 + row : 300 + 2 * row])  # 300 px lie within the first row


@pytest.mark.parametrize(
    "changes",
    [
        {"side": 1},
        {"side": 700},
        {"frames": 2, "apex_frame": 1},
        {"frames": 200},
        {"curves": np.zeros((16, 40)), "flow": np.zeros((64, 64, 2), np.float32)},
        {"curves": np.ones((16, 40))},
        {"curves": np.outer(np.hanning(16), np.linspace(0, 1, 40))},
        {"name": "n" * 300, "label": "a label without any colon that is far too long", "source": ""},
        {"duration_s": 30.0},
        {"duration_s": 0.001},
    ],
)
def test_draws_unusual_clips(changes: dict[str, Any]) -> None:
    sheet = contact_sheet([sample(**changes)], title="A title that does not fit " * 10, plan_hash="0" * 64)
    assert sheet.width == SHEET_WIDTH_PX


def test_difference_is_magnified_about_grey() -> None:
    onset = np.full((64, 64, 3), 100, np.uint8)
    apex = onset.copy()
    apex[:, :32] += 5
    pixels = np.asarray(contact_sheet([sample(onset=onset, apex=apex)], title="", plan_hash=""))
    assert np.all(pixels == 128 + 8 * 5, axis=2).sum() > 20_000
    assert np.all(pixels == 128, axis=2).sum() > 20_000


@pytest.mark.parametrize(
    ("across", "down", "strong", "weak"),
    [(1, 0, [0], [1, 2]), (0, 1, [0, 1], [2]), (-1, 0, [1, 2], [0]), (0, -1, [2], [1])],
    ids=["right red", "down yellow", "left cyan", "up violet"],
)
def test_wheel_directions(across: float, down: float, strong: list[int], weak: list[int]) -> None:
    flow = np.array([[[across, down]]], np.float32)
    colour = flow_colour(flow, 1.0)[0, 0].astype(int)
    assert colour[strong].min() > colour[weak].max() + 100, colour
    legend = wheel(101)[50 + round(48 * down), 50 + round(48 * across), :3].astype(int)
    assert np.abs(legend - colour).max() < 25
    half = flow_colour(flow / 2, 1.0)[0, 0].astype(int)
    assert np.all(np.abs(half - (colour + 255) / 2) <= 1)  # half the motion, half the saturation


def test_wheel_is_a_disc_on_nothing_and_rest_is_white() -> None:
    legend = wheel(60)
    assert legend.shape == (60, 60, 4)
    assert not legend[[0, 0, -1, -1], [0, -1, 0, -1], 3].any()
    assert legend[29:31, 29:31, :3].min() > 235
    assert np.all(flow_colour(np.zeros((3, 4, 2), np.float32), 2.0) == 255)
    assert np.all(flow_colour(np.ones((3, 4, 2), np.float32), 0.0) == 255)
    with pytest.raises(ShapeError, match=r"\[3, 4\], expected \[H, W, 2\]"):
        flow_colour(np.zeros((3, 4), np.float32), 1.0)


def test_curves_are_named_and_coloured() -> None:
    curves = curves_of(sample().curves, UNITS)
    assert [curve.name for curve in curves] == ["AU12L", "AU4", "AU17", "AU12R"]
    assert [curve.dashed for curve in curves] == [False, False, False, True]
    assert curves[0].colour == curves[3].colour
    assert len({curve.colour for curve in curves}) == 3
    picture = np.asarray(plot(curves, 8, 0.4, (520, 224)))
    for curve in curves:
        rgb = [int(curve.colour[k : k + 2], 16) for k in (1, 3, 5)]
        assert np.all(np.abs(picture.astype(int) - rgb) < 30, axis=2).sum() > 60, curve.name
    assert isinstance(plot([], 1, 0.4, (520, 224)), Image.Image)


def test_refuses_an_empty_sheet() -> None:
    with pytest.raises(RangeError, match="at least one"):
        contact_sheet([], title="", plan_hash="")
