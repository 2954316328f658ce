"""motion: every instruction set equals the definition bit for bit; analytic goldens; exact relations that need no tolerance."""

from __future__ import annotations

import numpy as np
import pytest
from nodes import motion

from mie_engine import _core
from mie_engine.kernels.render import ref_motion

RESIDUAL_PX = 0.02  # promise for fields of slope up to 0.8


def grid(size: tuple[int, int]) -> tuple[int, int]:
    return (size[0] + 3) // 4 + 1, (size[1] + 3) // 4 + 1


def steepest(nodes: np.ndarray) -> float:
    """Largest spectral norm of the gradient over all cell corners, px per px."""
    field = nodes / 128
    across, down = np.diff(field, axis=2) / 4, np.diff(field, axis=1) / 4
    jacobians = [np.stack([across[:, y:][:, : down.shape[1]], down[:, :, x:][:, :, : across.shape[2]]], -1) for x in (0, 1) for y in (0, 1)]
    return max(float(np.linalg.norm(np.moveaxis(j, 0, -2), 2, axis=(-2, -1)).max()) for j in jacobians)


def smooth_nodes(rng: np.random.Generator, size: tuple[int, int], peak_px: float, slope: float) -> np.ndarray:
    """Nodes of a sum of Gaussian pushes with the given peak, weakened where it would be steeper than `slope`."""
    gh, gw = grid(size)
    y, x = np.mgrid[:gh, :gw] * 4.0 - 0.5
    field = np.zeros((2, gh, gw))
    for _ in range(int(rng.integers(2, 9))):
        sigma, aspect = rng.uniform(6, 40), rng.uniform(0.5, 2)
        square = (x - rng.uniform(0, size[1])) ** 2 * aspect + (y - rng.uniform(0, size[0])) ** 2 / aspect
        field += rng.normal(size=(2, 1, 1)) * np.exp(-square / (2 * sigma**2))
    field *= 128 * peak_px / np.hypot(*field).max()
    field *= min(1.0, slope / steepest(field))
    return np.rint(field).astype(np.int16)


