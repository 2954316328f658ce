"""Metrics against scikit-learn, on random and degenerate inputs; spotting against an exhaustive matching."""

import itertools
import warnings

import numpy as np
import pytest

from mie_engine.errors import ShapeError
from mie_engine.eval import metrics

sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn not installed: metrics are NOT compared with it")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning", "ignore:.*single label.*")


def label_pairs(rng):
    for _ in range(80):
        classes = int(rng.integers(2, 8))
        n = int(rng.integers(1, 60))
        few = rng.integers(1, classes + 1)  # often some classes never occur
        yield rng.integers(0, few, n), rng.integers(0, rng.integers(1, classes + 1), n), classes
    yield np.zeros(5, int), np.zeros(5, int), 3  # one class only
    yield np.zeros(5, int), np.full(5, 2), 3  # never right
    yield np.arange(3), np.arange(3), 3  # always right


def test_class_metrics_equal_scikit_learn(rng):
    for label, predicted, classes in label_pairs(rng):
        matrix = metrics.confusion(label, predicted, classes)
        known = {"labels": range(classes), "zero_division": 0}
        assert np.array_equal(matrix, sklearn.confusion_matrix(label, predicted, labels=range(classes)))
        np.testing.assert_allclose(metrics.class_f1(matrix), sklearn.f1_score(label, predicted, average=None, **known), atol=1e-12)
        assert metrics.uf1(matrix) == pytest.approx(sklearn.f1_score(label, predicted, average="macro", **known), abs=1e-12)
        assert metrics.uar(matrix) == pytest.approx(sklearn.recall_score(label, predicted, average="macro", **known), abs=1e-12)
        assert metrics.accuracy(matrix) == pytest.approx(sklearn.accuracy_score(label, predicted), abs=1e-12)


def test_no_sample_at_all():
    matrix = metrics.confusion([], [], 3)
    assert (metrics.uf1(matrix), metrics.uar(matrix), metrics.accuracy(matrix)) == (0, 0, 0)


@pytest.mark.parametrize("kind", ["random", "no positive", "no positive predicted", "all positive", "nothing right"])
def test_au_f1_equals_scikit_learn(rng, kind):
    for _ in range(12):
        n = int(rng.integers(1, 50))
        label, predicted = rng.random((n, 12)) < 0.3, rng.random((n, 12)) < 0.4
        if kind == "no positive":
            label[:] = False
        if kind == "no positive predicted":
            predicted[:] = False
        if kind == "all positive":
            label[:] = predicted[:] = True
        if kind == "nothing right":
            predicted = ~label
        binary, macro = metrics.au_f1(label, predicted)
        for k in range(12):
            known = {"zero_division": 0, "labels": [False, True]}
            assert binary[k] == pytest.approx(sklearn.f1_score(label[:, k], predicted[:, k], zero_division=0), abs=1e-12)
            assert macro[k] == pytest.approx(sklearn.f1_score(label[:, k], predicted[:, k], average="macro", **known), abs=1e-12)


def test_auc_equals_scikit_learn(rng):
    for _ in range(100):
        n = int(rng.integers(2, 40))
        label, score = rng.random(n) < 0.4, np.round(rng.normal(size=n), int(rng.integers(0, 3)))  # with ties
        if label.all() or not label.any():
            assert metrics.auc(label, score) == 0.5
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert metrics.auc(label, score) == pytest.approx(sklearn.roc_auc_score(label, score), abs=1e-12)


@pytest.mark.parametrize(("label", "predicted"), [([0, 1], [0]), ([0, 3], [0, 1]), ([0, -1], [0, 1]), ([[0]], [[0]])])
def test_wrong_labels_are_refused(label, predicted):
    with pytest.raises(ShapeError):
        metrics.confusion(label, predicted, 3)


def test_iou_counts_frames():
    got = metrics.iou([(10, 19), (10, 14)], [(10, 19), (15, 24), (20, 29)])
    assert np.allclose(got, [[1, 5 / 15, 0], [0.5, 0, 0]])
    assert metrics.iou([], [(1, 2)]).shape == (0, 1)


def best_matching(truth, spotted):
    """Most pairs, by trying all."""
    fits = [(t, s) for t in range(len(truth)) for s in range(len(spotted)) if metrics.iou(truth, spotted)[t, s] >= 0.5]
    for size in range(min(len(truth), len(spotted)), 0, -1):
        for chosen in itertools.combinations(fits, size):
            if len({t for t, _ in chosen}) == len({s for _, s in chosen}) == size:
                return size
    return 0


def test_matching_is_one_to_one_and_largest(rng):
    for _ in range(150):
        first = rng.integers(0, 30, 8)
        intervals = [(int(a), int(a + w)) for a, w in zip(first, rng.integers(3, 15, 8), strict=True)]
        truth, spotted = intervals[:4], intervals[4 : 4 + int(rng.integers(0, 5))]
        pairs = metrics.match(truth, spotted)
        assert len({t for t, _ in pairs}) == len({s for _, s in pairs}) == len(pairs)
        assert all(metrics.iou(truth, spotted)[t, s] >= 0.5 for t, s in pairs)
        assert len(pairs) == best_matching(truth, spotted)
        assert len(metrics.match(spotted, truth)) == len(pairs)


def test_a_long_chain_of_overlapping_events():
    """Each spotted event fits two true ones; with one true event more, the last search runs through all of them."""
    truth = [(10 * k, 10 * k + 19) for k in range(1500)]
    spotted = [(10 * k + 5, 10 * k + 24) for k in range(1500)]
    assert len(metrics.match(truth[::-1], spotted[:-1])) == 1499
    assert len(metrics.match(truth, spotted)) == 1500


def test_spotting_counts_over_the_database():
    event = (10, 19)
    truth = {"a": [(event, "negative"), ((50, 59), "surprise")], "b": [(event, "positive")], "c": []}
    spotted = {"a": [(event, "negative"), (event, "negative")], "c": [(event, "positive")], "d": [(event, "positive")]}
    got = metrics.spotting(truth, spotted)
    assert (got["tp"], got["fp"], got["fn"]) == (1, 3, 2)
    assert got["f1"] == pytest.approx(2 / 7)
    assert got["recognition"] == 1
    assert got["strs"] == pytest.approx(2 / 7)


@pytest.mark.parametrize(("tp", "fp", "fn", "printed"), [(6, 217, 202, 0.0278), (3, 115, 34, 0.0387)])
def test_the_published_baseline_of_megc2025(tp, fp, fn, printed):
    """Counts and F1 as the challenge prints them."""
    hits = {f"hit{k}": [((0, 9), "negative")] for k in range(tp)}
    truth = hits | {f"miss{k}": [((0, 9), "negative")] for k in range(fn)}
    spotted = hits | {f"false{k}": [((0, 9), "negative")] for k in range(fp)}
    got = metrics.spotting(truth, spotted)
    assert (got["tp"], got["fp"], got["fn"]) == (tp, fp, fn)
    assert abs(got["f1"] - printed) < 1e-4


def test_an_abstention_is_a_miss_and_not_a_class():
    truth = {"a": [((0, 9), "negative"), ((20, 29), "positive")]}
    got = metrics.spotting(truth, {"a": [((0, 9), "negative"), ((20, 29), "uncertain")]})
    assert (got["f1"], got["recognition"], got["strs"]) == (1, 0.5, 0.5)
    assert metrics.spotting(truth, {})["strs"] == 0
    assert metrics.spotting({}, {})["f1"] == 0
