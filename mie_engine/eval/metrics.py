"""Scores of the field from pooled predictions. A score whose denominator is zero is 0, as scikit-learn with zero_division=0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ShapeError
from ..types import ABSTAIN

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Interval = tuple[int, int]  # first and last frame, both inside


def _ratio(top: npt.ArrayLike, bottom: npt.ArrayLike) -> Floats:
    top, bottom = np.asarray(top, np.float64), np.asarray(bottom, np.float64)
    result: Floats = np.divide(top, bottom, out=np.zeros(np.broadcast(top, bottom).shape), where=bottom != 0)
    return result


def confusion(label: npt.ArrayLike, predicted: npt.ArrayLike, classes: int) -> Ints:
    """Count samples by true class (rows) and predicted class (columns).

    Args:
        label, predicted: [N], 0 to classes - 1.

    Raises:
        ShapeError: lengths differ, or a class outside the range.
    """
    label, predicted = np.asarray(label, np.int64), np.asarray(predicted, np.int64)
    if label.shape != predicted.shape or label.ndim != 1:
        raise ShapeError(f"labels have shape {label.shape}, predictions {predicted.shape}: one of each per sample.")
    for values in (label, predicted):
        if len(values) and not 0 <= values.min() <= values.max() < classes:
            raise ShapeError(f"classes lie in {values.min()}..{values.max()}, allowed is 0..{classes - 1}.")
    return np.bincount(label * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def class_f1(matrix: Ints) -> Floats:
    """F1 of each class, 2 TP / (2 TP + FP + FN), of a confusion matrix."""
    return _ratio(2 * np.diag(matrix), matrix.sum(0) + matrix.sum(1))


def class_recall(matrix: Ints) -> Floats:
    """TP / samples of the class, for each class."""
    return _ratio(np.diag(matrix), matrix.sum(1))


def uf1(matrix: Ints) -> float:
    """Unweighted F1: the mean of class_f1 over all classes. Source: MEGC2019."""
    return float(class_f1(matrix).mean())


def uar(matrix: Ints) -> float:
    """Unweighted average recall: the mean of class_recall over all classes. Source: MEGC2019."""
    return float(class_recall(matrix).mean())


def accuracy(matrix: Ints) -> float:
    """Share of samples on the diagonal."""
    return float(_ratio(np.trace(matrix), matrix.sum()))


def au_f1(label: npt.ArrayLike, predicted: npt.ArrayLike) -> tuple[Floats, Floats]:
    """F1 of each action unit on pooled predictions.

    Args:
        label, predicted: [N, A], true where the action unit is active.

    Returns:
        binary [A] (F1 of "active") and macro [A] (mean of it and of the F1 of "not active"). Source: CD6ME.
    """
    label, predicted = np.asarray(label, bool), np.asarray(predicted, bool)
    if label.shape != predicted.shape or label.ndim != 2:
        raise ShapeError(f"labels have shape {label.shape}, predictions {predicted.shape}: [samples, action units] both.")
    on = _ratio(2 * (label & predicted).sum(0), label.sum(0) + predicted.sum(0))
    off = _ratio(2 * (~label & ~predicted).sum(0), (~label).sum(0) + (~predicted).sum(0))
    return on, (on + off) / 2


def auc(label: npt.ArrayLike, score: npt.ArrayLike) -> float:
    """Area under the ROC curve, ties half; .5 where all samples are of one kind."""
    label, score = np.asarray(label, bool), np.asarray(score, np.float64)
    positives, negatives = int(label.sum()), int((~label).sum())
    if not positives or not negatives:
        return 0.5
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]  # from 1, equal scores share their mean rank
    return float((rank[label].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def iou(a: Sequence[Interval], b: Sequence[Interval]) -> Floats:
    """Frames in both intervals over frames in either, [len(a), len(b)]."""
    one, two = np.array(a, np.float64).reshape(-1, 1, 2), np.array(b, np.float64).reshape(1, -1, 2)
    both = np.maximum(0, np.minimum(one[..., 1], two[..., 1]) - np.maximum(one[..., 0], two[..., 0]) + 1)
    return _ratio(both, one[..., 1] - one[..., 0] + two[..., 1] - two[..., 0] + 2 - both)


def match(truth: Sequence[Interval], spotted: Sequence[Interval], least: float = 0.5) -> list[tuple[int, int]]:
    """Pair true and spotted intervals of one video, each at most once, as many pairs as possible.

    Args:
        truth, spotted: first and last frame, both inside.
        least: intersection over union of a pair.

    Returns:
        (index in truth, index in spotted), in the order of truth. Intervals that overlap most are tried first.
    """
    overlap = iou(truth, spotted)
    fits = [[s for s in np.argsort(-row, kind="stable").tolist() if row[s] >= least] for row in overlap]
    of: dict[int, int] = {}  # truth -> spotted
    owner: dict[int, int] = {}  # spotted -> truth
    for t in np.argsort(-overlap.max(1, initial=0), kind="stable").tolist():
        # Augmenting paths: where events overlap, taking the best first can lose pairs.
        queue, came = [t], dict[int, int]()
        free: int | None = None
        for u in queue:
            if free is not None:
                break
            for s in fits[u]:
                if s not in came:
                    came[s] = u
                    if s not in owner:
                        free = s
                        break
                    queue.append(owner[s])
        while free is not None:
            u = came[free]
            before = of.get(u)
            of[u], owner[free] = free, u
            free = before
    return sorted(of.items())


def spotting(truth: dict[str, list[tuple[Interval, str]]], spotted: dict[str, list[tuple[Interval, str]]]) -> dict[str, Any]:
    """Spot-then-recognise scores over a whole database: one F1 from all videos' counts, not a mean over videos.

    Args:
        truth, spotted: events of each video, with their class (ABSTAIN: found, but not named; "" for no label at all).

    Returns:
        tp, fp, fn, precision, recall, f1; recognition (macro F1 over the classes of the matched pairs, an abstention is a miss) and
        strs = f1 x recognition. Source: MEGC2022 to MEGC2025.
    """
    pairs: list[tuple[str, str]] = []
    for video, events in truth.items():
        found = spotted.get(video, [])
        pairs += [(events[t][1], found[s][1]) for t, s in match([e for e, _ in events], [e for e, _ in found])]
    tp, true, made = len(pairs), sum(map(len, truth.values())), sum(map(len, spotted.values()))
    names = sorted({name for pair in pairs for name in pair} - {ABSTAIN})
    codes = [[names.index(name) if name in names else len(names) for name in pair] for pair in pairs]
    matrix = confusion([t for t, _ in codes], [p for _, p in codes], len(names) + 1)
    recognition = float(class_f1(matrix)[: len(names)].mean()) if names else 0.0
    f1 = float(_ratio(2 * tp, true + made))
    return {
        "tp": tp, "fp": made - tp, "fn": true - tp, "precision": float(_ratio(tp, made)), "recall": float(_ratio(tp, true)), "f1": f1,
        "recognition": recognition, "strs": f1 * recognition,
    }  # fmt: skip
