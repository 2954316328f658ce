"""Contract checks: each says what was given, what is allowed and what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import RangeError, ShapeError, UsageError


def shape(name: str, array: Any, pattern: str, *, dtype: str, hint: str = "") -> tuple[int, ...]:
    """Require a NumPy array of a dtype and a shape such as "[T, 3, H, W]", where letters stand for any size of at least 1.

    Returns:
        The sizes, all of them, in order.

    Raises:
        ShapeError: not an array, another dtype, another shape.
    """
    advice = f"; {hint}" if hint else ""
    if not isinstance(array, np.ndarray):
        raise ShapeError(f"{name} is a {type(array).__name__}, expected a NumPy array {dtype} {pattern}{advice}")
    if array.dtype != np.dtype(dtype):
        raise ShapeError(f"{name} is {array.dtype}, expected {dtype}{advice}")
    sides = re.findall(r"\w+", pattern)
    fits = array.ndim == len(sides) and all(
        size == int(side) if side.isdigit() else size >= 1 for size, side in zip(array.shape, sides, strict=True)
    )
    if not fits:
        raise ShapeError(f"{name} has shape {list(array.shape)}, expected {pattern}{advice}")
    return tuple(array.shape)


def between(name: str, value: Any, low: float, high: float, hint: str = "") -> float:
    """Require a finite real number of low..high; returns it as float. Raises RangeError."""
    advice = f"; {hint}" if hint else ""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise RangeError(f"{name} is {value!r}, expected a number of {low:g}..{high:g}{advice}")
    if not low <= value <= high:  # also refuses NaN
        raise RangeError(f"{name} is {value}, allowed is {low:g}..{high:g}{advice}")
    return float(value)


def integer(name: str, value: Any, low: int, high: int, hint: str = "") -> int:
    """Require a whole number of low..high; returns it as int. Raises RangeError."""
    advice = f"; {hint}" if hint else ""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise RangeError(f"{name} is {value!r}, expected a whole number of {low}..{high}{advice}")
    if not low <= value <= high:
        raise RangeError(f"{name} is {value}, allowed is {low}..{high}{advice}")
    return int(value)


def one_of(name: str, value: Any, allowed: Sequence[str]) -> str:
    """Require one of the allowed words; returns it. Raises UsageError."""
    if not isinstance(value, str) or value not in allowed:
        raise UsageError(f"{name} is {value!r}, allowed are {', '.join(allowed)}")
    return value
