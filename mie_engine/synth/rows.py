"""Rows: what every clip of a range shows and when, drawn at once for the whole range."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from . import sources
from .action_units import AU_NUMBERS, AU_OF_UNIT
from .draws import Draws, Floats, Stream, between, quantile_of
from .sources import EMOTIONS, LABEL3, LABEL7, NEGATIVE, Index, Motion
from .timeline import apex_frames

if TYPE_CHECKING:
    from .au_csv import AuTable
    from .plan import Plan

DRIFT_KNOTS = 4
# The rank of the duration follows the rank of the rise within this distance, folded back at the ends. Folding keeps both
# published distributions exact, and at 0.3 no rise comes within 20 ms of its own offset.
RANK_SPREAD = 0.3


@dataclass(frozen=True)
class Rows:
    """N clips of a plan.

    index: int64 [N]. key: str [N], nine digits or more. identity: int64 [N], position in plan.identities. label3: int8 [N], 0 negative,
    1 positive, 2 surprise. label7: int8 [N], position in sources.EMOTIONS, -1 for none. emotion, source: str [N] (emotion "" where a
    table names only the class). onset, apex: float64 [N, U] over action_units.UNITS. one_sided: str [N], "", "L" or "R", the side that
    leads. cut: float64 [N], where a longer expression was cut (1 = not). onset_to_apex_s, duration_s: float64 [N]. apex_frame: int64
    [N]. phase: float64 [N, U], lead (> 0) or lag of a unit's half-way time as a fraction of its ramp. residual: float64 [N], motion
    left in the last frame. drift: float64 [N, 4, 4], knots of x px, y px, roll rad, log scale.
    """

    index: npt.NDArray[np.int64]
    key: npt.NDArray[np.str_]
    identity: npt.NDArray[np.int64]
    label3: npt.NDArray[np.int8]
    label7: npt.NDArray[np.int8]
    emotion: npt.NDArray[np.str_]
    source: npt.NDArray[np.str_]
    onset: Floats
    apex: Floats
    one_sided: npt.NDArray[np.str_]
    cut: Floats
    onset_to_apex_s: Floats
    duration_s: Floats
    apex_frame: npt.NDArray[np.int64]
    phase: Floats
    residual: Floats
    drift: Floats

    def __len__(self) -> int:
        return len(self.index)

    def of(self, part: slice) -> Rows:
        """The same for some of the clips."""
        return Rows(**{field.name: getattr(self, field.name)[part] for field in fields(self)})


def draw_rows(plan: Plan, index: npt.NDArray[np.int64], table: AuTable | None) -> Rows:
    """Draw the clips `index` (int64 [N]) of a plan; every value depends on (plan, clip number) alone."""
    draws = Draws(plan.seed, index)
    by_recipe = plan.content == "features"
    cell = index % (plan.balance if by_recipe else plan.balance * len(plan.sources))
    klass = (cell % plan.balance).astype(np.intp)
    if by_recipe:
        emotion = _emotions(plan, draws, klass, np.ones(len(index), bool))
        from_priors = (draws.uniform(Stream.SOURCE, 1)[:, 0] < plan.nuisance.prior_share) | (emotion == EMOTIONS.index("repression"))
        source = np.where(from_priors, plan.sources.index("micro"), plan.sources.index("expert"))
    else:
        source = cell // plan.balance
        emotion = _emotions(plan, draws, klass, np.array(plan.sources)[source] == "micro")
    label3 = LABEL3[emotion]
    motion = sources.from_rest(np.zeros((len(index), len(AU_NUMBERS))))
    turn = (index // (plan.balance * len(plan.sources))).astype(np.intp)
    for k, name in enumerate(plan.sources):
        chosen = source == k
        if not np.any(chosen):
            continue
        if name == "au_csv":
            assert table is not None
            part, label3[chosen], emotion[chosen] = table.motion(draws.of(chosen), klass[chosen], turn[chosen], plan.balance)
        else:
            part = _motion(plan, name, draws.of(chosen), emotion[chosen])
        _put(motion, chosen, part)
    onset_to_apex_s, duration_s = _timing(draws)
    return Rows(
        index=index,
        key=np.array([f"{i:09d}" for i in index.tolist()], np.str_),
        identity=index * len(plan.identities) // plan.clips,
        label3=label3,
        label7=np.where(emotion >= 0, LABEL7[emotion], -1).astype(np.int8),
        emotion=np.array([*EMOTIONS, ""])[emotion],
        source=np.array(plan.sources)[source],
        onset=motion.onset,
        apex=motion.apex,
        one_sided=motion.one_sided,
        cut=motion.cut,
        onset_to_apex_s=onset_to_apex_s,
        duration_s=duration_s,
        apex_frame=apex_frames(onset_to_apex_s, duration_s, plan.frames),
        phase=between(draws.uniform(Stream.PHASE, len(AU_NUMBERS)), (-plan.phase, plan.phase))[:, AU_OF_UNIT],
        residual=between(draws.uniform(Stream.TIMING, 3)[:, 2], (0.0, plan.residual)),
        drift=_drift(plan, draws),
    )


def _emotions(plan: Plan, draws: Draws, klass: Index, knows_repression: npt.NDArray[np.bool_]) -> Index:
    """Emotion of each clip: its class itself, or for the class negative one drawn by the plan's weights."""
    if plan.balance == 7:
        return klass
    weights = np.array([getattr(plan.negative_weights, emotion) for emotion in NEGATIVE])
    without = np.where(np.array(NEGATIVE) == "repression", 0.0, weights)
    running = np.where(knows_repression[:, None], np.cumsum(weights), np.cumsum(without))
    lot = draws.uniform(Stream.EMOTION, 1) * running[:, -1:]
    negative = EMOTIONS.index(NEGATIVE[0]) + np.sum(running <= lot, axis=1)
    return np.where(klass == 0, negative, np.where(klass == 1, EMOTIONS.index("happiness"), EMOTIONS.index("surprise")))


