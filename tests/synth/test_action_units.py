"""The vocabulary of action units and what its parser accepts and refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mie_engine.errors import MieError, RangeError, UsageError
from mie_engine.synth.action_units import AU_NUMBERS, AU_OF_UNIT, BILATERAL, LEFT, OPENFACE_AUS, RIGHT, UNITS, named, parse, units_of


def test_vocabulary() -> None:
    assert len(AU_NUMBERS) == 24
    assert len(UNITS) == 40 == len(set(UNITS))
    assert UNITS[:3] == ("AU1L", "AU1R", "AU2L")
    assert len(OPENFACE_AUS) == 17
    assert set(OPENFACE_AUS) <= set(AU_NUMBERS)
    assert LEFT.sum() == RIGHT.sum() == len(BILATERAL) == 16
    assert [f"AU{AU_NUMBERS[k]}" for k in AU_OF_UNIT] == [name.rstrip("LR") for name in UNITS]


def test_parse_spreads_and_names_back() -> None:
    vector = parse({"AU12": 0.25, "AU6L": 0.1, "au01r": 1, "AU17": np.float32(0.5)})
    assert vector.dtype == np.float64
    assert {UNITS[k]: vector[k] for k in np.flatnonzero(vector)} == {"AU1R": 1, "AU6L": 0.1, "AU12L": 0.25, "AU12R": 0.25, "AU17": 0.5}
    assert named(vector) == {"AU1R": 1.0, "AU6L": 0.1, "AU12": 0.25, "AU17": 0.5}
    assert not parse({}).any()


@pytest.mark.parametrize(
    ("given_units", "error", "message"),
    [
        ({"AU13": 0.1}, UsageError, "did you mean AU1"),
        ({"smile": 0.1}, UsageError, "write the FACS number"),
        ({"AU17L": 0.1}, UsageError, "central: write AU17"),
        ({"AU12": 0.1, "AU12L": 0.2}, UsageError, "AU12L is set twice"),
        ({"AU12": 1.5}, RangeError, "divide by 5"),
        ({"AU12": -0.1}, RangeError, "allowed is 0 to 1"),
        ({"AU12": math.nan}, RangeError, "is nan"),
        ({"AU12": math.inf}, RangeError, "is inf"),
        ({"AU12": 10**400}, RangeError, "allowed is 0 to 1"),
        ({"AU12": "0.1"}, UsageError, "is str"),
        ({"AU12": True}, UsageError, "is bool"),
        ({12: 0.1}, UsageError, "unknown action unit"),
        ([("AU12", 0.1)], UsageError, "expected a mapping"),
    ],
)
def test_refusals_say_what_to_do(given_units: object, error: type[MieError], message: str) -> None:
    with pytest.raises(error, match=message):
        parse(given_units)  # type: ignore[arg-type]


@given(st.text(max_size=12))
def test_any_text_is_known_or_refused(name: str) -> None:
    try:
        found = units_of(name)
    except UsageError:
        return
    assert 1 <= len(found) <= 2


@given(st.dictionaries(st.sampled_from(UNITS), st.floats(0, 1), max_size=20))
def test_named_inverts_parse(units: dict[str, float]) -> None:
    assert np.array_equal(parse(named(parse(units))), parse(units))
