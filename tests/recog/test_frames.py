"""open_frames: every kind of source, true timestamps, and what is repaired or cut short is said."""

import os
import signal
import threading

import av
import numpy as np
import pytest
from PIL import Image
from videos import encode, encoded, pattern, sound, y4m

from mie_engine import limits
from mie_engine.errors import EnvironmentProblem, InputError, RangeError, UsageError
from mie_engine.recog.frames import Frames, open_frames

PICTURES = pattern(30)


def times(frames):
    return [round(frame.time_s, 3) for frame in frames]


def write(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("container", "codec", "pixels", "planes"),
    [
        ("mp4", "libx264", "yuv420p", 3),
        ("matroska", "libx264", "yuv420p", 3),
        ("webm", "libvpx", "yuv420p", 3),
        ("avi", "mpeg4", "yuv420p", 3),
        ("avi", "mjpeg", "yuvj420p", 3),
        ("mpegts", "libx264", "yuv420p", 3),
        ("flv", "flv1", "yuv420p", 3),
        ("mov", "libx264", "yuv444p", 1),
        ("avi", "ffv1", "bgr0", 1),
        ("gif", "gif", "rgb8", 1),
    ],
)
def test_containers(tmp_path, container, codec, pixels, planes):
    path = write(tmp_path / "video", encoded(PICTURES, container, codec=codec, pixels=pixels, fps=25))
    with open_frames(path) as frames:
        got = list(frames)
    assert [frame.index for frame in got] == list(range(30))
    assert times(got) == pytest.approx([index / 25 for index in range(30)], abs=0.0051)  # GIF counts in 1/100 s
    assert frames.duration_s == pytest.approx(30 / 25, abs=0.05) or container == "gif"
    assert frames.notes == []
    for frame, rgb in zip(got, PICTURES, strict=True):
        assert (frame.width, frame.height, len(frame.planes)) == (96, 64, planes)
        assert [plane.shape for plane in frame.planes[1:]] == [(32, 48)] * (planes - 1)
        grey = rgb @ [0.299, 0.587, 0.114]
        if planes == 3:
            luma = frame.planes[0].astype(float)
            seen = luma if frame.full_range else (luma - 16) * 255 / 219
        else:
            seen = frame.planes[0] @ [0.299, 0.587, 0.114]
        assert abs(seen - grey).mean() < (12 if codec in ("flv1", "mpeg4", "libvpx", "gif") else 4)


def test_frames_outlive_the_video(tmp_path):
    """Planes are views of the decoder's pictures, each of which stays until the frame is dropped."""
    path = write(tmp_path / "v.mp4", encoded(PICTURES, "mp4"))
    with open_frames(path) as frames:
        kept = list(frames)
    with open_frames(path) as frames:
        for frame, before in zip(frames, kept, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(frame.planes, before.planes, strict=True))


