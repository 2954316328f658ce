"""render_with_motion: frames are render's, flow and strain are those of the same nodes, on every path bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nodes import motion

import mie_engine._core as core
from mie_engine import kernels
from mie_engine.errors import BackendError, RangeError, ShapeError, UsageError
from mie_engine.kernels.render import ref, ref_motion

LEVELS = core.simd_levels()
FORMATS = ("rgb", "planar", "yuv420")


def smooth_source(rng: np.random.Generator, height: int, width: int, channels: int, fields: int = 3) -> kernels.RenderSource:
    shape = (channels, fields, ref.grid_size(height), ref.grid_size(width))
    basis = np.cumsum(np.cumsum(rng.normal(0, 3, shape), 2), 3)
    return kernels.RenderSource(rng.integers(0, 256, (height, width, 3), np.uint8), np.clip(basis, -9000, 9000).astype(np.int16))


def random_case(seed: int) -> tuple[kernels.RenderSource, np.ndarray, dict[str, Any]]:
    """A source, coefficients and options: odd and tiny sizes, smooth and torn fields, still parts, formats, noise, an onset or none."""
    r = np.random.default_rng(seed)
    height, width = (int(side) for side in (r.integers(2, 130, 2) if seed % 3 else r.choice([2, 3, 31, 32, 33, 64, 128], 2)))
    channels = int(r.integers(1, 12))
    source = smooth_source(r, height, width, channels, int(r.integers(2, 4)))
    if seed % 5 == 1:  # folds everywhere, up to the node limit
        source = kernels.RenderSource(source.pixels, r.integers(-32768, 32768, source.basis.shape).astype(np.int16))
    if seed % 5 == 2:  # a moving corner
        basis = source.basis.copy()
        basis[..., basis.shape[2] // 2 :, :] = 0
        basis[..., basis.shape[3] // 3 :] = 0
        source = kernels.RenderSource(source.pixels, basis)
    coefficients = r.integers(-(9000 // channels), 9000 // channels + 1, (3, channels)).astype(np.int16)
    coefficients[1] = 0
    options: dict[str, Any] = {
        "format": FORMATS[seed % 3],
        "noise_sigma": float(r.choice([0, 2.5])),
        "key": (seed, 7),
        "first_frame": int(r.integers(0, 2**32)),
    }
    if seed % 2:
        options["onset"] = coefficients[int(r.integers(3))] if seed % 4 == 1 else (coefficients[2] // 2).astype(np.int16)
    return source, coefficients, options


def assert_same(got: kernels.Rendered, expected: kernels.Rendered, what: str) -> None:
    for name in ("frames", "flow", "strain"):
        a, b = getattr(got, name), getattr(expected, name)
        assert (a is None) == (b is None), f"{name}, {what}"
        assert a is None or (a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()), f"{name}, {what}"


def assert_all_paths_equal(seed: int) -> None:
    source, coefficients, options = random_case(seed)
    expected = kernels.render_with_motion(source, coefficients, backend="ref", **options)
    for level in LEVELS:
        got = kernels.render_with_motion(source, coefficients, simd=level, **options)
        assert_same(got, expected, f"seed {seed}, {level}, {source.pixels.shape}, {options}")


@pytest.mark.parametrize("seed", range(20))
def test_all_paths_equal_reference(seed):
    assert_all_paths_equal(seed)


@pytest.mark.slow
def test_all_paths_equal_reference_at_length():
    for seed in range(1000, 1300):
        assert_all_paths_equal(seed)


@pytest.mark.parametrize("backend", ["cpu", "ref"])
@pytest.mark.parametrize("seed", [0, 1, 2, 3, 5, 8])
def test_is_render_and_motion_of_the_same_nodes(backend, seed):
    source, coefficients, options = random_case(seed)
    onset = options.pop("onset", None)
    got = kernels.render_with_motion(source, coefficients, onset=onset, backend=backend, **options)
    assert np.array_equal(got.frames, kernels.render(source, coefficients, backend=backend, **options)), f"seed {seed}"
    later = np.stack([ref.sum_nodes(c, source.basis[:, :2]) for c in coefficients])
    start = None if onset is None else ref.sum_nodes(onset, source.basis[:, :2])
    flow, strain = ref_motion.motion(later, start, *source.pixels.shape[:2], True, True)
    assert_same(got, kernels.Rendered(got.frames, flow, strain), f"seed {seed}")


def test_no_onset_is_the_source_at_rest(rng):
    source, coefficients = smooth_source(rng, 47, 61, 5), rng.integers(-1500, 1500, (2, 5)).astype(np.int16)
    rest = np.zeros(5, np.int16)
    assert_same(kernels.render_with_motion(source, coefficients, onset=rest), kernels.render_with_motion(source, coefficients), "rest")


def test_the_onset_itself_does_not_move(rng):
    source, coefficients = smooth_source(rng, 47, 61, 5), rng.integers(-1500, 1500, (3, 5)).astype(np.int16)
    got = kernels.render_with_motion(source, coefficients, onset=coefficients[1])
    assert not got.flow[1].any()
    assert not got.strain[1].any()
    assert got.flow[0].any()


@pytest.mark.parametrize("backend", ["cpu", "ref"])
@pytest.mark.parametrize(("flow", "strain"), [(True, False), (False, True), (False, False)])
def test_computes_only_what_is_asked_for(backend, flow, strain, rng):
    source, coefficients = smooth_source(rng, 40, 52, 4), rng.integers(-1500, 1500, (2, 4)).astype(np.int16)
    whole = kernels.render_with_motion(source, coefficients, backend=backend)
    part = kernels.render_with_motion(source, coefficients, flow=flow, strain=strain, backend=backend)
    assert_same(part, kernels.Rendered(whole.frames, whole.flow if flow else None, whole.strain if strain else None), backend)


@pytest.mark.parametrize("threads", [2, 3, 16])
@pytest.mark.parametrize("format", FORMATS)
def test_threads_give_the_same_bits(threads, format, rng):
    source, coefficients = smooth_source(rng, 61, 90, 6), rng.integers(-1200, 1200, (11, 6)).astype(np.int16)
    options = {"onset": coefficients[0], "format": format, "noise_sigma": 1.0}
    expected = kernels.render_with_motion(source, coefficients, **options)
    assert_same(kernels.render_with_motion(source, coefficients, threads=threads, **options), expected, f"{threads} threads")


def test_batches_split_without_changing_a_bit(rng):
    source, coefficients = smooth_source(rng, 61, 90, 6), rng.integers(-1200, 1200, (7, 6)).astype(np.int16)
    options = {"onset": coefficients[0], "noise_sigma": 1.0, "key": (5, 6)}
    whole = kernels.render_with_motion(source, coefficients, first_frame=10, **options)
    for a, b in [(0, 3), (3, 4), (4, 7)]:
        part = kernels.render_with_motion(source, coefficients[a:b], first_frame=10 + a, **options)
        assert_same(part, kernels.Rendered(whole.frames[a:b], whole.flow[a:b], whole.strain[a:b]), f"frames {a} to {b}")


def test_gain_and_noise_do_not_reach_the_flow(rng):
    source, coefficients = smooth_source(rng, 40, 52, 4), rng.integers(-1500, 1500, (2, 4)).astype(np.int16)
    plain = kernels.RenderSource(source.pixels, source.basis[:, :2].copy())
    shaded = kernels.render_with_motion(source, coefficients, noise_sigma=5.0)
    still = kernels.render_with_motion(plain, coefficients)
    assert not np.array_equal(shaded.frames, still.frames)
    assert np.array_equal(shaded.flow, still.flow)
    assert np.array_equal(shaded.strain, still.strain)


def test_finds_the_flow_behind_a_closing_lid():
    """A field that shrinks 12 px of skin into one cell and stretches the cell below: Newton's method alone jumps to and fro there."""
    nodes = np.zeros((1, 2, 17, 17), np.int16)
    nodes[0, 1] = (np.array([0, 0, 0, 0, 0, -2, -5, -9, 3, 1, 0, 0, 0, 0, 0, 0, 0]) * 128)[:, None]
    flow, _ = motion(nodes, size=(64, 64))
    y = np.arange(64)[:, None] + flow[0, :, :, 1].astype(float)
    assert not flow[0, :, :, 0].any()
    shown = y + np.interp(y, np.arange(17) * 4 - 0.5, nodes[0, 1, :, 0] / 128.0)
    assert np.abs(shown - np.arange(64)[:, None]).max() <= 0.02


