"""Ten ways in which published scores were too good, each a check that runs with every evaluation.

Source: L1 to L5, L8, L9 Varanka et al., "Data Leakage and Evaluation Issues in Micro-Expression Analysis", IEEE TAFFC 15(1), 2024;
L6, L7 and L10 as seen in published programs.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import InputError
from . import metrics
from .protocols import Fold, Task
from .scorers import Floats, Predict, Scorer
from .table import Maps

TOLERANCE = 1e-4  # of the largest score: what another batch size may round differently
LABORATORIES = ({"casme", "casme2", "casme3"}, {"smic", "fourd"})  # Institute of Psychology, CAS; University of Oulu

Verdict = tuple[str, str]  # pass, fail, unknown (nothing tells) or n/a; and why


def admit(scorer: Scorer) -> None:
    """Refuse checkpoints that were chosen by the scores they would now be given.

    Raises:
        InputError: one was selected on test data, or one of this engine's does not say how it was selected.
    """
    for trace in scorer.traces:
        told = trace.told or {}
        if "test" in str(told.get("selected_by", "")).lower():
            raise InputError(f"{trace.source} was selected by test scores: a score of it would say nothing. Use the last epoch.")
        if "selected_by" not in told and (told or not trace.source.endswith(".pth")):
            raise InputError(f"{trace.source}: no train.json with selected_by beside it: keep the one that `mie train` wrote.")


def steady(predict: Predict, maps: Maps) -> tuple[Floats, bool, bool]:
    """Predict three times.

    Returns:
        scores [N, C]; whether a second run gives the same bytes; whether another order and batch size gives the same scores.
    """
    scores, again, half = predict(maps), predict(maps), (len(maps) + 1) // 2
    turned = np.concatenate([predict(part) for part in (maps[::-1][:half], maps[::-1][half:]) if len(part)])[::-1]
    near = np.abs(turned - scores).max() <= TOLERANCE * max(1.0, float(np.abs(scores).max()))
    return scores, scores.tobytes() == again.tobytes(), bool(near)


def permuted_labels(task: Task, scorer: Scorer, seed: int = 0) -> tuple[float, float]:
    """Train and score on permuted labels, the task's folds joined to three.

    Returns:
        unweighted average recall (action units: mean AUC), and the most that chance gives: 3 deviations above its mean.
    """
    label = task.label[np.random.default_rng(seed).permutation(len(task.label))]
    tests = [np.sort(np.concatenate([fold.test for fold in task.folds[k::3]])) for k in range(min(3, len(task.folds)))]
    folds = tuple(Fold(str(k), test, np.setdiff1d(np.arange(len(label)), test)) for k, test in enumerate(tests))
    null = replace(task, label=label, folds=folds)
    scores = np.zeros((len(label), len(task.classes)), np.float32)
    for fold in folds:
        scores[fold.test] = scorer.fit(null, fold, seed)(task.table.maps[fold.test])
    if task.multi:
        active = np.flatnonzero(label.any(0) & ~label.all(0))
        if not len(active):
            return 0.5, 0.5
        on = label[:, active].sum(0)
        deviation = np.sqrt((len(label) + 1) / (12 * on * (len(label) - on)))  # of a random AUC; action units go together
        return float(np.mean([metrics.auc(label[:, k], scores[:, k]) for k in active])), 0.5 + 3 * float(deviation.mean())
    matrix, chance = metrics.confusion(label, scores.argmax(1), len(task.classes)), 1 / len(task.classes)
    counts = matrix.sum(1)
    deviation = np.sqrt(np.sum(chance * (1 - chance) / counts[counts > 0])) / len(task.classes)
    return metrics.uar(matrix), chance + 3 * float(deviation)


def audit(
    task: Task, scorer: Scorer, pooled: float, of_folds: float, again: bool, order: bool, null: tuple[float, float] | None
) -> list[dict[str, str]]:
    """All ten checks: name, what, status, reason.

    Args:
        pooled, of_folds: the protocol's F1, and the mean of each fold's own. again, order: as `steady`, in every fold.
        null: what permuted_labels gave, None where nothing was trained.
    """
    found = {
        "L1 epoch chosen on test data": _selection(scorer),
        "L2 best epoch per fold": _epochs(scorer),
        "L3 F1 averaged over folds": ("pass", f"pooled {pooled:.4f} is reported; the mean of folds would be {of_folds:.4f}"),
        "L4 metric hides rare classes": ("pass", "every score but accuracy is unweighted over classes or action units"),
        "L5 a subject on both sides": _split(task),
        "L6 scores depend on the batch": ("pass" if order else "fail", "two orders and batch sizes compared in every fold"),
        "L7 random at test": ("pass" if again else "fail", "every fold scored twice"),
        "L8 fitted on all data": ("n/a", "nothing is trained in the folds")
        if null is None
        else ("pass" if null[0] <= null[1] else "fail", f"trained on permuted labels {null[0]:.3f}, chance reaches {null[1]:.3f}"),
        "L9 test subjects in the training pool": _pool(task, scorer),
        "L10 a subject in two corpora": _corpora(task),
    }
    rows = [(*name.split(" ", 1), *verdict) for name, verdict in found.items()]
    return [dict(zip(("name", "what", "status", "reason"), row, strict=True)) for row in rows]


def _selection(scorer: Scorer) -> Verdict:
    if scorer.learns:
        return "pass", "trained in every fold to the last epoch"
    silent = sum(trace.told is None for trace in scorer.traces)
    if silent:
        return "unknown", f"{silent} published checkpoints do not tell how they were selected: the score may be an upper bound"
    chosen = sorted({str((trace.told or {})["selected_by"]) for trace in scorer.traces})
    return ("pass", f"selected by {', '.join(chosen)}") if chosen else ("n/a", "nothing is trained")


def _epochs(scorer: Scorer) -> Verdict:
    if scorer.learns or len(scorer.traces) < 2:
        return ("pass", "the same number in every fold") if scorer.learns else ("n/a", "one model for all folds")
    epochs = {str((trace.told or {}).get("epoch", "unknown")) for trace in scorer.traces}
    status = "fail" if len(epochs - {"unknown"}) > 1 else "unknown" if "unknown" in epochs else "pass"
    return status, f"epochs: {', '.join(sorted(epochs))}"


def _split(task: Task) -> Verdict:
    if not task.table.maps.size:
        return "n/a", "label counts name no subjects"
    for names, what in (([clip.person for clip in task.table.clips], "subject"), ([clip.digest for clip in task.table.clips], "file")):
        given = np.array(names)
        for fold in task.folds:
            if both := (set(given[fold.test]) & set(given[fold.train])) - {""}:
                return "fail", f"fold {fold.name}: {what} {min(both)} is on both sides"
    if task.table.leaks:
        return "fail", f"{len(task.table.leaks)} files, the first: {task.table.leaks[0]}"
    return "pass", f"no subject and no file in common in {len(task.folds)} folds"


def _pool(task: Task, scorer: Scorer) -> Verdict:
    if scorer.learns or not scorer.traces:
        return ("pass", "the pool is the fold's training clips") if scorer.learns else ("n/a", "nothing is trained")
    people = {clip.person for clip in task.table.clips}
    silent = 0
    for trace in scorer.traces:
        told = trace.told or {}
        # A file named after a subject must not have seen that one; one model for all must not have seen anybody.
        tested = people if len(scorer.traces) == 1 else {name for name in people if name.split("/")[1] == Path(trace.source).stem}
        if both := tested & set(map(str, told.get("subjects", ()))):
            return "fail", f"{trace.source} was trained on {min(both)}"
        silent += "subjects" not in told and told.get("synthetic") is not True
    if silent:
        return "unknown", f"{silent} checkpoints do not list the subjects they were trained on"
    return "pass", "no test subject is among those trained on"


def _corpora(task: Task) -> Verdict:
    files: dict[str, set[str]] = {}
    for clip in task.table.clips:
        files.setdefault(clip.corpus, set()).add(clip.digest)
    for a, b in itertools.combinations(sorted(files), 2):
        if same := (files[a] & files[b]) - {""}:
            return "fail", f"{len(same)} files are in {a} and in {b}"
    for shared in LABORATORIES:
        if len(both := sorted(shared & set(files))) > 1:
            return "unknown", f"{' and '.join(both)} come from one laboratory; who took part in both is not published"
    return ("n/a", "one corpus") if len(files) < 2 else ("pass", "no file in common, and no laboratory")
