"""Faces: agreement with MediaPipe, the aligned crop, the mirror, and what is refused."""

import json
from importlib import resources

import numpy as np
import pytest

from mie_engine import _core, kernels
from mie_engine.errors import InputError, RangeError, ShapeError
from mie_engine.models.face_mesh import FaceMesh
from mie_engine.runtime.image import load_rgb
from mie_engine.synth.faces import Face

MAX_ERROR = 0.015  # of the inter-ocular distance, any face
MAX_MEAN_ERROR = 0.002  # over the faces of a folder; measured 0.0002

FACES = resources.files("mie_engine") / "assets" / "faces"


@pytest.fixture(scope="module")
def photo():
    return load_rgb(FACES / "syn010.jpg")


@pytest.fixture(scope="module")
def known(photo):
    return FaceMesh.shared().find(photo)[0].landmarks


@pytest.mark.parametrize("folder", ["faces_real", "faces_synthetic"])
def test_agrees_with_mediapipe_on_every_face(shared, folder):
    truth = np.load(shared / "assets" / f"{folder}_landmarks.npz")
    errors = {}
    for name, want in zip(truth["name"], truth["landmarks_px"], strict=True):
        found = FaceMesh.shared().find(load_rgb(shared / "assets" / folder / name))
        assert found, f"{name}: no face found"
        distance = np.linalg.norm(found[0].landmarks[:, :2] - want[:, :2], axis=1).mean()
        errors[str(name)] = distance / np.linalg.norm(want[468, :2] - want[473, :2])
    worst = max(errors, key=errors.get)
    mean = np.mean(list(errors.values()))
    print(f"{folder}: {len(errors)} faces, mean {mean:.3%}, worst {worst} {errors[worst]:.3%} of the inter-ocular distance")
    assert errors[worst] <= MAX_ERROR, worst
    assert mean <= MAX_MEAN_ERROR


def test_depth_agrees_with_mediapipe(shared):
    truth = np.load(shared / "assets" / "faces_synthetic_landmarks.npz")
    for name, want in list(zip(truth["name"], truth["landmarks_px"], strict=True))[:8]:
        found = FaceMesh.shared().find(load_rgb(shared / "assets" / "faces_synthetic" / name))[0].landmarks
        assert np.abs(found[:, 2] - want[:, 2]).mean() <= MAX_ERROR * np.linalg.norm(want[468, :2] - want[473, :2]), name


def test_mirror_table_is_the_symmetry_of_the_mesh(shared):
    order = np.array(json.loads((resources.files("mie_engine") / "assets" / "mirror478.json").read_text()))
    assert np.array_equal(order[order], np.arange(478))
    lines = (shared / "assets" / "mesh" / "canonical_face_model.obj").read_text().splitlines()
    mesh = np.array([line.split()[1:4] for line in lines if line.startswith("v ")], float)
    assert np.array_equal(mesh[order[:468]], mesh * [-1, 1, 1])
    # Irises are not in the mesh: their order follows from the mean of many faces, in units of the iris radius.
    truth = np.load(shared / "assets" / "faces_synthetic_landmarks.npz")["landmarks_px"][:, 468:, :2].astype(float)
    right, left = truth[:, :5] - truth[:, :1], truth[:, 5:] - truth[:, 5:6]
    radius = np.linalg.norm(right[:, 1:], axis=2).mean()
    assert np.abs((left[:, order[468:473] - 473] * [-1, 1] - right).mean(axis=0)).max() < 0.1 * radius


def test_load_describes_the_face(shared):
    path = shared / "assets" / "faces_synthetic" / "syn003.jpg"
    truth = np.load(shared / "assets" / "faces_synthetic_landmarks.npz")
    want = truth["landmarks_px"][list(truth["name"]).index("syn003.jpg")]
    face = Face.load(path, size=192)
    assert face.pixels.shape == (192, 192, 3)
    assert face.landmarks_px.shape == (478, 3)
    assert (face.name, face.size, face.face_count) == ("syn003", 192, 1)
    assert len(face.source_sha256) == 64
    assert 0.5 <= face.score <= 1
    assert face.interocular_px == pytest.approx(np.linalg.norm(want[468, :2] - want[473, :2]), rel=0.01)
    for array in (face.pixels, face.landmarks_px):
        assert not array.flags.writeable


def test_crop_is_level_centred_and_has_room(photo):
    for turn in (-25, 0, 25):
        face = Face.from_array(_turned(photo, turn), size=256)
        points = face.landmarks_px
        eyes = points[[362, 263], :2].mean(axis=0) - points[[33, 133], :2].mean(axis=0)
        assert abs(eyes[1]) < 1e-9 * eyes[0], turn
        low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
        assert np.allclose((low + high) / 2, 127.5), turn
        assert (high - low).max() == pytest.approx(256 / 1.35), turn


def _turned(photo, degrees):
    size = max(photo.shape)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    middle = (np.array(photo.shape[1::-1]) - 1) / 2 - np.array([[c, -s], [s, c]]) @ np.full(2, (size - 1) / 2)
    return kernels.align(photo, np.array([[c, -s, middle[0]], [s, c, middle[1]]]), size, output="rgb")


