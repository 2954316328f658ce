"""jpeg: every path writes the file that libjpeg's accurate integer transform writes, byte for byte.

The oracle is Pillow (libjpeg-turbo, islow): chroma planes doubled in size come out of its 2 x 2 averaging unchanged.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

import mie_engine._core as core
from mie_engine import kernels
from mie_engine.errors import BackendError, RangeError, ShapeError, UsageError
from mie_engine.kernels.jpeg import ref

LEVELS = core.simd_levels()
SIZES = [(1, 1), (8, 8), (9, 17), (16, 32), (17, 33), (40, 48), (64, 24), (31, 80)]
KINDS = ("noise", "checker", "flat", "waves", "dots", "smooth")


def planes(frame: np.ndarray, height: int, width: int) -> list[np.ndarray]:
    half = (height + 1) // 2, (width + 1) // 2
    y, u, v = np.split(frame, [height * width, height * width + half[0] * half[1]])
    return [y.reshape(height, width), u.reshape(half), v.reshape(half)]


def libjpeg(frame: np.ndarray, height: int, width: int, quality: int) -> bytes:
    y, u, v = planes(frame, height, width)
    bands = [Image.fromarray(p) for p in (y, *(c.repeat(2, 0).repeat(2, 1)[:height, :width] for c in (u, v)))]
    file = io.BytesIO()
    Image.merge("YCbCr", bands).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return file.getvalue()


def plane(kind: str, r: np.random.Generator, height: int, width: int) -> np.ndarray:
    """noise: long codes; checker: the largest coefficients; flat: end of block only; waves and dots: long runs of zeros."""
    y, x = np.mgrid[:height, :width]
    if kind == "checker":
        image = 255 * ((x * r.integers(2) + y + r.integers(2)) % 2)
    elif kind == "flat":
        image = np.full((height, width), r.integers(256))
    elif kind == "waves":  # one or two frequencies of a block
        u, v = r.integers(0, 8, (2, 2))
        image = 127.5 + 63 * np.sum(
            [np.cos((2 * x + 1) * a * np.pi / 16) * np.cos((2 * y + 1) * b * np.pi / 16) for a, b in zip(u, v, strict=True)], 0
        )
    elif kind == "dots":
        image = np.where(r.random((height, width)) < 0.02, 255, 0)
    elif kind == "smooth":
        image = 128 + np.cumsum(r.normal(0, 2, (height, width)), 1) + np.cumsum(r.normal(0, 2, (height, width)), 0)
    else:
        image = r.integers(0, 256, (height, width))
    return np.clip(image, 0, 255).astype(np.uint8)


def frame_of(seed: int, height: int, width: int) -> np.ndarray:
    r = np.random.default_rng(seed)
    half = (height + 1) // 2, (width + 1) // 2
    return np.concatenate([plane(KINDS[(seed + i) % len(KINDS)], r, *size).ravel() for i, size in enumerate(((height, width), half, half))])


def assert_equals_libjpeg(seed: int, height: int, width: int, quality: int) -> None:
    frame = frame_of(seed, height, width)
    expected = libjpeg(frame, height, width, quality)
    for level in LEVELS:
        (file,) = kernels.encode_jpeg(frame[None], (height, width), quality, simd=level)
        first = next((i for i, (a, b) in enumerate(zip(file, expected, strict=False)) if a != b), None)
        assert file == expected, f"{level}, seed {seed}, {height} x {width}, quality {quality}: differs at byte {first}"


@pytest.mark.parametrize("quality", range(1, 101))
def test_equals_libjpeg_at_every_quality(quality):
    for seed in range(len(KINDS)):
        assert_equals_libjpeg(seed, 41, 72, quality)


@pytest.mark.parametrize("height", range(1, 81))
def test_equals_libjpeg_at_every_size(height):
    r = np.random.default_rng(height)
    for width in {*r.integers(1, 81, 6).tolist(), 1 + (height * 37) % 80}:
        assert_equals_libjpeg(100 * height + width, height, width, int(r.choice([1, 20, 50, 75, 95, 100])))


@pytest.mark.parametrize(("height", "width"), [(255, 257), (480, 641), (1, 1999), (2001, 3)])
def test_equals_libjpeg_on_larger_images(height, width):
    for seed, quality in ((0, 95), (4, 50), (5, 90)):
        assert_equals_libjpeg(seed, height, width, quality)


def test_equals_libjpeg_at_the_largest_side():
    for height, width in ((8192, 9), (9, 8192)):
        assert_equals_libjpeg(5, height, width, 95)


@pytest.mark.slow
@pytest.mark.parametrize("height", range(1, 81))
def test_equals_libjpeg_at_all_sizes_to_80(height):
    for width in range(1, 81):
        assert_equals_libjpeg(10_000 + 80 * height + width, height, width, 1 + (height * 7 + width * 13) % 100)


def test_equals_libjpeg_by_way_of_simplejpeg():
    """Its planes are coded as they are; it takes the accurate transform from quality 96 on."""
    simplejpeg = pytest.importorskip("simplejpeg", reason="equality with libjpeg's own raw input is NOT tested")
    frame = frame_of(5, 96, 128)
    for quality in (96, 100):
        expected = simplejpeg.encode_jpeg_yuv_planes(*planes(frame, 96, 128), quality, fastdct=False)
        assert kernels.encode_jpeg(frame[None], (96, 128), quality) == [expected]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_reference_equals_libjpeg(height, width):
    for seed, quality in ((0, 100), (1, 97), (3, 60), (4, 30), (5, 95), (2, 1)):
        frame = frame_of(seed, height, width)
        (file,) = kernels.encode_jpeg(frame[None], (height, width), quality, backend="ref")
        assert file == libjpeg(frame, height, width, quality), f"seed {seed}, quality {quality}"


def test_single_coefficients_of_every_size_and_run(rng):
    """Files that reach most codes: blocks of two waves at quality 100, every pair of frequencies."""
    y, x = np.mgrid[:8, :8]
    waves = [np.cos((2 * x + 1) * (i % 8) * np.pi / 16) * np.cos((2 * y + 1) * (i // 8) * np.pi / 16) for i in range(64)]
    blocks = [
        a * waves[i] + b * waves[j]
        for i in range(64)
        for j, a, b in zip(rng.permutation(64)[:16], *rng.uniform(-64, 64, (2, 16)), strict=True)
    ]
    luma = np.clip(np.round(np.array(blocks).reshape(32, 32, 8, 8).swapaxes(1, 2).reshape(256, 256)) + 128, 0, 255).astype(np.uint8)
    frame = np.concatenate([luma.ravel(), luma[:128, :128].ravel(), luma[128:, 128:].ravel()])
    for quality in (75, 100):
        for level in LEVELS:
            assert kernels.encode_jpeg(frame[None], (256, 256), quality, simd=level) == [libjpeg(frame, 256, 256, quality)]


def test_frames_of_a_batch_are_independent():
    frames = np.stack([frame_of(seed, 33, 47) for seed in range(12)])
    together = kernels.encode_jpeg(frames, (33, 47))
    assert together == [kernels.encode_jpeg(frames[t : t + 1], (33, 47))[0] for t in range(12)]
    assert kernels.encode_jpeg(frames[::-1], (33, 47)) == together[::-1]


def test_reciprocals_divide_exactly():
    """The fixed-point division of the vector paths, for every sum and divisor it can meet."""
    sums = np.arange(1 << 15, dtype=np.uint64)
    for step in range(1, 256):
        divisor = 8 * step
        shift = (divisor - 1).bit_length() - 1
        reciprocal = -(-(1 << (16 + shift)) // divisor)
        assert reciprocal < 1 << 16
        assert np.array_equal((sums * np.uint64(reciprocal) >> np.uint64(16)) >> np.uint64(shift), sums // np.uint64(divisor)), step


def test_files_decode_to_the_frame():
    frame = frame_of(5, 120, 90)
    (file,) = kernels.encode_jpeg(frame[None], (120, 90), 100)
    with Image.open(io.BytesIO(file)) as image:
        image.draft("YCbCr", None)
        decoded = np.asarray(image)
        assert image.mode == "YCbCr"
    assert decoded.shape == (120, 90, 3)
    assert np.abs(decoded[..., 0].astype(int) - planes(frame, 120, 90)[0]).max() <= 2


def test_zigzag_of_the_definition():
    assert ref.ZIGZAG[:10] == [0, 1, 8, 16, 9, 2, 3, 10, 17, 24]
    assert sorted(ref.ZIGZAG) == list(range(64))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"frames": np.zeros((1, 95), np.uint8)}, ShapeError, "have 95 bytes each, expected 96 for yuv420 of 8 x 8 px"),
        ({"frames": np.zeros((1, 96))}, ShapeError, "float64, expected uint8"),
        ({"frames": np.zeros(96, np.uint8)}, ShapeError, r"shape \[96\]"),
        ({"size": 8}, UsageError, r"expected \(height, width\)"),
        ({"size": (8, 8193)}, RangeError, r"width is 8193, allowed is 1\.\.8192"),
        ({"quality": 0}, RangeError, r"quality is 0, allowed is 1\.\.100"),
        ({"quality": 95.0}, RangeError, "whole number"),
        ({"simd": "sse2"}, UsageError, "allowed are auto, scalar, avx2, avx512"),
        ({"simd": "scalar", "backend": "ref"}, UsageError, "leave one of them out"),
        ({"backend": "cuda"}, BackendError, "jpeg has no cuda backend"),
    ],
)
def test_refuses_with_a_useful_message(change, error, message):
    with pytest.raises(error, match=message):
        kernels.encode_jpeg(**{"frames": np.zeros((1, 96), np.uint8), "size": (8, 8), **change})
