"""`mie models`: the list, what a file is, and a published checkpoint on its way to mie synth."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from road import copy_faces, mie_here

import mie_engine
from mie_engine.models.published import NO_WEIGHTS, PUBLISHED
from mie_engine.models.recognisers import NAMES

ASSETS = Path(mie_engine.__file__).parent / "assets" / "models"


def told(capsys, *arguments):
    assert mie_here("models", *arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_lists_every_network(capsys):
    found = told(capsys)
    assert set(found["shipped"]) == {path.name for path in ASSETS.glob("*.onnx")} | {"recogniser.safetensors"}
    assert all(entry["found"] for entry in found["shipped"].values())
    covered = {name for entry in PUBLISHED for name in NAMES if name in entry.model} | set(NO_WEIGHTS)
    assert covered == set(NAMES) - {"robustnet"}  # which ships
    assert mie_here("models") == 0
    said = capsys.readouterr().out
    assert "ganimation_replicate" in said
    assert "sha256: unknown" in said


def test_says_what_a_file_is(capsys, tmp_path):
    found = told(capsys, "verify", ASSETS / "recogniser.onnx")
    assert found["known"] == "recogniser.onnx, the default recogniser (shipped)"
    assert found["sha256"] == hashlib.sha256((ASSETS / "recogniser.onnx").read_bytes()).hexdigest()
    assert told(capsys, "verify", ASSETS / "recogniser.safetensors")["holds"] == "robustnet, a recogniser"
    broken = tmp_path / "m.onnx"
    broken.write_bytes((ASSETS / "recogniser.onnx").read_bytes()[:-100])
    (tmp_path / "m.pth").write_bytes(b"anything")
    assert told(capsys, "verify", tmp_path / "m.pth")["known"] is None
    for wrong in (broken, tmp_path / "none.onnx", tmp_path):
        assert mie_here("models", "verify", wrong) == 3


def test_imports_a_published_generator(capsys, tmp_path):
    torch = pytest.importorskip("torch")
    from mie_engine.models.ganimation import Generator

    torch.manual_seed(0)
    torch.save(Generator("affine", 8, 1).state_dict(), tmp_path / "g.pth")
    out = tmp_path / "g.onnx"
    made = told(capsys, "import", tmp_path / "g.pth", "--out", out, "--side", 64)
    assert made["difference"] <= 1e-4
    assert told(capsys, "verify", out)["holds"] == "ganimation, a generator"
    faces = copy_faces(tmp_path / "faces", 1)
    options = ("--generator", "ganimation", "--weights", out, "--clips", 2, "--content", "pair", "--json")
    assert mie_here("synth", faces, "--out", tmp_path / "made", *options) == 0
    assert json.loads((tmp_path / "made" / "plan.json").read_text())["generator"]["sha256"] == made["sha256"]
    capsys.readouterr()
    shutil.copy(ASSETS / "recogniser.onnx", tmp_path / "wrong.pth")
    assert mie_here("models", "import", tmp_path / "wrong.pth", "--out", tmp_path / "none.onnx") == 3
    assert not (tmp_path / "none.onnx").exists()