def test_crop_shows_what_the_landmarks_say(known):
    # An image whose colour is its position: the crop's colour at a landmark is the landmark's position in the image.
    rows, columns = np.mgrid[0:400, 0:500]
    ramp = np.stack([columns / 2, rows / 2, np.zeros_like(rows)], axis=2).astype(np.uint8)
    points = (known - known.mean(axis=0)) * 200 / np.ptp(known[:, 1]) + [250, 200, 0]
    for size in (100, 256, 512):
        face = Face.from_landmarks(ramp, points, size=size)
        columns, rows = np.rint(face.landmarks_px[:, :2]).astype(int).T
        seen = face.pixels[rows, columns, :2].astype(float) * 2
        assert np.abs(seen - points[:, :2]).max() < 3, size


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [63, 256])
def test_mirrored_image_gives_the_mirrored_crop_byte_for_byte(known, seed, size):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (rng.integers(60, 400), rng.integers(60, 400), 3), np.uint8)
    angle, scale = rng.uniform(-0.6, 0.6), rng.uniform(0.3, 1.5)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    points = (known - known.mean(axis=0)) @ turn.T * scale * min(image.shape[:2]) / np.ptp(known[:, 1])
    points += [image.shape[1] / 2 + rng.uniform(-9, 9), image.shape[0] / 2 + rng.uniform(-9, 9), 0]
    order = json.loads((resources.files("mie_engine") / "assets" / "mirror478.json").read_text())
    flipped = points[order]
    flipped[:, 0] = image.shape[1] - 1 - flipped[:, 0]
    if np.linalg.norm(points[468, :2] - points[473, :2]) < 20:
        with pytest.raises(InputError, match="px apart"):
            Face.from_landmarks(image, points, size=size)
        return
    want = Face.from_landmarks(image, points, size=size).mirrored()
    got = Face.from_landmarks(np.ascontiguousarray(image[:, ::-1]), flipped, size=size)
    assert np.array_equal(got.pixels, want.pixels), f"seed {seed}"
    assert np.abs(got.landmarks_px - want.landmarks_px).max() < 1e-6, f"seed {seed}"


def test_mirrored_twice_is_the_face_itself(photo):
    face = Face.from_array(photo, name="me")
    again = face.mirrored().mirrored()
    assert np.array_equal(again.pixels, face.pixels)
    assert np.abs(again.landmarks_px - face.landmarks_px).max() < 1e-9
    assert (again.name, again.source_sha256, again.score) == ("me", face.source_sha256, face.score)
    swapped = face.mirrored().landmarks_px
    assert swapped[33, 0] < swapped[263, 0]  # the subject's right eye stays on the left of the picture


def test_largest_of_several_faces_is_used(photo):
    small = photo[::2, ::2]
    canvas = np.full((photo.shape[0], photo.shape[1] + small.shape[1], 3), 128, np.uint8)
    canvas[: small.shape[0], : small.shape[1]] = small
    canvas[:, small.shape[1] :] = photo
    alone, both = Face.from_array(photo), Face.from_array(canvas)
    assert (alone.face_count, both.face_count) == (1, 2)
    assert both.interocular_px == pytest.approx(alone.interocular_px, rel=0.05)
    boxes = [face.box for face in FaceMesh.shared().find(canvas)]
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in boxes]
    assert areas == sorted(areas, reverse=True)
    assert len(FaceMesh.shared().find(canvas, max_faces=1)) == 1


def test_refuses_what_is_no_face(photo, known, rng):
    with pytest.raises(InputError, match="no face found in 200 x 150 px"):
        Face.from_array(rng.integers(0, 256, (150, 200, 3), np.uint8))
    tiny = kernels.align(photo, np.array([[6.0, 0, 0], [0, 6, 0]]), 64, output="rgb")
    with pytest.raises(InputError, match=r"px apart|no face"):
        Face.from_array(tiny)
    with pytest.raises(InputError, match="at least 20 px"):
        Face.from_landmarks(photo, (known - known.mean(axis=0)) * 0.1 + [100, 100, 0])
    with pytest.raises(RangeError, match=r"32\.\.2048"):
        Face.from_array(photo, size=5000)
    with pytest.raises(ShapeError, match=r"\[478, 3\]"):
        Face.from_landmarks(photo, known[:468])
    for bad in (np.nan, np.inf, 1e30):
        broken = known.copy()
        broken[7, 0] = bad
        with pytest.raises(InputError, match="finite"):
            Face.from_landmarks(photo, broken)
    with pytest.raises(InputError):
        Face.from_landmarks(photo, np.zeros((478, 3)) + 100)


def test_errors_of_a_network_reach_the_caller(photo):
    def fail(image):
        raise KeyError("from the network")

    with pytest.raises(KeyError, match="from the network"):
        _core.find_faces(photo, fail, fail, 1)
    with pytest.raises(ValueError, match="has 3 numbers, expected 14336"):
        _core.find_faces(photo, lambda image: (np.zeros(3), np.zeros(896)), fail, 1)
    assert _core.find_faces(photo, lambda image: (np.zeros(14336), np.full(896, np.nan)), fail, 1) == []
    huge = np.full(14336, 3e38), np.full(896, 50.0)
    assert _core.find_faces(photo, lambda image: huge, fail, 1) == []
