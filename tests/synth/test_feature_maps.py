"""feature_maps: the recipe from plan to map: layout, signs, what each nuisance does, and that the maps teach the classes."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mie_engine import kernels
from mie_engine.errors import BackendError, UsageError
from mie_engine.synth import features as road
from mie_engine.synth.action_units import parse
from mie_engine.synth.faces import Face
from mie_engine.synth.features import feature_maps
from mie_engine.synth.nuisance import RELATIVE, Nuisance, nuisance
from mie_engine.synth.plan import Identity, Plan, make_plan
from mie_engine.synth.rig import Rig
from mie_engine.synth.rows import Rows

FACES = sorted(Path(str(resources.files("mie_engine") / "assets" / "faces")).glob("*.jpg"))
OFF: dict[str, Any] = {
    "side_gain": (1, 1),
    "twitch_share": 0,
    "blink_share": 0,
    "yaw_sigma": 0,
    "pitch_sigma": 0,
    "translation_sigma": 0,
    "roll_sigma": 0,
    "scale_sigma": 0,
    "geometry_scale": (1, 1),
    "geometry_shift_sigma_px": 0,
    "patch_strength": 0,
    "noise_level": (0, 0),
}
SEED = 17


@pytest.fixture(scope="module")
def face() -> Face:
    return Face.load(FACES[10], size=128)


def planned(face: Face, clips: int, seed: int = SEED, **recipe: Any) -> tuple[Plan, Rows]:
    identity = Identity(face.name, face.source_sha256)
    plan = make_plan(clips=clips, seed=seed, identities=(identity,), content="features", size=face.size, nuisance=Nuisance(**recipe))
    return plan, plan.rows(0, clips)


def showing(rows: Rows, *expressions: dict[str, float]) -> Rows:
    """The same rows with other action units at the apex."""
    return replace(rows, apex=np.stack([parse(expression) for expression in expressions]))


def values(maps: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    """Maps back in lattice px and strain, float64 [N, 28, 28, 3]."""
    low, high = ranges[:, None, None, :, 0].astype(float), ranges[:, None, None, :, 1].astype(float)
    return low + maps / 255 * (high - low)


def map_place(face: Face, landmarks: tuple[int, ...]) -> tuple[int, int]:
    """Row and column of the map pixel in which the middle of some landmarks lies, geometry jitter off."""
    points = face.landmarks_px[:, :2]
    right, left, mouth = points[[33, 133]].mean(0), points[[362, 263]].mean(0), points[[61, 291]].mean(0)
    x, y = points[list(landmarks)].mean(0)
    across = 0.275 + 0.45 * (x - right[0]) / (left[0] - right[0])
    down = 0.265 + 0.425 * (y - (right[1] + left[1]) / 2) / (mouth[1] - (right[1] + left[1]) / 2)
    return int(28 * down), int(28 * across)


# ---- shape, determinism, backends


def test_shapes_and_ranges(face):
    plan, rows = planned(face, 12)
    maps, ranges = feature_maps(plan, face, rows)
    assert (maps.shape, maps.dtype) == ((12, 28, 28, 3), np.uint8)
    assert (ranges.shape, ranges.dtype) == ((12, 3, 2), np.float32)
    assert (maps.min((1, 2)) == 0).all()
    assert (maps.max((1, 2)) == 255).all()
    assert (ranges[..., 0] < ranges[..., 1]).all()
    assert (ranges[:, 2, 0] >= 0).all()
    assert np.isfinite(ranges).all()


def test_a_sample_is_a_function_of_the_plan_and_its_number(face):
    plan, rows = planned(face, 30)
    maps, ranges = feature_maps(plan, face, rows)
    again, _ = feature_maps(plan, face, rows)
    assert np.array_equal(again, maps)
    for part in (slice(0, 1), slice(1, 19), slice(19, 30)):
        some = feature_maps(plan, face, rows.of(part))
        assert np.array_equal(some[0], maps[part])
        assert np.array_equal(some[1], ranges[part])
    other, _ = feature_maps(replace(plan, seed=SEED + 1), face, replace(plan, seed=SEED + 1).rows(0, 30))
    assert (other != maps).any((1, 2, 3)).all()


def test_backends_give_the_same_bytes(face):
    plan, rows = planned(face, 6)
    maps, ranges = feature_maps(plan, face, rows, backend="cpu")
    expected_maps, expected_ranges = feature_maps(plan, face, rows, backend="ref")
    assert np.array_equal(maps, expected_maps)
    assert np.array_equal(ranges, expected_ranges)


def test_refusals(face):
    plan, rows = planned(face, 3)
    with pytest.raises(BackendError, match="cuda"):
        feature_maps(plan, face, rows, backend="cuda")
    clips = make_plan(clips=3, seed=1, identities=plan.identities)
    with pytest.raises(UsageError, match="belong to content 'features'"):
        feature_maps(clips, face, clips.rows(0, 3))


# ---- layout and signs


def test_the_lattice_puts_eyes_and_mouth_where_the_recipe_says():
    for path in FACES[::15]:
        face = Face.load(path)
        plan, rows = planned(face, 1, **OFF)
        lattice, turn = road.lattice_of(face, nuisance(plan, rows))
        ox, oy, xx, xy, yx, yy = lattice[0] / 65536
        assert (xy, yx) == (0, 0)
        places = {(33, 133): (0.275, 0.265), (362, 263): (0.725, 0.265), (61, 291): (None, 0.69)}
        for landmarks, (share_x, share_y) in places.items():
            x, y = face.landmarks_px[list(landmarks), :2].mean(0)
            i, j = (x - ox) / xx, (y - oy) / yy  # lattice point 0 lies half a step inside the crop
            assert share_x is None or (i + 0.5) / 56 == pytest.approx(share_x, abs=2e-4), face.name
            assert (j + 0.5) / 56 == pytest.approx(share_y, abs=2e-3), face.name  # the eyes' line is level
        assert turn[0] / 4096 == pytest.approx([1 / xx, 0, 0, 1 / yy], abs=2e-4)


def test_geometry_jitter_scales_about_the_middle_and_shifts(face):
    plan, rows = planned(face, 200, **{**OFF, "geometry_scale": (0.92, 1.08), "geometry_shift_sigma_px": 0.6})
    drawn = nuisance(plan, rows)
    lattice, _ = road.lattice_of(face, drawn)
    still, _ = road.lattice_of(face, replace(drawn, geometry=np.tile([1.0, 1, 0, 0], (200, 1))))
    step, still_step = lattice[:, [2, 5]], still[:, [2, 5]]
    assert step == pytest.approx(still_step / drawn.geometry[:, :2], abs=1)
    middle = still[:, :2] + 27.5 * still_step  # of the crop, in the source
    seen_at = (middle - lattice[:, :2]) / step  # its place in the jittered lattice
    assert (seen_at - 27.5) / 2 == pytest.approx(drawn.geometry[:, 2:], abs=1e-3)  # px at 28x28


@pytest.mark.parametrize(
    ("expression", "landmarks", "u_sign", "v_sign"),
    [
        ({"AU12L": 0.2}, (291,), 1, -1),  # the person's left is on the right of the picture; the corner goes out and up
        ({"AU12R": 0.2}, (61,), -1, -1),
        ({"AU15L": 0.3}, (291,), 0, 1),
        ({"AU2L": 0.3}, (334,), 0, -1),
        ({"AU2R": 0.3}, (105,), 0, -1),
        ({"AU26": 0.3}, (17,), 0, 1),
        ({"AU4": 0.3}, (105,), 0, 1),
    ],
)
def test_motion_has_the_right_sign_in_the_right_place(face, expression, landmarks, u_sign, v_sign):
    plan, rows = planned(face, 1, **OFF)
    u, v, strain = values(*feature_maps(plan, face, showing(rows, expression)))[0].transpose(2, 0, 1)
    row, column = map_place(face, landmarks)
    here = slice(row - 1, row + 2), slice(column - 1, column + 2)
    peak = np.hypot(u, v).max()
    assert np.hypot(u[here], v[here]).max() > 0.4 * peak
    for field, sign in ((u, u_sign), (v, v_sign)):
        assert not sign or sign * field[here].mean() > 0.1 * peak
    assert strain[here].max() > 0.2 * strain.max()


def test_maps_are_the_flow_of_the_rendered_pair(face):
    """Without nuisances the map is the clip's own flow and strain, sampled at the lattice and averaged over 2 x 2."""
    plan, rows = planned(face, 1, **OFF)
    expression = {"AU12": 0.25, "AU1": 0.2}
    got = values(*feature_maps(plan, face, showing(rows, expression)))[0]
    rig = Rig.of(face, parse(expression))
    flow = kernels.render_with_motion(rig.source, rig.coefficients(parse(expression)[None]), strain=False).flow[0].astype(float)
    lattice, _ = road.lattice_of(face, nuisance(plan, rows))
    ox, oy, xx, _, _, yy = lattice[0] / 65536
    x, y = np.clip(ox + xx * np.arange(56), 0, face.size - 1.001), np.clip(oy + yy * np.arange(56), 0, face.size - 1.001)
    i, j = x.astype(int), y.astype(int)
    tx, ty = (x - i)[None, :, None], (y - j)[:, None, None]
    upper = flow[j][:, i] * (1 - tx) + flow[j][:, i + 1] * tx
    lower = flow[j + 1][:, i] * (1 - tx) + flow[j + 1][:, i + 1] * tx
    sampled = (upper * (1 - ty) + lower * ty) / [xx, yy]  # lattice px
    expected = sampled.reshape(28, 2, 28, 2, 2).mean((1, 3))
    error = np.abs(got[..., :2] - expected)
    inside = slice(2, 26)  # where the lattice lies on the image
    assert error[inside, inside].max() < 0.03 * np.abs(expected).max()


