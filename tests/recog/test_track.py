"""Following faces: as exact as finding them anew, through motion, loss, turns and several faces, in every pixel format."""

from itertools import pairwise

import av
import numpy as np
import pytest
from videos import encoded, face, onto_canvas, placed

from mie_engine import _core
from mie_engine.errors import RangeError
from mie_engine.models.face_mesh import FaceMesh
from mie_engine.recog.frames import Frame, open_frames
from mie_engine.recog.track import Tracker
from mie_engine.runtime.image import load_rgb

MAX_MEAN, MAX_FRAME = 0.015, 0.025  # distance over the landmarks, of the inter-ocular distance; measured 0.010 and 0.018
BLACK = np.zeros((480, 640, 3), np.uint8)


def frame(index, rgb, fps=30):
    return Frame(index, index / fps, (rgb,), True)


def distance(points, want):
    """Mean distance over the landmarks in units of the inter-ocular distance."""
    return np.linalg.norm(points[:, :2] - want[:, :2], axis=1).mean() / np.linalg.norm(want[468, :2] - want[473, :2])


def sway(rgb, index, rng):
    """Half a head to and fro, turning and nodding, with sensor noise."""
    t = index / 30
    centre = (320 + 40 * np.sin(3 * t), 240 + 15 * np.cos(4 * t))
    picture, matrix = placed(rgb, centre, side_px=380 + 20 * np.sin(2 * t), degrees=6 * np.sin(2.5 * t))
    return np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8), matrix


def test_as_exact_as_finding_anew(shared, rng):
    errors = []
    for name in ("syn000.jpg", "syn001.jpg", "syn004.jpg"):
        rgb, tracker = load_rgb(shared / "assets" / "faces_synthetic" / name), Tracker()
        for index in range(30):
            picture, _ = sway(rgb, index, rng)
            (found,) = tracker.push(frame(index, picture))
            assert (found.id, found.fresh) == (0, index % 3 == 0)
            if found.fresh:
                errors.append(distance(found.landmarks, FaceMesh.shared().find(picture, 1)[0].landmarks))
    print(f"tracked against found: mean {np.mean(errors):.2%}, worst frame {max(errors):.2%} of the inter-ocular distance")
    assert np.mean(errors) <= MAX_MEAN
    assert max(errors) <= MAX_FRAME


@pytest.mark.parametrize("degrees", [-45, -30, 30])
@pytest.mark.parametrize("side_px", [380, 150])
def test_turned_and_small_faces(degrees, side_px):
    rgb = face()
    upright, matrix = placed(rgb, (320, 240), side_px=380)
    want = onto_canvas(FaceMesh.shared().find(upright, 1)[0].landmarks, np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2])
    turned, matrix = placed(rgb, (300, 200), side_px=side_px, degrees=degrees)
    (found,) = Tracker().push(frame(0, turned))
    error = distance(found.landmarks, onto_canvas(want, matrix))
    print(f"turned by {degrees} degrees, {side_px} px: {error:.2%}")
    assert error <= MAX_MEAN


def test_landmarks_do_not_tremble(rng):
    """A still head under noise: the average over the window moves less than single measurements, and a moving one is not delayed."""
    rgb = face()
    single, averaged = [], []
    tracker = Tracker()
    for index in range(60):
        picture, _ = placed(rgb, (320, 240), side_px=380)
        picture = np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)
        found = tracker.push(frame(index, picture))
        if found[0].fresh and index > 10:
            averaged.append(found[0].landmarks[:, :2])
            single.append(FaceMesh.shared().find(picture, 1)[0].landmarks[:, :2])
    trembling = [np.sqrt(np.mean(np.square(b - a))) for points in (averaged, single) for a, b in [(p, q) for p, q in pairwise(points)]]
    half = len(trembling) // 2
    print(f"jitter {np.mean(trembling[:half]):.3f} px, of single measurements {np.mean(trembling[half:]):.3f} px")
    assert np.mean(trembling[:half]) < 0.75 * np.mean(trembling[half:])


