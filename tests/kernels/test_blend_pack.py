"""blend_pack: every backend gives the bytes of the integer definition, which is the formula to half a level."""

from __future__ import annotations

import numpy as np
import pytest

from mie_engine import kernels
from mie_engine.errors import InputError, ShapeError
from mie_engine.kernels.blend_pack import ref

BACKENDS = kernels.backends("blend_pack")


def case(rng, shape=(2, 19, 33)):
    count, height, width = shape
    color = rng.normal(0, 2, (count, 3, height, width)).astype(np.float32)
    mask = rng.normal(0, 4, (count, 1, height, width)).astype(np.float32)
    return color, mask, rng.integers(0, 256, (count, height, width, 3), np.uint8)


@pytest.mark.parametrize("backend", BACKENDS)
def test_definition_and_formula(backend, rng):
    color, mask, source = case(rng)
    color[0, 0, 0, :4] = [1e30, -1e30, 8.1, -8.1]
    mask[0, 0, 1, :4] = [1e30, -1e30, 16.1, -16.1]
    steps = np.arange(-80, 80, dtype=np.float32) / 8192  # every other one a tie
    color[1, 1].flat[:160], mask[1, 0].flat[:160] = steps, 2 * steps
    found = kernels.blend_pack(color, mask, source, backend=backend)
    assert np.array_equal(found, kernels.blend_pack(color, mask, source, backend="ref"))
    m = 1 / (1 + np.exp(-np.maximum(mask.astype(float), -700))).transpose(0, 2, 3, 1)
    exact = m * source + (1 - m) * 127.5 * (np.tanh(color.astype(float)).transpose(0, 2, 3, 1) + 1)
    assert np.abs(found - exact).max() <= 0.55


@pytest.mark.parametrize("backend", BACKENDS)
def test_full_mask_gives_the_source_and_no_mask_the_colour(backend, rng):
    color, mask, source = case(rng)
    assert np.array_equal(kernels.blend_pack(color, np.full_like(mask, 11.9), source, backend=backend), source)
    none = kernels.blend_pack(np.full_like(color, 9), np.full_like(mask, -16), source, backend=backend)
    assert none.min() == 255


def test_tables_leave_no_doubt_about_rounding():
    """No entry lies so near a tie that another library's tanh or exp would round it the other way."""
    at = np.arange(-ref.HALF, ref.HALF + 1, dtype=np.longdouble)
    for values in (256 * 127.5 * (np.tanh(at / ref.COLOR_STEPS) + 1), 65536 / (1 + np.exp(-at / ref.MASK_STEPS))):
        assert np.abs(values - np.floor(values) - 0.5).min() > 1e-9


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_does_not_fit_is_refused(backend, rng):
    color, mask, source = case(rng)
    for wrong in ((color[:1], mask, source), (color, mask[:, :, 1:], source), (color, mask, source[..., :2]), (color, color, source)):
        with pytest.raises(ShapeError, match="blend_pack"):
            kernels.blend_pack(*wrong, backend=backend)
    with pytest.raises(ShapeError, match="float32"):
        kernels.blend_pack(color.astype(float), mask, source, backend=backend)
    for value in (np.nan, np.inf, -np.inf):
        for head in (0, 1):
            heads = [color.copy(), mask.copy()]
            heads[head].flat[-1] = value
            with pytest.raises(InputError, match="NaN or infinity"):
                kernels.blend_pack(*heads, source, backend=backend)