# ---- nuisances


def test_blinks_are_a_fraction_of_the_peak(face):
    """Level 0.5 on both sides: the lids move by half of what the mouth moves."""
    plan, rows = planned(face, 1, **{**OFF, "blink_share": 1, "blink_level": (0.5, 0.5), "blink_side_gain": (1, 1)})
    quiet, _ = planned(face, 1, **OFF)
    rows = showing(rows, {"AU12": 0.2})
    with_blink, without = (values(*feature_maps(p, face, rows))[0] for p in (plan, quiet))
    difference = with_blink - without
    eyes = [map_place(face, pair) for pair in ((33, 133), (362, 263))]
    share = np.hypot(*difference[..., :2].transpose(2, 0, 1))
    row, column = np.unravel_index(share.argmax(), share.shape)
    assert min(np.hypot(row - r, column - c) for r, c in eyes) <= 3
    assert difference[row, column, 1] > 0  # lids close downwards
    rig = Rig.of(face, parse({"AU12": 0.2, "AU45": 1e-9}))
    _, lattice_step = road.lattice_of(face, nuisance(plan, rows))
    peak_px = np.abs(rig.coefficients(parse({"AU12": 0.2})[None])[0] / 4096 * rig.peaks_px).max()
    lattice_px = 0.5 * peak_px * lattice_step[0, 3] / 4096
    assert share.max() == pytest.approx(lattice_px, rel=0.3)  # a map pixel averages 2 x 2 points of a narrow lid
    assert share[20:].max() < 0.05 * share.max()


