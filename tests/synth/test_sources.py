"""The distributions of the AU sources against the tables they promise."""

from __future__ import annotations

import json
from importlib import resources

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from mie_engine.synth import sources
from mie_engine.synth.action_units import AU_NUMBERS, LEFT, RIGHT, UNITS, units_of
from mie_engine.synth.draws import Draws
from mie_engine.synth.sources import EMOTIONS, EXPERT_TABLE

SEED = 20
N = 20_000
ALPHA = 1e-4  # per test; every draw is fixed by SEED, so a pass stays a pass
PRIORS = json.loads(resources.files("mie_engine").joinpath("assets/au_priors.json").read_text())
OTHER_SIDE = (0.0, 0.25)


def drawn(emotion: str, clips: int = N) -> tuple[Draws, npt.NDArray[np.intp]]:
    return Draws(SEED, np.arange(clips)), np.full(clips, EMOTIONS.index(emotion))


def per_au(apex: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[N, A]: the stronger side of each action unit."""
    return np.stack([apex[:, list(units_of(f"AU{number}"))].max(axis=1) for number in AU_NUMBERS], axis=1)


@pytest.mark.parametrize("emotion", EXPERT_TABLE)
def test_expert_marginals_and_intensities(emotion: str) -> None:
    motion = sources.expert(*drawn(emotion), reject_empty=False)
    levels = per_au(motion.apex)
    assert not motion.onset.any()
    assert np.array_equal(motion.apex[:, LEFT], motion.apex[:, RIGHT])
    for k, number in enumerate(AU_NUMBERS):
        probability, active = EXPERT_TABLE[emotion].get(number, 0.0), int(np.sum(levels[:, k] > 0))
        if probability in (0.0, 1.0):
            assert active == N * probability, f"seed {SEED}: AU{number}"
            continue
        expected = [N * probability, N * (1 - probability)]
        assert stats.chisquare([active, N - active], expected).pvalue > ALPHA, f"seed {SEED}: AU{number} active in {active} of {N}"
    for k in np.flatnonzero(levels.any(axis=0)):
        strength = levels[levels[:, k] > 0, k]
        assert stats.kstest(strength, "uniform", (0.1, 0.2)).pvalue > ALPHA, f"seed {SEED}: AU{AU_NUMBERS[k]}"


def test_expert_units_are_independent() -> None:
    levels = per_au(sources.expert(*drawn("fear"), reject_empty=False).apex) > 0
    sets = levels[:, [AU_NUMBERS.index(number) for number in EXPERT_TABLE["fear"]]] @ np.array([1, 2, 4, 8])
    assert stats.chisquare(np.bincount(sets, minlength=16)).pvalue > ALPHA, f"seed {SEED}"


def test_reject_empty_equals_drawing_again() -> None:
    levels = per_au(sources.expert(*drawn("fear"), reject_empty=True).apex) > 0
    sets = levels[:, [AU_NUMBERS.index(number) for number in EXPERT_TABLE["fear"]]] @ np.array([1, 2, 4, 8])
    counts = np.bincount(sets, minlength=16)
    assert counts[0] == 0
    assert stats.chisquare(counts[1:]).pvalue > ALPHA, f"seed {SEED}: the 15 other sets must stay equally likely"


@pytest.mark.parametrize("emotion", [emotion for emotion in EXPERT_TABLE if emotion != "fear"])
def test_reject_empty_changes_nothing_where_an_au_is_sure(emotion: str) -> None:
    some, all_of_them = (sources.expert(*drawn(emotion, 500), reject_empty=reject).apex for reject in (False, True))
    assert np.array_equal(some, all_of_them)


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_micro_combinations_follow_their_counts(emotion: str) -> None:
    motion = sources.micro(*drawn(emotion), OTHER_SIDE)
    counts = PRIORS["classes"][emotion]["combinations"]
    names = ["+".join(str(AU_NUMBERS[k]) for k in np.flatnonzero(row)) for row in per_au(motion.apex) > 0]
    observed = np.array([names.count(name) for name in counts])
    assert observed.sum() == N, f"seed {SEED}: a combination that was never coded"
    expected = np.array(list(counts.values())) * N / sum(counts.values())
    assert stats.chisquare(observed, expected).pvalue > ALPHA, f"seed {SEED}: {dict(zip(counts, observed, strict=True))}"


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_micro_one_sided_at_the_published_rate(emotion: str) -> None:
    motion = sources.micro(*drawn(emotion), OTHER_SIDE)
    left, right = motion.apex[:, LEFT], motion.apex[:, RIGHT]
    bilateral = (left + right).any(axis=1)
    assert not np.any(motion.one_sided[~bilateral] != "")
    rate = PRIORS["classes"][emotion]["one_sided"]
    one_sided, clips = int(np.sum(motion.one_sided != "")), int(bilateral.sum())
    if rate == 0:
        assert one_sided == 0
        return
    assert stats.binomtest(one_sided, clips, rate).pvalue > ALPHA, f"seed {SEED}: {one_sided} of {clips}"
    assert stats.binomtest(int(np.sum(motion.one_sided == "L")), one_sided, 0.5).pvalue > ALPHA, f"seed {SEED}"
    strong = np.where(motion.one_sided[:, None] == "L", left, right)
    weak = np.where(motion.one_sided[:, None] == "L", right, left)
    chosen = (motion.one_sided != "")[:, None] & (strong > 0)
    ratio = (weak / np.where(strong > 0, strong, 1))[np.arange(N), np.argmax(chosen, axis=1)][motion.one_sided != ""]
    assert stats.kstest(ratio, "uniform", (0, 0.25)).pvalue > ALPHA, f"seed {SEED}"
    assert np.array_equal(left[motion.one_sided == ""], right[motion.one_sided == ""])
    assert stats.kstest(strong[chosen], "uniform", (0.1, 0.2)).pvalue > ALPHA, f"seed {SEED}"


def test_macro_is_the_expert_set_cut() -> None:
    motion = sources.macro(*drawn("happiness"), reject_empty=True)
    assert stats.kstest(motion.cut, "uniform", (0.25, 0.25)).pvalue > ALPHA, f"seed {SEED}"
    full = per_au(motion.apex)[:, AU_NUMBERS.index(12)] / motion.cut
    assert stats.kstest(full, "uniform", (0.3, 0.5)).pvalue > ALPHA, f"seed {SEED}"
    assert abs(np.corrcoef(full, motion.cut)[0, 1]) < 0.03
    assert motion.apex.max() <= 0.4
    assert not motion.onset.any()
    histogram, _ = np.histogram(motion.cut, bins=10, range=(0.25, 0.5))
    assert stats.chisquare(histogram).pvalue > ALPHA, f"seed {SEED}: {histogram}"


def test_tables() -> None:
    assert motion_units() <= set(AU_NUMBERS)
    assert sources.table_sha256() == sources.table_sha256()
    assert len(sources.table_sha256()) == 64
    assert sources.LABEL3.tolist() == [1, 2, 0, 0, 0, 0, 0, 0]
    assert sources.LABEL7.tolist() == [0, 1, 2, 3, 4, 5, 6, -1]
    assert sources.expert(*drawn("anger", 3), reject_empty=True).apex.shape == (3, len(UNITS))


def motion_units() -> set[int]:
    expert = {number for row in EXPERT_TABLE.values() for number in row}
    coded = {int(n) for row in PRIORS["classes"].values() for combination in row["combinations"] for n in combination.split("+")}
    return expert | coded
