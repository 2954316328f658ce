"""The engine's action-unit vocabulary: 24 FACS numbers, 40 units (L and R are the person's own left and right)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..errors import RangeError, UsageError

AU_NUMBERS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 17, 18, 20, 22, 23, 24, 25, 26, 27, 28, 43, 45)
BILATERAL = frozenset({1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 20, 24, 43, 45})
"""AUs whose two sides move alone; the others are central. 43 (closed) and 45 (blink) share geometry, and FACS keeps both."""

UNITS: tuple[str, ...] = tuple(
    name for number in AU_NUMBERS for name in ((f"AU{number}L", f"AU{number}R") if number in BILATERAL else (f"AU{number}",))
)
UNIT_INDEX: dict[str, int] = {name: index for index, name in enumerate(UNITS)}
AU_OF_UNIT: npt.NDArray[np.intp] = np.array([AU_NUMBERS.index(int(name.strip("AULR"))) for name in UNITS], np.intp)
"""[U] position in AU_NUMBERS of every unit: `per_au[:, AU_OF_UNIT]` spreads a per-AU array over the units."""
LEFT: npt.NDArray[np.bool_] = np.array([name.endswith("L") for name in UNITS])
RIGHT: npt.NDArray[np.bool_] = np.array([name.endswith("R") for name in UNITS])

OPENFACE_AUS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
"""The 17 intensities OpenFace writes, in its order: the AU vector of MiE-X."""

_NAME = re.compile(r"AU0*([1-9][0-9]?)([LR]?)", re.IGNORECASE)


def units_of(name: str) -> tuple[int, ...]:
    """Positions in UNITS that `name` sets: "AU12" both sides, "AU12L" one, "AU17" the only one there is.

    Raises:
        UsageError: no such action unit, or a side asked of a central one; the nearest names are suggested.
    """
    match = _NAME.fullmatch(name) if isinstance(name, str) else None
    number = int(match[1]) if match else 0
    if match is None or number not in AU_NUMBERS:
        known = [f"AU{n}" for n in AU_NUMBERS] + [unit for unit in UNITS if unit[-1] in "LR"]
        close = difflib.get_close_matches(str(name).upper()[:40], known, 3, 0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else "write the FACS number as in AU12 or AU12L."
        raise UsageError(f"unknown action unit {str(name)[:40]!r}: {hint} Known: {', '.join(f'AU{n}' for n in AU_NUMBERS)}.")
    side = match[2].upper()
    if number not in BILATERAL:
        if side:
            raise UsageError(f"{name!r} asks for one side, but AU{number} is central: write AU{number}.")
        return (UNIT_INDEX[f"AU{number}"],)
    return tuple(UNIT_INDEX[f"AU{number}{s}"] for s in (side or "LR"))


def parse(intensities: Mapping[str, float]) -> npt.NDArray[np.float64]:
    """Turn {"AU12": .25, "AU6L": .1} into a vector over UNITS.

    Args:
        intensities: action unit -> intensity in [0, 1]; a name without a side sets both.

    Returns:
        float64 [U], zero where nothing was said.

    Raises:
        UsageError: unknown name, a unit set twice (as by "AU12" and "AU12L"), or an intensity that is not a number.
        RangeError: an intensity that is not finite or lies outside [0, 1].
    """
    if not isinstance(intensities, Mapping):
        raise UsageError(f"action units are {type(intensities).__name__}, expected a mapping such as {{'AU12': 0.25}}.")
    vector = np.zeros(len(UNITS))
    said: dict[int, str] = {}
    for name, intensity in intensities.items():
        if isinstance(intensity, (bool, np.bool_)) or not isinstance(intensity, (int, float, np.integer, np.floating)):
            raise UsageError(f"{name}: intensity is {type(intensity).__name__}, expected a number in [0, 1].")
        if not 0 <= intensity <= 1:  # also refuses NaN
            scale = "; FACS A-E and OpenFace intensities are 0 to 5: divide by 5" if 1 < intensity <= 5 else ""
            raise RangeError(f"{name}: intensity is {str(intensity)[:20]}, allowed is 0 to 1{scale}.")
        for unit in units_of(name):
            if unit in said:
                raise UsageError(f"{UNITS[unit]} is set twice, by {said[unit]!r} and {name!r}: give each side once.")
            said[unit] = name
            vector[unit] = intensity
    return vector


def named(vector: npt.NDArray[np.float64]) -> dict[str, float]:
    """The inverse of `parse` for a vector [U] over UNITS: its non-zero units, two equal sides under one name."""
    found: dict[str, float] = {}
    for number in AU_NUMBERS:
        name = f"AU{number}"
        values = [float(vector[unit]) for unit in units_of(name)]
        if len(set(values)) == 1:
            found[name] = values[0]
        else:
            found[f"{name}L"], found[f"{name}R"] = values
    return {name: value for name, value in found.items() if value}
