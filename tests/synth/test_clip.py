"""mie.render: what a clip promises: the source at rest, mirrors, sides, and a flow that is the motion shown."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mesh_oracle import bilinear
from scipy import ndimage

import mie_engine as mie
from mie_engine import kernels
from mie_engine.errors import BackendError, RangeError, UsageError
from mie_engine.synth.action_units import AU_NUMBERS, UNIT_INDEX, UNITS, parse

FACES = sorted(Path(str(resources.files("mie_engine") / "assets" / "faces")).glob("*.jpg"))
FLOW_ERROR_PX = 0.05  # the promise; measured 0.039 over all shipped faces, in open mouths, and 0.015 elsewhere
QUIET: dict[str, Any] = {"noise_sigma": 0, "drift": False}


@pytest.fixture(scope="module")
def face() -> mie.Face:
    return mie.Face.load(FACES[10])


# ---- shapes, seeds, curves


@pytest.mark.parametrize("frames", [2, 3, 16])
def test_shapes_and_types(face, frames):
    clip = mie.render(face, {"AU12": 0.25, "AU6": 0.15}, frames=frames, seed=7)
    assert isinstance(clip, mie.Clip)
    assert (clip.frames.shape, clip.frames.dtype) == ((frames, 256, 256, 3), np.uint8)
    assert (clip.flow.shape, clip.flow.dtype) == ((frames, 256, 256, 2), np.float32)
    assert (clip.strain.shape, clip.strain.dtype) == ((frames, 256, 256), np.float32)
    assert (clip.au.shape, clip.au.dtype) == ((frames, len(UNITS)), np.float64)
    assert clip.time_s.shape == (frames,)
    assert clip.time_s[0] == 0
    assert (np.diff(clip.time_s) > 0).all()
    assert 0.03 < clip.time_s[-1] <= 0.5
    assert not clip.flow[0].any()
    assert not clip.strain[0].any()


def test_curves_are_what_was_asked_for(face):
    asked = {"AU12L": 0.3, "AU12R": 0.1, "AU6": 0.2, "AU25": 0.15}
    clip = mie.render(face, asked, onset={"AU4": 0.2, "AU25": 0.3}, seed=3)
    assert np.array_equal(clip.au[0], parse({"AU4": 0.2, "AU25": 0.3}))
    assert np.array_equal(clip.au[clip.apex_frame], parse(asked))
    assert 0 < clip.apex_frame < 15
    silent = [unit for unit in range(len(UNITS)) if not parse(asked)[unit] and unit not in (UNIT_INDEX["AU4L"], UNIT_INDEX["AU4R"])]
    assert not clip.au[:, silent].any()
    falling, rising = clip.au[:, UNIT_INDEX["AU4L"]], clip.au[:, UNIT_INDEX["AU12L"]]
    assert (np.diff(falling[: clip.apex_frame + 1]) <= 0).all()
    assert (np.diff(rising[: clip.apex_frame + 1]) >= 0).all()
    assert (np.diff(rising[clip.apex_frame :]) <= 0).all()
    pair = mie.render(face, asked, frames=2)
    assert pair.apex_frame == 1
    assert np.array_equal(pair.au[1], parse(asked))


@pytest.mark.parametrize("name", ["AU1", "AU4", "AU12", "AU17", "AU26", "AU45"])
def test_the_apex_is_where_most_moves(face, name):
    clip = mie.render(face, {name: 0.3}, seed=5, **QUIET)
    moved = np.linalg.norm(clip.flow, axis=3).max((1, 2))
    assert moved.argmax() == clip.apex_frame
    assert moved[clip.apex_frame] > 0.5
    assert moved[-1] < 0.1 * moved[clip.apex_frame]


def test_seed_decides_everything_and_nothing_else_does(face):
    one = mie.render(face, {"AU12": 0.3}, seed=1)
    again = mie.render(face, {"AU12": 0.3}, seed=1, threads=3)
    other = mie.render(face, {"AU12": 0.3}, seed=2)
    assert np.array_equal(one.frames, again.frames)
    assert np.array_equal(one.flow, again.flow)
    assert np.array_equal(one.time_s, again.time_s)
    assert not np.array_equal(one.frames, other.frames)
    assert one.time_s[-1] != other.time_s[-1]


def test_backends_give_the_same_bytes():
    face = mie.Face.load(FACES[20], size=96)
    options = {"frames": 5, "seed": 4, "noise_sigma": 2.0}
    auto, reference = (mie.render(face, {"AU26": 0.6, "AU2L": 0.3}, backend=backend, **options) for backend in ("auto", "ref"))
    for name in ("frames", "flow", "strain", "coefficients"):
        assert np.array_equal(getattr(auto, name), getattr(reference, name)), name


def test_noise_and_drift_are_only_where_asked(face):
    quiet = mie.render(face, {"AU12": 0.3}, **QUIET)
    noisy = mie.render(face, {"AU12": 0.3}, noise_sigma=3, drift=False)
    assert np.array_equal(noisy.flow, quiet.flow)
    difference = noisy.frames[0].astype(float) - quiet.frames[0]
    inner = (quiet.frames[0] > 20) & (quiet.frames[0] < 235)
    assert difference[inner].std() == pytest.approx(3, rel=0.03)
    drifting = mie.render(face, {}, noise_sigma=0, seed=9)
    moved = np.linalg.norm(drifting.flow, axis=3).max((1, 2))
    assert 0.1 < moved.max() < 2.0  # 0.4 px, 0.002 rad and 0.0015 at the corner add up to 1.2 px at most


# ---- exact relations


@pytest.mark.parametrize("size", [256, 250, 64])
def test_zero_intensity_gives_the_source_exactly(size):
    face = mie.Face.load(FACES[30], size=size)
    for asked in ({}, {"AU12": 0.0}, {"AU26": 0, "AU4L": 0}):
        clip = mie.render(face, asked, frames=4, seed=8, **QUIET)
        assert all(np.array_equal(frame, face.pixels) for frame in clip.frames)
        assert not clip.flow.any()


def test_the_onset_of_any_clip_is_the_source_exactly(face):
    clip = mie.render(face, {"AU12": 1.0, "AU26": 0.5}, noise_sigma=0, drift=True)
    assert np.array_equal(clip.frames[0], face.pixels)
    assert not np.array_equal(clip.frames[clip.apex_frame], face.pixels)


@pytest.mark.parametrize("path", FACES[::21], ids=lambda p: p.stem)
@pytest.mark.parametrize(
    "asked", [{"AU12": 0.25, "AU6": 0.2}, {"AU26": 0.8, "AU1": 1.0, "AU2": 0.4}, {"AU9": 1.0, "AU17": 0.5, "AU45": 1.0}]
)
def test_a_mirrored_face_gives_the_mirrored_frame_exactly(path, asked):
    face = mie.Face.load(path)
    clip = mie.render(face, asked, frames=6, seed=2, **QUIET)
    other = mie.render(face.mirrored(), asked, frames=6, seed=2, **QUIET)
    assert np.array_equal(other.frames, clip.frames[:, :, ::-1])
    assert np.array_equal(other.flow, clip.flow[:, :, ::-1] * np.float32([-1, 1]))
    assert np.array_equal(other.strain, clip.strain[:, :, ::-1])


def test_left_in_the_mirror_is_right(face):
    clip = mie.render(face, {"AU12L": 0.7, "AU2R": 0.4}, frames=2, **QUIET)
    other = mie.render(face.mirrored(), {"AU12R": 0.7, "AU2L": 0.4}, frames=2, **QUIET)
    assert np.array_equal(other.frames, clip.frames[:, :, ::-1])


@pytest.mark.parametrize("name", ["AU1", "AU2", "AU4", "AU6", "AU7", "AU9", "AU10", "AU12", "AU14", "AU15", "AU16", "AU20", "AU24", "AU45"])
def test_one_sided_units_stay_on_their_side(face, name):
    """The person's left is on the right of the picture; what crosses the middle is little, and more where the unit acts beside it."""
    own_share = 0.80 if name in ("AU1", "AU16", "AU24") else 0.93
    middle = face.landmarks_px[[6, 1, 164, 152], 0].mean()
    columns = np.arange(face.size)
    for side, own in (("L", columns > middle), ("R", columns < middle)):
        flow = mie.render(face, {name + side: 0.5}, frames=2, **QUIET).flow[1]
        motion = (flow.astype(float) ** 2).sum(2)
        assert motion[:, own].sum() > own_share * motion.sum(), side
        far = np.abs(columns - middle) > 0.25 * np.ptp(face.landmarks_px[:, 0])
        assert np.sqrt(motion[:, far & ~own].max()) < 0.15 * np.sqrt(motion.max()), side