def test_blinks_in_the_share_of_the_samples_that_the_recipe_says(face):
    plan, rows = planned(face, 300, **{**OFF, "blink_share": 0.8})
    quiet, _ = planned(face, 300, **OFF)
    blinking = nuisance(plan, rows).relative[:, 0] != 0
    maps, still = (feature_maps(p, face, rows)[0] for p in (plan, quiet))
    assert np.array_equal((maps != still).any((1, 2, 3)), blinking), f"seed {SEED}"
    assert 0.73 < blinking.mean() < 0.87


def test_head_translation_is_a_fraction_of_the_peak(face):
    plan, rows = planned(face, 24, **{**OFF, "translation_sigma": 0.3})
    quiet, _ = planned(face, 24, **OFF)
    rows = showing(rows, *[{"AU12": 0.2}] * 24)
    drawn = nuisance(plan, rows)
    lattice, _ = road.lattice_of(face, drawn)
    moved, still = (values(*feature_maps(p, face, rows)) for p in (plan, quiet))
    rig = Rig.of(face, parse({"AU12": 0.2}))
    nodes = np.tensordot(rig.coefficients(parse({"AU12": 0.2})[None])[0] / 4096, rig.basis.grids[:, :2] / 512, 1)
    peak_px = np.hypot(*nodes).max()
    top = slice(2, 8)  # the forehead rests in a smile
    for column, axis in ((RELATIVE.index("tx"), 0), (RELATIVE.index("ty"), 1)):
        expected = drawn.relative[:, column] * peak_px / (lattice[:, 2 + 3 * axis] / 65536)
        got = (moved - still)[:, top, 8:20, axis].mean((1, 2))
        assert got == pytest.approx(expected, abs=0.06 * np.abs(expected).max()), f"seed {SEED}"


