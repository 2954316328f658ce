"""features: every instruction set equals the definition byte for byte; statistics of the nuisances; switched off they leave no trace."""

from __future__ import annotations

import math

import numpy as np
import pytest
from nodes import motion

from mie_engine import _core
from mie_engine.errors import BackendError, RangeError, ShapeError, UsageError
from mie_engine.kernels.render import features as module
from mie_engine.kernels.render import ref_features
from mie_engine.kernels.render.features import FEATURES, features

SIDE = 28


def push_basis(rng: np.random.Generator, channels: int, gh: int, gw: int, peak_px: float, fields: int = 2) -> np.ndarray:
    """One Gaussian push per channel, Q9 px."""
    y, x = np.mgrid[:gh, :gw] * 4.0 - 0.5
    basis = np.zeros((channels, fields, gh, gw), np.int16)
    for k in range(channels):
        angle, sigma = rng.uniform(0, 2 * math.pi), rng.uniform(6, 20)
        push = np.exp(-((x - rng.uniform(0, 4 * gw)) ** 2 + (y - rng.uniform(0, 4 * gh)) ** 2) / (2 * sigma**2))
        basis[k, :2] = np.rint(512 * peak_px * push * np.array([math.cos(angle), math.sin(angle)])[:, None, None])
    return basis


def case(seed: int, count: int = 3, *, relative: bool = True, patch: bool = True, noise: bool = True) -> dict:
    """Arguments of features: 9 channels, of which 3 carry the expression and 4 the relative nuisances."""
    rng = np.random.default_rng(seed)
    gh, gw = int(rng.integers(12, 60)), int(rng.integers(12, 60))
    basis = push_basis(rng, 9, gh, gw, rng.uniform(2, 20), int(rng.integers(2, 4)))
    coefficients = np.zeros((count, 9), np.int16)
    coefficients[:, :3] = rng.integers(-1600, 1601, (count, 3))
    fractions = np.zeros((count, 9), np.int16)
    fractions[:, 3:7] = rng.integers(-8000, 8001, (count, 4))
    step_x, step_y, skew = (gw - 1) * 4 / 56, (gh - 1) * 4 / 56, rng.uniform(-0.4, 0.4)
    place = np.array([rng.uniform(-9, 9), rng.uniform(-9, 9), step_x, skew, -skew, step_y]) * 65536
    turn = np.linalg.inv(np.array([[step_x, skew], [-skew, step_y]])).ravel() * 4096
    arguments = {
        "basis": basis,
        "coefficients": coefficients,
        "lattice": np.tile(np.rint(place).astype(np.int32), (count, 1)),
        "turn": np.tile(np.rint(turn).astype(np.int16), (count, 1)),
        "keys": rng.integers(0, 2**32, (count, 2), dtype=np.uint32),
    }
    if relative:
        peaks = np.sqrt((basis[:, :2].astype(float) ** 2).sum(1).max((1, 2))) / 4
        arguments |= {"relative": fractions, "channel_peak_q7": np.maximum(np.rint(peaks), 1).astype(np.int32)}
    if patch:
        arguments |= {"patch_sigma": rng.uniform(1.5, 4, count), "patch_strength": 0.4}
    if noise:
        arguments |= {"noise_sigma": rng.uniform(0.8, 3, count), "noise_level": rng.uniform(0.05, 0.2, count)}
    return arguments


def wild_case(seed: int) -> dict:
    """Everything at the edge of its range: folds, saturation, far lattices, strong gain and noise."""
    rng = np.random.default_rng(seed)
    arguments = case(seed)
    arguments["basis"] = rng.integers(-32768, 32768, arguments["basis"].shape).astype(np.int16)
    arguments["coefficients"] = rng.integers(-3640, 3641, (3, 9)).astype(np.int16)
    arguments["relative"] = rng.integers(-32768, 32768, (3, 9)).astype(np.int16)
    arguments["channel_peak_q7"] = rng.choice(np.array([1, 700, 2**31 - 1], np.int32), 9)
    arguments["lattice"] = rng.integers(-(2**23), 2**23, (3, 6)).astype(np.int32)
    arguments["turn"] = rng.choice(np.array([-32768, 0, 32767], np.int16), (3, 4))
    return arguments | {"patch_strength": 1.0, "patch_sigma": np.full(3, 4.0), "noise_level": np.ones(3)}


def checked_batch(arguments: dict) -> ref_features.Batch:
    """What the backends receive."""
    received = []
    original = FEATURES.run
    FEATURES.run = lambda batch, backend: received.append(batch)
    try:
        features(**arguments)
    finally:
        FEATURES.run = original
    return received[0]


def assert_levels_equal_reference(arguments: dict, seed: int) -> None:
    batch = checked_batch(arguments)
    maps, ranges = ref_features.features(batch)
    for name in _core.simd_levels():
        got_maps, got_ranges = _core.features(*batch, level=name)
        assert got_ranges.tobytes() == ranges.tobytes(), f"ranges, {name}, seed {seed}"
        assert got_maps.tobytes() == maps.tobytes(), f"maps, {name}, seed {seed}"