def test_a_smile_on_the_left_moves_right_in_the_picture(face):
    corner = np.rint(face.landmarks_px[291, :2]).astype(int)  # the left corner of the mouth
    u, v = mie.render(face, {"AU12L": 0.3}, frames=2, **QUIET).flow[1, corner[1], corner[0]]
    assert u > 0.5
    assert v < -0.5  # and up


# ---- the flow is the motion


def field_px(clip: mie.Clip, frame: int) -> np.ndarray:
    """Backward displacement of a frame at its nodes, float64 [2, G, G], within the renderer's limit."""
    return np.clip(np.tensordot(clip.coefficients[frame] / 4096, clip.rig.basis.grids[:, :2] / 512, 1), -28, 28)


def largest_miss_px(clip: mie.Clip) -> float:
    """|x + D_onset(x) - (y + D_later(y))| with y = x + flow: both must show the same point of the source."""
    y, x = np.mgrid[: clip.frames.shape[1], : clip.frames.shape[2]].astype(float)
    at_onset = np.stack([x, y]) + bilinear(field_px(clip, 0), x, y)
    worst = 0.0
    for frame, flow in enumerate(clip.flow.astype(float)):
        there = np.stack([x + flow[..., 0], y + flow[..., 1]])
        worst = max(worst, float(np.hypot(*(at_onset - there - bilinear(field_px(clip, frame), *there))).max()))
    return worst


