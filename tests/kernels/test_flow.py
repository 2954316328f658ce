"""flow: every backend and instruction set against the definition, relations that need no truth, accuracy on known motion, contract."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates
from tolerance import FLOW_FLIP, FLOW_GAIN, FLOW_LEVELS, FLOW_PATHS, FLOW_SHIFT, Tolerance

from mie_engine import _core, kernels
from mie_engine.bench.motion_pairs import CASES, endpoint_errors, pairs
from mie_engine.errors import BackendError, RangeError, ShapeError, UsageError
from mie_engine.limits import MAX_FLOW_PX, MAX_FLOW_SIDE_PX

LEVELS = _core.simd_levels()
BACKENDS = ("ref", "cpu")


def assert_close(got: np.ndarray, expected: np.ndarray, limit: Tolerance, what: str = "") -> None:
    difference = np.abs(got - expected)
    share = float((difference > limit.most).mean())
    told = f"{what}: mean {difference.mean():.5f}, {share:.4%} above {limit.most}, most {difference.max():.4f}"
    assert difference.mean() <= limit.mean, told
    assert share <= limit.outliers, told


def texture(rng: np.random.Generator, height: int, width: int, sigma_px: float = 1.2) -> np.ndarray:
    """Grey float64 [height, width] with fine and coarse structure."""
    fine, coarse = (gaussian_filter(rng.standard_normal((height, width)), s, mode="wrap") for s in (sigma_px, 6 * sigma_px))
    return 128 + 28 * fine / fine.std() + 22 * coarse / coarse.std()


def smooth_field(rng: np.random.Generator, height: int, width: int, peak_px: float) -> np.ndarray:
    field = np.stack([gaussian_filter(rng.standard_normal((height, width)), max(8, min(height, width) / 10), mode="nearest") for _ in "uv"])
    return field * peak_px / np.hypot(*field).max()


def to_grey(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def random_pair(
    rng: np.random.Generator, height: int, width: int, peak_px: float = 1.5, noise: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [1, H, W] twice, the second one moved by a smooth field."""
    image, field = texture(rng, height, width), smooth_field(rng, height, width, peak_px)
    y, x = np.mgrid[:height, :width]
    moved = map_coordinates(image, [y - field[1], x - field[0]], order=3, mode="nearest")
    return tuple(to_grey(frame + rng.normal(0, noise, image.shape))[None] for frame in (image, moved))


def random_size(rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.integers(32, 301)), int(rng.integers(32, 301))


# ---- backends and instruction sets


@pytest.mark.parametrize("case", range(10))
def test_cpu_equals_ref(case, rng):
    height, width = [(32, 32), (224, 224), (33, 47), (64, 95)][case] if case < 4 else random_size(rng)
    pair = random_pair(rng, height, width, float(rng.uniform(0.2, 4)), float(rng.uniform(0, 4)))
    expected = kernels.flow(*pair, backend="ref")
    assert expected.shape == (1, 2, height, width)
    assert expected.dtype == np.float32
    fields = {level: kernels.flow(*pair, simd=level) for level in LEVELS}
    for level, field in fields.items():
        assert_close(field, expected, FLOW_PATHS, f"{level}, {height} x {width}")
        assert_close(field, fields[LEVELS[0]], FLOW_LEVELS, f"{level} to {LEVELS[0]}, {height} x {width}")


@pytest.mark.slow
def test_cpu_equals_ref_on_every_remainder(rng):
    for height in range(32, 65):
        width = int(rng.integers(32, 301))
        pair = random_pair(rng, height, width)
        expected = kernels.flow(*pair, backend="ref")
        for level in LEVELS:
            assert_close(kernels.flow(*pair, simd=level), expected, FLOW_PATHS, f"{level}, {height} x {width}")
            turned = [np.ascontiguousarray(frame.swapaxes(1, 2)) for frame in pair]
            field = kernels.flow(*turned, simd=level)[:, ::-1].swapaxes(2, 3)
            assert_close(field, expected, FLOW_PATHS, f"{level}, {width} x {height}")


# ---- relations


@pytest.mark.parametrize("backend", BACKENDS)
def test_equal_frames_give_exactly_zero(backend, rng):
    for height, width in ((224, 224), random_size(rng)):
        frame = to_grey(texture(rng, height, width))[None]
        assert not kernels.flow(frame, frame, backend=backend).any()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shift", [(1, 0), (0, -3), (5, 4), (-9, 7)])