def random_case(seed: int) -> tuple[np.ndarray, np.ndarray | None, tuple[int, int]]:
    rng = np.random.default_rng(seed)
    size = (int(rng.integers(2, 70)), int(rng.integers(2, 110)))
    kind = seed % 4
    if kind == 0:  # anything that fits, folds included
        later = rng.integers(-3584, 3585, (2, 2, *grid(size))).astype(np.int16)
    elif kind == 1:  # a little motion in one place, rest beside it
        later = np.zeros((2, 2, *grid(size)), np.int16)
        later[1, :, grid(size)[0] // 2, grid(size)[1] // 2] = rng.integers(-200, 201, 2)
    else:
        peak, slope = ((25, 0.8), (3, 0.4))[kind - 2]
        later = np.stack([smooth_nodes(rng, size, peak, slope) for _ in range(2)])
    onset = smooth_nodes(rng, size, rng.uniform(0.1, 8), 0.4) if rng.random() < 0.5 else None
    return later, onset, size


def assert_levels_equal_reference(seed: int) -> None:
    later, onset, (height, width) = random_case(seed)
    expected_flow, expected_strain = ref_motion.motion(later, onset, height, width, True, True)
    for name in _core.simd_levels():
        flow, strain = motion(later, onset, size=(height, width), simd=name)
        assert flow.tobytes() == expected_flow.tobytes(), f"flow, {name}, seed {seed}"
        assert strain.tobytes() == expected_strain.tobytes(), f"strain, {name}, seed {seed}"


@pytest.mark.parametrize("seed", range(24))
def test_equals_reference(seed):
    assert_levels_equal_reference(seed)


@pytest.mark.slow
def test_equals_reference_many():
    for seed in range(1000, 1400):
        assert_levels_equal_reference(seed)


def bilinear(nodes: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Displacement in px at (x, y), in float64 and independent of the definition's rounding."""
    gx = np.clip((x + 0.5) / 4, 0, nodes.shape[2] - 1)
    gy = np.clip((y + 0.5) / 4, 0, nodes.shape[1] - 1)
    i, j = np.minimum(gx.astype(int), nodes.shape[2] - 2), np.minimum(gy.astype(int), nodes.shape[1] - 2)
    tx, ty, n = gx - i, gy - j, nodes / 128
    upper, lower = n[:, j, i] * (1 - tx) + n[:, j, i + 1] * tx, n[:, j + 1, i] * (1 - tx) + n[:, j + 1, i + 1] * tx
    return upper * (1 - ty) + lower * ty


def largest_residual(seed: int, size: tuple[int, int], peak_px: float, slope: float, with_onset: bool) -> float:
    rng = np.random.default_rng(seed)
    later = smooth_nodes(rng, size, peak_px, slope)
    onset = smooth_nodes(rng, size, peak_px / 2, slope / 2) if with_onset else np.zeros_like(later)
    flow, _ = motion(later[None], onset, size=size, strain=False)
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    there = x + flow[0, :, :, 0], y + flow[0, :, :, 1]
    miss = np.stack([x, y]) + bilinear(onset, x, y) - np.stack(there) - bilinear(later, *there)
    return float(np.hypot(*miss).max())


@pytest.mark.parametrize(("peak_px", "slope"), [(25, 0.8), (12, 0.8), (5, 0.4), (1, 0.2)])
@pytest.mark.parametrize("with_onset", [False, True])
def test_flow_lands_where_the_frame_shows_the_onset(peak_px, slope, with_onset):
    for seed in range(4):
        assert largest_residual(seed, (200, 230), peak_px, slope, with_onset) <= RESIDUAL_PX, f"seed {seed}"


@pytest.mark.slow
def test_flow_lands_on_many_strong_fields():
    worst = max((largest_residual(seed, (256, 256), 25, 0.8, seed % 3 == 0), seed) for seed in range(300))
    assert worst[0] <= RESIDUAL_PX, f"{worst[0]} px, seed {worst[1]}"


# u = B x makes later(x + B x) = onset(x), hence D(y) = -B (1 + B)^-1 y
@pytest.mark.parametrize(
    ("name", "gradient", "strain"),
    [
        ("expansion", [[1, 0], [0, 1]], 2**0.5),
        ("rotation", [[0, -1], [1, 0]], 0.0),
        ("shear", [[0, 1], [0, 0]], 0.5**0.5),
        ("stretch", [[1, 0], [0, 0]], 1.0),
    ],
)
def test_analytic_strain(name, gradient, strain):
    side, b = 48, np.array(gradient, float)
    place = np.mgrid[: side // 4 + 1, : side // 4 + 1][::-1] * 4.0 - 0.5 - side / 2
    nodes = np.rint(-128 * np.einsum("ij,jyx->iyx", b @ np.linalg.inv(np.eye(2) + b), place)).astype(np.int16)
    flow, got = motion(nodes[None], size=(side, side))
    inner = slice(side // 4 + 2, -side // 4 - 2)  # where x + u stays on the grid
    y, x = np.mgrid[:side, :side].astype(float)[:, inner, inner] - side / 2
    assert np.abs(flow[0, inner, inner] - np.einsum("ij,jyx->yxi", b, np.stack([x, y]))).max() <= 3 / 1024, name
    assert np.abs(got[0, inner, inner] - strain).max() <= 3 / 1024, name


def test_strain_at_the_border_is_one_sided():
    flow = np.zeros((2, 3, 4), np.int64)
    flow[0] = [0, 1024, 3072, 7168]  # u = 0, 1, 3, 7 px
    assert ref_motion.strain_of(flow)[0].tolist() == [1.0, 1.5, 3.0, 4.0]


@pytest.mark.parametrize("node", [(128, -384), (3584, 3584), (-3583, 1)])
def test_constant_translation_is_exact(node):
    nodes = np.broadcast_to(np.array(node, np.int16)[:, None, None], (1, 2, 10, 14)).copy()
    flow, strain = motion(nodes, size=(33, 50))
    assert (flow == -np.array(node, np.float32) / 128).all()
    assert not strain.any()


@pytest.mark.parametrize("backend", ["cpu", "ref"])
def test_rest_is_exactly_zero(backend):
    rng = np.random.default_rng(5)
    nodes = smooth_nodes(rng, (48, 64), 6, 0.5)
    flow, strain = motion(nodes[None], nodes, size=(48, 64), backend=backend)  # the onset again
    assert not flow.any()
    assert not strain.any()
    local = np.zeros((1, 2, 20, 20), np.int16)
    local[0, :, 10, 10] = 300  # moves pixels 36..43 only
    flow, strain = motion(local, size=(76, 76), backend=backend)
    still = np.ones((76, 76), bool)
    still[36:44, 36:44] = False
    assert not flow[0][still].any()
    assert flow[0][~still].any()


def mirror(nodes: np.ndarray | None) -> np.ndarray | None:
    return None if nodes is None else nodes[..., ::-1] * np.array([-1, 1], np.int16)[:, None, None]


def test_mirrored_nodes_give_mirrored_flow():
    for seed in range(12):
        later, onset, (height, width) = random_case(seed)
        width = (width + 3) // 4 * 4  # the grid of a mirrored image is the mirrored grid only then
        flow, strain = motion(later, onset, size=(height, width))
        mirrored_flow, mirrored_strain = motion(mirror(later), mirror(onset), size=(height, width))
        assert np.array_equal(mirrored_flow[:, :, ::-1] * np.float32([-1, 1]), flow), f"seed {seed}"
        assert np.array_equal(mirrored_strain[:, :, ::-1], strain), f"seed {seed}"


def test_parts_and_batches_are_the_same():
    later, onset, size = random_case(3)
    flow, strain = motion(later, onset, size=size)
    only_flow, no_strain = motion(later, onset, size=size, strain=False)
    no_flow, only_strain = motion(later, onset, size=size, flow=False)
    assert no_strain is None
    assert no_flow is None
    assert np.array_equal(only_flow, flow)
    assert np.array_equal(only_strain, strain)
    for n in (0, 1):
        assert np.array_equal(motion(later[n : n + 1], onset, size=size)[0][0], flow[n])
