"""Hostile and odd images: a typed error that names the file, or the right picture; quickly, and in bounded memory."""

import os
import re
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path

import make_bombs
import make_damaged
import make_odd
import numpy as np
import pytest

from mie_engine import limits
from mie_engine.errors import InputError
from mie_engine.runtime.image import load_rgb
from mie_engine.synth.dataset import scan_faces
from mie_engine.synth.faces import Face

pytestmark = pytest.mark.filterwarnings("error")  # a refusal is an error, not a warning and then an error

MAX_SECONDS = 1.0  # processor time of any one file
MAX_GROWTH_MB = 64  # of the process, over all bombs

BOMBS = {**make_bombs.headers(), **make_bombs.contents()}
DAMAGED = {**make_damaged.truncated(), **make_damaged.flipped(), **make_damaged.strangers()}
EXACT = {**make_odd.lossless(), **make_odd.deep(), **{n: f for n, f in make_odd.turned().items() if not n.endswith("jpeg")}}
CLOSE = {**make_odd.close(), **{n: f for n, f in make_odd.turned().items() if n.endswith("jpeg")}}


def _write(folder, name, data):
    path = folder / name
    path.write_bytes(data)
    return path


def _refused(path, action=load_rgb):
    start = time.process_time()
    with pytest.raises(InputError) as caught:
        action(path)
    seconds = time.process_time() - start
    assert seconds < MAX_SECONDS, f"{path}: {seconds:.2f} s"
    assert path.name.split("\0")[0] in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused(tmp_path, name):
    _refused(_write(tmp_path, name, BOMBS[name]))


def test_surplus_data_is_not_unpacked(tmp_path):
    for name, data in make_bombs.surplus().items():
        assert not load_rgb(_write(tmp_path, name, data)).any(), name


def test_header_bombs_say_the_size(tmp_path):
    for name, data in make_bombs.headers().items():
        assert re.search(r"\d+ x \d+ px", _refused(_write(tmp_path, name, data))), name


def test_bombs_leave_memory_flat(tmp_path, tmp_path_factory):
    for name, data in {**BOMBS, **make_bombs.surplus()}.items():
        _write(tmp_path, name, data)
    good = _write(tmp_path, "good.jpg", make_damaged.originals()["whole.jpg"])
    for kind in ("png", "webp"):
        _write(tmp_path, f"good.{kind}", make_damaged.originals()[f"whole.{kind}"])
    code = """
import sys
from pathlib import Path
from mie_engine.errors import InputError
from mie_engine.runtime.image import load_rgb
def peak():  # VmHWM: getrusage would start at what the parent process holds
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1])
files = sorted(Path(sys.argv[1]).iterdir())
for path in files:
    if path.stem == "good":
        load_rgb(path)
before = peak()
for path in files:
    try:
        load_rgb(path)
    except InputError:
        pass
print((peak() - before) / 1024)
"""
    elsewhere = tmp_path_factory.mktemp("elsewhere")  # not the repository, whose sources would shadow the installed package
    ran = subprocess.run([sys.executable, "-c", code, str(good.parent)], cwd=elsewhere, capture_output=True, text=True, check=True)
    assert float(ran.stdout) < MAX_GROWTH_MB


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_are_refused(tmp_path, name):
    _refused(_write(tmp_path, name, DAMAGED[name]))


def test_originals_are_accepted(tmp_path):
    for name, data in {**make_damaged.originals(), "still.webp": make_odd.animations()["still.webp"]}.items():
        assert load_rgb(_write(tmp_path, name, data)).shape == (64, 64, 3)


@pytest.mark.skipif(os.name != "posix", reason="pipes and links were not tested: this system has no mkfifo")
def test_only_regular_files_are_read(tmp_path):
    for path in make_damaged.not_files(tmp_path):
        _refused(path)
        _refused(path, Face.load)
    good = Path(str(resources.files("mie_engine") / "assets" / "faces" / "syn000.jpg"))
    inputs = scan_faces([tmp_path, good], 64)
    assert [identity.name for identity in inputs.identities] == ["syn000"]
    assert {Path(file).name for file, _ in inputs.skipped} == {"pipe.jpg", "loop.jpg", "twin.jpg", "gone.jpg", "to_pipe.jpg"}


@pytest.mark.skipif(os.name != "posix", reason="permissions were not tested: this system has none")
def test_unreadable_file(tmp_path):
    path = _write(tmp_path, "secret.jpg", make_damaged.originals()["whole.jpg"])
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("permissions were not tested: this user reads everything")
    assert "ermission" in _refused(path)


def test_file_too_large(tmp_path):
    path = tmp_path / "large.jpg"
    with path.open("wb") as file:
        file.truncate(limits.MAX_IMAGE_BYTES + 1)
    assert str(limits.MAX_IMAGE_BYTES) in _refused(path)


@pytest.mark.parametrize("name", [name for name in make_odd.animations() if name.startswith("animated")])
def test_animations_are_refused(tmp_path, name):
    assert "animation" in _refused(_write(tmp_path, name, make_odd.animations()[name]))


@pytest.mark.parametrize("name", EXACT)
def test_odd_kinds_are_read_exactly(tmp_path, name):
    data, want = EXACT[name]
    got = load_rgb(_write(tmp_path, name, data))
    assert got.dtype == np.uint8
    assert got.flags.c_contiguous
    assert np.array_equal(got, want)


@pytest.mark.parametrize("name", CLOSE)
def test_odd_jpegs_are_read_closely(tmp_path, name):
    data, want = CLOSE[name]
    got = load_rgb(_write(tmp_path, name, data))
    assert got.shape == want.shape
    assert np.abs(got.astype(int) - want).max() <= 8


def test_no_face_and_tiny_face(tmp_path):
    _refused(_write(tmp_path, "no_face.png", make_odd.lossless()["rgb.png"][0]), Face.load)
    faces = Path(__file__).resolve().parents[2] / "mie_engine" / "assets" / "faces"
    thumbnail = make_odd.Image.fromarray(load_rgb(faces / "syn020.jpg")).resize((48, 48))
    _refused(_write(tmp_path, "tiny_face.png", make_odd.saved(thumbnail, "PNG")), Face.load)
