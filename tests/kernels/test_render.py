"""render: every path equals ref.py byte for byte; identity, mirror, batch and thread relations that need no tolerance."""

from __future__ import annotations

import multiprocessing
import statistics
import threading
from typing import Any

import numpy as np
import pytest

import mie_engine._core as core
from mie_engine import kernels
from mie_engine.errors import BackendError, RangeError, ShapeError, UsageError
from mie_engine.kernels.render import op, ref

FORMATS = ("rgb", "planar", "yuv420")
LEVELS = core.simd_levels()
BEST = LEVELS[-1]


def grids(height: int, width: int, channels: int, fields: int) -> tuple[int, int, int, int]:
    return channels, fields, ref.grid_size(height), ref.grid_size(width)


def random_case(seed: int) -> tuple[kernels.RenderSource, np.ndarray, dict[str, Any]]:
    """A source, coefficients and options: all formats, odd and round sizes, five kinds of field, gain, noise, extreme words."""
    r = np.random.default_rng(seed)
    sizes = r.integers(1, 301, 2) if seed % 4 else r.choice([1, 2, 3, 15, 16, 17, 63, 64, 65, 128, 256], 2)
    height, width = (int(side) for side in sizes)
    channels = 128 if seed % 10 == 0 else int(r.integers(1, 25))
    shape = grids(height, width, channels, int(r.integers(2, 4)))
    kind = seed % 5
    basis = r.integers(-300, 301, shape)  # small and rough
    if kind == 1:  # large and smooth
        basis = np.cumsum(np.cumsum(r.normal(0, 2, shape), 2), 3)
    if kind == 2:  # folds everywhere
        basis = r.integers(-32768, 32768, shape)
    if kind == 3:  # every node at its limit, +28 px beside -28 px
        basis = np.where(basis > 0, 32767, -32768)
    if kind == 4:  # still tiles beside moving ones
        basis[..., shape[2] // 3 :, :] = 0
        basis[..., shape[3] // 3 :] = 0
    coefficients = r.integers(-(32767 // channels), 32767 // channels + 1, (2, channels))
    coefficients[1] = 0
    coefficients[1, r.integers(channels)] = r.choice([-32767, 32767, 4096])
    pixels = r.integers(0, 256, (height, width, 3), np.uint8)
    if seed % 3 == 0:
        pixels = np.where(pixels > 127, 255, 0).astype(np.uint8)
    options = {
        "format": FORMATS[int(r.integers(3))],
        "noise_sigma": float(r.choice([0, 0, 1.5, 84])),
        "key": tuple(int(word) for word in r.integers(0, 2**32, 2)),
        "first_frame": int(r.choice([0, 2**32 - 1, r.integers(0, 2**32)])),
    }
    source = kernels.RenderSource(pixels, np.clip(basis, -32768, 32767).astype(np.int16))
    return source, coefficients.astype(np.int16), options


def assert_all_paths_equal(seed: int) -> None:
    source, coefficients, options = random_case(seed)
    expected = kernels.render(source, coefficients, backend="ref", **options)
    for level in LEVELS:
        got = kernels.render(source, coefficients, simd=level, **options)
        assert got.shape == expected.shape, f"seed {seed}, {level}"
        differing = np.argwhere(got != expected)
        assert len(differing) == 0, f"seed {seed}, {level}, size {source.pixels.shape}, {options}: first {differing[:3].tolist()}"


@pytest.mark.parametrize("seed", range(150))
def test_all_paths_equal_reference(seed):
    assert_all_paths_equal(seed)


@pytest.mark.slow
@pytest.mark.parametrize("first_seed", range(1000, 4000, 100))
def test_all_paths_equal_reference_at_length(first_seed):
    for seed in range(first_seed, first_seed + 100):
        assert_all_paths_equal(seed)


def face_like(rng: np.random.Generator, height: int, width: int, channels: int = 6, fields: int = 3) -> kernels.RenderSource:
    basis = np.cumsum(np.cumsum(rng.normal(0, 3, grids(height, width, channels, fields)), 2), 3)
    return kernels.RenderSource(rng.integers(0, 256, (height, width, 3), np.uint8), np.clip(basis, -9000, 9000).astype(np.int16))


def curves(rng: np.random.Generator, frames: int, channels: int = 6) -> np.ndarray:
    return rng.integers(-5000, 5000, (frames, channels)).astype(np.int16)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("format", FORMATS)
def test_zero_coefficients_give_the_source(level, format, rng):
    source = face_like(rng, 75, 131)
    frame = kernels.render(source, np.zeros((1, 6), np.int16), format=format, simd=level)[0]
    planes = ref.source_planes(source.pixels, format)
    if format == "yuv420":
        assert np.array_equal(frame, np.concatenate([plane.ravel() for plane in planes]))
    else:
        assert np.array_equal(frame, np.stack(planes, -1 if format == "rgb" else 0))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("axis", [1, 0])
def test_mirrored_input_gives_the_mirrored_frame(level, format, axis, rng):
    height, width = 92, 148  # multiples of 4: the node grid is symmetric
    source, c = face_like(rng, height, width), curves(rng, 2)
    flipped = np.flip(source.basis, 2 + axis).copy()
    flipped[:, 1 - axis] *= -1  # x when left and right change places, y when top and bottom do
    mirrored = kernels.RenderSource(np.flip(source.pixels, axis).copy(), flipped)
    frames = kernels.render(source, c, format=format, simd=level)
    other = kernels.render(mirrored, c, format=format, simd=level)
    if format != "yuv420":
        assert np.array_equal(other, np.flip(frames, axis + (1 if format == "rgb" else 2)))
        return
    luma, chroma = height * width, height * width // 4
    for first, count, shape in [(0, luma, (height, width)), (luma, 2 * chroma, (2, height // 2, width // 2))]:
        plane, plane_other = (f[:, first : first + count].reshape(-1, *shape) for f in (frames, other))
        assert np.array_equal(plane_other, np.flip(plane, axis - 2))


@pytest.mark.parametrize("level", LEVELS)
def test_whole_pixel_shift_is_a_shift(level, rng):
    basis = np.zeros(grids(64, 80, 1, 2), np.int16)
    basis[0, 0], basis[0, 1] = 5 * 512, -3 * 512  # 5 px to the right, 3 px up, in the source
    pixels = rng.integers(0, 256, (64, 80, 3), np.uint8)
    frame = kernels.render(kernels.RenderSource(pixels, basis), np.array([[4096]], np.int16), simd=level)[0]
    assert np.array_equal(frame[3:, :-5], pixels[:-3, 5:])
    assert np.array_equal(frame[0, -1], pixels[0, -1])  # edge replicated


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("slope", [-1.3, -1.1, -0.9, -0.6, 0.4, 0.7, 0.8, 0.9, 1.0, 1.05, 1.1, 1.2, 1.3])
def test_steep_ramps_fill_the_source_windows(level, axis, slope, rng):
    """Displacement that changes by up to 8 px over 8 px and back: the widest that a vector's source window just holds, or no longer."""
    basis = np.zeros(grids(64, 80, 1, 2), np.int16)
    basis[0, axis] = (
        np.rint(np.arange(basis.shape[3 - axis]) % 6 * 4 * slope * 512).astype(np.int16).reshape((1, -1) if axis == 0 else (-1, 1))
    )
    source = kernels.RenderSource(rng.integers(0, 256, (64, 80, 3), np.uint8), basis)
    c = np.array([[4096], [-3900]], np.int16)
    for format in FORMATS:
        expected = kernels.render(source, c, format=format, backend="ref")
        assert np.array_equal(kernels.render(source, c, format=format, simd=level), expected), format


@pytest.mark.parametrize("level", LEVELS)
def test_batches_split_and_permute_without_changing_a_byte(level, rng):
    source, c = face_like(rng, 61, 90), curves(rng, 7)
    options = {"noise_sigma": 2.0, "key": (5, 6), "simd": level}
    whole = kernels.render(source, c, first_frame=10, **options)
    parts = [kernels.render(source, c[a:b], first_frame=10 + a, **options) for a, b in [(0, 3), (3, 4), (4, 7)]]
    assert np.array_equal(np.concatenate(parts), whole)
    order = rng.permutation(7)
    assert np.array_equal(kernels.render(source, c[order], simd=level), kernels.render(source, c, simd=level)[order])


def test_channels_permute_without_changing_a_byte(rng):
    source, c = face_like(rng, 61, 90), curves(rng, 2)
    order = rng.permutation(6)
    permuted = kernels.RenderSource(source.pixels, source.basis[order])
    assert np.array_equal(kernels.render(permuted, c[:, order]), kernels.render(source, c))


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
@pytest.mark.parametrize("format", FORMATS)
def test_threads_give_the_same_bytes(threads, format, rng):
    source, c = face_like(rng, 61, 90), curves(rng, 11)
    expected = kernels.render(source, c, format=format, noise_sigma=1.0)
    assert np.array_equal(kernels.render(source, c, format=format, noise_sigma=1.0, threads=threads), expected)


def test_calls_from_many_threads_share_the_pool(rng):
    source, c = face_like(rng, 61, 90), curves(rng, 9)
    expected, wrong = kernels.render(source, c), []

    def work() -> None:
        for _ in range(20):
            if not np.array_equal(kernels.render(source, c, threads=3), expected):
                wrong.append(1)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def _render_in_child(source: kernels.RenderSource, c: np.ndarray, queue: Any) -> None:
    queue.put(kernels.render(source, c, threads=3))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here: rendering in a forked child is NOT tested")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_threads_work_in_a_forked_child(rng):
    source, c = face_like(rng, 61, 90), curves(rng, 9)
    expected = kernels.render(source, c, threads=3)  # the pool has threads before the fork
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_render_in_child, args=(source, c, queue), daemon=True)
    child.start()
    assert np.array_equal(queue.get(timeout=60), expected)
    child.join(60)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("height", "width", "offset"), [(33, 65, 64), (7, 13, 1), (66, 130, 37), (1, 1, 5)])
def test_nothing_is_written_outside_the_frames(level, format, height, width, offset, rng):
    source, c = face_like(rng, height, width), curves(rng, 2)
    expected = kernels.render(source, c, format=format, noise_sigma=3.0, simd=level)
    room = np.full(expected.size + 512, 99, np.uint8)
    out = room[offset : offset + expected.size].reshape(expected.shape)
    core.render(source.native, c, format, kernels.noise_word(3.0), 0, 0, 0, level, 2, out)
    assert np.array_equal(out, expected)
    assert (room[:offset] == 99).all()
    assert (room[offset + expected.size :] == 99).all()


@pytest.mark.parametrize("backend", kernels.backends("render"))
@pytest.mark.parametrize("format", FORMATS)
def test_out_is_filled_and_returned(backend, format, rng):
    source, c = face_like(rng, 33, 65), curves(rng, 2)
    expected = kernels.render(source, c, format=format)
    out = np.zeros_like(expected)
    assert kernels.render(source, c, format=format, backend=backend, out=out) is out
    assert np.array_equal(out, expected)


# ---- noise


def test_philox_published_vectors():
    """Known answers of the Random123 distribution, philox4x32 with 10 rounds."""
    ones = 0xFFFFFFFF
    zeros = ref.philox4x32([0, 0, 0, 0], (0, 0))
    assert [int(word) for word in zeros] == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert [int(word) for word in ref.philox4x32([ones] * 4, (ones, ones))] == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]


def test_noise_table_is_the_half_normal_quantile():
    normal = statistics.NormalDist()
    assert ref.NOISE_TABLE.tolist() == [round(42 * normal.inv_cdf((1 + (i + 0.5) / 128) / 2)) for i in range(128)]


@pytest.mark.parametrize("sigma", [0, 0.01, 0.5, 1.5, 7.3, 83.8, 84])
def test_noise_word_is_the_same_in_both_languages(sigma):
    assert kernels.noise_word(sigma) == core.noise_word(sigma) <= 32767


def test_noise_is_gaussian_and_independent():
    flat = kernels.RenderSource(np.full((256, 256, 3), 128, np.uint8), np.zeros(grids(256, 256, 1, 2), np.int16))
    frames = kernels.render(flat, np.zeros((4, 1), np.int16), format="planar", noise_sigma=6.0, key=(11, 12)).astype(np.float64) - 128
    deviations = frames.std(axis=(2, 3))
    assert abs(frames.mean()) < 0.03
    assert np.abs(deviations - np.sqrt(36 + 1 / 12)).max() < 0.08  # rounding to bytes adds a twelfth
    kurtosis = (frames**4).mean() / frames.var() ** 2
    assert 2.85 < kurtosis < 3.0  # one byte a sample: the tails end at 2.89 sigma
    unit = frames / frames.std()
    pairs = {
        "right": (unit[..., 1:], unit[..., :-1]),
        "below": (unit[..., 1:, :], unit[..., :-1, :]),
        "16 right": (unit[..., 16:], unit[..., :-16]),
        "next frame": (unit[1:], unit[:-1]),
        "next plane": (unit[:, 1:], unit[:, :-1]),
    }
    for name, (a, b) in pairs.items():
        assert abs((a * b).mean()) < 0.01, name


def test_noise_depends_on_both_key_words(rng):
    source, c = face_like(rng, 40, 40), curves(rng, 1)
    frames = {key: kernels.render(source, c, noise_sigma=2.0, key=key).tobytes() for key in [(0, 0), (1, 0), (0, 1)]}
    assert len(set(frames.values())) == 3


# ---- refusals


@pytest.fixture
def small(rng) -> kernels.RenderSource:
    return face_like(rng, 32, 40, channels=2)


@pytest.mark.parametrize(
    ("coefficients", "options", "error", "message"),
    [
        (np.zeros((1, 3), np.int16), {}, ShapeError, "coefficients have 3 channels, expected 2"),
        (np.zeros((1, 2), np.float32), {}, ShapeError, "coefficients is float32, expected int16; pass Q12"),
        (np.zeros((0, 2), np.int16), {}, ShapeError, r"\[0, 2\], expected \[T, K\]"),
        (np.full((2, 2), 16384, np.int16), {}, RangeError, "sum of .* is 32768 in frame 0, at most 32767"),
        (np.full((1, 2), -32768, np.int16), {}, RangeError, "65536"),
        (np.zeros((1, 2), np.int16), {"noise_sigma": 84.1}, RangeError, r"noise_sigma is 84.1, allowed is 0\.\.84"),
        (np.zeros((1, 2), np.int16), {"noise_sigma": float("nan")}, RangeError, "noise_sigma is nan"),
        (np.zeros((1, 2), np.int16), {"key": (0, 2**32)}, RangeError, "key is 4294967296"),
        (np.zeros((1, 2), np.int16), {"key": 7}, UsageError, "key is 7, expected two words"),
        (np.zeros((1, 2), np.int16), {"first_frame": -1}, RangeError, "first_frame is -1"),
        (np.zeros((1, 2), np.int16), {"threads": 0}, RangeError, r"threads is 0, allowed is 1\.\.256"),
        (np.zeros((1, 2), np.int16), {"format": "bgr"}, UsageError, "format is 'bgr', allowed are rgb, planar, yuv420"),
        (np.zeros((1, 2), np.int16), {"out": np.zeros((1, 32, 40), np.uint8)}, ShapeError, r"out has shape .*, expected \[1, 32, 40, 3\]"),
        (np.zeros((1, 2), np.int16), {"out": np.zeros((1, 32, 40, 6), np.uint8)[..., ::2]}, UsageError, "not contiguous"),
        (np.zeros((1, 2), np.int16), {"simd": "neon"}, UsageError, "simd is 'neon'"),
        (np.zeros((1, 2), np.int16), {"simd": "scalar", "backend": "ref"}, UsageError, "belongs to backend 'cpu'"),
        (np.zeros((1, 2), np.int16), {"backend": "gpu"}, UsageError, "backend is 'gpu'"),
        (np.broadcast_to(np.zeros((1, 2), np.int16), (1_200_000, 2)), {}, RangeError, "render fewer frames per call"),
    ],
)
def test_refuses_with_a_useful_message(small, coefficients, options, error, message):
    with pytest.raises(error, match=message):
        kernels.render(small, coefficients, **options)


def test_absent_instruction_set_raises(small, monkeypatch):
    monkeypatch.setattr(core, "simd_levels", lambda: ["scalar"])
    monkeypatch.setattr(op, "simd_level", op.simd_level.__wrapped__)  # without its memory
    with pytest.raises(BackendError, match="simd 'avx2' cannot run on this processor, which has scalar"):
        kernels.render(small, np.zeros((1, 2), np.int16), simd="avx2")


@pytest.mark.parametrize(
    ("pixels", "basis", "error", "message"),
    [
        (np.zeros((32, 40), np.uint8), np.zeros((1, 2, 9, 11), np.int16), ShapeError, r"pixels has shape \[32, 40\], expected \[H, W, 3\]"),
        (np.zeros((32, 40, 3), np.float32), np.zeros((1, 2, 9, 11), np.int16), ShapeError, "pixels is float32, expected uint8"),
        (np.zeros((32, 40, 3), np.uint8), np.zeros((1, 2, 9, 10), np.int16), ShapeError, r"\[9, 10\] nodes, expected \[9, 11\]"),
        (np.zeros((32, 40, 3), np.uint8), np.zeros((1, 4, 9, 11), np.int16), ShapeError, "4 fields, expected 2"),
        (np.zeros((32, 40, 3), np.uint8), np.zeros((129, 2, 9, 11), np.int16), RangeError, "channels is 129, allowed is 1..128"),
        (np.zeros((1, 8193, 3), np.uint8), np.zeros((1, 2, 2, 2050), np.int16), RangeError, "width is 8193"),
    ],
)
def test_source_refuses_with_a_useful_message(pixels, basis, error, message):
    with pytest.raises(error, match=message):
        kernels.RenderSource(pixels, basis)


def test_source_keeps_its_own_copy(rng):
    pixels, basis = rng.integers(0, 256, (32, 40, 3), np.uint8), np.zeros(grids(32, 40, 1, 2), np.int16)
    source = kernels.RenderSource(pixels, basis)
    before = pixels.copy()
    pixels[:] = 0
    c = np.zeros((1, 1), np.int16)
    assert np.array_equal(kernels.render(source, c)[0], before)
    assert np.array_equal(kernels.render(source, c, backend="ref")[0], before)


def test_native_binding_refuses_what_would_read_outside(small):
    c = np.zeros((1, 2), np.int16)
    with pytest.raises(ValueError, match=r"coefficients must be \[T, 2\]"):
        core.render(small.native, c[:, :1].copy(), "rgb", 0, 0, 0, 0, BEST, 1)
    with pytest.raises(ValueError, match="out must be a writeable array"):
        core.render(small.native, c, "rgb", 0, 0, 0, 0, BEST, 1, np.zeros((1, 32, 40, 2), np.uint8))
    with pytest.raises(ValueError, match="basis grids must be"):
        core.RenderSource(small.pixels, small.basis[:, :, 1:].copy())