def _motion(plan: Plan, source: str, draws: Draws, emotion: Index) -> Motion:
    if source == "micro":
        return sources.micro(draws, emotion, plan.other_side)
    if source == "macro":
        return sources.macro(draws, emotion, plan.reject_empty)
    motion = sources.expert(draws, emotion, plan.reject_empty)
    # Exactly as published for clips and pairs; the features recipe makes every source one-sided at the emotion's rate.
    return sources.one_side(draws, motion, emotion, plan.other_side) if plan.content == "features" else motion


def _put(motion: Motion, chosen: npt.NDArray[np.bool_], part: Motion) -> None:
    motion.onset[chosen], motion.apex[chosen] = part.onset, part.apex
    motion.one_sided[chosen], motion.cut[chosen] = part.one_sided, part.cut


def _timing(draws: Draws) -> tuple[Floats, Floats]:
    tables = sources.priors()
    lot = draws.uniform(Stream.TIMING, 2)
    rank = lot[:, 0] + between(lot[:, 1], (-RANK_SPREAD, RANK_SPREAD))
    rank = np.where(rank < 0, -rank, np.where(rank > 1, 2 - rank, rank))
    return quantile_of(lot[:, 0], *tables.onset_to_apex_s), quantile_of(rank, *tables.onset_to_offset_s)


def _drift(plan: Plan, draws: Draws) -> Floats:
    amplitude = np.array([plan.drift.translation_px, plan.drift.translation_px, plan.drift.roll_rad, plan.drift.log_scale])
    knots = between(draws.uniform(Stream.DRIFT, 4 * DRIFT_KNOTS), (-1.0, 1.0))
    scaled: Floats = knots.reshape(-1, DRIFT_KNOTS, 4) * amplitude
    return scaled