def test_head_scale_is_a_fraction_of_the_peak_at_the_edge_of_the_map(face):
    plan, rows = planned(face, 24, **{**OFF, "scale_sigma": 0.3})
    quiet, _ = planned(face, 24, **OFF)
    rows = showing(rows, *[{"AU12": 0.2}] * 24)
    drawn = nuisance(plan, rows)
    moved, still = (values(*feature_maps(p, face, rows)) for p in (plan, quiet))
    rig = Rig.of(face, parse({"AU12": 0.2}))
    nodes = np.tensordot(rig.coefficients(parse({"AU12": 0.2})[None])[0] / 4096, rig.basis.grids[:, :2] / 512, 1)
    lattice = road.lattice_of(face, drawn)[0] / 65536
    peak = np.hypot(*nodes).max() / np.sqrt(lattice[:, 2] * lattice[:, 5])
    across = (moved - still)[:, :, :, 0].mean(1)
    got = (across[:, -1] - across[:, 0]) * 28 / 27 / 2  # from the outermost pixels' middles to the map's edges
    assert got == pytest.approx(drawn.relative[:, RELATIVE.index("scale")] * peak, rel=0.1, abs=0.01)


def test_relative_nuisances_are_never_cut_short():
    """The peak that every sample asks of the blink and the head fits beside its expression."""
    face = Face.load(FACES[40])
    plan, rows = planned(face, 400)
    drawn = nuisance(plan, rows)
    received: list[Any] = []
    original = kernels.features
    try:
        road.kernels.features = lambda *given, **options: received.append((given, options)) or original(*given, **options)  # type: ignore[assignment]
        feature_maps(plan, face, rows)
    finally:
        road.kernels.features = original  # type: ignore[assignment]
    (grids, coefficients), options = received[0]
    nodes = np.tensordot(coefficients / 4096, grids[:, :2] / 512, 1)
    peaks_px = np.hypot(nodes[:, 0], nodes[:, 1]).max((1, 2))
    asked = np.abs(options["relative"] / 4096 * peaks_px[:, None] / (options["channel_peak_q7"] / 128))
    total = asked.sum(1) + np.abs(coefficients / 4096).sum(1)
    assert len(drawn.apex) == len(total) == 400
    assert total.max() < 32767 / 4096, f"seed {SEED}"