def test_whole_pixel_shift(backend, shift, rng):
    image = to_grey(texture(rng, 224, 224, 2.0))
    u, v = shift
    field = kernels.flow(image[None], np.roll(image, (v, u), (0, 1))[None], backend=backend)[0]
    inner = field[:, 32:-32, 32:-32]
    assert_close(inner, np.broadcast_to(np.float32([[[u]], [[v]]]), inner.shape), FLOW_SHIFT)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("axis", "component"), [(2, 0), (1, 1)])
def test_mirrored_frames_give_the_mirrored_flow(backend, axis, component, rng):
    onset, later = random_pair(rng, 96, 160)
    field = kernels.flow(onset, later, backend=backend)
    mirrored = kernels.flow(np.flip(onset, axis), np.flip(later, axis), backend=backend)
    mirrored = np.flip(mirrored, axis + 1).copy()
    mirrored[:, component] *= -1
    assert_close(mirrored, field, FLOW_FLIP)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_brighter_frame_has_not_moved(backend, rng):
    onset, later = random_pair(rng, 128, 128, noise=0.5)
    brighter = to_grey(later * 1.1)
    assert_close(kernels.flow(onset, brighter, backend=backend), kernels.flow(onset, later, backend=backend), FLOW_GAIN)


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_pair_stands_alone(backend, rng):
    frames = [random_pair(rng, 70, 101) for _ in range(5)]
    onset, later = (np.concatenate(side) for side in zip(*frames, strict=True))
    together = kernels.flow(onset, later, backend=backend)
    order = rng.permutation(5)
    assert np.array_equal(kernels.flow(onset[order], later[order], backend=backend), together[order])
    for i in range(5):
        assert np.array_equal(kernels.flow(onset[i : i + 1], later[i : i + 1], backend=backend)[0], together[i])
    assert np.array_equal(kernels.flow(onset[:1], later, backend=backend), kernels.flow(np.repeat(onset[:1], 5, 0), later, backend=backend))


def test_threads_do_not_matter(rng):
    onset, later = random_pair(rng, 64, 96)
    later = np.concatenate([later, later[:, ::-1], onset, np.roll(later, 2, 1)] * 3)
    one = kernels.flow(onset, later, backend="cpu", threads=1)
    for threads in (0, 2, 5):
        assert np.array_equal(kernels.flow(onset, later, backend="cpu", threads=threads), one)


def test_memory_order_does_not_matter(rng):
    onset, later = random_pair(rng, 64, 96)
    expected = kernels.flow(onset, later)
    wide = np.zeros((1, 64, 192), np.uint8)
    wide[..., ::2] = later
    assert np.array_equal(kernels.flow(np.asfortranarray(onset), wide[..., ::2]), expected)


# ---- accuracy on known motion

MOST_ERROR_PX = {  # over moving, over all pixels: measured, + 3 %
    "0.3 px": (0.032, 0.028),
    "0.7 px": (0.049, 0.037),
    "1.5 px": (0.073, 0.050),
    "3 px": (0.112, 0.071),
    "noise .5": (0.031, 0.023),
    "noise 4": (0.085, 0.067),
    "gain 1.05": (0.049, 0.037),
    "rigid 2": (0.060, 0.060),
    "rigid 6": (0.058, 0.058),
    "0.1 px": (0.024, 0.025),
    "6 px": (0.200, 0.114),
    "lip edge": (0.131, 0.040),
}