@pytest.mark.parametrize("number", AU_NUMBERS)
def test_flow_is_exact_for_every_unit(number):
    for path, level in [(FACES[3], 1.0), (FACES[44], 0.3), (FACES[83], 0.8)]:
        clip = mie.render(mie.Face.load(path), {f"AU{number}": level}, frames=3, seed=number)
        assert largest_miss_px(clip) <= FLOW_ERROR_PX, (path.stem, level)


@pytest.mark.parametrize("seed", range(8))
def test_flow_is_exact_for_mixed_expressions_with_an_onset(seed):
    rng = np.random.default_rng(seed)
    face = mie.Face.load(FACES[int(rng.integers(len(FACES)))])
    apex = {
        f"AU{n}": float(rng.uniform(0.05, 0.5)) for n in rng.choice([1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 25, 26, 45], 5, False)
    }
    onset = {f"AU{n}": float(rng.uniform(0.05, 0.3)) for n in rng.choice([1, 2, 4, 6, 12, 15, 17, 25], 2, False)}
    clip = mie.render(face, apex, onset=onset, frames=5, seed=seed)
    assert largest_miss_px(clip) <= FLOW_ERROR_PX, f"seed {seed}, {face.name}, {apex}, {onset}"


@pytest.mark.slow
def test_flow_is_exact_on_many_faces():
    worst: list[tuple[float, str, str]] = []
    for path in FACES[::9]:
        face = mie.Face.load(path)
        for number in AU_NUMBERS:
            clip = mie.render(face, {f"AU{number}": 0.8 if number == 27 else 1.0}, frames=3, seed=number)  # AU27 at 1 does not fit on all
            worst.append((largest_miss_px(clip), face.name, f"AU{number}"))
    worst.sort(reverse=True)
    print(f"largest misses of {len(worst)} clips at full intensity: {worst[:5]}")
    assert worst[0][0] <= FLOW_ERROR_PX, worst[:5]


