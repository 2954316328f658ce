"""strain and flow_maps: analytic goldens, the formulas of the published codes, cpu = ref bit for bit, agreement with exact maps."""

from __future__ import annotations

import math
from importlib import resources

import numpy as np
import pytest
from nodes import motion
from scipy import ndimage

from mie_engine import _core, kernels
from mie_engine.errors import BackendError, RangeError, ShapeError, UsageError
from mie_engine.kernels.flow import ref_maps
from mie_engine.kernels.flow.ref_maps import KINDS, SIDES
from mie_engine.kernels.render import ref_features
from mie_engine.limits import MAX_FLOW_SIDE_PX
from mie_engine.synth.faces import Face
from mie_engine.synth.render import render

BACKENDS = ("ref", "cpu")


def bytes_equal(got: tuple[np.ndarray, np.ndarray], expected: tuple[np.ndarray, np.ndarray], what: str = "") -> None:
    assert np.array_equal(got[1], expected[1]), what
    assert np.array_equal(got[0], expected[0]), what


def values(maps: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    """[N, side, side, 3] before scaling."""
    low, high = ranges[:, None, None, :, 0].astype(float), ranges[:, None, None, :, 1].astype(float)
    return low + maps / 255 * (high - low)


def correlation(one: np.ndarray, other: np.ndarray) -> list[float]:
    return [float(np.corrcoef(one[..., c].ravel(), other[..., c].ravel())[0, 1]) for c in range(one.shape[-1])]


# ---- strain


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("motion", "true", "meb"),
    [("rotation", 0, 11.3137), ("expansion", math.sqrt(2), 8), ("shear", math.sqrt(0.5), 8), ("stretch", 1, 5.6569)],
)
def test_analytic_goldens(backend, motion, true, meb):
    y, x = np.mgrid[:20, :30].astype(np.float32)
    flow = np.stack({"rotation": (-y, x), "expansion": (x, y), "shear": (y, 0 * x), "stretch": (x, 0 * x)}[motion])[None]
    for kind in ("true", "shift"):  # to the border
        assert np.abs(kernels.strain(flow, kind, backend=backend) - true).max() < 1e-6
    assert np.abs(kernels.strain(flow, "meb", backend=backend)[:, 1:-1, 1:-1] - meb).max() < 1e-4


@pytest.mark.parametrize("backend", BACKENDS)
def test_equals_the_formulas_of_the_published_codes(rng, backend):
    flow = rng.normal(size=(1, 2, 31, 23)).astype(np.float32)
    u, v = flow[0].astype(float)
    (uy, ux), (vy, vx) = np.gradient(u), np.gradient(v)
    want = {"true": np.sqrt(ux**2 + vy**2 + (uy + vx) ** 2 / 2)}
    ux, uy, vx, vy = (ndimage.sobel(f, axis=axis, mode="constant") for f in (u, v) for axis in (0, 1))
    want["meb"] = np.sqrt(ux**2 + vy**2 + 0.5 * (uy**2 + vx**2))
    (ux, vx), (uy, vy) = ([np.diff(f, axis=axis)[:30, :22] for f in (u, v)] for axis in (1, 0))
    want["shift"] = np.pad(np.sqrt(ux**2 + vy**2 + 0.5 * (uy + vx) ** 2), ((0, 1), (0, 1)), "edge")
    for kind in KINDS:
        assert np.abs(kernels.strain(flow, kind, backend=backend)[0] - want[kind]).max() < 1e-5, kind


@pytest.mark.parametrize("kind", KINDS)
def test_strain_equals_reference(rng, kind):
    for _ in range(10):
        height, width = (int(side) for side in rng.integers(2, 90, 2))
        flow = (rng.normal(size=(3, 2, height, width)) * 10 ** rng.uniform(-3, 1)).astype(np.float32)
        assert np.array_equal(kernels.strain(flow, kind), kernels.strain(flow, kind, backend="ref")), (height, width)
    flow[1, 0, 0, 0] = np.nan
    found = kernels.strain(flow, kind)
    assert np.isnan(found[1]).any()
    assert np.isfinite(found[[0, 2]]).all()