@pytest.mark.parametrize("seed", range(8))
def test_equals_reference(seed):
    assert_levels_equal_reference(case(seed, relative=bool(seed & 1), patch=bool(seed & 2), noise=bool(seed & 4)), seed)


@pytest.mark.parametrize("seed", range(4))
def test_equals_reference_at_the_edges(seed):
    assert_levels_equal_reference(wild_case(seed), seed)


@pytest.mark.slow
def test_equals_reference_many():
    for seed in range(100, 200):
        assert_levels_equal_reference(case(seed) if seed % 3 else wild_case(seed), seed)


def unit_fields(count: int, sigma: float, kind: int = 0) -> np.ndarray:
    weights = module._blur_weights("patch_sigma", np.array([sigma]), 1)[0]
    return np.stack([ref_features.random_field(np.array([11, n], np.uint32), kind, weights) for n in range(count)]) / 4096


@pytest.mark.parametrize(("sigma", "count"), [(0.8, 120), (1.5, 300), (3.0, 900)])
def test_random_fields_have_unit_variance_everywhere(sigma, count):
    fields = unit_fields(count, sigma)
    assert abs(fields.mean()) < 0.03
    assert abs(fields.var() - 1) < 0.03
    border = np.concatenate([fields[:, :4].ravel(), fields[:, :, -4:].ravel()])
    assert abs(border.var() - 1) < 0.08  # fewer independent values
    one_apart = (fields * np.roll(fields, 1, 2)).mean()
    assert abs(one_apart - math.exp(-1 / (4 * sigma**2))) < 0.05  # correlation of white noise blurred by a Gaussian


def test_fields_of_different_kind_and_key_are_independent():
    u, v = unit_fields(100, 1.0, 1), unit_fields(100, 1.0, 2)
    assert abs((u * v).mean()) < 0.02
    assert abs((u[1:] * u[:-1]).mean()) < 0.02


def test_patchy_gain_has_the_mean_of_its_lognormal():
    gain = ref_features.gain_of(np.rint(unit_fields(300, 1.5) * 4096).astype(np.int64), round(0.4 * math.log2(math.e) * 4096)) / 16384
    assert abs(gain.mean() / math.exp(0.08 - 0.4) - 1) < 0.02
    exact = np.exp(0.4 * (np.arange(-3, 4) - 1))
    got = ref_features.gain_of(np.arange(-3, 4) * 4096, round(0.4 * math.log2(math.e) * 4096)) / 16384
    assert np.abs(got / exact - 1).max() < 1e-3


def test_flow_noise_has_the_level_asked_for():
    arguments = case(2, count=40, patch=False, relative=False)
    arguments["noise_level"] = np.full(40, 0.1)
    arguments["noise_sigma"] = np.full(40, 1.0)
    noisy, plain = checked_batch(arguments), checked_batch(arguments | {"noise_level": None, "noise_sigma": None})
    ratios = []
    for n in range(40):
        flow = ref_features.lattice_flow(plain, n)
        peak = math.sqrt((flow**2).sum(0).max())
        ratios.append((ref_features.lattice_flow(noisy, n) - flow).std() / peak)
    assert abs(np.mean(ratios) - 0.1) < 0.003


def test_nuisances_that_are_off_leave_no_trace():
    arguments = case(4, relative=False, patch=False, noise=False)
    plain_maps, plain_ranges = features(**arguments)
    off = {
        "relative": np.zeros_like(arguments["coefficients"]),
        "channel_peak_q7": np.zeros(9, np.int32),
        "patch_sigma": np.full(3, 2.0),
        "patch_strength": 0.0,
        "noise_sigma": np.full(3, 2.0),
        "noise_level": np.zeros(3),
    }
    for backend in ("cpu", "ref"):
        maps, ranges = features(**arguments, **off, backend=backend)
        assert np.array_equal(maps, plain_maps)
        assert np.array_equal(ranges, plain_ranges)
    resting = features(**arguments | {"coefficients": np.zeros((3, 9), np.int16)})
    assert not resting[0].any()
    assert not resting[1].any()


def test_relative_channels_are_fractions_of_the_peak():
    arguments = case(6, count=1, patch=False, noise=False)
    arguments["coefficients"][0, :3] = 900, -700, 0
    arguments["relative"][0] = 0
    arguments["relative"][0, 4] = -2048
    nodes = ref_features.displacement_nodes(arguments["coefficients"][0].astype(np.int64), arguments["basis"])
    peak_q7 = int(np.hypot(*nodes).max())
    added = arguments["coefficients"].copy()
    added[0, 4] = round(-2048 * peak_q7 / int(arguments["channel_peak_q7"][4]))
    explicit = {k: v for k, v in arguments.items() if k not in ("relative", "channel_peak_q7")} | {"coefficients": added}
    assert np.array_equal(features(**arguments)[1], features(**explicit)[1])