def mean_errors(data: list, **options: object) -> np.ndarray:
    return np.mean([endpoint_errors(kernels.flow(a[None], b[None], **options)[0], truth) for a, b, truth in data], 0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_error_on_known_motion(case):
    data = list(pairs(case, 224, 224, 8))
    for options in ({"backend": "ref"}, *({"simd": level} for level in LEVELS)):
        errors = mean_errors(data, **options)
        assert (errors <= MOST_ERROR_PX[case.name]).all(), f"{options}: {errors}"


PUBLISHED_PX = {  # moving pixels: ours on real faces with seed 77, DIS MEDIUM on them
    "0.7 px": ({"amplitude_px": 0.7}, 0.0465, 0.089),
    "3 px": ({"amplitude_px": 3.0}, 0.099, 0.231),
    "noise 4": ({"noise": 4.0}, 0.0725, 0.142),
    "gain 1.05": ({"gain": 1.05}, 0.0485, 0.119),
    "rigid 6": ({"rigid_px": 6.0}, 0.0485, 0.109),
}


@pytest.mark.parametrize("name", PUBLISHED_PX)
def test_error_on_real_faces(name, shared):
    spec = importlib.util.spec_from_file_location("groundtruth", shared / "bench" / "groundtruth.py")
    groundtruth = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(groundtruth)
    settings, limit, dis = PUBLISHED_PX[name]
    errors = []
    for onset, later, truth in groundtruth.pairs(224, folder="faces_real", seed=77, **settings):
        field = np.moveaxis(kernels.flow(onset[None], later[None])[0], 0, -1)
        errors.append(groundtruth.endpoint_error(field, truth)[1])
    assert np.mean(errors) <= min(limit, 0.65 * dis)


def test_a_small_frame_has_a_small_error(rng):
    data = []
    onset, later, truth = next(pairs(CASES[2], 224, 224, 1))
    for _ in range(12):
        y, x = rng.integers(20, 204 - 64, 2)
        data.append([onset[y : y + 64, x : x + 63], later[y : y + 64, x : x + 63], truth[:, y : y + 64, x : x + 63]])
    assert mean_errors(data)[1] < 0.12


# ---- extremes


def extremes(rng: np.random.Generator) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    shape = 1, 96, 133
    black, white = np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)
    noise = [rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(2)]
    stripes = np.broadcast_to(np.where(np.arange(133) % 4 < 2, 0, 255), shape).astype(np.uint8)
    one = black.copy()
    one[0, 40, 60] = 255
    ramp = np.broadcast_to(np.linspace(0, 255, 133), shape).astype(np.uint8)
    return {
        "black": (black, black),
        "black to white": (black, white),
        "texture to white": (noise[0], white),
        "black to texture": (black, noise[0]),
        "two noises": (noise[0], noise[1]),
        "binary noises": (255 * (noise[0] & 1), 255 * (noise[1] & 1)),
        "negative": (noise[0], 255 - noise[0]),
        "stripes, half a period": (stripes, np.roll(stripes, 2, 2)),
        "one pixel jumps": (one, np.roll(one, 50, 2)),
        "ramp": (ramp, ramp[..., ::-1]),
        "huge shift": (noise[0], np.roll(noise[0], 60, 2)),
    }


@pytest.mark.parametrize("options", [{"backend": "ref"}, *({"simd": level} for level in LEVELS)], ids=lambda o: "-".join(o.values()))
def test_extreme_frames_give_bounded_flow(options, rng):
    for name, (onset, later) in extremes(rng).items():
        field = kernels.flow(onset, later, **options)
        assert np.isfinite(field).all(), name
        assert np.abs(field).max() <= MAX_FLOW_PX, name
        if name in ("black", "black to white"):
            assert not field.any(), name


# ---- contract

FRAME = np.zeros((1, 40, 50), np.uint8)


@pytest.mark.parametrize(
    ("onset", "later", "error", "word"),
    [
        (FRAME.astype(np.float32), FRAME, ShapeError, "float32"),
        (FRAME, FRAME[0], ShapeError, r"\[N, H, W\]"),
        (FRAME, FRAME.tolist(), ShapeError, "list"),
        (FRAME, FRAME[:, :, :40], ShapeError, "onset"),
        (np.repeat(FRAME, 2, 0), np.repeat(FRAME, 3, 0), ShapeError, "onset"),
        (np.repeat(FRAME, 2, 0), FRAME, ShapeError, "onset"),
        (FRAME[:0], FRAME[:0], ShapeError, "shape"),
        (FRAME[:, :31], FRAME[:, :31], RangeError, "height"),
        (FRAME[:, :, :31], FRAME[:, :, :31], RangeError, "width"),
        (*[np.zeros((1, 32, MAX_FLOW_SIDE_PX + 1), np.uint8)] * 2, RangeError, "width"),
        (*[np.broadcast_to(np.uint8(0), (40, 4096, 4096))] * 2, RangeError, "fewer"),
    ],
)
def test_wrong_frames_are_refused(onset, later, error, word):
    with pytest.raises(error, match=word):
        kernels.flow(onset, later)


def test_wrong_options_are_refused():
    with pytest.raises(UsageError, match="simd"):
        kernels.flow(FRAME, FRAME, simd="sse")
    with pytest.raises(UsageError, match="belongs"):
        kernels.flow(FRAME, FRAME, backend="ref", simd="scalar")
    with pytest.raises(UsageError, match="backend"):
        kernels.flow(FRAME, FRAME, backend="gpu")
    with pytest.raises(BackendError, match="cuda"):
        kernels.flow(FRAME, FRAME, backend="cuda")
    for threads in (-1, 257, 1.5):
        with pytest.raises(RangeError, match="threads"):
            kernels.flow(FRAME, FRAME, threads=threads)
