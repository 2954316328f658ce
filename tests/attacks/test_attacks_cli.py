"""Arguments and inputs that are wrong or hostile: the documented exit code, a sentence that names the thing, no dataset begun."""

import json
import struct
import zlib

import pytest
from road import ASSETS, copy_faces, mie, mie_here, refused

USAGE, INPUT, ENVIRONMENT = 2, 3, 4


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with `faces` and inputs that are no good."""
    folder = tmp_path_factory.mktemp("cli")
    copy_faces(folder / "faces", 1)
    (folder / "empty").mkdir()
    bad = folder / "bad"
    bad.mkdir()
    header = struct.pack(">IIBBBBB", 32768, 32768, 8, 2, 0, 0, 0)  # a gigapixel
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    (bad / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)
    (bad / "torn.jpg").write_bytes((ASSETS / "syn000.jpg").read_bytes()[:3000])
    (bad / "text.jpg").write_text("not a picture")
    good = "AU12,AU04,AU01,emotion\n.5,.1,0,happiness\n.5,.1,0,surprise\n.5,.1,0,anger\n"
    for name, text in {
        "nan.csv": good.replace(".1,0,surprise", "nan,0,surprise"),
        "negative.csv": good.replace(".1,0,surprise", "-1,0,surprise"),
        "short.csv": good.replace(".1,0,surprise", ".1,surprise"),
        "empty.csv": "",
        "label.csv": good.replace("anger", "bored"),
        "good.csv": good,
    }.items():
        (folder / name).write_text(text)
    (folder / "binary.csv").write_bytes(b"AU12\0\xff")
    return folder


ARGUMENTS = {
    "clips -3": (USAGE, ["--clips=-3"], "clips is -3"),
    "clips 0": (USAGE, ["--clips=0"], "clips is 0"),
    "clips 1e30": (USAGE, ["--clips=1e30"], "--clips"),
    "clips of 31 digits": (USAGE, ["--clips=1" + "0" * 30], "clips is 1000"),
    "clips of 5000 digits": (USAGE, ["--clips=" + "9" * 5000], "--clips"),
    "clips nan": (USAGE, ["--clips=nan"], "--clips"),
    "seed -1": (USAGE, ["--seed=-1"], "seed is -1"),
    "seed 2**63": (USAGE, [f"--seed={2**63}"], "seed is 9223372036854775808"),
    "size 0": (USAGE, ["--size=0"], "size is 0"),
    "size 5000": (USAGE, ["--size=5000"], "size is 5000"),
    "size -64": (USAGE, ["--size=-64"], "size is -64"),
    "frames 1": (USAGE, ["--frames=1"], "frames is 1"),
    "frames of a pair": (USAGE, ["--content=pair", "--frames=16"], "use frames=2"),
    "noise nan": (USAGE, ["--noise=nan"], "noise_sigma is nan"),
    "noise inf": (USAGE, ["--noise=inf"], "noise_sigma is inf"),
    "noise -1": (USAGE, ["--noise=-1"], "noise_sigma is -1"),
    "sources": (USAGE, ["--sources=expert,oracle"], "'oracle'"),
    "sources twice": (USAGE, ["--sources=micro,micro"], "each once"),
    "no sources": (USAGE, ["--sources="], "sources"),
    "a source without its table": (USAGE, ["--sources=au_csv"], "its table belong together"),
    "balance": (USAGE, ["--balance=5"], "allowed are 3, 7"),
    "content": (USAGE, ["--content=movie"], "'movie'"),
    "encoder": (USAGE, ["--encoder=gif"], "'gif'"),
    "quality": (USAGE, ["--quality=101"], "quality is 101"),
    "backend": (USAGE, ["--backend=magic"], "'magic'"),
    "simd": (USAGE, ["--simd=mmx"], "'mmx'"),
    "simd without cpu": (USAGE, ["--simd=scalar", "--backend=ref"], "backend cpu"),
    "workers -1": (USAGE, ["--workers=-1"], "workers is -1"),
    "workers 10**9": (USAGE, ["--workers=1000000000"], "workers is 1000000000"),
    "shard clips": (USAGE, ["--shard-clips=0"], "shard_clips is 0"),
    "scale without a table": (USAGE, ["--csv-scale=5"], "give both or neither"),
    "scale nan": (USAGE, ["--csv-scale=nan", "--au-csv=good.csv"], "scale is nan"),
    "unknown option": (USAGE, ["--colour=red"], "--colour"),
    "table gone": (INPUT, ["--au-csv=nowhere.csv"], "nowhere.csv"),
    "table is a folder": (INPUT, ["--au-csv=faces"], "faces"),
    "table with nan": (INPUT, ["--au-csv=nan.csv"], "nan.csv: line 3: column AU04: 'nan'"),
    "table with a negative": (INPUT, ["--au-csv=negative.csv"], "negative.csv: line 3: column AU04: '-1'"),
    "table with a short row": (INPUT, ["--au-csv=short.csv"], "short.csv: line 3"),
    "table empty": (INPUT, ["--au-csv=empty.csv"], "empty.csv"),
    "table with an unknown label": (INPUT, ["--au-csv=label.csv"], "label.csv: line 4: column emotion: 'bored'"),
    "table that is none": (INPUT, ["--au-csv=binary.csv"], "binary.csv"),
}
QUICK = [  # as processes; the others take the same way in this process
    "clips -3", "clips 1e30", "size 5000", "noise nan", "sources", "simd", "workers -1", "table with nan",
]  # fmt: skip


def untouched(out):
    """No dataset was begun."""
    assert not out.exists()


@pytest.mark.parametrize("name", QUICK)
def test_wrong_arguments(place, tmp_path, name):
    code, arguments, told = ARGUMENTS[name]
    ran = mie(place, "synth", "faces", "--out", tmp_path / "out", "--size=64", "--clips=6", *arguments, "--json")
    refused(ran, code, told)
    answer = json.loads(ran.stdout)
    assert told in answer["message"]
    assert answer["exit_code"] == code
    untouched(tmp_path / "out")


@pytest.mark.parametrize("name", [name for name in ARGUMENTS if name not in QUICK])
def test_wrong_arguments_in_this_process(place, tmp_path, monkeypatch, capsys, name):
    code, arguments, told = ARGUMENTS[name]
    monkeypatch.chdir(place)
    ended = mie_here("synth", "faces", "--out", tmp_path / "out", "--size=64", "--clips=6", *arguments)
    error = capsys.readouterr().err
    assert ended == code, error
    assert told in error
    assert "Traceback" not in error
    untouched(tmp_path / "out")


def test_a_missing_backend_is_the_machines(place, tmp_path):
    from mie_engine import kernels

    if "cuda" in kernels.backends("render"):
        pytest.skip("a missing backend was NOT tested: this machine has a CUDA device")
    ran = mie(place, "synth", "faces", "--out", tmp_path / "out", "--backend=cuda", "--size=64", "--clips=6")
    refused(ran, ENVIRONMENT, "backend 'cuda' cannot run here", "available are cpu, ref")
    untouched(tmp_path / "out")


@pytest.mark.parametrize(
    ("faces", "told"),
    [
        ("empty", ["empty"]),
        ("nowhere", ["nowhere: no such file or folder"]),
        ("nowhere/*.jpg", ["nowhere"]),
        ("good.csv", ["good.csv: not a JPEG, PNG or WebP image"]),
        ("bad", ["huge.png", "32768 x 32768 px", "torn.jpg", "text.jpg"]),
        ("/dev/zero", ["/dev/zero: not a regular file"]),
        ("", [""]),
    ],
)
def test_no_usable_faces(place, tmp_path, faces, told):
    refused(mie(place / "empty" if faces == "" else place, "synth", faces, "--out", tmp_path / "out"), INPUT, *told)
    assert not (tmp_path / "out").exists()


def test_bad_faces_beside_a_good_one_are_named(place, tmp_path):
    arguments = ["--out", tmp_path / "out", "--clips=2", "--size=32", "--frames=2", "--content=pair"]
    ran = mie(place, "synth", "bad", "faces", *arguments)
    assert ran.returncode == 0, ran.stderr
    for name in ("bad/huge.png: 32768 x 32768 px", "bad/torn.jpg: damaged or truncated", "bad/text.jpg: not a JPEG"):
        assert f"skipped: {name}" in ran.stdout


def test_several_faces_the_largest_counts(place, tmp_path):
    import numpy as np
    from PIL import Image

    from mie_engine.synth.faces import Face

    one, other = (Image.open(ASSETS / name) for name in ("syn000.jpg", "syn001.jpg"))
    group = Image.new("RGB", (one.width + other.width // 2, one.height), "grey")
    group.paste(one, (0, 0))
    group.paste(other.resize((other.width // 2, other.height // 2)), (one.width, 0))
    group.save(tmp_path / "group.png")
    face, alone = Face.load(tmp_path / "group.png", 64), Face.load(ASSETS / "syn000.jpg", 64)
    assert face.face_count == 2
    assert np.abs(face.landmarks_px - alone.landmarks_px)[:, :2].max() < 1.5
