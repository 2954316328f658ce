"""The features recipe: every nuisance has the distribution its plan parameters say."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mie_engine.errors import MieError, RangeError, UsageError
from mie_engine.synth.action_units import AU_NUMBERS, AU_OF_UNIT, UNIT_INDEX
from mie_engine.synth.nuisance import RELATIVE, Nuisance, Nuisances, nuisance
from mie_engine.synth.plan import Identity, Plan, make_plan
from mie_engine.synth.rows import Rows

SEED = 3
N = 20_000
ALPHA = 1e-4
FACES = (Identity("face", "0" * 64),)
STILL = {
    "side_gain": (1, 1),
    "twitch_share": 0,
    "blink_share": 0,
    "yaw_sigma": 0,
    "pitch_sigma": 0,
    "translation_sigma": 0,
    "roll_sigma": 0,
    "scale_sigma": 0,
}


def drawn(clips: int = N, **recipe: Any) -> tuple[Plan, Rows, Nuisances]:
    plan = make_plan(clips=clips, seed=SEED, identities=FACES, content="features", nuisance=Nuisance(**recipe))
    rows = plan.rows(0, clips)
    return plan, rows, nuisance(plan, rows)


def ks(values: Any, distribution: str, *args: float) -> None:
    result = stats.kstest(values, distribution, args)
    assert result.pvalue > ALPHA, f"seed {SEED}: {result}"


def test_defaults_are_the_recipe() -> None:
    recipe = dataclasses.asdict(Nuisance())
    assert recipe["twitch_aus"] == (1, 2, 4, 5, 6, 7, 9, 14, 17, 24)
    assert (recipe["side_gain"], recipe["blink_level"], recipe["blink_side_gain"]) == ((0.4, 1.6), (-2.0, 3.0), (0.7, 1.3))
    assert (recipe["prior_share"], recipe["twitch_share"], recipe["blink_share"]) == (0.7, 0.5, 0.8)


def test_blink_head_and_geometry() -> None:
    _, _, got = drawn()
    left, right = got.relative[:, 0], got.relative[:, 1]
    blinking = left != 0
    assert RELATIVE[:2] == ("AU45L", "AU45R")
    assert np.array_equal(blinking, right != 0)
    assert stats.binomtest(int(blinking.sum()), N, 0.8).pvalue > ALPHA
    ratio = left[blinking] / right[blinking]
    assert ratio.min() > 0.7 / 1.3
    assert ratio.max() < 1.3 / 0.7
    assert -2.6 < left.min() < -2.3
    assert 3.5 < left.max() < 3.9
    assert left[blinking].mean() == pytest.approx(0.5, abs=0.05)
    for column, sigma in zip(range(2, 8), (0.2, 0.2, 0.08, 0.08, 0.05, 0.05), strict=True):
        ks(got.relative[:, column], "norm", 0, sigma)
    for column in (0, 1):
        ks(got.geometry[:, column], "uniform", 0.92, 0.16)
    for column in (2, 3):
        ks(got.geometry[:, column], "norm", 0, 0.6)
    ks(got.patch_sigma_px, "uniform", 1.5, 2.5)
    ks(got.noise_sigma_px, "uniform", 0.8, 2.2)
    ks(got.noise_level, "uniform", 0.05, 0.15)
    assert np.abs(np.corrcoef(np.c_[got.relative[:, 1:], got.geometry, got.patch_sigma_px, got.noise_level].T) - np.eye(13)).max() < 0.04


def test_side_gain_is_drawn_for_every_unit() -> None:
    _, rows, got = drawn(twitch_share=0)
    for name in ("AU4L", "AU4R", "AU12L", "AU25"):
        active = rows.apex[:, UNIT_INDEX[name]] > 0
        ks(got.apex[active, UNIT_INDEX[name]] / rows.apex[active, UNIT_INDEX[name]], "uniform", 0.4, 1.2)
    assert not np.any(got.apex[rows.apex == 0])


def test_twitch_adds_one_action_unit_to_half_of_the_clips() -> None:
    _, rows, got = drawn(side_gain=(1, 1))
    added = got.apex - rows.apex
    moved = (added > 1e-12).any(axis=1)
    assert stats.binomtest(int(moved.sum()), N, 0.5).pvalue > ALPHA
    assert added.min() > -1e-12
    assert added[added > 1e-12].min() >= 0.1 * 0.1 * 0.3
    assert added.max() <= 0.3 * 0.6 * 1.2
    touched = [np.unique(AU_OF_UNIT[row > 1e-12]) for row in added[moved]]
    assert all(len(numbers) == 1 for numbers in touched)
    counts = np.bincount([AU_NUMBERS[numbers[0]] for numbers in touched], minlength=46)
    assert stats.chisquare(counts[list(Nuisance().twitch_aus)]).pvalue > ALPHA, f"seed {SEED}"


def test_switched_off_leaves_the_rows() -> None:
    _, rows, got = drawn(200, **STILL)
    assert np.array_equal(got.apex, rows.apex)
    assert not got.relative.any()


def test_apex_stays_within_full_strength() -> None:
    _, _, got = drawn(3000, side_gain=(3, 3), twitch_intensity=(1, 1), twitch_gain=(3, 3))
    assert got.apex.max() == 1


def test_does_not_depend_on_chunks() -> None:
    plan, _, whole = drawn(300)
    parts = [nuisance(plan, plan.rows(a, b)) for a, b in ((0, 1), (1, 130), (130, 300))]
    for field in dataclasses.fields(Nuisances):
        assert np.array_equal(np.concatenate([getattr(part, field.name) for part in parts]), getattr(whole, field.name))


def test_one_sidedness_holds_for_both_sources() -> None:
    _, rows, _ = drawn()
    for source in ("micro", "expert"):
        chosen = (rows.source == source) & (rows.emotion == "happiness")
        assert stats.binomtest(int(np.sum(rows.one_sided[chosen] != "")), int(chosen.sum()), 0.197).pvalue > ALPHA * 0.1, source


@pytest.mark.parametrize(
    ("recipe", "error", "message"),
    [
        ({"blink_share": 2}, RangeError, "blink_share is 2.0, allowed is 0 to 1"),
        ({"blink_level": (3, -2)}, RangeError, "lower limit first"),
        ({"noise_sigma_px": (0, 1)}, RangeError, "allowed is 0.3"),
        ({"twitch_aus": (1, 3)}, UsageError, "known action units"),
        ({"twitch_aus": ()}, UsageError, "at least one"),
        ({"twitch_aus": (1, 1)}, UsageError, "each once"),
        ({"yaw_sigma": "wide"}, UsageError, "expected a number"),
    ],
)
def test_refuses_recipes(recipe: dict[str, Any], error: type[MieError], message: str) -> None:
    with pytest.raises(error, match=message):
        Nuisance(**recipe)


def test_belongs_to_features_only() -> None:
    plan = make_plan(clips=3, seed=0, identities=FACES)
    with pytest.raises(UsageError, match="belong to content 'features'"):
        nuisance(plan, plan.rows(0, 3))
