"""Protocols: the published row that needs no data, folds that do not depend on the order of rows, labels."""

from dataclasses import replace

import numpy as np
import pytest

from mie_engine.errors import InputError, UsageError
from mie_engine.eval import protocols, scorers
from mie_engine.eval.evaluate import evaluate, run
from mie_engine.eval.table import NO_CLASS, Clip, Table

AU_ROW = "26.04 24.23 51.70 12.38 5.74 22.08 10.89 7.12 15.95 24.00 4.99 8.12"
CORPORA_ROW = {"casme": "16.1", "casme2": "19.4", "samm": "15.3", "fourd": "20.2", "mmew": "20.7", "casme3": "15.1"}


def test_the_constant_row_of_cd6me_to_every_printed_digit():
    """Source: finding 10 and the published table: F1 of "always active" is 2 p / (1 + p)."""
    got = evaluate("cd6me", None, "constant")
    assert " ".join(f"{100 * unit['f1']:.2f}" for unit in got["aus"].values()) == AU_ROW
    assert list(got["aus"]) == [f"AU{au}" for au in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17)]
    assert f"{100 * got['scores']['f1']:.2f}" == "17.77"
    assert f"{100 * got['scores']['f1']:.1f}" == "17.8"
    assert f"{100 * got['scores']['macro_f1']:.1f}" == "8.9"
    assert {name: f"{100 * part['f1']:.1f}" for name, part in got["corpora"].items()} == CORPORA_ROW
    assert sum(fold["clips"] for fold in got["folds"]) == 2031
    assert all(unit["auc"] == 0.5 for unit in got["aus"].values())


def test_counts_equal_the_published_totals():
    task = protocols.task("cd6me", protocols.label_counts())
    assert task.label.sum(0).tolist() == [304, 280, 708, 134, 60, 252, 117, 75, 176, 277, 52, 86]
    assert len(task.table) == 2031


def people(counts, corpus=lambda k: ("casme2", "samm", "smic")[k % 3]):
    """Clips of many people: counts[k] clips of person k."""
    return [
        Clip(corpus(k), f"p{k:02d}", f"c{j}", ("negative", "positive", "surprise")[j % 3], j % 3, frozenset({1 + k % 5, 4}))
        for k, count in enumerate(counts)
        for j in range(count)
    ]


@pytest.mark.parametrize("protocol", ["megc2019", "mie-x", "cd6me", "emotion", "fivefold", "au"])
def test_folds_do_not_depend_on_the_order_of_rows(rng, protocol):
    one = protocol in ("emotion", "fivefold", "au")
    clips = people(rng.integers(1, 6, 68), (lambda k: "casme2") if one else (lambda k: ("casme2", "samm", "mmew")[k % 3]))
    clips = [replace(clip, emotion="happiness") for clip in clips] if one else clips
    seen = set()
    for _ in range(4):
        order = rng.permutation(len(clips))
        task = protocols.task(protocol, Table.of([clips[k] for k in order]))
        folds = tuple((fold.name, tuple(task.table.clips[k].key for k in fold.test)) for fold in task.folds)
        seen.add((task.split_hash, folds, task.label.tobytes()))
    assert len(seen) == 1


@pytest.mark.parametrize("protocol", ["megc2019", "mie-x", "cd6me"])
def test_every_clip_is_tested_once_and_never_trained_on(rng, protocol):
    task = protocols.task(protocol, Table.of(people(rng.integers(1, 6, 30), lambda k: ("casme2", "samm")[k % 2])))
    tested = np.concatenate([fold.test for fold in task.folds])
    assert sorted(tested.tolist()) == list(range(len(task.label)))
    for fold in task.folds:
        assert sorted([*fold.test, *fold.train]) == list(range(len(task.label)))
        out = {task.table.clips[k].person for k in fold.test}
        assert protocol == "cd6me" or not out & {task.table.clips[k].person for k in fold.train}


def test_mie_x_folds_have_24_23_and_21_subjects(rng):
    task = protocols.task("mie-x", Table.of(people(rng.integers(1, 9, 68))))
    assert [len({task.table.clips[k].person for k in fold.test}) for fold in task.folds] == [24, 23, 21]
    assert task.split_hash == protocols.task("mie-x", task.table).split_hash


def test_another_split_has_another_hash():
    clips = people([3, 3, 3])
    hashes = {protocols.task(p, Table.of(clips)).split_hash for p in ("megc2019", "mie-x", "cd6me") if p != "cd6me"}
    hashes.add(protocols.task("megc2019", Table.of(clips[1:])).split_hash)
    hashes.add(protocols.task("megc2019", Table.of([replace(clips[0], name="other"), *clips[1:]])).split_hash)
    assert len(hashes) >= 3


def test_the_composite_takes_its_corpora_and_classes_only():
    clips = [*people([3, 3, 3]), Clip("mmew", "S01", "a", "disgust", 0), Clip("samm", "099", "b", "others", NO_CLASS)]
    task = protocols.task("megc2019", Table.of(clips))
    assert len(task.table) == 9
    assert task.table.notes == ("2 clips are not part of megc2019",)
    assert task.classes == ("negative", "positive", "surprise")


def test_inside_one_corpus():
    clips = [Clip("samm", f"{k:03d}", "a", emotion, 0, frozenset({2, 4})) for k, emotion in enumerate(("anger", "fear", "happiness"))]
    task = protocols.task("emotion", Table.of(clips))
    assert task.classes == ("anger", "contempt", "happiness", "surprise", "others")
    assert [task.classes[k] for k in task.label] == ["anger", "happiness"]
    task = protocols.task("au", Table.of(clips))
    assert task.classes == ("AU2", "AU4", "AU7", "AU12")
    assert task.label.tolist() == [[True, True, False, False]] * 3


@pytest.mark.parametrize(
    ("protocol", "clips", "error"),
    [
        ("loso", people([1, 1]), UsageError),
        ("emotion", people([1, 1]), UsageError),  # two corpora
        ("au", [Clip("casme3", f"p{k}", "a", aus=frozenset()) for k in range(2)], UsageError),  # no published subset
        ("megc2019", people([4]), InputError),  # nobody left to train on
        ("megc2019", [], InputError),
    ],
)
def test_what_cannot_be_evaluated(protocol, clips, error):
    with pytest.raises(error):
        protocols.task(protocol, Table.of(clips))


def test_corpora_of_one_laboratory_are_said():
    check = evaluate("cd6me", None, "constant")["audit"][9]
    assert (check["name"], check["status"]) == ("L10", "unknown")
    assert "casme and casme2 and casme3" in check["reason"]


def test_constant_answers():
    task = protocols.task("megc2019", Table.of(people([4] * 9)))
    got = run(task, scorers.constant("constant"))
    assert got["confusion"][1][0] == 9
    majority = run(task, scorers.constant("majority"))["scores"]
    assert majority["accuracy"] == 0.5
    assert majority["uar"] == pytest.approx(1 / 3)
    assert majority["f1"] == pytest.approx(2 / 9)
