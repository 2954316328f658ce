"""Strict frozen records: fields are checked against their annotations, written as canonical JSON and read back without leniency."""

from __future__ import annotations

import dataclasses
import json
import math
import numbers
import operator
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Protocol, TypeVar, get_args, get_origin, get_type_hints

from ..errors import PlanError, RangeError, UsageError


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


R = TypeVar("R", bound=_Dataclass)


@dataclass(frozen=True)
class Between:
    """Allowed limits of a number, of both ends of a (low, high) pair, or of the length of a string."""

    low: float
    high: float


@dataclass(frozen=True)
class OneOf:
    """Allowed strings or numbers."""

    values: tuple[Any, ...]


LATER: dict[str, None] = {"added_later": None}  # metadata of a field, None by default: while it is None, the JSON is as before it was there


@cache
def _added_later(kind: type) -> frozenset[str]:
    return frozenset(field.name for field in dataclasses.fields(kind) if "added_later" in field.metadata)


@cache
def _fields(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def settle(record: _Dataclass) -> None:
    """Check and normalise every field of a frozen dataclass in place (call it from `__post_init__`).

    Raises:
        UsageError: a value of the wrong type.
        RangeError: a value outside the limits of its annotation.
    """
    for name, hint in _fields(type(record)).items():
        object.__setattr__(record, name, _settled(f"{type(record).__name__}.{name}", getattr(record, name), hint))


def _settled(where: str, value: Any, hint: Any) -> Any:
    rules: tuple[Any, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *extras = get_args(hint)
        rules = tuple(extras)
    if get_origin(hint) is UnionType:
        kinds = [kind for kind in get_args(hint) if kind is not NoneType]
        return None if value is None else _settled(where, value, kinds[0])
    if get_origin(hint) is tuple:
        return _tuple(where, value, get_args(hint), rules)
    if hint is float:
        value = _float(where, value)
    elif hint is int:
        value = _int(where, value)
    elif type(value) is not hint:
        raise UsageError(f"{where} is {_shown(value)}, expected {hint.__name__}.")
    for rule in rules:
        _obey(where, value, rule)
    return value


def _tuple(where: str, value: Any, kinds: tuple[Any, ...], rules: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(value, (tuple, list)):
        raise UsageError(f"{where} is {_shown(value)}, expected a list.")
    open_ended = len(kinds) == 2 and kinds[1] is Ellipsis
    if not open_ended and len(value) != len(kinds):
        raise UsageError(f"{where} has {len(value)} entries, expected {len(kinds)}.")
    each = (kinds[0],) * len(value) if open_ended else kinds
    settled = tuple(_settled(f"{where}[{k}]", v, kind) for k, (v, kind) in enumerate(zip(value, each, strict=True)))
    for rule in rules:
        for k, v in enumerate(settled):
            _obey(f"{where}[{k}]", v, rule)
    if kinds == (float, float) and settled[0] > settled[1]:
        raise RangeError(f"{where} is {list(settled)}: give the lower limit first.")
    return settled


def _float(where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise UsageError(f"{where} is {_shown(value)}, expected a number.")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise RangeError(f"{where} is {_shown(value)}: give a finite number.")
    return number + 0.0  # -0.0 and 0.0 are one value and must hash alike


def _int(where: str, value: Any) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise UsageError(f"{where} is {_shown(value)}, expected an integer.") from None


def _obey(where: str, value: Any, rule: Any) -> None:
    if isinstance(rule, OneOf) and value not in rule.values:
        raise UsageError(f"{where} is {_shown(value)}, allowed are {', '.join(map(str, rule.values))}.")
    if isinstance(rule, Between):
        number, unit = (len(value), " characters") if isinstance(value, str) else (value, "")
        if not rule.low <= number <= rule.high:
            shown = f"{number}{unit}" if unit else _shown(value)
            raise RangeError(f"{where} is {shown}, allowed is {rule.low:.16g} to {rule.high:.16g}{unit}.")


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python prints
        text = "a huge integer"
    return text if len(text) <= 60 else text[:57] + "..."


def to_json(record: _Dataclass) -> str:
    """Canonical JSON: sorted keys, no spaces, shortest round-trip floats, ASCII."""
    return json.dumps(_plain(record), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        later = _added_later(type(value))
        return {name: _plain(v) for name in _fields(type(value)) if (v := getattr(value, name)) is not None or name not in later}
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def parse_json(text: str | bytes) -> Any:
    """JSON without Python's leniency: no NaN or Infinity, no key twice.

    Raises:
        PlanError: not such JSON.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as problem:
        if isinstance(problem, PlanError):
            raise
        raise PlanError(f"not valid JSON ({str(problem)[:120]}): use a plan as it was written.") from problem


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise PlanError("a JSON key appears twice: use a plan as it was written.")
    return found


def _no_constant(name: str) -> Any:
    raise PlanError(f"{name} is not JSON: use a plan as it was written.")


def from_plain(kind: type[R], value: Any, where: str = "plan") -> R:
    """Build a record from parsed JSON; every field must be there, and nothing else.

    Raises:
        PlanError: unknown or missing key, wrong type or value out of range.
    """
    fields = _fields(kind)
    if not isinstance(value, dict):
        raise PlanError(f"{where} is {_shown(value)}, expected an object.")
    if unknown := sorted(set(value) - set(fields)):
        raise PlanError(f"{where} has the unknown key {unknown[0][:40]!r}: this program knows {', '.join(sorted(fields))}.")
    if missing := sorted(set(fields) - set(value) - _added_later(kind)):
        raise PlanError(f"{where} lacks the key {missing[0]!r}: use a plan as it was written.")
    try:
        return kind(**{name: _built(value[name], fields[name], f"{where}.{name}") for name in fields if name in value})
    except UsageError as problem:
        raise PlanError(f"{where} cannot be used: {problem} Correct the file or make the plan again.") from problem


def _built(value: Any, hint: Any, where: str) -> Any:
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) is UnionType:
        return None if value is None else _built(value, get_args(hint)[0], where)
    if get_origin(hint) is tuple and dataclasses.is_dataclass(get_args(hint)[0]) and isinstance(value, list):
        return tuple(_built(v, get_args(hint)[0], f"{where}[{k}]") for k, v in enumerate(value))
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return from_plain(hint, value, where)
    return value
