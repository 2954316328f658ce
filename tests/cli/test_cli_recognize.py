"""`mie recognize` as people and scripts meet it: its files, what it prints, and how it refuses."""

import csv
import json
import os
import re
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from road import end, mie, mie_here, refused, start
from videos import encode, encoded, pattern

from mie_engine.recog.events import COLUMNS
from mie_engine.recog.report import BINS, Timeline
from mie_engine.types import CLASSES

sys.path.append(str(Path(__file__).parents[1] / "recog"))
from scenes import Scene


@pytest.fixture(scope="module")
def place(tmp_path_factory, shared):
    """A folder with a scene of two events, and a recogniser that knows nothing."""
    torch = pytest.importorskip("torch")
    from mie_engine import Face
    from mie_engine.models import checkpoint, recognisers

    folder = tmp_path_factory.mktemp("recognize")
    torch.manual_seed(0)
    module = recognisers.build("ststnet", 3, (1, 4, 12))
    checkpoint.save(module, {"model": "ststnet", "classes": list(CLASSES), "aus": [1, 4, 12]}, folder / "model.safetensors")
    scene = Scene(Face.load(shared / "assets" / "faces_synthetic" / "syn010.jpg"), 30, 5, events=2, seed=12, canvas=True)
    encode(str(folder / "scene.mp4"), list(scene), fps=30)
    encode(str(folder / "empty.mp4"), pattern(40, 128, 96), fps=30)
    return folder


@pytest.fixture(scope="module")
def ran(place):
    files = ("--csv", "a.csv", "--plot", "a.html", "--annotate", "a.mp4")
    done = mie(place, "recognize", "scene.mp4", "--model", "model.safetensors", *files)
    assert done.returncode == 0, done.stderr
    return done


def test_table(ran, place):
    rows = list(csv.reader((place / "a.csv").open(encoding="utf-8", newline="")))
    assert rows[0] == [*COLUMNS, "AU1", "AU4", "AU12"]
    assert len(rows) == 3
    for row in rows[1:]:
        assert row[0] == "scene.mp4"
        onset, apex, offset = map(int, row[2:5])
        assert onset < apex < offset
        assert [float(time) for time in row[5:8]] == pytest.approx([onset / 30, apex / 30, offset / 30], abs=1e-3)
        assert row[8] in (*CLASSES, "uncertain")
        assert all(0 <= float(value) <= 1 for value in row[9:])


def test_what_it_prints(ran):
    assert "2 events in 5.0 s of video (150 frames). At 30 frames a second" in ran.stdout
    assert "evidence, not truth" in ran.stdout
    assert "written: a.csv" in ran.stdout
    assert "video: 5 of 5" in ran.stderr


def test_page_is_self_contained(ran, place):
    page = (place / "a.html").read_text("utf-8")
    assert not re.search(r"(?:src|href)\s*=\s*[\"'](?!data:)", page)
    assert "<script" not in page
    assert "@import" not in page
    assert page.count('<div class="card"') == 2
    assert page.count("data:image/jpeg;base64,") == 4
    for words in ("evidence, not truth", "Article 5(1)(f)", "prefers-color-scheme:dark", "Face 0: motion over time", "67 ms"):
        assert words in page


def test_annotated_video(ran, place):
    av = pytest.importorskip("av")
    with av.open(str(place / "a.mp4")) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(frames) == 150
    assert frames[0].shape == (480, 640, 3)
    rows = list(csv.DictReader((place / "a.csv").open(encoding="utf-8", newline="")))
    inside, before = int(rows[0]["apex_frame"]), int(rows[0]["onset_frame"]) - 2
    assert np.mean(frames[inside][:20]) < 60 < np.mean(frames[before][:20])  # the banner


def test_for_programs(place, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert mie_here("recognize", place / "scene.mp4", "--model", place / "model.safetensors", "--json") == 0
    assert sorted(os.listdir()) == ["events.csv", "report.html"]
    facts = json.loads(capsys.readouterr().out)
    assert len(facts["events"]) == 2
    assert facts["fps"] == pytest.approx(30)
    assert set(facts["events"][0]["scores"]) == set(CLASSES)
    assert facts["frames"] == 150
    assert facts["rejected"].keys() >= {"blink", "head", "too_long"}


def test_names_are_only_text_on_the_page(place, capsys):
    name = place / "<script>alert(1)<.mp4"
    name.write_bytes((place / "empty.mp4").read_bytes())
    assert mie_here("recognize", name, "--model", place / "model.safetensors", "--csv", place / "c.csv", "--plot", place / "c.html") == 0
    assert "<script>" not in (place / "c.html").read_text("utf-8")
    out = capsys.readouterr().out
    assert "0 events" in out
    assert "no face was found" in out
    assert len((place / "c.csv").read_text("utf-8").splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["none.mp4"], 3, ["none.mp4"]),
        (["scene.mp4", "--csv", "nowhere/a.csv"], 2, ["nowhere", "folder"]),
        (["scene.mp4", "--csv", "scene.mp4"], 2, ["different files"]),
        (["scene.mp4", "--max-faces", "0"], 2, ["max_faces"]),
        (["scene.mp4", "--fps", "0"], 2, ["fps"]),
        (["scene.mp4", "--model", "none.onnx"], 3, ["none.onnx"]),
    ],
)
def test_refused(place, arguments, code, words):
    model = [] if "--model" in arguments else ["--model", "model.safetensors"]
    refused(mie(place, "recognize", *arguments, *model), code, *words)
    assert not list(place.glob(".tmp-*"))


def test_timeline_holds_the_peaks_of_any_length():
    timeline, rng = Timeline(), np.random.default_rng(3)
    times = np.arange(0, 4000, 0.05)
    heights = rng.uniform(0, 5, len(times))
    for time_s, height in zip(times, heights, strict=True):
        timeline.add(time_s, height)
    assert len(timeline.peaks_px) == BINS
    bins = (times / timeline.step_s).astype(int)
    wanted = np.zeros(BINS)
    np.maximum.at(wanted, bins, heights)
    assert np.allclose(timeline.peaks_px, wanted, atol=1e-6)


def test_devices_and_links_are_not_replaced(place):
    (place / "link.csv").symlink_to(place / "elsewhere.csv")
    for target in ("/dev/full", "link.csv"):
        refused(mie(place, "recognize", "scene.mp4", "--model", "model.safetensors", "--csv", target), 2, target)
    assert Path("/dev/full").is_char_device()
    assert (place / "link.csv").is_symlink()


def test_stopped_before_the_first_picture(place):
    os.mkfifo(place / "silent")
    waiting = start(place, "recognize", "silent", "--model", "model.safetensors", "--csv", "silent.csv")
    with open(place / "silent", "wb"):  # opens when the other side does
        time.sleep(1)
        code, out, error = end(waiting, signal.SIGINT)
    assert (code, out) == (130, "")
    assert "Traceback" not in error
    assert not (place / "silent.csv").exists()


def test_passwords_of_a_url_are_not_written(place, capsys):
    video = encoded(pattern(40, 128, 96), "mpegts")

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(video)

    with HTTPServer(("127.0.0.1", 0), Camera) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://me:secret@127.0.0.1:{server.server_port}/live"
        files = ("--csv", place / "u.csv", "--plot", place / "u.html", "--json")
        assert mie_here("recognize", url, "--model", place / "model.safetensors", *files) == 0
        server.shutdown()
    said = capsys.readouterr()
    assert json.loads(said.out)["frames"] == 40
    assert "secret" not in said.out + said.err + (place / "u.csv").read_text() + (place / "u.html").read_text()
