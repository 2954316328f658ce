"""Evaluation from data to report: checkpoints per left-out subject, networks trained in every fold, and the audit of leaks."""

import json
from dataclasses import replace

import fakes
import numpy as np
import pytest

from mie_engine.errors import InputError, UsageError
from mie_engine.eval import datasets, protocols, report, scorers
from mie_engine.eval.audit import admit, steady
from mie_engine.eval.evaluate import evaluate, run
from mie_engine.eval.scorers import Scorer, Trace
from mie_engine.types import CLASSES

SUBJECTS = ("sub01", "sub02", "006", "007", "s01", "s02")
INFO = {"model": "ststnet", "classes": CLASSES, "side": 28, "inputs": "maps"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return fakes.composite(tmp_path_factory.mktemp("maps"))


@pytest.fixture(scope="module")
def task(data):
    return protocols.task("megc2019", datasets.read(data, 28))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """<subject>.pth as the authors of STSTNet publish them, random weights."""
    torch = pytest.importorskip("torch")
    from mie_engine.models.recognisers import build

    folder = tmp_path_factory.mktemp("weights")
    for k, subject in enumerate(SUBJECTS):
        torch.manual_seed(k)
        torch.save(build("ststnet").net.state_dict(), folder / f"{subject}.pth")
    return folder


def audit_of(result):
    return {check["name"]: check["status"] for check in result["audit"]}


def test_a_published_checkpoint_per_left_out_subject(data, task, published):
    """Each subject is scored by its own file, on 0..255 in the order strain, v, u; pooled confusion, corpora, honest audit."""
    import torch

    from mie_engine.models.recognisers import build

    got = evaluate("megc2019", data, "ststnet", weights=published)
    expected = np.zeros((3, 3), int)
    for fold in task.folds:
        subject = fold.name.split("/")[1]
        net = build("ststnet").net.eval()
        net.load_state_dict(torch.load(published / f"{subject}.pth", weights_only=True))
        maps = torch.from_numpy(np.ascontiguousarray(task.table.maps[fold.test][..., ::-1].transpose(0, 3, 1, 2))).float()
        with torch.no_grad():
            made = net(maps).argmax(1).numpy()
        np.add.at(expected, (task.label[fold.test], made), 1)
    assert got["confusion"] == expected.tolist()
    assert [fold["name"] for fold in got["folds"]] == sorted(
        f"{corpus}/{name}" for name, corpus in zip(SUBJECTS, ("casme2", "casme2", "samm", "samm", "smic", "smic"), strict=True)
    )
    assert {name: part["clips"] for name, part in got["corpora"].items()} == {"casme2": 12, "samm": 12, "smic": 12}
    tp, rows, columns = np.diag(expected), expected.sum(1), expected.sum(0)
    assert got["scores"]["f1"] == pytest.approx(np.mean(2 * tp / np.maximum(rows + columns, 1)))
    assert got["scores"]["uar"] == pytest.approx(np.mean(tp / rows))
    status = audit_of(got)
    assert {status["L1"], status["L2"], status["L9"]} == {"unknown"}  # nothing tells how these epochs were chosen
    assert {status[name] for name in ("L3", "L4", "L5", "L6", "L7", "L10")} == {"pass"}
    assert status["L8"] == "n/a"


def test_our_checkpoints_and_their_traces(data, task, tmp_path):
    torch = pytest.importorskip("torch")
    from mie_engine.models import checkpoint
    from mie_engine.models.recognisers import build

    torch.manual_seed(1)
    net = build("ststnet").eval()
    checkpoint.save(net, INFO, tmp_path / "model.safetensors")
    checkpoint.export_onnx(net, INFO, tmp_path / "model.onnx")
    with pytest.raises(InputError, match=r"no train.json with selected_by"):
        evaluate("megc2019", data, str(tmp_path / "model.onnx"))
    record = {"selected_by": "last epoch", "epoch": 8, "subjects": ["syn000"], "synthetic": True}
    (tmp_path / "train.json").write_text(json.dumps(record))
    one = evaluate("megc2019", data, str(tmp_path / "model.onnx"))
    two = evaluate("megc2019", data, str(tmp_path / "model.safetensors"))
    assert one["confusion"] == two["confusion"]
    assert {"fail", "unknown"}.isdisjoint(audit_of(one).values())
    (tmp_path / "train.json").write_text(json.dumps(record | {"subjects": ["samm/006"]}))
    assert audit_of(evaluate("megc2019", data, str(tmp_path / "model.onnx")))["L9"] == "fail"
    for selected_by in ("test", "best epoch on the test subject", "Test UF1"):
        (tmp_path / "train.json").write_text(json.dumps(record | {"selected_by": selected_by}))
        with pytest.raises(InputError, match="selected by test scores"):
            evaluate("megc2019", data, str(tmp_path / "model.onnx"))
    for text in ("{", "[]", "{}"):
        (tmp_path / "train.json").write_text(text)
        with pytest.raises(InputError, match=r"train\.json"):
            evaluate("megc2019", data, str(tmp_path / "model.onnx"))


def test_one_file_per_subject_of_ours(data, tmp_path):
    torch = pytest.importorskip("torch")
    from mie_engine.models import checkpoint
    from mie_engine.models.recognisers import build

    for k, subject in enumerate(SUBJECTS):
        torch.manual_seed(k)
        checkpoint.save(build("ststnet").eval(), INFO, tmp_path / f"{subject}.safetensors")
        others = [f"x/{name}" for name in SUBJECTS if name != subject]
        (tmp_path / f"{subject}.train.json").write_text(json.dumps({"selected_by": "last", "epoch": 8, "subjects": others}))
    status = audit_of(evaluate("megc2019", data, "default", weights=tmp_path))
    assert (status["L1"], status["L2"], status["L9"]) == ("pass", "pass", "pass")
    (tmp_path / "006.train.json").write_text(json.dumps({"selected_by": "last", "epoch": 3, "subjects": ["samm/006"]}))
    status = audit_of(evaluate("megc2019", data, "default", weights=tmp_path))
    assert (status["L2"], status["L9"]) == ("fail", "fail")


def test_what_does_not_fit_is_refused(data, published, tmp_path):
    weights = {"weights": published}
    with pytest.raises(UsageError, match="does not say which network"):
        evaluate("megc2019", data, "default", **weights)
    with pytest.raises(UsageError, match="a checkpoint per subject"):
        evaluate("mie-x", data, "ststnet", **weights)
    with pytest.raises(InputError, match="is it this network"):
        evaluate("megc2019", data, "offapexnet", **weights)
    with pytest.raises(InputError, match="no folder"):
        evaluate("megc2019", data, "ststnet", weights=tmp_path / "none")
    with pytest.raises(InputError, match="0 checkpoints of sub01"):
        evaluate("megc2019", data, "ststnet", weights=tmp_path)
    with pytest.raises(InputError, match="no checkpoint"):
        evaluate("megc2019", data, "default", weights=tmp_path)
    with pytest.raises(InputError, match="choose a network of maps"):
        evaluate("megc2019", data, "branches")
    with pytest.raises(InputError):
        evaluate("megc2019", data, "nothing.onnx")
    with pytest.raises(UsageError, match="--data is missing"):
        evaluate("megc2019", None, "constant")
    with pytest.raises(UsageError, match="--data is missing"):
        evaluate("cd6me", None, "ststnet")
    with pytest.raises(UsageError, match="protocol 'loso'"):
        evaluate("loso", data, "constant")
    with pytest.raises(InputError, match="at least two"):
        evaluate("cd6me", data, "constant")  # maps have no action units
    for seeds in ((), (1, 1), (-1,)):
        with pytest.raises(UsageError, match="seeds"):
            evaluate("megc2019", data, "constant", seeds=seeds)


def test_a_network_trained_in_every_fold(data):
    pytest.importorskip("torch")
    got = evaluate("mie-x", data, "ststnet", epochs=15, seeds=(1, 2))
    assert got["scores"]["uar"] > 0.6  # the classes of these maps are easy
    assert got["scores"]["f1_std"] >= 0
    assert len(got["per_seed"]) == 2
    assert np.sum(got["confusion"]) == 2 * 36
    assert "fail" not in audit_of(got).values()
    assert audit_of(got)["L8"] == "pass"  # permuted labels give chance
    again = evaluate("mie-x", data, "ststnet", epochs=15, seeds=(2,))
    assert again["per_seed"] == got["per_seed"][1:]


def test_emotions_and_action_units_are_trained_one_against_all(tmp_path, task):
    pytest.importorskip("torch")
    clips = [replace(clip, corpus="smic", emotion=CLASSES[clip.label3], aus=frozenset({1 + clip.label3})) for clip in task.table.clips]
    table = replace(task.table, clips=tuple(clips))
    units = replace(
        protocols.task("mie-x", table),
        label=np.array([[n + 1 in clip.aus for n in range(3)] for clip in clips]),
        classes=("AU1", "AU2", "AU3"),
    )
    got = run(units, scorers.trained("ststnet", 15))
    assert got["scores"]["f1"] > 0.6
    assert audit_of(got)["L8"] == "pass"
    emotions = replace(protocols.task("mie-x", table), classes=("a", "b", "c"))
    assert run(emotions, scorers.trained("ststnet", 15))["scores"]["uar"] > 0.6


def answers(task, predict, traces=(), learns=False):
    return Scorer("test", lambda task, fold, seed: predict, traces, learns)


def test_scores_that_depend_on_the_batch_are_found(task):
    """As a batch norm that was left in training mode."""

    def predict(maps):
        means = maps.reshape(len(maps), -1, 3).mean(1)
        return (means - means.mean(0)).astype(np.float32)

    assert audit_of(run(task, answers(task, predict)))["L6"] == "fail"


def test_random_scores_are_found(task):
    rng = np.random.default_rng(0)
    status = audit_of(run(task, answers(task, lambda maps: rng.random((len(maps), 3), np.float32))))
    assert (status["L6"], status["L7"]) == ("fail", "fail")


def test_labels_that_leak_into_training_are_found(task):
    """A scorer that was fitted on everybody's labels, as feature selection on all data is: with permuted labels it is still right."""

    def fit(task, fold, seed):
        answer = {image.tobytes(): label for image, label in zip(task.table.maps, task.label, strict=True)}
        return lambda maps: np.eye(3, dtype=np.float32)[[answer[image.tobytes()] for image in maps]]

    got = run(task, Scorer("leaky", fit, learns=True))
    assert got["scores"]["accuracy"] == 1
    assert audit_of(got)["L8"] == "fail"


def test_files_and_subjects_on_both_sides_are_found(task):
    clips = list(task.table.clips)
    clips[0] = replace(clips[0], digest=clips[-1].digest)
    status = audit_of(run(replace(task, table=replace(task.table, clips=tuple(clips))), scorers.constant("majority")))
    assert (status["L5"], status["L10"]) == ("fail", "fail")
    mixed = tuple(
        replace(fold, test=np.arange(k, 36, 6), train=np.setdiff1d(np.arange(36), np.arange(k, 36, 6))) for k, fold in enumerate(task.folds)
    )
    assert audit_of(run(replace(task, folds=mixed), scorers.constant("majority")))["L5"] == "fail"
    leaks = replace(task, table=replace(task.table, leaks=("a file",)))
    assert audit_of(run(leaks, scorers.constant("majority")))["L5"] == "fail"


def test_admission():
    admit(Scorer("", None, (Trace("a.pth", None), Trace("b.onnx", {"selected_by": "last"}))))
    for trace in (Trace("a.onnx", None), Trace("a.pth", {"selected_by": "test"}), Trace("a.onnx", {"epoch": 3})):
        with pytest.raises(InputError):
            admit(Scorer("", None, (trace,)))


def test_steady_of_one_sample():
    scores, again, order = steady(lambda maps: np.ones((len(maps), 3), np.float32), np.zeros((1, 28, 28, 3), np.uint8))
    assert (scores.shape, again, order) == ((1, 3), True, True)


def test_pooled_and_mean_of_folds_differ(data):
    """L3: the same predictions, averaged over folds, give another number; both are said."""
    got = evaluate("megc2019", data, "majority")
    check = next(check for check in got["audit"] if check["name"] == "L3")
    assert f"pooled {got['scores']['f1']:.4f}" in check["reason"]


def test_reports(data, tmp_path, published):
    for got in (evaluate("megc2019", data, "ststnet", weights=published), evaluate("cd6me", None, "constant")):
        page = report.markdown(got)
        paths = report.write(got, page, tmp_path / got["protocol"])
        assert paths[0].read_text("utf-8") == page
        assert json.loads(paths[1].read_text("utf-8")) == got
        assert sorted(path.name for path in paths[0].parent.iterdir()) == ["report.json", "report.md"]
        for fact in (got["split_hash"], got["model"], *(fold["name"] for fold in got["folds"]), *(check["name"] for check in got["audit"])):
            assert fact in page
        assert len(report.markdown(got, folds=False)) < len(page)
        for line in page.splitlines():
            assert not line.startswith("|") or line.endswith("|")
