"""Folders of precomputed maps in the field's layout: every sample once, the corpus of a subject, leaks between u_train and u_test."""

import shutil

import fakes
import numpy as np
import pytest
from PIL import Image

from mie_engine.errors import InputError
from mie_engine.eval import datasets
from mie_engine.eval.datasets.maps_folder import corpus_of


def test_all_samples_are_the_union_of_u_test(tmp_path):
    table = datasets.read(fakes.composite(tmp_path), 28)
    assert len(table) == 36
    assert (table.maps.shape, table.maps.dtype) == ((36, 28, 28, 3), np.uint8)
    assert (table.notes, table.leaks) == ((), ())
    for clip, image in zip(table.clips, table.maps, strict=True):
        assert np.array_equal(image, np.asarray(Image.open(clip.path)))
        assert clip.label3 == int(clip.path.parent.name)
        assert clip.name == clip.path.stem.strip()
        assert len(clip.digest) == 64
    of = {clip.subject: clip.corpus for clip in table.clips}
    assert of == {"sub01": "casme2", "sub02": "casme2", "006": "samm", "007": "samm", "s01": "smic", "s02": "smic"}


@pytest.mark.parametrize(
    ("subject", "corpus"),
    [("sub26", "casme2"), ("037", "samm"), ("s20", "smic"), ("s1", "smic"), ("S01", "unknown"), ("spNO.1", "unknown"), ("sub", "unknown"),
     ("12", "unknown"), ("0061", "unknown"), ("subject1", "unknown")],
)  # fmt: skip
def test_the_corpus_of_a_subject(subject, corpus):
    assert corpus_of(subject) == corpus


def test_a_subject_of_an_unknown_corpus_is_said(tmp_path):
    table = datasets.read(fakes.composite(tmp_path, ("sub01", "anna")), 28)
    assert table.notes == ("subject anna: its corpus cannot be told from its name, it counts in the pooled scores only",)
    assert {clip.corpus for clip in table.clips} == {"casme2", "unknown"}


def test_leaks_are_found(tmp_path):
    fakes.composite(tmp_path)
    tests, trains = tmp_path / "sub01" / "u_test" / "0", tmp_path / "sub01" / "u_train" / "0"
    own = sorted(tests.iterdir())[0]
    shutil.copy(own, trains)
    assert [leak.split(": ")[1] for leak in datasets.read(tmp_path, 28).leaks] == ["a test file of sub01 in u_train"]
    (trains / own.name).rename(trains / "006_renamed.png")  # the same bytes under another name
    assert len(datasets.read(tmp_path, 28).leaks) == 1
    (trains / "006_renamed.png").unlink()
    own.rename(tests / "sub02_sub02_9.png")
    assert [leak.split(": ")[1] for leak in datasets.read(tmp_path, 28).leaks] == ["another subject's file among those of sub01"]


def test_without_u_train(tmp_path):
    assert len(datasets.read(fakes.composite(tmp_path, train=False), 28)) == 36


def refused(folder):
    with pytest.raises(InputError) as error:
        datasets.read(folder, 28)
    return str(error.value)


def test_what_is_refused(tmp_path):
    fakes.composite(tmp_path, ("sub01", "006"))
    first = sorted((tmp_path / "006" / "u_test" / "0").iterdir())[0]
    good = first.read_bytes()
    first.write_bytes(good[:-30])
    assert str(first) in refused(tmp_path)
    first.write_bytes(b"")
    assert "empty" in refused(tmp_path)
    for size, mode, said in (
        ((28, 27), "RGB", "28 x 27"),
        ((28, 28), "L", "mode L"),
        ((27, 27), "RGB", "one size"),
        ((4, 4), "RGB", "4 x 4"),
    ):
        Image.new(mode, size).save(first)
        if (size, mode) != ((27, 27), "RGB"):
            assert said in refused(tmp_path)
        else:
            assert "27" in refused(tmp_path)
    first.write_bytes(good)
    twice = tmp_path / "006" / "u_test" / "1" / first.name
    twice.write_bytes(good)
    assert "is there twice" in refused(tmp_path)
    twice.unlink()
    (tmp_path / "006" / "u_test" / "3").mkdir()
    assert "allowed are 0 (negative), 1 (positive), 2 (surprise)" in refused(tmp_path)
    (tmp_path / "006" / "u_test" / "3").rmdir()
    with pytest.raises(InputError, match="choose a network of maps"):
        datasets.read(tmp_path, 224, "frames")
    assert "no maps" in refused_empty(tmp_path)


def refused_empty(folder):
    (folder / "empty" / "sub01" / "u_test").mkdir(parents=True)
    return refused(folder / "empty")