def test_a_moving_head_is_not_delayed():
    rgb, tracker = face(), Tracker(landmark_interval_s=0)
    want = FaceMesh.shared().find(placed(rgb, (320, 240), side_px=380)[0], 1)[0].landmarks
    for index in range(20):
        picture, _ = placed(rgb, (220 + 8 * index, 240), side_px=380)
        (found,) = tracker.push(frame(index, picture))
    assert abs((found.landmarks - want)[:, 0].mean() - (220 + 8 * 19 - 320)) < 1  # an average of 9 places would lag by 32 px


def test_leaves_and_returns():
    present, _ = placed(face(), (320, 240))
    elsewhere, _ = placed(face(), (500, 330), side_px=200)
    tracker, seen = Tracker(), []
    for index in range(300):
        t = index / 30
        shown = present if t < 1 or 2 <= t < 3 else elsewhere if t >= 7 else BLACK
        seen.append([found.id for found in tracker.push(frame(index, shown))])
    assert seen[0] == [0]
    assert seen[33:60] == [[]] * 27  # gone within one interval
    assert seen[64:90] == [[0]] * 26  # back within one interval, with its id
    assert seen[93:210] == [[]] * 117
    assert seen[214:] == [[1]] * 86  # after more than 2 s, and elsewhere: a new face


def test_two_faces_keep_their_ids():
    one, two = face("syn010.jpg"), face("syn012.jpg")
    tracker, alone = Tracker(), Tracker(max_faces=1)
    for index in range(90):
        x = 30 * np.sin(index / 12)
        canvas, _ = placed(one, (180 + x, 240), side_px=240)
        first = canvas
        if index >= 20:  # the second comes later, and passes out of sight for half a second
            canvas, _ = placed(two, (480 - x, 230), side_px=260, canvas=canvas)
        if 50 <= index < 65:
            canvas = first
        found = {found.id: found.landmarks[:, 0].mean() for found in tracker.push(frame(index, canvas))}
        assert abs(found[0] - 180 - x) < 40
        if 50 <= index < 65:
            assert 1 not in found or index < 53
        elif index >= 53 + 33 or 20 + 31 > index >= 20 + 30:  # a second after coming, at the latest
            assert abs(found[1] - 480 + x) < 40
        assert set(found) <= {0, 1}
        assert len(alone.push(frame(index, canvas))) == 1


def test_no_face_and_black_frames():
    tracker = Tracker()
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    for index, picture in enumerate([BLACK, noise, BLACK + 255, np.zeros((32, 32, 3), np.uint8), np.zeros((33, 4000, 3), np.uint8)] * 5):
        assert tracker.push(frame(index, picture, fps=5)) == []


def test_another_size_starts_anew():
    tracker = Tracker()
    large, _ = placed(face(), (320, 240))
    small = np.ascontiguousarray(large[60:420, 80:560])
    ids = [tracker.push(frame(index, picture))[0].id for index, picture in enumerate([large, large, small, small])]
    assert ids == [0, 0, 1, 1]


@pytest.mark.parametrize(("pixels", "full"), [("yuv420p", False), ("yuvj420p", True), ("nv12", False)])
def test_planes_and_rgb_agree(tmp_path, pixels, full):
    """The same film as planes, and as FFmpeg's own RGB."""
    pictures = [placed(face(), (300 + 2 * k, 240), side_px=360)[0] for k in range(8)]
    path = tmp_path / "v.avi"
    codec = "mjpeg" if full else "rawvideo"
    path.write_bytes(encoded(pictures, "avi", codec=codec, pixels=pixels))
    trackers = Tracker(landmark_interval_s=0), Tracker(landmark_interval_s=0)
    errors = []
    with open_frames(path) as frames, av.open(str(path)) as video:
        for film, picture in zip(frames, video.decode(video=0), strict=True):
            assert (len(film.planes), film.full_range) == (2 if pixels == "nv12" else 3, full)
            (planes,), (packed,) = trackers[0].push(film), trackers[1].push(frame(film.index, picture.to_ndarray(format="rgb24")))
            errors.append(distance(planes.landmarks, packed.landmarks))
    print(f"{pixels}: {np.mean(errors):.3%}, worst frame {max(errors):.3%}")
    assert max(errors) < 0.002