@pytest.mark.skipif(not hasattr(av.VideoStream, "set_display_rotation"), reason="this PyAV cannot write turned videos")
def test_telephones_turn_their_pictures(tmp_path):
    for turn in (90, -90, 180):
        path = write(tmp_path / "v.mp4", encoded(PICTURES[:5], "mp4", turn=turn))
        frame = next(open_frames(path))
        want = np.rot90(PICTURES[0] @ [0.299, 0.587, 0.114], turn // 90)
        assert abs((frame.planes[0].astype(float) - 16) * 255 / 219 - want).mean() < 4
        assert frame.planes[1].shape == (frame.height // 2, frame.width // 2)


def test_variable_rate_keeps_its_times(tmp_path):
    stamps = np.cumsum([7, 10, 40, 5, 60, 33, 33, 40] * 4)
    path = write(tmp_path / "v.mkv", encoded(PICTURES, "matroska", times_ms=[int(t) for t in stamps]))
    with open_frames(path) as frames:
        assert times(frames) == pytest.approx((stamps[:30] - 7) / 1000)
    assert frames.notes == []


def test_one_frame_a_second_is_said(tmp_path):
    for count in (4, 90):
        path = write(tmp_path / "v.avi", encoded(pattern(count), "avi", codec="mjpeg", pixels="yuvj420p", fps=1))
        with open_frames(path) as frames:
            assert len(list(frames)) == count
        (note,) = frames.notes
        assert note.endswith("1 fps is too slow for most micro-expressions; film at 25 fps or more")


def pictures(stamps):
    plane = np.zeros((64, 64), np.uint8)
    return ((stamp, (plane,), True) for stamp in stamps)


@pytest.mark.parametrize(
    ("stamps", "want", "repaired"),
    [
        ([0.0, 0.1, 0.2], [0, 0.1, 0.2], 0),
        ([None, None, None], [0, 0.1, 0.2], 3),
        ([float("nan"), float("inf"), -float("inf")], [0, 0.1, 0.2], 3),
        ([5.0, None, 5.2], [5, 5.1, 5.2], 1),
        ([0.0, 0.0, 0.0, 0.3], [0, 0.013, 0.113, 0.3], 2),
        ([0.0, 0.2, 0.1, 0.4], [0, 0.2, 0.213, 0.4], 1),  # two changed places
        ([7.0, 7.1, 0.0, 0.1, 0.2], [7, 7.1, 7.2, 7.3, 7.4], 1),  # the clock was set back
        ([0.0, 0.1, 9.0], [0, 0.1, 9.0], 0),  # a gap is a gap
        ([-2.0, -1.9], [-2, -1.9], 0),
    ],
)
def test_timestamps_grow(stamps, want, repaired):
    frames = Frames("v", pictures(stamps), fps=10)
    assert times(frames) == pytest.approx(want, abs=0.001)
    said = [note for note in frames.notes if "timestamps" in note]
    assert said == (
        [f"v: {repaired} of {len(stamps)} timestamps were missing or did not grow; they were set from the frame rate"] * (repaired > 0)
    )


def test_size_changes_on_the_way(tmp_path):
    first, second = (encoded(pattern(5, *size), "mjpeg", codec="mjpeg", pixels="yuvj420p") for size in ((96, 64), (64, 96)))
    path = write(tmp_path / "v.mjpeg", first + second)
    with open_frames(path) as frames:
        sizes = [(frame.width, frame.height) for frame in frames]
    assert sizes == [(96, 64)] * 5 + [(64, 96)] * 5
    assert f"{path}: the picture changes from 96 x 64 to 64 x 96 px at frame 5" in frames.notes


def test_folders_in_natural_order(tmp_path):
    for number in (1, 2, 9, 10, 100):
        Image.fromarray(np.full((40, 40, 3), number, np.uint8)).save(tmp_path / f"img{number}.png")
    (tmp_path / "notes.txt").write_text("no image")
    with open_frames(tmp_path, fps=200) as frames:
        got = list(frames)
    assert [int(frame.planes[0][0, 0, 0]) for frame in got] == [1, 2, 9, 10, 100]
    assert times(got) == [0, 0.005, 0.01, 0.015, 0.02]
    assert frames.notes == []
    with open_frames(str(tmp_path)) as frames:
        assert times(frames)[1] == 0.033
    assert "30 fps are assumed" in frames.notes[0]


def test_damaged_image_ends_a_folder(tmp_path):
    for name in "abc":
        Image.fromarray(PICTURES[0]).save(tmp_path / f"{name}.png")
    write(tmp_path / "b.png", (tmp_path / "b.png").read_bytes()[:200])
    with open_frames(tmp_path, fps=30) as frames:
        assert len(list(frames)) == 1
    assert "cut short after frame 0" in frames.notes[0]
    assert "b.png" in frames.notes[0]
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.png"):
        next(open_frames(tmp_path))


@pytest.mark.parametrize("kind", ["mp4", "matroska", "avi", "mpegts", "flv", "webm"])
def test_truncation_is_said_and_the_rest_is_used(tmp_path, kind):
    codec = {"avi": "mpeg4", "flv": "flv1", "webm": "libvpx"}.get(kind, "libx264")
    options = {"movflags": "faststart"} if kind == "mp4" else {}
    whole = write(tmp_path / "whole", b"")
    if kind == "mp4":
        encode(str(whole), pattern(90), container=kind, **options)
    else:
        whole.write_bytes(encoded(pattern(90), kind, codec=codec))
    data = whole.read_bytes()
    path = write(tmp_path / "cut", data[: len(data) * 6 // 10])
    with open_frames(path) as frames:
        count = len(list(frames))
    print(kind, count, frames.notes)
    assert 20 <= count < 80
    if kind != "mpegts":  # which may end anywhere
        assert any("cut short after frame" in note or "may be truncated" in note for note in frames.notes)


def test_what_holds_no_picture(tmp_path):
    for name, kind, why in (("a.wav", "wav", "not a video"), ("a.m4a", "mp4", "no video in it"), ("a.mkv", "matroska", "no video in it")):
        sound(str(tmp_path / name), kind)
        with pytest.raises(InputError, match=f"{name}: .*{why}"):
            open_frames(tmp_path / name)
    with pytest.raises(InputError, match="holds no frame"):
        list(open_frames(write(tmp_path / "none.y4m", y4m(64, 64))))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no image in this folder"):
        open_frames(tmp_path / "empty")


def test_arguments(tmp_path):
    for fps in (0, -1, float("nan"), float("inf"), limits.MAX_VIDEO_FPS * 2):
        with pytest.raises(RangeError, match="fps is"):
            open_frames(tmp_path, fps=fps)
    for timeout_s in (0, float("nan"), 1e9):
        with pytest.raises(RangeError, match="timeout_s is"):
            open_frames(tmp_path, timeout_s=timeout_s)
    for source in (None, True, 3.5, b"v.mp4", ["v.mp4"]):
        with pytest.raises(UsageError, match="source is"):
            open_frames(source)
    for url in ("file:///etc/passwd", "ftp://host/v.mp4", "concat://a", "://"):
        with pytest.raises(UsageError, match="is not read"):
            open_frames(url)


@pytest.mark.skipif(os.path.exists("/dev/video7"), reason="there is a camera 7")
def test_no_camera():
    for name in (7, "7", "/dev/video7"):
        with pytest.raises(EnvironmentProblem, match="camera 7: /dev/video7 does not exist"):
            open_frames(name)


def test_a_pipe_is_read_as_it_comes(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(encoded(PICTURES, "matroska"),))
    writer.start()
    with open_frames(pipe, timeout_s=5) as frames:
        assert len(list(frames)) == 30
    writer.join()
    assert frames.notes == []


def test_memory_stays_constant(tmp_path):
    def held():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    path = write(tmp_path / "v.mkv", encoded(pattern(8, 640, 480), "matroska", codec="mjpeg", pixels="yuvj420p"))
    one = encoded([*pattern(8, 640, 480)] * 100, "matroska", codec="mjpeg", pixels="yuvj420p")
    path.write_bytes(one)
    with open_frames(path) as frames:
        for frame in frames:
            if frame.index == 100:
                before = held()
    assert frame.index == 799
    assert held() - before < 10e6  # 700 pictures of 460 kB were dropped


def test_stopping_early_releases_the_file(tmp_path):
    path = write(tmp_path / "v.mp4", encoded(PICTURES, "mp4"))
    count = len(os.listdir("/proc/self/fd"))
    with open_frames(path) as frames:
        next(frames)
        assert len(os.listdir("/proc/self/fd")) == count + 1
    assert len(os.listdir("/proc/self/fd")) == count
    with pytest.raises(StopIteration):
        next(frames)
    frames.close()
    open_frames(path).close()
    assert len(os.listdir("/proc/self/fd")) == count


def test_ctrl_c_while_a_pipe_is_silent(tmp_path):
    """Between two pictures of a pipe there is nothing but waiting: that is where it arrives."""
    pipe, over = tmp_path / "pipe", threading.Event()
    os.mkfifo(pipe)

    def write_some():
        with open(pipe, "wb", 0) as file:
            file.write(encoded(PICTURES, "mpegts"))
            over.wait(20)

    writer = threading.Thread(target=write_some)
    writer.start()
    stop = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    stop.start()
    try:
        with pytest.raises(KeyboardInterrupt), open_frames(pipe, timeout_s=15) as frames:
            list(frames)
    finally:
        over.set()
        writer.join()
