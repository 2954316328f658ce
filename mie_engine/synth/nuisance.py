"""What real recordings add to an expression: the `features` recipe, whose every number is a named field of the plan.

Relative amounts are fractions of the clip's own peak motion; px of the patch and noise blur are those of the 56x56 lattice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np

from ..errors import UsageError
from .action_units import AU_NUMBERS, AU_OF_UNIT, LEFT
from .draws import Draws, Floats, Stream, between, normal_of
from .record import Between, settle

if TYPE_CHECKING:
    from .plan import Plan
    from .rows import Rows

Share = Annotated[float, Between(0, 1)]
Gain = Annotated[tuple[float, float], Between(0, 3)]
Sigma = Annotated[float, Between(0, 2)]

RELATIVE = ("AU45L", "AU45R", "yaw", "pitch", "tx", "ty", "roll", "scale")


@dataclass(frozen=True)
class Nuisance:
    """Parameters of the `features` recipe; pairs are the limits of a uniform draw, sigmas those of a normal one."""

    prior_share: Share = 0.7  # clips from the micro statistics; the others follow the expert table
    side_gain: Gain = (0.4, 1.6)
    twitch_share: Share = 0.5
    twitch_aus: tuple[int, ...] = (1, 2, 4, 5, 6, 7, 9, 14, 17, 24)
    twitch_intensity: Annotated[tuple[float, float], Between(0, 1)] = (0.1, 0.3)
    twitch_gain: Gain = (0.1, 0.6)
    twitch_side_gain: Gain = (0.3, 1.2)
    blink_share: Share = 0.8
    blink_level: Annotated[tuple[float, float], Between(-3, 3)] = (-2.0, 3.0)
    blink_side_gain: Annotated[tuple[float, float], Between(0, 2)] = (0.7, 1.3)
    yaw_sigma: Sigma = 0.2
    pitch_sigma: Sigma = 0.2
    translation_sigma: Sigma = 0.08
    roll_sigma: Sigma = 0.05
    scale_sigma: Sigma = 0.05
    geometry_scale: Annotated[tuple[float, float], Between(0.5, 2)] = (0.92, 1.08)
    geometry_shift_sigma_px: Annotated[float, Between(0, 8)] = 0.6  # at 28x28
    patch_strength: Share = 0.4
    patch_sigma_px: Annotated[tuple[float, float], Between(0.3, 8)] = (1.5, 4.0)
    noise_sigma_px: Annotated[tuple[float, float], Between(0.3, 8)] = (0.8, 3.0)
    noise_level: Annotated[tuple[float, float], Between(0, 1)] = (0.05, 0.2)

    def __post_init__(self) -> None:
        settle(self)
        unknown = [number for number in self.twitch_aus if number not in AU_NUMBERS]
        if unknown or not self.twitch_aus or len(set(self.twitch_aus)) != len(self.twitch_aus):
            raise UsageError(f"Nuisance.twitch_aus is {list(self.twitch_aus)[:30]}: list known action units, each once, at least one.")


@dataclass(frozen=True)
class Nuisances:
    """The drawn nuisances of N clips.

    apex: float64 [N, U], 0 to 1: the rows' apex with per-side gains and the twitch. relative: float64 [N, 8] in the order of RELATIVE,
    fractions of the peak motion. geometry: float64 [N, 4] scale x, scale y, shift x, shift y (px at 28x28). patch_sigma_px,
    noise_sigma_px: float64 [N], px at 56x56. noise_level: float64 [N], fraction of the peak.
    """

    apex: Floats
    relative: Floats
    geometry: Floats
    patch_sigma_px: Floats
    noise_sigma_px: Floats
    noise_level: Floats


def nuisance(plan: Plan, rows: Rows) -> Nuisances:
    """Draw the nuisances of `rows` (see Nuisances); like the rows, a pure function of (plan, clip).

    Raises:
        UsageError: the plan's content is not `features`.
    """
    if plan.content != "features":
        raise UsageError(f"nuisances belong to content 'features', the plan makes {plan.content!r}: use timeline.intensity and pose.")
    recipe, draws = plan.nuisance, Draws(plan.seed, rows.index)
    flow = draws.uniform(Stream.FLOW_NOISE, 3)
    return Nuisances(
        apex=_moved(recipe, draws, rows.apex),
        relative=np.concatenate([_blink(recipe, draws), _head(recipe, draws)], axis=1),
        geometry=_geometry(recipe, draws),
        patch_sigma_px=between(flow[:, 0], recipe.patch_sigma_px),
        noise_sigma_px=between(flow[:, 1], recipe.noise_sigma_px),
        noise_level=between(flow[:, 2], recipe.noise_level),
    )


def _moved(recipe: Nuisance, draws: Draws, apex: Floats) -> Floats:
    gained = apex * between(draws.uniform(Stream.SIDE_GAIN, apex.shape[1]), recipe.side_gain)
    lot = draws.uniform(Stream.TWITCH, 6)
    level = between(lot[:, 2], recipe.twitch_intensity) * between(lot[:, 3], recipe.twitch_gain)
    level = np.where(lot[:, 0] < recipe.twitch_share, level, 0.0)
    numbers = np.array([AU_NUMBERS.index(number) for number in recipe.twitch_aus])
    chosen = numbers[(lot[:, 1] * len(numbers)).astype(np.intp)][:, None] == AU_OF_UNIT
    side = between(lot[:, 4:6], recipe.twitch_side_gain)
    gain = np.where(LEFT, side[:, :1], side[:, 1:])
    return np.minimum(gained + np.where(chosen, level[:, None] * gain, 0.0), 1.0)


def _blink(recipe: Nuisance, draws: Draws) -> Floats:
    lot = draws.uniform(Stream.BLINK, 4)
    level = np.where(lot[:, 0] < recipe.blink_share, between(lot[:, 1], recipe.blink_level), 0.0)
    return level[:, None] * between(lot[:, 2:4], recipe.blink_side_gain)


def _head(recipe: Nuisance, draws: Draws) -> Floats:
    across = recipe.translation_sigma
    sigma: Floats = np.array([recipe.yaw_sigma, recipe.pitch_sigma, across, across, recipe.roll_sigma, recipe.scale_sigma])
    return draws.normal(Stream.HEAD, 6) * sigma


def _geometry(recipe: Nuisance, draws: Draws) -> Floats:
    lot = draws.uniform(Stream.GEOMETRY, 4)
    shift = normal_of(lot[:, 2:]) * recipe.geometry_shift_sigma_px
    return np.concatenate([between(lot[:, :2], recipe.geometry_scale), shift], axis=1)