def test_patches_and_noise_change_what_they_should(face):
    quiet, rows = planned(face, 40, **OFF)
    rows = showing(rows, *[{"AU12": 0.2}] * 40)
    still = values(*feature_maps(quiet, face, rows))
    patchy = values(*feature_maps(planned(face, 40, **{**OFF, "patch_strength": 0.4})[0], face, rows))
    noisy = values(*feature_maps(planned(face, 40, **{**OFF, "noise_level": (0.1, 0.1)})[0], face, rows))
    strong = np.abs(still[..., :2]) > 0.3 * np.abs(still[..., :2]).max()
    gain = patchy[..., :2][strong] / still[..., :2][strong]
    assert gain.min() > 0
    assert np.median(gain) == pytest.approx(np.exp(-0.4), rel=0.08)
    peak = np.hypot(still[..., 0], still[..., 1]).max((1, 2))
    spread = (noisy - still)[..., :2].std((1, 2, 3)) / peak
    assert 0.05 < spread.mean() < 0.11  # 0.1 of the peak, less what 2 x 2 averaging takes
    corner = np.abs(still[..., :2]).max((0, 3)) < 1e-6
    assert not corner.any() or np.abs(noisy[:, corner, 0]).max() > 0


def test_a_sample_without_expression_is_all_zero(face):
    plan, rows = planned(face, 2, **OFF)
    maps, ranges = feature_maps(plan, face, showing(rows, {}, {}))
    assert not maps.any()
    assert not ranges.any()


def test_statistics_of_the_recipe():
    face = Face.load(FACES[25], size=128)
    plan, rows = planned(face, 300)
    _, ranges = feature_maps(plan, face, rows)
    assert np.bincount(rows.label3).tolist() == [100, 100, 100]
    assert 0.60 < (rows.source == "micro").mean() < 0.80, f"seed {SEED}"
    assert set(rows.emotion) >= {"happiness", "surprise", "disgust", "anger", "repression"}
    peak = np.abs(ranges[:, :2]).max((1, 2))
    assert (peak > 0).all()
    assert 0.2 < np.median(peak) < 3  # lattice px, of 56: micro-motion
    assert np.quantile(peak, 0.95) < 8


# ---- do they teach?


def learnable(paths: list[Path], per_face: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Maps of many faces, normalised as the recipe says, [N, 28 * 28 * 3], and labels [N]."""
    faces = [Face.load(path, size=128) for path in paths]
    identities = tuple(Identity(face.name, face.source_sha256) for face in faces)
    plan = make_plan(clips=per_face * len(faces), seed=seed, identities=identities, content="features", size=128)
    rows = plan.rows(0, plan.clips)
    parts = [slice(k * per_face, (k + 1) * per_face) for k in range(len(faces))]
    maps = np.concatenate([feature_maps(plan, face, rows.of(part))[0] for face, part in zip(faces, parts, strict=True)]).astype(float)
    maps -= np.median(maps, (1, 2), keepdims=True)
    maps /= maps.std((1, 2), keepdims=True) + 1e-6
    return (1.5 * np.tanh(maps / 1.5)).reshape(len(maps), -1), rows.label3


def accuracy(train: np.ndarray, labels: np.ndarray, test: np.ndarray, truth: np.ndarray) -> float:
    """Ridge regression onto the three classes, in its dual form."""
    weights = np.linalg.solve(train @ train.T + 10_000 * np.eye(len(train)), np.eye(3)[labels] - 1 / 3)
    return float((np.argmax(test @ (train.T @ weights), axis=1) == truth).mean())


def test_classes_are_separable_on_unseen_identities():
    train, labels = learnable(FACES[:24], 50, seed=1)
    test, truth = learnable(FACES[60:76], 30, seed=2)
    score = accuracy(train, labels, test, truth)
    shuffled = accuracy(train, np.random.default_rng(3).permutation(labels), test, truth)
    print(
        f"three classes, {len(train)} samples of 24 faces, tested on {len(test)} of 16 others: {score:.3f}; labels shuffled: {shuffled:.3f}"
    )
    assert score > 0.75
    assert abs(shuffled - 1 / 3) < 0.09
