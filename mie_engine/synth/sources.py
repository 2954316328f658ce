"""Where a clip's action units come from: the published expert table, micro-expression statistics, or a cut macro-expression.

Every source is a pure function of counter-based draws. Sources: MiE-X (Liu et al., ECCV 2022) for `expert` and for the cut of `macro`;
`micro` draws from the combination counts of assets/au_priors.json.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from .action_units import AU_NUMBERS, AU_OF_UNIT, LEFT, RIGHT, UNITS
from .draws import Draws, Floats, Stream, between

Index = npt.NDArray[np.intp]

EMOTIONS = ("happiness", "surprise", "disgust", "sadness", "fear", "anger", "contempt", "repression")
"""label7 is the position here; repression, which only the micro statistics know, has none."""
NEGATIVE = EMOTIONS[2:]
LABEL3 = np.array([1, 2, 0, 0, 0, 0, 0, 0], np.int8)  # 0 negative, 1 positive, 2 surprise
LABEL7 = np.array([0, 1, 2, 3, 4, 5, 6, -1], np.int8)

EXPERT_TABLE: dict[str, dict[int, float]] = {  # MiE-X: AU -> probability of being active
    "happiness": {12: 1.0, 25: 0.5, 6: 0.5},
    "surprise": {1: 1.0, 2: 1.0, 5: 0.5, 25: 0.5, 26: 0.5},
    "disgust": {9: 1.0, 10: 0.5, 17: 1.0},
    "sadness": {4: 1.0, 1: 0.5, 15: 0.5},
    "fear": {5: 0.5, 20: 0.5, 25: 0.5, 26: 0.5},
    "anger": {4: 1.0, 7: 0.5, 23: 0.5},
    "contempt": {14: 1.0},
}
EXPERT_INTENSITY = (0.5 / 5, 1.5 / 5)
MACRO_INTENSITY = (1.5 / 5, 4.0 / 5)
MACRO_CUT = (0.25, 0.5)
MICRO_INTENSITY = (0.1, 0.3)


@dataclass(frozen=True)
class Motion:
    """What a source decides for N clips: AU vectors over UNITS, the moving side and the cut.

    onset, apex: float64 [N, U], 0 to 1. one_sided: str [N], "" or the dominant side "L" or "R". cut: float64 [N], where a longer
    expression was cut, as a fraction of it (1 = not cut).
    """

    onset: Floats
    apex: Floats
    one_sided: npt.NDArray[np.str_]
    cut: Floats


@dataclass(frozen=True)
class Priors:
    """assets/au_priors.json as arrays over EMOTIONS."""

    cumulative: npt.NDArray[np.int64]  # [E, C] running counts of the combinations, padded with the total
    active: npt.NDArray[np.bool_]  # [E, C, A] the action units of each combination
    one_sided: Floats  # [E] share of one-sided samples
    onset_to_apex_s: tuple[Floats, Floats]  # probabilities [K] from 0 to 1, and quantiles [K]
    onset_to_offset_s: tuple[Floats, Floats]


@cache
def _priors_json() -> dict[str, object]:
    text = resources.files("mie_engine").joinpath("assets/au_priors.json").read_text("utf-8")
    loaded: dict[str, object] = json.loads(text)
    return loaded


@cache
def table_sha256() -> str:
    """Identity of the AU tables a plan was made with: sha256 over the expert table and the priors, in canonical JSON."""
    text = json.dumps({"expert": EXPERT_TABLE, "priors": _priors_json()}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def priors() -> Priors:
    """The micro-expression statistics, loaded once."""
    data = _priors_json()
    classes = data["classes"]
    assert isinstance(classes, dict)
    longest = max(len(classes[emotion]["combinations"]) for emotion in EMOTIONS)
    cumulative = np.zeros((len(EMOTIONS), longest), np.int64)
    active = np.zeros((len(EMOTIONS), longest, len(AU_NUMBERS)), bool)
    for e, emotion in enumerate(EMOTIONS):
        combinations = classes[emotion]["combinations"]
        counts = list(combinations.values()) + [0] * (longest - len(combinations))
        cumulative[e] = np.cumsum(counts)
        for c, combination in enumerate(combinations):
            active[e, c, [AU_NUMBERS.index(int(number)) for number in combination.split("+")]] = True
    return Priors(
        cumulative,
        active,
        np.array([classes[emotion]["one_sided"] for emotion in EMOTIONS]),
        _quantiles_s(data["onset_to_apex_ms"]),
        _quantiles_s(data["onset_to_offset_ms"]),
    )


def _quantiles_s(percentiles: object) -> tuple[Floats, Floats]:
    """Published percentiles, carried on to 0 and 100 % with the slope of the outer pieces; a micro-expression ends by 500 ms."""
    assert isinstance(percentiles, dict)
    at = np.array([float(p) / 100 for p in percentiles])
    value = np.array([float(v) / 1000 for v in percentiles.values()])
    first = value[0] - at[0] * (value[1] - value[0]) / (at[1] - at[0])
    last = value[-1] + (1 - at[-1]) * (value[-1] - value[-2]) / (at[-1] - at[-2])
    return np.array([0.0, *at, 1.0]), np.array([first, *value, min(last, 0.5)])


@cache
def _expert_arrays() -> tuple[Index, Floats]:
    """[E, 5] position of each listed AU in AU_NUMBERS, and its probability (0 = no such entry)."""
    number, probability = np.zeros((len(EMOTIONS), 5), np.intp), np.zeros((len(EMOTIONS), 5))
    for e, emotion in enumerate(EMOTIONS):
        for k, (au, p) in enumerate(EXPERT_TABLE.get(emotion, {}).items()):
            number[e, k], probability[e, k] = AU_NUMBERS.index(au), p
    return number, probability


def expert(draws: Draws, emotion: Index, reject_empty: bool, intensity: tuple[float, float] = EXPERT_INTENSITY) -> Motion:
    """Published expert rules: from rest, each listed AU active with its probability at U(.5, 1.5) / 5, both sides alike.

    Args:
        draws: the clips' random numbers.
        emotion: [N] positions in EMOTIONS, none of them repression.
        reject_empty: fear may activate nothing (1 in 16); True draws as if such sets were drawn again until they are not empty.
        intensity: limits of the uniform intensity.
    """
    numbers, probabilities = _expert_arrays()
    number, probability = numbers[emotion], probabilities[emotion]
    if reject_empty:
        # Same distribution as drawing again, without a loop: while nothing is active, condition on something still coming.
        empty_after = np.ones(len(emotion))
        given_empty = np.zeros_like(probability)
        for k in reversed(range(probability.shape[1])):
            empty_after = empty_after * (1 - probability[:, k])
            given_empty[:, k] = probability[:, k] / np.where(empty_after < 1, 1 - empty_after, 1.0)
    lot = draws.uniform(Stream.ACTIVE, probability.shape[1])
    level = between(draws.uniform(Stream.INTENSITY, probability.shape[1]), intensity)
    per_au = np.zeros((len(emotion), len(AU_NUMBERS)))
    some = np.zeros(len(emotion), bool)
    clip = np.arange(len(emotion))
    for k in range(probability.shape[1]):
        chance = np.where(some, probability[:, k], given_empty[:, k]) if reject_empty else probability[:, k]
        active = lot[:, k] < chance
        per_au[clip[active], number[active, k]] = level[active, k]
        some |= active
    return from_rest(per_au)


def macro(draws: Draws, emotion: Index, reject_empty: bool) -> Motion:
    """A macro-expression (expert set at U(1.5, 4) / 5) reached by a ramp and cut at p ~ U(.25, .5) of it: apex = p x macro."""
    full = expert(draws, emotion, reject_empty, MACRO_INTENSITY)
    cut = between(draws.uniform(Stream.CUT, 1)[:, 0], MACRO_CUT)
    return Motion(full.onset, full.apex * cut[:, None], full.one_sided, cut)


def micro(draws: Draws, emotion: Index, other_side: tuple[float, float]) -> Motion:
    """An AU combination drawn by its count in micro-expression databases, each AU at U(.1, .3), one-sided at the published rate."""
    tables = priors()
    cumulative = tables.cumulative[emotion]
    ticket = draws.uniform(Stream.COMBINATION, 1) * cumulative[:, -1:]
    combination = np.sum(cumulative <= ticket, axis=1)
    level = between(draws.uniform(Stream.INTENSITY, len(AU_NUMBERS)), MICRO_INTENSITY)
    return one_side(draws, from_rest(np.where(tables.active[emotion, combination], level, 0.0)), emotion, other_side)


def one_side(draws: Draws, motion: Motion, emotion: Index, other_side: tuple[float, float]) -> Motion:
    """Weaken one random side to U(`other_side`) of its level, at the published rate of the emotion.

    Clips without any bilateral AU have no side to weaken and stay as they are.
    """
    lot = draws.uniform(Stream.SIDE, 3)
    bilateral = np.any(motion.apex[:, LEFT | RIGHT] > 0, axis=1)
    chosen = (lot[:, 0] < priors().one_sided[emotion]) & bilateral
    left_leads = lot[:, 1] < 0.5
    weak = between(lot[:, 2], other_side)[:, None]
    apex = np.where((chosen & left_leads)[:, None] & RIGHT, motion.apex * weak, motion.apex)
    apex = np.where((chosen & ~left_leads)[:, None] & LEFT, apex * weak, apex)
    return Motion(motion.onset, apex, np.where(chosen, np.where(left_leads, "L", "R"), ""), motion.cut)


def from_rest(per_au: Floats) -> Motion:
    """From rest to per_au [N, A], both sides alike, not cut."""
    apex = per_au[:, AU_OF_UNIT]
    clips = len(apex)
    return Motion(np.zeros((clips, len(UNITS))), apex, np.full(clips, "", "<U1"), np.ones(clips))
