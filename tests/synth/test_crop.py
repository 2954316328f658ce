"""crop_affine: exact relations of the sampler, and its errors."""

import numpy as np
import pytest

from mie_engine import _core


def test_identity_is_exact(rng):
    image = rng.integers(0, 256, (40, 40, 3), np.uint8)
    assert np.array_equal(_core.crop_affine(image, [[1, 0, 0], [0, 1, 0]], 40), image)
    padded = rng.integers(0, 256, (40, 55, 3), np.uint8)[:, :40]  # rows further apart than they are long
    assert np.array_equal(_core.crop_affine(padded, [[1, 0, 0], [0, 1, 0]], 40), padded)


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_whole_reduction_is_the_block_mean(rng, factor):
    image = rng.integers(0, 256, (factor * 12, factor * 12, 3), np.uint8)
    middle = (factor - 1) / 2
    crop = _core.crop_affine(image, [[factor, 0, middle], [0, factor, middle]], 12)
    blocks = image.reshape(12, factor, 12, factor, 3).sum(axis=(1, 3), dtype=np.int64)
    assert np.array_equal(crop, (blocks + factor * factor // 2) // factor**2)


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
    got = _core.crop_affine(image, matrix, 40, supersample=1)
    assert np.abs(got - want).max() < 1.6  # half a level of rounding, 1/512 px of position on steps of up to 255 levels


@pytest.mark.parametrize("seed", range(8))
def test_flips_and_transposition_commute(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(3, 60, 2)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    (a, b, c, d), (x, y), n = rng.uniform(-2.5, 2.5, 4), rng.uniform(-20, 60, 2), int(rng.integers(1, 40))
    zero = bool(seed % 2)
    crop = _core.crop_affine(image, [[a, b, x], [c, d, y]], n, zero_border=zero)
    mirror = [[a, -b, width - 1 - x - a * (n - 1)], [-c, d, y + c * (n - 1)]]
    flipped = _core.crop_affine(np.ascontiguousarray(image[:, ::-1]), mirror, n, zero_border=zero)
    assert np.array_equal(flipped[:, ::-1], crop), f"seed {seed}"
    swapped = _core.crop_affine(np.ascontiguousarray(image.transpose(1, 0, 2)), [[d, c, y], [b, a, x]], n, zero_border=zero)
    assert np.array_equal(swapped.transpose(1, 0, 2), crop), f"seed {seed}"


def test_borders():
    image = np.full((8, 8, 3), 200, np.uint8)
    outside = [[1, 0, 100], [0, 1, 100]]
    assert (_core.crop_affine(image, outside, 8) == 200).all()
    assert (_core.crop_affine(image, outside, 8, zero_border=True) == 0).all()


@pytest.mark.parametrize(
    ("matrix", "size", "message"),
    [
        ([[np.nan, 0, 0], [0, 1, 0]], 8, "not finite"),
        ([[1, 0, 1e12], [0, 1, 0]], 8, "far outside"),
        ([[1e300, 0, 0], [0, 1, 0]], 8, "far outside"),
        ([[1, 0, 0]], 8, r"\[2, 3\]"),
        ([[1, 0, 0], [0, 1, 0]], 0, "size"),
        ([[1, 0, 0], [0, 1, 0]], 1 << 20, "size"),
    ],
)
def test_refuses_impossible_windows(matrix, size, message):
    with pytest.raises(ValueError, match=message):
        _core.crop_affine(np.zeros((8, 8, 3), np.uint8), matrix, size)


@pytest.mark.parametrize(
    "image", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3)), np.zeros((0, 8, 3), np.uint8), np.zeros((8, 16, 3), np.uint8)[:, ::2]]
)
def test_refuses_other_arrays(image):
    with pytest.raises(ValueError, match="rgb"):
        _core.crop_affine(image, [[1, 0, 0], [0, 1, 0]], 8)
