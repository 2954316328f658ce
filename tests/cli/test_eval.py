"""`mie eval`: what it prints and writes, and how it refuses."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from road import copy_faces, mie, mie_here, refused

from mie_engine.types import CLASSES

sys.path.insert(0, str(Path(__file__).parents[1] / "eval"))
import fakes

AUS = ["26.04", "24.23", "51.70", "12.38", "5.74", "22.08", "10.89", "7.12", "15.95", "24.00", "4.99", "8.12"]


def test_the_constant_row_of_cd6me(tmp_path):
    ran = mie(tmp_path, "eval", "cd6me", "--model", "constant", "--out", "report")
    assert ran.returncode == 0, ran.stderr
    cells = [cell.strip() for line in ran.stdout.splitlines() for cell in line.split("|")]
    for printed in (*AUS, "17.77", "8.89"):
        assert printed in cells, printed
    assert "report: report/report.md" in ran.stdout
    page = (tmp_path / "report" / "report.md").read_text("utf-8")
    assert all(line in page for line in ran.stdout.splitlines()[:-2])
    assert json.loads((tmp_path / "report" / "report.json").read_text("utf-8"))["split_hash"] in ran.stdout


def test_json(tmp_path, capsys):
    data = fakes.composite(tmp_path / "maps")
    assert mie_here("eval", "megc2019", "--data", data, "--model", "majority", "--json", "--out", tmp_path / "out") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["scores"]["uar"] == pytest.approx(1 / 3)
    assert [Path(path).is_file() for path in told["report"]] == [True, True]


def test_spotting(tmp_path):
    rows = "video,onset_frame,offset_frame,label\na,10,19,negative\n"
    (tmp_path / "truth.csv").write_text(rows)
    (tmp_path / "events.csv").write_text(rows + "a,50,59,positive\n")
    ran = mie(tmp_path, "eval", "spot", "--data", "truth.csv", "--events", "events.csv")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "- f1: 0.6667" in ran.stdout
    refused(mie(tmp_path, "eval", "spot", "--data", "truth.csv"), 2, "--events EVENTS.csv")


def test_refusals(tmp_path):
    refused(mie(tmp_path, "eval", "loso"), 2, "'loso'", "megc2019, mie-x, emotion, fivefold, au, cd6me, spot")
    refused(mie(tmp_path, "eval", "megc2019", "--model", "constant"), 2, "--data is missing")
    refused(mie(tmp_path, "eval", "cd6me", "--model", "constant", "--seeds", "1;2"), 2, "--seeds is '1;2'")
    refused(mie(tmp_path, "eval", "megc2019", "--model", "constant", "--data", "nowhere"), 3, "no such folder")
    (tmp_path / "file").write_text("")
    refused(mie(tmp_path, "eval", "cd6me", "--model", "constant", "--out", "file/report"), 4, "Choose a folder")
    ran = mie(tmp_path, "eval", "megc2019", "--json", "--model", "constant")
    assert json.loads(ran.stdout)["error"] == "UsageError"


def test_what_mie_train_writes_is_admitted(tmp_path, capsys):
    """synth, train, eval: the record that training leaves is the one that the audit asks for."""
    pytest.importorskip("torch")
    faces = copy_faces(tmp_path / "faces", 2)
    assert mie_here("synth", faces, "--out", tmp_path / "data", "--content", "features", "--clips", "60", "--workers", "1", "--json") == 0
    trained = ["ststnet", "--data", tmp_path / "data", "--out", tmp_path / "model", "--epochs", "1", "--batch", "16", "--json"]
    assert mie_here("train", *trained) == 0
    data = fakes.composite(tmp_path / "maps")
    capsys.readouterr()
    for name in ("model.onnx", "model.safetensors"):
        assert mie_here("eval", "megc2019", "--data", data, "--model", tmp_path / "model" / name, "--json") == 0
        status = {check["name"]: check["status"] for check in json.loads(capsys.readouterr().out)["audit"]}
        assert (status["L1"], status["L9"]) == ("pass", "pass")
    (tmp_path / "model" / "train.json").unlink()
    assert mie_here("eval", "megc2019", "--data", data, "--model", tmp_path / "model" / "model.onnx", "--json") == 3
    assert "no train.json" in json.loads(capsys.readouterr().out)["message"]


def test_models_that_do_not_fit_are_named(tmp_path):
    torch = pytest.importorskip("torch")
    from mie_engine.models import checkpoint, recognisers

    data, weights = fakes.composite(tmp_path / "maps", train=False), tmp_path / "weights"
    weights.mkdir()
    torch.manual_seed(0)
    made = {
        weights / "sub01.safetensors": ("ststnet", 28, recognisers.build("ststnet", 3)),
        tmp_path / "large.safetensors": ("robustnet", 56, recognisers.build("robustnet", 3, side=56)),
    }
    for path, (model, side, module) in made.items():
        checkpoint.save(module, {"model": model, "classes": list(CLASSES), "side": side}, path)
        (path.parent / "train.json").write_text('{"selected_by": "last epoch"}')
    for path in list(data.iterdir()):
        if path.name != "sub01":
            shutil.copy(weights / "sub01.safetensors", weights / f"{path.name}.safetensors")
    (tmp_path / "bad.onnx").write_bytes(b"\x0a\x7f\x01")
    asked = ("eval", "megc2019", "--data", data)
    refused(mie(tmp_path, *asked, "--weights", weights, "--model", "htnet"), 2, "is a ststnet, --model says htnet")
    refused(mie(tmp_path, *asked, "--weights", weights, "--model", "nonsense"), 2, "--model is nonsense", "ststnet")
    refused(mie(tmp_path, "eval", "mie-x", "--data", data, "--weights", weights), 2, "leaves out several at a time")
    refused(mie(tmp_path, *asked, "--model", "large.safetensors"), 3, "maps of 28 px, the network takes 56")
    refused(mie(tmp_path, *asked, "--model", "bad.onnx"), 3, "bad.onnx", "not an ONNX network")
    refused(mie(tmp_path, *asked, "--model", "ststnet", "--out", "bad.onnx"), 4, "Choose a folder")


def test_a_part_of_a_protocol_is_said(tmp_path, capsys):
    data = fakes.composite(tmp_path / "maps", subjects=("sub01", "sub02", "s01"), train=False)
    assert mie_here("eval", "megc2019", "--data", data, "--model", "majority") == 0
    assert "without samm this is a part of megc2019" in capsys.readouterr().out