def test_wrong_use():
    tracker, picture = Tracker(), np.zeros((64, 64, 3), np.uint8)
    tracker.push(frame(1, picture))
    for time_s in (0.0, 1 / 30, float("nan"), float("inf"), -1.0):
        with pytest.raises(RangeError, match="frame 5 at"):
            tracker.push(Frame(5, time_s, (picture,), True))
    for wrong in (
        picture[:, :, :2],
        picture.astype(np.uint16),
        picture[:, ::2],
        picture[:0],
        (picture, picture),
        (picture[:, :, 0],) * 3,
        (),
    ):
        with pytest.raises(RangeError, match="a frame is uint8"):
            tracker.push(Frame(9, 9.0, wrong if isinstance(wrong, tuple) else (wrong,), True))
    for options in ({"max_faces": 0}, {"max_faces": 17}, {"landmark_interval_s": -1}, {"landmark_interval_s": float("nan")}):
        with pytest.raises(RangeError, match=next(iter(options))):
            Tracker(**options)


def test_a_network_that_fails_is_reported_and_leaves_the_tracker_usable():
    mesh, picture = FaceMesh.shared(), placed(face(), (320, 240))[0]
    broken = True

    def landmarks(image):
        if broken:
            raise KeyError("out of order")
        return mesh.run_landmarks(image)

    tracker = _core.FaceTracker(mesh.run_detector, landmarks, 2, 0.1)
    with pytest.raises(KeyError, match="out of order"):
        tracker.push((picture,), True, 0.0)
    broken = False
    assert len(tracker.push((picture,), True, 0.1)) == 1
    nothing = _core.FaceTracker(mesh.run_detector, lambda image: (np.full(1434, np.nan), np.zeros(1)), 2, 0.1)
    with pytest.raises(RuntimeError, match="not finite"):
        nothing.push((picture,), True, 0.0)
    far = _core.FaceTracker(mesh.run_detector, lambda image: (np.tile([1e30, -1e30, 0], 478), np.array([9.0])), 2, 0.1)
    assert far.push((picture,), True, 0.0) == []


def test_layout_crop_puts_eyes_and_mouth_in_their_places():
    points = FaceMesh.shared().find(placed(face(), (320, 240), degrees=20)[0], 1)[0].landmarks
    for size in (28, 224):
        matrix = _core.layout_crop(points, size)
        places = onto_canvas(np.stack([points[[33, 133]].mean(0), points[[362, 263]].mean(0), points[[61, 291]].mean(0)]), matrix)
        assert places[0] == pytest.approx([0.275 * size - 0.5, 0.265 * size - 0.5])
        assert places[1] == pytest.approx([0.725 * size - 0.5, 0.265 * size - 0.5])
        assert places[2, 1] == pytest.approx(0.69 * size - 0.5)
        assert matrix[:, 0] @ matrix[:, 1] == pytest.approx(0, abs=1e-12)


def test_layout_crop_refuses_what_is_no_face():
    good = FaceMesh.shared().find(placed(face(), (320, 240))[0], 1)[0].landmarks
    same_eyes, high_mouth, lost = good.copy(), good.copy(), good.copy()
    same_eyes[[33, 133, 362, 263]] = 7
    high_mouth[[61, 291]] = good[10]
    lost[33, 0] = np.nan
    for points in (same_eyes, high_mouth, lost, np.zeros((478, 3)), np.full((478, 3), np.inf), good * 1e300):
        with pytest.raises(ValueError, match="do not span a face"):
            _core.layout_crop(points, 224)
    for points, size in ((good[:100], 224), (good, 0)):
        with pytest.raises(ValueError, match=r"\[478, 3\]|size"):
            _core.layout_crop(points, size)