def remapped(frame: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """The frame seen through the flow, cubic interpolation."""
    y, x = np.mgrid[: frame.shape[0], : frame.shape[1]].astype(float)
    where = [y + flow[..., 1], x + flow[..., 0]]
    return np.stack([ndimage.map_coordinates(frame[..., c].astype(float), where, order=3, mode="nearest") for c in range(3)], -1)


@pytest.mark.parametrize("path", FACES[7::33], ids=lambda p: p.stem)
@pytest.mark.parametrize(
    "asked", [{"AU12": 0.25, "AU6": 0.15}, {"AU1": 0.4, "AU2": 0.4}, {"AU12": 1.0}, {"AU4": 0.3, "AU15": 0.4, "AU17": 0.3}]
)
def test_the_flow_takes_every_frame_back_to_the_onset(path, asked):
    """Rendered without noise and shading from a smooth picture, so that resampling twice costs little."""
    face = mie.Face.load(path)
    clip = mie.render(face, asked, frames=4, seed=1, noise_sigma=0)
    pixels = ndimage.gaussian_filter(face.pixels.astype(float), (1.5, 1.5, 0)).round().astype(np.uint8)
    unshaded = kernels.RenderSource(pixels, clip.rig.source.basis[:, :2])
    frames = kernels.render(unshaded, clip.coefficients)
    inner = (slice(24, -24),) * 2
    for frame in range(4):
        error = remapped(frames[frame], clip.flow[frame])[inner] - frames[0][inner]
        still = frames[frame][inner].astype(float) - frames[0][inner]
        psnr = 10 * np.log10(255**2 / (error**2).mean())
        assert psnr > 44, f"frame {frame}: {psnr:.1f} dB"
        if still.any():
            assert (error**2).mean() < 0.1 * (still**2).mean(), f"frame {frame}"


def test_strain_is_that_of_the_flow(face):
    clip = mie.render(face, {"AU12": 0.5, "AU4": 0.3}, frames=5, seed=6)
    for flow, strain in zip(clip.flow.astype(float), clip.strain, strict=True):
        u, v = flow[..., 0], flow[..., 1]
        (uy, ux), (vy, vx) = np.gradient(u), np.gradient(v)
        assert np.abs(np.sqrt(ux**2 + vy**2 + (uy + vx) ** 2 / 2) - strain).max() < 1e-5


# ---- refusals


@pytest.mark.parametrize(
    ("asked", "options", "error", "message"),
    [
        ({"AU3": 0.2}, {}, UsageError, "unknown action unit 'AU3'"),
        ({"AU12": 1.2}, {}, RangeError, "AU12: intensity is 1.2, allowed is 0 to 1"),
        ({"AU12": float("nan")}, {}, RangeError, "intensity is nan"),
        ({"AU12": "much"}, {}, UsageError, "intensity is str"),
        ({"AU12": 0.2, "AU12L": 0.1}, {}, UsageError, "AU12L is set twice"),
        ({"AU17L": 0.2}, {}, UsageError, "central"),
        (["AU12"], {}, UsageError, "expected a mapping"),
        ({"AU12": 0.2}, {"onset": {"AU99": 0.1}}, UsageError, "AU99"),
        ({"AU12": 0.2}, {"frames": 1}, RangeError, "frames is 1, allowed is 2 to 512"),
        ({"AU12": 0.2}, {"frames": 513}, RangeError, "frames is 513"),
        ({"AU12": 0.2}, {"seed": -1}, RangeError, "seed is -1"),
        ({"AU12": 0.2}, {"noise_sigma": 85}, RangeError, "noise_sigma is 85"),
        ({"AU12": 0.2}, {"threads": 0}, RangeError, "threads is 0"),
        ({"AU12": 0.2}, {"backend": "cuda"}, BackendError, "cuda"),
        ({"AU12": 0.2}, {"backend": "fast"}, UsageError, "backend is 'fast'"),
        ({"AU26": 1.0, "AU17": 1.0, "AU27": 1.0}, {}, RangeError, "the motion reaches .* px at size 256"),
    ],
)
def test_refuses_with_a_useful_message(face, asked, options, error, message):
    with pytest.raises(error, match=message):
        mie.render(face, asked, **options)


def test_motion_beyond_the_renderer_names_the_unit():
    face = mie.Face.load(FACES[10], size=512)
    with pytest.raises(RangeError, match=r"AU26 is the strongest unit.*lower the intensities or the size"):
        mie.render(face, {"AU26": 1.0, "AU12": 0.2})