def test_relative_channels_share_what_the_bound_leaves():
    peaks = np.array([1, 1, 1], np.int32)
    nodes = np.full((2, 3, 3), 100, np.int64)
    got = ref_features.with_relative(np.array([32000, 0, 0]), np.array([0, 10, -32768], np.int16), peaks, nodes)
    assert got.tolist() == [32000, 767, 0]  # 10 * 141 = 1410 is more than the 767 left


def test_identity_lattice_shows_motion():
    rng = np.random.default_rng(9)
    basis = push_basis(rng, 4, 15, 15, 6)
    coefficients = rng.integers(-2000, 2001, (5, 4)).astype(np.int16)
    lattice = np.tile(np.array([0, 0, 65536, 0, 0, 65536], np.int32), (5, 1))
    turn = np.tile(np.array([4096, 0, 0, 4096], np.int16), (5, 1))
    maps, ranges = features(basis, coefficients, lattice=lattice, turn=turn)
    nodes = np.stack([ref_features.displacement_nodes(c.astype(np.int64), basis) for c in coefficients]).astype(np.int16)
    flow, strain = motion(nodes, size=(56, 56))
    planes = np.concatenate([flow, strain[..., None]], -1).reshape(5, SIDE, 2, SIDE, 2, 3).mean((2, 4), dtype=np.float64)
    low, high = planes.min((1, 2)), planes.max((1, 2))
    assert np.array_equal(ranges[:, :2], np.stack([low, high], -1)[:, :2])
    assert np.abs(ranges[:, 2] - np.stack([low, high], -1)[:, 2]).max() <= 2**-15
    expected = 255 * (planes - low[:, None, None]) / (high - low)[:, None, None]
    assert np.abs(maps - expected).max(axis=(0, 1, 2)).tolist() <= [0.501, 0.501, 0.6]


def test_turn_exchanges_the_axes():
    arguments = case(3, relative=False, patch=False, noise=False)
    arguments["turn"] = np.tile(np.array([4096, 0, 0, 4096], np.int16), (3, 1))
    quarter = arguments | {"turn": np.tile(np.array([0, 4096, -4096, 0], np.int16), (3, 1))}
    (maps, ranges), (turned_maps, turned_ranges) = features(**arguments), features(**quarter)
    assert np.array_equal(turned_maps[..., 0], maps[..., 1])
    assert np.array_equal(turned_ranges[:, 1], -ranges[:, 0, ::-1])


def test_a_sample_depends_on_its_own_row_only():
    arguments = case(7, count=6)
    maps, ranges = features(**arguments)
    rows = {k for k, v in arguments.items() if isinstance(v, np.ndarray) and k not in ("basis", "channel_peak_q7")}
    for part in (slice(0, 1), slice(1, 4), slice(5, None, -1)):
        some = features(**{k: v[part] if k in rows else v for k, v in arguments.items()})
        assert np.array_equal(some[0], maps[part])
        assert np.array_equal(some[1], ranges[part])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"basis": np.zeros((9, 4, 12, 12), np.int16)}, ShapeError, "2 or 3 fields"),
        ({"basis": np.zeros((129, 2, 12, 12), np.int16)}, RangeError, "129"),
        ({"coefficients": np.zeros((3, 8), np.int16)}, ShapeError, r"\[3, 8\]"),
        ({"coefficients": np.full((3, 9), 4000, np.int16)}, RangeError, "36000 in sample 0"),
        ({"channel_peak_q7": None}, UsageError, "channel_peak_q7 is missing"),
        ({"channel_peak_q7": np.zeros(9, np.int32)}, RangeError, "channel 3"),
        ({"lattice": np.full((3, 6), 2**28, np.int32)}, RangeError, "allowed is below 16384"),
        ({"turn": np.zeros((3, 4), np.float32)}, ShapeError, "float32, expected int16"),
        ({"patch_strength": 1.5}, RangeError, "1.5"),
        ({"patch_sigma": None}, UsageError, "patch_sigma is missing"),
        ({"patch_sigma": np.full(3, 5.0)}, RangeError, "allowed is 0.5..4"),
        ({"noise_sigma": np.full(3, np.nan)}, RangeError, "nan"),
        ({"noise_level": None}, UsageError, "belong together"),
        ({"noise_level": [0.1, 0.1, 0.1]}, ShapeError, "list"),
        ({"keys": None}, UsageError, "keys are missing"),
        ({"keys": np.zeros((3, 2), np.int64)}, ShapeError, "expected uint32"),
        ({"backend": "fast"}, UsageError, "fast"),
        ({"backend": "triton"}, BackendError, "triton"),
    ],
)
def test_refuses_with_a_useful_message(change, error, message):
    with pytest.raises(error, match=message):
        features(**{**case(1), **change})
