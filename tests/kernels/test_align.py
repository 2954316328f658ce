"""align: cpu = ref byte for byte on every source and output, exact relations of the sampler, colour against Pillow, and its errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from mie_engine import kernels
from mie_engine.errors import BackendError, RangeError, ShapeError, UsageError

IDENTITY = [[1, 0, 0], [0, 1, 0]]
OUTPUTS = ("grey", "rgb", "hwc", "chw")


def crop(image: np.ndarray, matrix: Any, size: int, **how: Any) -> np.ndarray:
    return kernels.align(image, np.array(matrix, float), size, **{"output": "rgb"} | how)


def any_frame(rng: np.random.Generator, kind: str, height: int, width: int) -> Any:
    """A noise frame; rows lie apart."""

    def plane(*shape: int) -> np.ndarray:
        return rng.integers(0, 256, (shape[0], shape[1] + 5, *shape[2:]), np.uint8)[:, : shape[1]]

    half = (height + 1) // 2, (width + 1) // 2
    if kind in ("rgb", "grey"):
        return plane(height, width, *((3,) if kind == "rgb" else ()))
    return (plane(height, width), *([plane(*half), plane(*half)] if kind == "yuv420" else [plane(*half, 2)]))


# ---- backends


@pytest.mark.parametrize("kind", ["rgb", "grey", "yuv420", "nv12"])
@pytest.mark.parametrize("seed", range(10))
def test_equals_reference(kind, seed):
    rng = np.random.default_rng(seed)
    height, width, size = (int(n) for n in rng.integers(1, (70, 70, 40)))
    frame = any_frame(rng, kind, height, width)
    turn = rng.uniform(-3, 3, (2, 2)) * rng.choice([0.1, 1, 6])  # from enlargements to sparse samples
    matrix = np.concatenate([turn, rng.uniform(-30, 80, (2, 1))], 1)
    how = {
        "full_range": bool(seed & 1),
        "border": ("replicate", "zero")[seed // 2 % 2],
        "supersample": seed % 5,
        "fraction_bits": 1 + seed % 8,
    }
    for output in OUTPUTS:
        cpu, ref = (
            kernels.align(frame, matrix, size, output=output, scale=1 / 127.5, offset=-1, backend=backend, **how)
            for backend in ("cpu", "ref")
        )
        assert cpu.dtype == ref.dtype
        assert np.array_equal(cpu, ref), f"{kind} {height} x {width} -> {size}, {output}, seed {seed}"


# ---- exact relations


def test_identity_is_exact(rng):
    image = rng.integers(0, 256, (40, 40, 3), np.uint8)
    assert np.array_equal(crop(image, [[1, 0, 0], [0, 1, 0]], 40), image)
    padded = rng.integers(0, 256, (40, 55, 3), np.uint8)[:, :40]  # rows further apart than they are long
    assert np.array_equal(crop(padded, [[1, 0, 0], [0, 1, 0]], 40), padded)


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_whole_reduction_is_the_block_mean(rng, factor):
    image = rng.integers(0, 256, (factor * 12, factor * 12, 3), np.uint8)
    middle = (factor - 1) / 2
    whole = crop(image, [[factor, 0, middle], [0, factor, middle]], 12)
    blocks = image.reshape(12, factor, 12, factor, 3).sum(axis=(1, 3), dtype=np.int64)
    assert np.array_equal(whole, (blocks + factor * factor // 2) // factor**2)


def test_equals_bilinear_interpolation_within_a_level(rng):
    image = rng.integers(0, 256, (50, 70, 3), np.uint8)
    angle, scale = 0.3, 0.7
    a, b = scale * np.cos(angle), -scale * np.sin(angle)
    matrix = np.array([[a, b, 20.3], [-b, a, 5.9]])
    j, i = np.mgrid[0:40, 0:40]
    x, y = (matrix[row, 0] * i + matrix[row, 1] * j + matrix[row, 2] for row in (0, 1))
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]

    def tap(dx, dy):
        return image[np.clip(y0 + dy, 0, 49), np.clip(x0 + dx, 0, 69)].astype(float)

    want = (tap(0, 0) * (1 - fx) + tap(1, 0) * fx) * (1 - fy) + (tap(0, 1) * (1 - fx) + tap(1, 1) * fx) * fy
    got = crop(image, matrix, 40, supersample=1)
    assert np.abs(got - want).max() < 1.6  # half a level of rounding, 1/512 px of position on steps of up to 255 levels


@pytest.mark.parametrize("seed", range(8))
def test_flips_and_transposition_commute(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(3, 60, 2)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    (a, b, c, d), (x, y), n = rng.uniform(-2.5, 2.5, 4), rng.uniform(-20, 60, 2), int(rng.integers(1, 40))
    border = ("replicate", "zero")[seed % 2]
    whole = crop(image, [[a, b, x], [c, d, y]], n, border=border)
    mirror = [[a, -b, width - 1 - x - a * (n - 1)], [-c, d, y + c * (n - 1)]]
    flipped = crop(np.ascontiguousarray(image[:, ::-1]), mirror, n, border=border)
    assert np.array_equal(flipped[:, ::-1], whole), f"seed {seed}"
    swapped = crop(np.ascontiguousarray(image.transpose(1, 0, 2)), [[d, c, y], [b, a, x]], n, border=border)
    assert np.array_equal(swapped.transpose(1, 0, 2), whole), f"seed {seed}"


def test_borders():
    image = np.full((8, 8, 3), 200, np.uint8)
    outside = [[1, 0, 100], [0, 1, 100]]
    assert (crop(image, outside, 8) == 200).all()
    assert (crop(image, outside, 8, border="zero") == 0).all()


@pytest.mark.parametrize("backend", ["cpu", "ref"])
def test_outputs_are_one_picture(rng, backend):
    image = any_frame(rng, "rgb", 41, 60)
    matrix = np.array([[0.9, 0.2, 3], [-0.2, 0.9, 11]])
    rgb, hwc, chw = (kernels.align(image, matrix, 32, output=o, scale=0.5, offset=-3, backend=backend) for o in ("rgb", "hwc", "chw"))
    assert np.array_equal(hwc, rgb.astype(np.float32) * np.float32(0.5) - np.float32(3))
    assert np.array_equal(chw, hwc.transpose(2, 0, 1))


def test_grey_is_pillows_luma_of_the_source(rng):
    """Grey is made before the window: the grey of a frame, and the frame in grey, give the same bytes."""
    image = np.ascontiguousarray(any_frame(rng, "rgb", 64, 64))
    luma = np.array(Image.fromarray(image).convert("L"))
    assert np.array_equal(kernels.align(image, np.array(IDENTITY), 64), luma)
    turned = np.array([[1.7, 0.4, -3], [-0.4, 1.7, 8]])
    assert np.array_equal(kernels.align(image, turned, 50), kernels.align(luma, turned, 50))
    assert np.array_equal(crop(luma, turned, 50), np.stack([kernels.align(luma, turned, 50)] * 3, -1))


def test_grey_of_yuv_is_its_luma(rng):
    y, u, v = any_frame(rng, "yuv420", 47, 61)
    matrix = np.array([[1.1, 0.3, 4], [-0.3, 1.1, 9]])
    plain = kernels.align(y, matrix, 40)
    assert np.array_equal(kernels.align((y, u, v), matrix, 40, full_range=True), plain)
    stretched = np.clip(np.floor((plain.astype(float) - 16) * 255 / 219 + 0.5), 0, 255)
    for frame in ((y, u, v), (y, np.stack([u, v], -1))):
        assert np.array_equal(kernels.align(frame, matrix, 40), stretched)


@pytest.mark.parametrize("full_range", [True, False])
def test_planar_and_packed_chroma_are_the_same_frame(rng, full_range):
    y, u, v = any_frame(rng, "yuv420", 33, 50)
    matrix = np.array([[0.8, -0.1, 4], [0.1, 0.8, -2]])
    assert np.array_equal(*(crop(frame, matrix, 44, full_range=full_range) for frame in ((y, u, v), (y, np.stack([u, v], -1)))))


def test_flat_colours_come_back(rng):
    """A flat RGB colour through Pillow's full-range YCbCr, and the corners of the limited range."""
    for colour in ((255, 0, 0), (12, 200, 90), (255, 255, 255), (0, 0, 0), *rng.integers(0, 256, (20, 3)).tolist()):
        ycc = np.array(Image.new("RGB", (2, 2), tuple(colour)).convert("YCbCr"))[0, 0]
        planes = [np.full(shape, level, np.uint8) for shape, level in zip(((9, 7), (5, 4), (5, 4)), ycc, strict=True)]
        assert np.abs(crop(planes, IDENTITY, 6, full_range=True).astype(int) - colour).max() <= 2
    for level, want in ((16, 0), (235, 255), (126, 128)):
        planes = [np.full(shape, value, np.uint8) for shape, value in (((8, 8), level), ((4, 4), 128), ((4, 4), 128))]
        assert (crop(planes, IDENTITY, 8) == want).all()


