"""`mie train`: synthetic, real, one then the other; what it writes, says and refuses."""

import csv
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from road import copy_faces, make, mie_here
from videos import face

from mie_engine.models import training
from mie_engine.models.recogniser import Recogniser
from mie_engine.models.recognisers import NAMES
from mie_engine.synth import default_data
from mie_engine.types import CLASSES

sys.path.append(str(Path(__file__).parents[1] / "eval"))
import fakes

FEATURES = {"content": "features", "frames": 2, "size": 256}
QUICK = ("--epochs", 1, "--batch", 8)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    make(copy_faces(folder / "faces"), folder / "made", **FEATURES)
    for subject in ("s1", "s2", "s3"):
        for part, others in (("u_test", [subject]), ("u_train", [s for s in ("s1", "s2", "s3") if s != subject])):
            for other in others:
                for label in "012":
                    path = folder / "maps" / subject / part / label / f"{other}_{label}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    fixed = np.random.default_rng(ord(other[1]) * 3 + int(label))
                    Image.fromarray(fixed.integers(0, 256, (28, 28, 3), np.uint8)).save(path)
    return folder


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_writes_weights_graph_curves_and_record(place, capsys):
    out = place / "out"
    assert mie_here("train", "robustnet", "--data", place / "made", "--out", out, *QUICK, "--members", 2, "--seed", 5) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"robustnet in {out}: 24 samples, accuracy on them ")
    assert sorted(path.name for path in out.iterdir()) == ["curves.csv", "curves.svg", "model.onnx", "model.safetensors", "train.json"]
    told = json.loads((out / "train.json").read_text())
    assert told["selected_by"] == "last epoch"
    assert told["epoch"] == 1
    assert told["synthetic"] is True
    assert told["subjects"] == ["syn000", "syn001", "syn002"]
    assert told["parts"][0]["recipe"] == {**training.TrainRecipe(epochs=1, batch=8, members=2, seed=5).__dict__, "dropout": []}
    assert told["parts"][0]["plan_hash"] == json.loads((place / "made" / "dataset.json").read_text())["plan_hash"]
    assert told["sha256"] == {name: digest(out / name) for name in ("model.safetensors", "model.onnx")}
    assert len(list(csv.DictReader((out / "curves.csv").open()))) == 2
    net = Recogniser.load(out / "model.onnx")
    assert (net.name, len(net.aus)) == ("robustnet", 12)

    again = place / "again"
    assert mie_here("train", "robustnet", "--data", place / "made", "--out", again, *QUICK, "--members", 2, "--seed", 5, "--json") == 0
    assert json.loads(capsys.readouterr().out)["sha256"] == told["sha256"]


def test_synthetic_then_real_with_their_own_epochs(place, capsys):
    data = ("--data", place / "made", "--data", place / "maps", "--batch", 4, "--lr", 1e-3)
    assert mie_here("train", "ststnet", *data, "--out", place / "both", "--epochs", 2, "--epochs", 1, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["synthetic"] is False
    assert [(part["samples"], part["recipe"]["epochs"], part["recipe"]["lr"]) for part in told["parts"]] == [(24, 2, 1e-3), (9, 1, 1e-3)]
    assert [row["part"] for row in csv.DictReader((place / "both" / "curves.csv").open())] == ["1", "1", "2"]


def test_real_alone(place, capsys):
    assert mie_here("train", "robustnet", "--data", place / "maps", "--out", place / "real", "--epochs", 1, "--batch", 4, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["subjects"]) == 3


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nonsense", "--data", "made"], 2, "unknown"),
        (["robustnet"], 2, "name one dataset"),
        (["robustnet", "--data", "made", "--data", "made", "--data", "made"], 2, "name one dataset"),
        (["robustnet", "--data", "made", "--epochs", 1, "--epochs", 2], 2, "--epochs is given 2 times"),
        (["robustnet", "--data", "made", "--lr", "nan"], 2, "lr is nan"),
        (["robustnet", "--data", "made", "--threads", 0], 2, "threads is 0"),
        (["sssnet", "--data", "made"], 2, "content pair or clip"),
        (["robustnet", "--data", "made"], 2, "fewer than one batch"),
        (["robustnet", "--data", "nowhere"], 3, "no such folder"),
        (["robustnet", "--data", "faces"], 3, "known corpora"),
        (["default", "--data", "made"], 2, "has one recipe"),
        (["default", "--batch", 4], 2, "has one recipe"),
    ],
)
def test_refuses(place, capsys, monkeypatch, arguments, code, message):
    monkeypatch.chdir(place)
    assert mie_here("train", *arguments, "--out", "refused") == code
    assert message in capsys.readouterr().err
    assert not (place / "refused").exists()


@pytest.mark.slow
def test_the_default_is_made_by_one_command_twice_the_same(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(default_data, "COMPUTED", 420)
    monkeypatch.setattr(default_data, "RENDERED", 210)
    monkeypatch.setattr(training, "DEFAULT_RECIPE", training.TrainRecipe(epochs=1, members=2))
    told = []
    for name in ("one", "two"):
        assert mie_here("train", "default", "--out", tmp_path / name, "--json") == 0
        told.append(json.loads(capsys.readouterr().out))
    assert told[0]["sha256"] == told[1]["sha256"]
    assert told[0]["parts"][0]["samples"] == 630
    assert len(told[0]["subjects"]) == 107


def test_a_folder_that_cannot_be_is_refused_before_the_work(place, capsys):
    (place / "file").write_text("")
    for out in (place / "file", place / "file" / "out"):
        assert mie_here("train", "robustnet", "--data", place / "nowhere", "--out", out) == 4
        assert "Choose a folder" in capsys.readouterr().err


def test_two_parts_say_whose_accuracy(place, capsys):
    data = ("--data", place / "made", "--data", place / "maps", "--batch", 4, "--epochs", 1)
    assert mie_here("train", "ststnet", *data, "--out", place / "said") == 0
    assert "33 samples, accuracy on the last 9 " in capsys.readouterr().out


def test_help_names_every_network(capsys):
    assert mie_here("train", "--help") == 0
    said = capsys.readouterr().out
    assert all(name in said for name in NAMES)


def test_clips_that_are_left_out_of_a_corpus_are_said(tmp_path, capsys):
    fakes.smic(
        tmp_path / "smic", [(k, CLASSES[k % 3], f"s{k}_1") for k in range(6)], image=lambda clip, frame: face(f"syn01{clip['id']}.jpg")
    )
    fakes.smic(tmp_path / "smic", [(6, "positive", "s6_1")])  # shows no face
    data = ("--data", tmp_path / "smic", "--batch", 4, "--epochs", 1)
    assert mie_here("train", "robustnet", *data, "--out", tmp_path / "out") == 0
    said = capsys.readouterr()
    assert "6 samples" in said.out
    assert "note: 1 x no face in the onset frame" in said.out
    assert "clips: 7 of 7" in said.err
    (part,) = json.loads((tmp_path / "out" / "train.json").read_text())["parts"]
    assert len(part["notes"]) == 1
