"""The clip timeline: exact key frames, published timing, smoothness, bounded drift."""

from __future__ import annotations

import json
from importlib import resources

import numpy as np
import pytest

from mie_engine.errors import RangeError
from mie_engine.synth.plan import Identity, Plan, make_plan
from mie_engine.synth.rows import RANK_SPREAD, Rows
from mie_engine.synth.sources import priors
from mie_engine.synth.timeline import apex_frames, intensity, pose

SEED = 11
FACES = tuple(Identity(f"face{k}", f"{k:064x}") for k in range(5))
PRIORS = json.loads(resources.files("mie_engine").joinpath("assets/au_priors.json").read_text())


def made(clips: int = 600, **fields: object) -> tuple[Plan, Rows]:
    plan = make_plan(clips=clips, seed=SEED, identities=FACES, **fields)  # type: ignore[arg-type]
    return plan, plan.rows(0, clips)


@pytest.mark.parametrize("frames", [2, 3, 4, 16, 61, 512])
def test_key_frames_are_exact(frames: int) -> None:
    _, rows = made(200)
    curves = intensity(rows, frames)
    apex = apex_frames(rows.onset_to_apex_s, rows.duration_s, frames)
    assert curves.shape == (200, frames, 40)
    assert np.array_equal(curves[:, 0], rows.onset)
    assert np.array_equal(curves[np.arange(200), apex], rows.apex)
    assert np.all(curves <= np.maximum(rows.onset, rows.apex)[:, None])
    assert np.all(curves >= np.minimum(rows.onset, rows.apex)[:, None])
    assert np.all(apex >= 1)
    assert np.all(apex <= max(frames - 2, 1))
    if frames > 2:
        left = rows.onset + rows.residual[:, None] * (rows.apex - rows.onset)
        assert np.allclose(curves[:, -1], left, atol=1e-15)


def test_rises_then_falls() -> None:
    _, rows = made(200, phase=0.25)
    curves = intensity(rows, 64)
    steps = np.diff(curves, axis=1)
    before = np.arange(63) < apex_frames(rows.onset_to_apex_s, rows.duration_s, 64)[:, None]
    assert steps[before].min() >= -1e-15
    assert steps[~before].max() <= 1e-15


def test_curves_are_smooth() -> None:
    """C1: halving the time step quarters the second difference, also at the apex and at both ends."""
    _, rows = made(100, phase=0.2)
    worst = []
    for frames in (129, 257, 512):
        curves = intensity(rows, frames)
        worst.append(float(np.abs(np.diff(curves, 2, axis=1)).max()) * (frames - 1) ** 2)
    assert worst[2] < 1.5 * worst[0], worst  # a kink would make it grow in proportion to the frame count
    start = intensity(rows, 512)[:, 1]
    assert start.max() < 1e-3


def test_zero_phase_is_one_curve_and_phase_spreads_the_units() -> None:
    for phase, spread in ((0.0, False), (0.1, True)):
        _, rows = made(90, phase=phase)
        curves = intensity(rows, 33)
        level = curves / np.where(rows.apex > 0, rows.apex, 1)[:, None]
        moving = (rows.apex > 0)[:, None] & np.ones_like(level, bool)
        ranges = np.where(moving, level, -np.inf).max(axis=2) - np.where(moving, level, np.inf).min(axis=2)
        assert (ranges.max() > 0.05) == spread
        assert np.array_equal(rows.phase[:, 0], rows.phase[:, 1])  # both sides of an action unit move together


def test_timing_follows_the_published_percentiles() -> None:
    _, rows = made(20_000)
    for drawn, name in ((rows.onset_to_apex_s, "onset_to_apex_ms"), (rows.duration_s, "onset_to_offset_ms")):
        for percent, published_ms in PRIORS[name].items():
            assert np.percentile(drawn * 1000, float(percent)) == pytest.approx(published_ms, abs=4), (SEED, name, percent)
    assert rows.duration_s.max() <= 0.5
    assert np.all(rows.duration_s - rows.onset_to_apex_s > 0.02)


def test_no_rank_brings_the_offset_within_20_ms_of_the_apex() -> None:
    rise, whole = priors().onset_to_apex_s, priors().onset_to_offset_s
    rank = np.linspace(0, 1, 10_001)
    shortest = np.interp(np.maximum(rank - RANK_SPREAD, 0), *whole)
    assert (shortest - np.interp(rank, *rise)).min() > 0.02


def test_apex_frame_is_the_nearest() -> None:
    _, rows = made(3000)
    exact = rows.onset_to_apex_s / rows.duration_s * 15
    assert np.abs(rows.apex_frame - exact).max() <= 0.5 + 1e-9
    assert np.array_equal(rows.apex_frame, apex_frames(rows.onset_to_apex_s, rows.duration_s, 16))


def test_pose_starts_at_zero_and_stays_within_the_plan() -> None:
    plan, rows = made(500)
    path = pose(rows, 32)
    amplitude = np.array([plan.drift.translation_px, plan.drift.translation_px, plan.drift.roll_rad, plan.drift.log_scale])
    assert path.shape == (500, 32, 4)
    assert not path[:, 0].any()
    assert np.all(np.abs(path) <= amplitude)
    assert np.abs(path).max(axis=(0, 1)) == pytest.approx(amplitude, rel=0.15)
    assert np.abs(np.diff(path, 2, axis=1)).max() < 0.05 * plan.drift.translation_px
    assert np.array_equal(path[:, -1], rows.drift[:, -1])


def test_pair_is_onset_and_apex() -> None:
    _, rows = made(60, content="pair")
    curves = intensity(rows, 2)
    assert np.array_equal(curves[:, 0], rows.onset)
    assert np.array_equal(curves[:, 1], rows.apex)
    assert np.all(rows.apex_frame == 1)


def test_curves_do_not_depend_on_the_batch() -> None:
    plan, rows = made(40)
    parts = [plan.rows(0, 7), plan.rows(7, 40)]
    assert np.array_equal(np.concatenate([intensity(part, 16) for part in parts]), intensity(rows, 16))
    assert np.array_equal(np.concatenate([pose(part, 16) for part in parts]), pose(rows, 16))


@pytest.mark.parametrize("frames", [0, 1, 513])
def test_refuses_frame_counts(frames: int) -> None:
    _, rows = made(1)
    for made_of in (intensity, pose):
        with pytest.raises(RangeError, match=f"frames is {frames}, allowed is 2 to 512"):
            made_of(rows, frames)