def test_outside_a_zero_border_lies_black(rng):
    for kind in ("rgb", "grey", "yuv420", "nv12"):
        frame = any_frame(rng, kind, 20, 20)
        for full_range in (True, False):
            assert not crop(frame, [[1, 0, 100], [0, 1, 100]], 8, border="zero", full_range=full_range).any()


# ---- errors


@pytest.mark.parametrize(
    ("matrix", "size", "error", "message"),
    [
        ([[np.nan, 0, 0], [0, 1, 0]], 8, RangeError, "not finite"),
        ([[1, 0, 1e12], [0, 1, 0]], 8, RangeError, "px away"),
        ([[1e300, 0, 0], [0, 1, 0]], 8, RangeError, "px away"),
        ([[1, 0, 0]], 8, ShapeError, r"\[2, 3\]"),
        (IDENTITY, 0, RangeError, "size"),
        (IDENTITY, 1 << 20, RangeError, "size"),
    ],
)
def test_refuses_impossible_windows(matrix, size, error, message):
    with pytest.raises(error, match=message):
        crop(np.zeros((8, 8, 3), np.uint8), matrix, size)


Y, C = np.zeros((8, 8), np.uint8), np.zeros((4, 4), np.uint8)


@pytest.mark.parametrize(
    "frame",
    [np.zeros((8, 8, 3)), np.zeros((0, 8, 3), np.uint8), np.zeros((8, 8, 4), np.uint8), (Y, C, C[:3]), (Y, C), [Y, C, C, C], None, ()],
)
def test_refuses_other_arrays(frame):
    with pytest.raises(ShapeError, match="align"):
        crop(frame, IDENTITY, 8)


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ({"output": "bgr"}, UsageError),
        ({"border": "mirror"}, UsageError),
        ({"backend": "gpu"}, UsageError),
        ({"backend": "cuda"}, BackendError),
        ({"supersample": 17}, RangeError),
        ({"fraction_bits": 0}, RangeError),
        ({"scale": np.nan}, RangeError),
    ],
)
def test_refuses_other_ways(how, error):
    with pytest.raises(error, match="align"):
        crop(np.zeros((8, 8, 3), np.uint8), IDENTITY, 8, **how)
