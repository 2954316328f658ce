"""Training a generator: losses fall, a stopped run goes on to the same bits, its graph runs, and what does not fit is refused."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mie_engine.errors import InputError, RangeError
from mie_engine.models import face_table
from mie_engine.models import ganimation_training as training
from mie_engine.models.generator import AUS, Generator

torch = pytest.importorskip("torch")
RECIPE = training.GanRecipe(epochs=3, decay=1, batch=2, critic_steps=2, save_steps=2, side=64, width=4, blocks=1, lr=1e-3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Seven faces-to-be: blobs whose brightness is their first action unit."""
    folder = tmp_path_factory.mktemp("faces")
    draws = np.random.default_rng(4)
    with (folder / "aus.csv").open("w", newline="") as text:
        table = csv.writer(text)
        table.writerow(["frame", "file", *(f"AU{number:02d}_r" for number in AUS)])
        for k in range(7):
            aus = draws.uniform(0, 5, 17).round(2)
            pixels = draws.integers(0, 100, (70, 90, 3)) + int(aus[0] * 30)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{k}.png")
            table.writerow([k, f"{k}.png", *aus])
    return folder


@pytest.fixture(scope="module")
def faces(folder):
    return face_table.read(folder, 64)


@pytest.fixture(scope="module")
def whole(faces, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    return out, training.train(faces, RECIPE, out)


def test_reads_images_and_their_action_units(folder, faces):
    assert (faces.images.shape, faces.action_units.shape) == ((7, 64, 64, 3), (7, 17))
    with (folder / "aus.csv").open() as text:
        rows = list(csv.DictReader(text))
    np.testing.assert_allclose(faces.action_units[3, 4], float(rows[3]["AU06_r"]) / 5, rtol=1e-6)


def test_losses_and_what_it_leaves(faces, whole):
    out, found = whole
    assert found["steps"] == 9  # three epochs of three batches
    assert [row["step"] for row in found["rows"]] == [2, 4, 6, 8, 9]
    assert all(np.isfinite(list(row.values())).all() for row in found["rows"])
    assert found["rows"][0]["lr"] == 1e-3
    assert found["rows"][-1]["lr"] == 5e-4
    assert found["difference"] <= 1e-4
    made = Generator.load(out / training.GRAPH).frames(faces.images[0], np.eye(17)[:2])
    assert not np.array_equal(made[0], made[1])


@pytest.mark.parametrize("after", [1, 5, 8])
def test_a_stopped_run_goes_on_to_the_same_bits(faces, whole, tmp_path, after):
    out, found = whole
    left = [after + 1]  # the first call tells what was there

    def stop(samples, size):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train(faces, RECIPE, tmp_path, progress=stop)
    counted = []
    assert training.train(faces, RECIPE, tmp_path, progress=lambda samples, size: counted.append(samples)) == found
    assert sum(counted) == 18
    for name in (training.STATE, training.GRAPH):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()
    assert training.train(faces, RECIPE, tmp_path) == found  # nothing left to do
    assert (tmp_path / training.STATE).read_bytes() == (out / training.STATE).read_bytes()


def test_the_authors_weights(faces, tmp_path):
    recipe = replace(training.AUTHORS, **{name: getattr(RECIPE, name) for name in ("batch", "side", "width", "blocks")}, epochs=2, decay=1)
    found = training.train(faces, replace(recipe, critic_steps=1), tmp_path)
    assert np.isfinite(list(found["rows"][-1].values())).all()
    assert "cycle" in found["rows"][-1]


def test_learns(faces, tmp_path):
    """The critic learns to read the action units, and a cycle comes back nearer to where it began."""
    recipe = replace(RECIPE, epochs=40, decay=0, critic_steps=1, save_steps=20, width=8)
    rows = training.train(faces, recipe, tmp_path)["rows"]
    assert rows[-1]["critic_au"] < 0.6 * rows[0]["critic_au"]
    assert rows[-1]["cycle"] < rows[0]["cycle"]


def test_another_training_is_refused(faces, whole, tmp_path):
    out, _ = whole
    other = replace(faces, sha256="0" * 64)
    for wrong_faces, recipe, words in ((faces, replace(RECIPE, lr=2e-3), "another recipe"), (other, RECIPE, "another faces")):
        with pytest.raises(InputError, match=words):
            training.train(wrong_faces, recipe, out)
    (tmp_path / training.STATE).write_bytes((out / training.STATE).read_bytes()[:-9])
    with pytest.raises(InputError, match="not the state of a training"):
        training.train(faces, RECIPE, tmp_path)
    with pytest.raises(RangeError, match="smaller batch"):
        training.train(faces, replace(RECIPE, batch=8), tmp_path)
    for field, value in (("epochs", 0), ("lr", float("nan")), ("decay", 9), ("au", -1)):
        with pytest.raises(RangeError):
            replace(RECIPE, **{field: value})


def test_wrong_tables(folder, tmp_path):
    header = (folder / "aus.csv").read_text().splitlines()[0]
    good = (folder / "aus.csv").read_text().splitlines()[1]
    cells = good.split(",")
    for text, words in (
        ("", "empty"),
        (header.replace("AU45_r", "AU46_r") + "\n" + good, "lacks the columns AU45_r"),
        (header + "\n" + ",".join([*cells[:2], "5.1", *cells[3:]]), "line 2"),
        (header + "\n" + ",".join([*cells[:2], "nan", *cells[3:]]), "line 2"),
        (header + "\n" + good + "\n" + good + ",1", "line 3"),
        (header + "\n" + ",".join(["0", "../0.png", *cells[2:]]), "outside the folder"),
        (header + "\n" + ",".join(["0", "none.png", *cells[2:]]), r"none\.png"),
        (header, "no rows"),
        ("\0", "cannot be read|lacks"),
    ):
        (tmp_path / "aus.csv").write_text(text)
        with pytest.raises(InputError, match=words):
            face_table.read(tmp_path, 64)
    for wrong in (tmp_path / "nowhere", folder / "0.png"):
        with pytest.raises(InputError, match="holds 0"):
            face_table.read(wrong, 64)


def test_command_line(folder, tmp_path, capsys):
    from road import mie_here

    out = tmp_path / "out"
    options = ("train", "ganimation", "--data", folder, "--out", out, "--batch", 3, "--width", 4, "--side", 64, "--epochs", 1)
    assert mie_here(*options, "--json") == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 2
    assert mie_here(*options) == 0
    assert "--generator ganimation --weights" in capsys.readouterr().out
    assert mie_here(*options, "--members", 2) == 2
    assert mie_here(*options, "--data", folder) == 2
    assert mie_here(*options[:-2], "--epochs", 2) == 3