@pytest.fixture
def small(rng) -> kernels.RenderSource:
    return smooth_source(rng, 32, 40, 2)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"onset": np.zeros(3, np.int16)}, ShapeError, r"onset has shape \[3\], expected \[2\]; pass Q12, one frame"),
        ({"onset": np.zeros((1, 2), np.int16)}, ShapeError, "onset has shape"),
        ({"onset": np.zeros(2)}, ShapeError, "onset is float64, expected int16"),
        ({"onset": np.full(2, 16384, np.int16)}, RangeError, "sum of .* is 32768"),
        ({"coefficients": np.zeros((1, 3), np.int16)}, ShapeError, "coefficients have 3 channels, expected 2"),
        ({"format": "bgr"}, UsageError, "format is 'bgr'"),
        ({"threads": 0}, RangeError, "threads is 0"),
        ({"simd": "avx2", "backend": "ref"}, UsageError, "belongs to backend 'cpu'"),
        ({"backend": "cuda"}, BackendError, "cuda"),
        ({"coefficients": np.broadcast_to(np.zeros((1, 2), np.int16), (300_000, 2))}, RangeError, "render fewer frames per call"),
    ],
)
def test_refuses_with_a_useful_message(small, change, error, message):
    with pytest.raises(error, match=message):
        kernels.render_with_motion(small, **{"coefficients": np.zeros((1, 2), np.int16), **change})


@pytest.mark.parametrize("shape", [(1, 8), (8, 1)])
def test_refuses_frames_without_a_second_row_or_column(shape):
    source = kernels.RenderSource(np.zeros((*shape, 3), np.uint8), np.zeros((1, 2, *(ref.grid_size(side) for side in shape)), np.int16))
    with pytest.raises(RangeError, match=r"smaller side is 1, allowed is 2\.\.8192"):
        kernels.render_with_motion(source, np.zeros((1, 1), np.int16))


def test_native_binding_refuses_what_would_write_outside(small):
    c = np.zeros((2, 2), np.int16)
    flow, strain = np.zeros((2, 32, 40, 2), np.float32), np.zeros((2, 32, 40), np.float32)
    for bad in ({"flow": flow[:1].copy()}, {"flow": strain}, {"strain": flow}, {"strain": strain[:, 1:].copy()}):
        with pytest.raises(ValueError, match=r"flow must be \[T, H, W, 2\], strain \[T, H, W\]"):
            core.render(small.native, c, "rgb", 0, 0, 0, 0, "scalar", 1, None, None, **{"flow": None, "strain": None, **bad})
    with pytest.raises(ValueError, match=r"coefficients must be \[T, 2\]"):
        core.render(small.native, c, "rgb", 0, 0, 0, 0, "scalar", 1, None, np.zeros((1, 3), np.int16), flow, strain)
    frozen = flow.copy()
    frozen.setflags(write=False)
    with pytest.raises((ValueError, TypeError)):
        core.render(small.native, c, "rgb", 0, 0, 0, 0, "scalar", 1, None, None, frozen, None)
