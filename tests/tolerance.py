"""How closely results must agree where bytes are not promised: one table, with reasons."""

from __future__ import annotations

from typing import NamedTuple


class Tolerance(NamedTuple):
    """Limits of absolute differences."""

    mean: float
    most: float  # of all but `outliers`
    outliers: float  # share of values that may differ by more
    reason: str


FLOW_PATHS = Tolerance(
    0.0015,
    0.02,
    0.006,
    "px, cpu to ref: derivatives and tensors are 16-bit integers on the cpu; where f is near n + 1/2, rounding it the other way changes "
    "the linearisation by up to 0.1 px; at a jump of the flow a pixel whose two sides match alike may take the other one",
)
FLOW_LEVELS = Tolerance(1e-6, 1e-5, 0.0005, "px, between instruction sets: the order of float sums, and what FLOW_PATHS says of ties")
FLOW_FLIP = Tolerance(0.0002, 0.002, 0.001, "px, mirrored frames to mirrored flow: the order of float sums, and ties")
FLOW_GAIN = Tolerance(0.008, 0.15, 0.005, "px, later frame 10 % brighter: rounding to 8 bits differs, and clipping at 255")
FLOW_SHIFT = Tolerance(0.004, 0.1, 0.001, "px, whole-pixel shift, away from the border: what is shifted in at the other side still tells")