# ---- maps of a given grid


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", SIDES)
def test_grid_maps_equal_reference(rng, side, kind):
    sizes = [(224, 224), (112, 448), (32, 33), (480, 640), *(tuple(rng.integers(32, 500, 2)) for _ in range(6))]
    for height, width in ((int(h), int(w)) for h, w in sizes):
        grid = (rng.normal(size=(1, 2, (height + 1) // 2, (width + 1) // 2)) * 10 ** rng.uniform(-3, 1)).astype(np.float32)
        maps, ranges = _core.grid_maps(grid, height, width, side, kind)
        bytes_equal((maps[0], ranges[0]), ref_maps.flow_maps(grid[0], (height, width), side, kind), f"{height} x {width}")


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("size", [(224, 224), (97, 131), (40, 33), (301, 512)])
def test_resampling_keeps_affine_flow(side, size):
    """An affine field keeps its slope, so its strain, whatever the ratio of cells to lattice; away from the last half cells."""
    height, width = size
    y, x = np.mgrid[: (height + 1) // 2, : (width + 1) // 2] * 2 + 0.5
    grid = np.stack([0.02 * x + 1, 0.01 * y - 2]).astype(np.float32)
    maps, ranges = _core.grid_maps(grid[None], height, width, side, "true")
    inner = slice(side // 8, -(side // 8))
    found = values(maps, ranges)[0][inner, inner]
    scale = 2 * side / np.array([width, height])  # to lattice px
    across, down = ((np.arange(side) + 0.5) / side * extent - 0.5 for extent in (width, height))
    assert np.abs(found[..., 0] - ((0.02 * across + 1) * scale[0])[None, inner]).max() < 0.005 * np.ptp(ranges[0, 0])
    assert np.abs(found[..., 1] - ((0.01 * down - 2) * scale[1])[inner, None]).max() < 0.005 * np.ptp(ranges[0, 1])
    assert np.abs(found[..., 2] - math.hypot(0.02, 0.01)).max() < 1e-3


@pytest.mark.parametrize("kind", ["true", "meb"])
def test_mirrored_grid_gives_the_mirrored_map(rng, kind):
    grid = rng.integers(-(2**12), 2**12, (1, 2, 112, 112)).astype(np.float32) / 1024
    mirrored = (grid * np.array([-1, 1], np.float32)[:, None, None])[..., ::-1]
    (_, ranges), (_, flipped) = (_core.grid_maps(np.ascontiguousarray(g), 224, 224, 28, kind) for g in (grid, mirrored))
    assert np.array_equal(flipped[0, 0], -ranges[0, 0, ::-1])
    assert np.array_equal(flipped[0, 1:], ranges[0, 1:])


def test_agrees_with_features_of_the_same_motion(rng):
    """The exact flow, sampled at every pixel, averaged to cells and mapped, is what `features` gives of the same nodes."""
    size = 224
    y, x = np.mgrid[: size // 4 + 1, : size // 4 + 1] * 4.0 - 0.5
    pushes = [np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 14.0**2)) for cx, cy in rng.uniform(40, 180, (4, 2))]
    basis = np.rint(512 * np.einsum("kyx,kd->kdyx", pushes, rng.uniform(-2, 2, (4, 2)))).astype(np.int16)
    coefficients = np.full((1, 4), 4096, np.int16)
    step = size / 56
    lattice = np.rint(np.array([[step / 2 - 0.5, step / 2 - 0.5, step, 0, 0, step]]) * 65536).astype(np.int32)
    turn = np.rint(np.array([[1 / step, 0, 0, 1 / step]]) * 4096).astype(np.int16)
    exact, exact_ranges = kernels.features(basis, coefficients, lattice=lattice, turn=turn)
    nodes = ref_features.displacement_nodes(coefficients[0].astype(np.int64), basis).astype(np.int16)
    flow, _ = motion(nodes[None], size=(size, size), strain=False)
    grid = flow[0].reshape(112, 2, 112, 2, 2).mean((1, 3)).transpose(2, 0, 1)
    maps, ranges = _core.grid_maps(np.ascontiguousarray(grid)[None], size, size, 28, "true")
    assert min(correlation(values(exact, exact_ranges), values(maps, ranges))) > 0.999
    assert np.abs(ranges - exact_ranges).max() < 0.03 * np.abs(exact_ranges).max()


# ---- from frames


def layout_window(face: Face, size: int) -> np.ndarray:
    """The crop of synth/features.py: eye centres at (.275, .265) and (.725, .265) of its side, the mouth at .69."""
    points = face.landmarks_px[:, :2]
    right, left, mouth = points[[33, 133]].mean(0), points[[362, 263]].mean(0), points[[61, 291]].mean(0)
    eyes_y = (right[1] + left[1]) / 2
    across, down = (left[0] - right[0]) / (0.45 * size), (mouth[1] - eyes_y) / (0.425 * size)
    return np.array([[across, 0, right[0] - across * (0.275 * size - 0.5)], [0, down, eyes_y - down * (0.265 * size - 0.5)]])


@pytest.mark.parametrize(
    ("number", "units", "least"),
    [
        ("003", {"AU12": 0.3, "AU6": 0.2}, (0.98, 0.98, 0.9)),
        ("040", {"AU4": 0.3, "AU15": 0.3}, (0.9, 0.92, 0.75)),
        ("077", {"AU1": 0.3, "AU2": 0.3, "AU5": 0.2}, (0.88, 0.97, 0.92)),
    ],
)
def test_estimated_maps_agree_with_the_exact_ones(number, units, least):
    face = Face.load(resources.files("mie_engine") / "assets" / "faces" / f"syn{number}.jpg", size=320)
    clip = render(face, units, frames=2, drift=False, noise_sigma=1, seed=3)
    window = layout_window(face, 224)
    step = window[[0, 1], [0, 1]] * 4  # source px per lattice px
    origin = window[:, 2] + window[[0, 1], [0, 1]] * 1.5  # the lattice's first point
    lattice = np.rint(np.array([[*origin, step[0], 0, 0, step[1]]]) * 65536).astype(np.int32)
    turn = np.rint(np.array([[1 / step[0], 0, 0, 1 / step[1]]]) * 4096).astype(np.int16)
    exact = values(*kernels.features(clip.rig.basis.grids, clip.coefficients[1:], lattice=lattice, turn=turn))
    onset, apex = (kernels.align(frame, window, 224)[None] for frame in clip.frames)
    found = values(*kernels.flow_maps(onset, apex))
    agreement = correlation(exact, found)
    print(units, agreement)
    assert all(r >= limit for r, limit in zip(agreement, least, strict=True)), agreement


def frames(rng: np.random.Generator, count: int, height: int = 96, width: int = 112) -> np.ndarray:
    field = ndimage.gaussian_filter(rng.normal(size=(height, width)), 2)
    shifted = [ndimage.shift(field, rng.uniform(-0.6, 0.6, 2), order=1, mode="nearest") for _ in range(count)]
    return np.clip(128 + 300 * np.stack(shifted), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("simd", _core.simd_levels())
def test_batch_and_threads_change_nothing(rng, simd):
    clip = frames(rng, 7)
    onset = np.repeat(clip[:1], 6, 0)
    want = kernels.flow_maps(onset, clip[1:], simd=simd, threads=1)
    for threads in (0, 2, 5):
        bytes_equal(kernels.flow_maps(onset, clip[1:], simd=simd, threads=threads), want)
        bytes_equal(kernels.flow_maps(clip[:1], clip[1:], simd=simd, threads=threads), want)
    alone = kernels.flow_maps(clip[:1], clip[3:4], simd=simd)
    bytes_equal((alone[0][0], alone[1][0]), (want[0][2], want[1][2]))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("side", SIDES)
def test_shapes_and_equal_frames(rng, backend, side):
    clip = frames(rng, 2)
    maps, ranges = kernels.flow_maps(clip[:1], clip, side=side, strain="shift", backend=backend)
    assert (maps.shape, maps.dtype, ranges.shape, ranges.dtype) == ((2, side, side, 3), np.uint8, (2, 3, 2), np.float32)
    assert not maps[0].any()  # equal frames: no motion, constant channels
    assert not ranges[0].any()
    assert (maps[1].min((0, 1)) == 0).all()
    assert (maps[1].max((0, 1)) == 255).all()


def test_backends_agree(rng):
    clip = frames(rng, 4)
    cpu, ref = (values(*kernels.flow_maps(clip[:1], clip[1:], backend=backend)) for backend in ("cpu", "ref"))
    assert np.abs(cpu - ref)[..., :2].max() < 0.03  # lattice px, see FLOW_PATHS
    assert np.abs(cpu - ref).mean() < 0.002


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"side": 32}, UsageError, "28, 56, 64"),
        ({"side": True}, UsageError, "28, 56, 64"),
        ({"strain": "sobel"}, UsageError, "true, shift, meb"),
        ({"backend": "gpu"}, UsageError, "gpu"),
        ({"backend": "cuda"}, BackendError, "no cuda backend"),
        ({"backend": "ref", "simd": "avx2"}, UsageError, "belongs to backend 'cpu'"),
        ({"threads": -1}, RangeError, "threads"),
        ({"later": np.zeros((2, 64, 64), np.float32)}, ShapeError, "float32"),
        ({"onset": np.zeros((3, 64, 64), np.uint8)}, ShapeError, r"\[3, 64, 64\]"),
        ({"onset": np.zeros((1, 16, 64), np.uint8), "later": np.zeros((1, 16, 64), np.uint8)}, RangeError, f"32..{MAX_FLOW_SIDE_PX}"),
    ],
)
def test_refuses_with_a_useful_message(change, error, message):
    call = {"onset": np.zeros((1, 64, 64), np.uint8), "later": np.zeros((2, 64, 64), np.uint8)} | change
    with pytest.raises(error, match=message):
        kernels.flow_maps(call.pop("onset"), call.pop("later"), **call)


@pytest.mark.parametrize(
    ("flow", "kind", "error"),
    [
        (np.zeros((1, 2, 8, 8)), "true", ShapeError),
        (np.zeros((1, 3, 8, 8), np.float32), "true", ShapeError),
        (np.zeros((1, 2, 1, 8), np.float32), "true", ShapeError),
        (np.zeros((1, 2, 8, 8), np.float32), "sobel", UsageError),
    ],
)
def test_strain_refuses_with_a_useful_message(flow, kind, error):
    with pytest.raises(error, match="strain"):
        kernels.strain(flow, kind)
