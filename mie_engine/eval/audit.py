"""Ten ways in which published scores were too good, each a check that runs with every evaluation.

Source: L1 to L5, L8, L9 Varanka et al., "Data Leakage and Evaluation Issues in Micro-Expression Analysis", IEEE TAFFC 15(1), 2024;
L6, L7 and L10 as seen in published programs.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from . import metrics
from .protocols import Fold, Task
from .scorers import Floats, Predict, Scorer, Trace
from .table import Maps

TOLERANCE = 1e-4  # of the largest score: what another batch size may round differently


@dataclass(frozen=True)
class Check:
    """status: pass, fail, unknown (nothing tells), or n/a."""

    name: str
    what: str
    status: str
    reason: str


def admit(traces: tuple[Trace, ...]) -> None:
    """Refuse checkpoints that were chosen by the scores they would now be given.

    Raises:
        InputError: one was selected on test data, or one of this engine's does not say how it was selected.
    """
    for trace in traces:
        if trace.told is None:
            if not trace.source.endswith(".pth"):
                raise InputError(f"{trace.source}: no train.json beside it tells how its epoch was chosen: keep the one `mie train` wrote.")
        elif "test" in str(trace.told.get("selected_by", "")).lower():
            raise InputError(f"{trace.source} was selected by test scores: a score of it would say nothing. Use the last epoch.")
        elif "selected_by" not in trace.told:
            raise InputError(f"{trace.source}: its train.json has no selected_by: train it again with `mie train`.")


def steady(predict: Predict, maps: Maps) -> tuple[Floats, bool, bool]:
    """Predict three times.

    Returns:
        scores [N, C]; whether a second run gives the same bytes; whether another order and batch size gives the same scores.
    """
    scores = predict(maps)
    again = predict(maps)
    half = (len(maps) + 1) // 2
    turned = np.concatenate([predict(maps[::-1][:half]), predict(maps[::-1][half:])])[::-1] if half < len(maps) else predict(maps)
    near = np.abs(turned - scores).max(initial=0) <= TOLERANCE * max(1.0, float(np.abs(scores).max(initial=0)))
    return scores, scores.tobytes() == again.tobytes(), bool(near)


def permuted_labels(task: Task, scorer: Scorer, seed: int = 0) -> tuple[float, float]:
    """Train and score on permuted labels, in three folds of the task's folds.

    Returns:
        unweighted average recall (action units: mean AUC), and the most that chance gives: 3 deviations above its mean.
    """
    rng = np.random.default_rng(seed)
    label = task.label[rng.permutation(len(task.label))]
    parts = [task.folds[k::3] for k in range(min(3, len(task.folds)))]
    folds = []
    for k, part in enumerate(parts):
        test = np.sort(np.concatenate([fold.test for fold in part]))
        folds.append(Fold(str(k), test, np.setdiff1d(np.arange(len(label)), test)))
    null = Task(task.protocol, task.table, label, task.classes, tuple(folds))
    scores = np.zeros((len(label), len(task.classes)), np.float32)
    for fold in folds:
        scores[fold.test] = scorer.fit(null, fold, seed)(task.table.maps[fold.test])
    if task.multi:
        active = np.flatnonzero(label.any(0) & ~label.all(0))
        on = label[:, active].sum(0)
        deviation = np.sqrt((len(label) + 1) / (12 * on * (len(label) - on)))  # of a random AUC; action units go together
        return float(np.mean([metrics.auc(label[:, k], scores[:, k]) for k in active])), 0.5 + 3 * float(deviation.mean())
    matrix = metrics.confusion(label, scores.argmax(1), len(task.classes))
    counts, chance = matrix.sum(1), 1 / len(task.classes)
    deviation = np.sqrt(np.sum(chance * (1 - chance) / counts[counts > 0])) / len(task.classes)
    return metrics.uar(matrix), chance + 3 * float(deviation)


def audit(
    task: Task, scorer: Scorer, pooled: float, of_folds: float, again: bool, order: bool, null: tuple[float, float] | None
) -> list[Check]:
    """All ten checks.

    Args:
        pooled, of_folds: the protocol's F1, and the mean of each fold's own. again, order: as `steady`, in every fold.
        null: what permuted_labels gave, None where nothing was trained.
    """
    told = [trace for trace in scorer.traces if trace.told is not None]
    silent = len(scorer.traces) - len(told)
    chosen = sorted({str(trace.told["selected_by"]) for trace in told if trace.told})
    epochs = sorted({str(trace.told.get("epoch", "?")) for trace in told if trace.told})
    if scorer.learns:
        l1 = ("pass", "trained in every fold, last epoch")
        l2 = ("pass", "one recipe and the last epoch in every fold")
    elif not scorer.traces:
        l1 = l2 = ("n/a", "nothing is trained")
    elif silent:
        l1 = l2 = ("unknown", f"{silent} published checkpoints do not tell how their epoch was chosen; read this score as an upper bound")
    else:
        l1 = ("pass", f"selected by {', '.join(chosen)}")
        single = len(scorer.traces) == 1
        l2 = ("n/a", "one model for all") if single else ("pass" if len(epochs) == 1 else "fail", f"epochs {', '.join(epochs)}")
    gap = abs(pooled - of_folds)
    checks = [
        ("L1", "epoch chosen on test data", *l1),
        ("L2", "best epoch per fold", *l2),
        ("L3", "F1 averaged over folds", "pass", f"reported: pooled {pooled:.4f}; mean of folds would be {of_folds:.4f}, {gap:.4f} away"),
        ("L4", "metric hides rare classes", "pass", "all scores are unweighted over classes or action units"),
        ("L5", "a subject on both sides", *_split(task)),
        ("L6", "scores depend on the batch", "pass" if order else "fail", "two orders and batch sizes compared in every fold"),
        ("L7", "random at test", "pass" if again else "fail", "every fold scored twice"),
        ("L8", "fitted on all data", *_null(null)),
        ("L9", "test subjects in the training pool", *_pool(task, told, scorer)),
        ("L10", "a subject in two corpora", *_corpora(task)),
    ]
    return [Check(*check) for check in checks]


def _split(task: Task) -> tuple[str, str]:
    if not task.table.maps.size:
        return "n/a", "label counts name no subjects"
    people = np.array([clip.person for clip in task.table.clips])
    digests: npt.NDArray[Any] = np.array(task.table.digests)
    for fold in task.folds:
        if both := set(people[fold.test]) & set(people[fold.train]):
            return "fail", f"fold {fold.name}: {min(both)} is on both sides"
        if len(digests) and (same := set(digests[fold.test]) & set(digests[fold.train])):
            return "fail", f"fold {fold.name}: {len(same)} files are also among its training files"
    if task.table.leaks:
        return "fail", f"{len(task.table.leaks)} files, the first: {task.table.leaks[0]}"
    hashed = " and files" if len(digests) else ""
    return "pass", f"no subject{hashed} in common in {len(task.folds)} folds"


def _null(null: tuple[float, float] | None) -> tuple[str, str]:
    if null is None:
        return "n/a", "nothing is trained in the folds"
    return "pass" if null[0] <= null[1] else "fail", f"trained on permuted labels: {null[0]:.3f}, chance reaches {null[1]:.3f}"


def _pool(task: Task, told: list[Trace], scorer: Scorer) -> tuple[str, str]:
    if scorer.learns or not scorer.traces:
        return "pass" if scorer.learns else "n/a", "the pool is the fold's training clips" if scorer.learns else "nothing is trained"
    people = {clip.person for clip in task.table.clips}
    listed = [trace for trace in told if trace.told and "subjects" in trace.told]
    single = len(scorer.traces) == 1
    for trace in listed:
        assert trace.told is not None
        mine = (
            people
            if single
            else {person for person in people if person.rsplit("/", 1)[-1] == trace.source.rsplit("/", 1)[-1].split(".")[0]}
        )
        if both := mine & set(map(str, trace.told["subjects"])):
            return "fail", f"{trace.source} was trained on {min(both)}"
    if len(listed) == len(scorer.traces):
        return "pass", "no test subject is among those trained on"
    if told and all(trace.told and trace.told.get("synthetic") is True for trace in told):
        return "pass", "trained on synthetic identities only"
    return "unknown", "the checkpoints do not list their training subjects"


def _corpora(task: Task) -> tuple[str, str]:
    digests: dict[str, set[str]] = {}
    for clip, digest in zip(task.table.clips, task.table.digests, strict=False):
        digests.setdefault(clip.corpus, set()).add(digest)
    for a, b in itertools.combinations(sorted(digests), 2):
        if same := digests[a] & digests[b]:
            return "fail", f"{len(same)} files are in {a} and in {b}"
    corpora = {clip.corpus for clip in task.table.clips}
    if len(corpora) < 2:
        return "n/a", "one corpus"
    if {"casme", "casme2"} <= corpora:
        return "unknown", "CASME and CASME II were recorded in one laboratory; who took part in both is not published"
    return "pass", "no file in common; the corpora were recorded in different places"
