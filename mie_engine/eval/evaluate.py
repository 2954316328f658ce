"""A protocol, data and a model -> a result: plain JSON values, from which the report is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import __version__
from ..errors import InputError, UsageError
from ..models.recognisers import NAMES
from . import datasets, metrics, protocols, scorers
from .audit import admit, audit, permuted_labels, steady
from .protocols import Task

Progress = Callable[[int, int], None]  # folds altogether, folds done now


def evaluate(
    protocol: str,
    data: str | Path | None,
    model: str,
    *,
    weights: str | Path | None = None,
    seeds: Sequence[int] = (0,),
    epochs: int = 60,
    progress: Progress = lambda total, done: None,
) -> dict[str, Any]:
    """Run a protocol.

    Args:
        protocol: a name of protocols.PROTOCOLS.
        data: folder of a corpus, of several, or of maps; None: cd6me from its label counts, for a constant model.
        model: "default" or a recogniser's file, scored as it is; a network's name, trained in every fold; "constant" or "majority".
        weights: folder of one checkpoint per left-out subject; `model` then names the network of published .pth files.
        seeds: of training; scores are the mean over them. epochs: of training.

    Returns:
        protocol, model, seeds, split_hash, classes, scores, corpora, per_class or aus, folds, audit, notes and so on.

    Raises:
        UsageError, InputError, EnvironmentProblem: as readers, loaders and the audit.
    """
    if protocol not in protocols.PROTOCOLS:
        raise UsageError(f"protocol {protocol!r} is unknown. Known: {', '.join(protocols.PROTOCOLS)}, spot.")
    constant = model in ("constant", "majority")
    if weights is not None and not Path(weights).is_dir():
        raise InputError(f"{weights}: no folder; --weights is one with a checkpoint per left-out subject, such as sub01.pth.")
    if data is not None:
        side = 0 if constant else scorers.side_of(model, weights)
        task = protocols.task(protocol, datasets.read(Path(data), side))
    elif protocol == "cd6me" and constant:
        task = protocols.task(protocol, protocols.label_counts())
    else:
        raise UsageError("--data is missing: only `cd6me --model constant` can be told from label counts.")
    scorer: scorers.Scorer
    if weights is not None:
        scorer = scorers.Files(str(weights), task, model if model in NAMES else None)
    elif constant:
        scorer = scorers.Constant(model)
    elif model in NAMES:
        scorer = scorers.Trained(model, epochs)
    else:
        scorer = scorers.Files(model, task)
    return run(task, scorer, seeds, progress)


def run(task: Task, scorer: scorers.Scorer, seeds: Sequence[int], progress: Progress = lambda total, done: None) -> dict[str, Any]:
    """Score every fold, for every seed, and audit."""
    if len(set(seeds)) != len(seeds) or not seeds:
        raise UsageError(f"seeds are {list(seeds)}: give different whole numbers.")
    admit(scorer.traces)
    seeds = seeds if scorer.learns else seeds[:1]
    outputs = []
    again = order = True
    for seed in seeds:
        scores = np.zeros((len(task.label), len(task.classes)), np.float32)
        for fold in task.folds:
            scores[fold.test], same, near = steady(scorer.fit(task, fold, seed), task.table.maps[fold.test])
            again, order = again and same, order and near
            progress(len(task.folds) * len(seeds), 1)
        outputs.append(scores)
    null = permuted_labels(task, scorer) if scorer.learns else None
    told = _action_units(task, outputs) if task.multi else _classes(task, outputs)
    checks = audit(task, scorer, told["scores"]["f1"], told["mean_of_folds"], again, order, null)
    return {
        "protocol": task.protocol,
        "about": protocols.PROTOCOLS[task.protocol][2],
        "data": protocols.summary(task),
        "model": scorer.name,
        "seeds": list(seeds),
        "split_hash": task.split_hash,
        "mie_engine": __version__,
        "classes": list(task.classes),
        **told,
        "audit": [asdict(check) for check in checks],
        "notes": list(task.table.notes),
    }


def _groups(task: Task) -> dict[str, npt.NDArray[np.intp]]:
    corpora = np.array([clip.corpus for clip in task.table.clips])
    known = [name for name in (*protocols.CD6ME, "smic") if name in corpora]
    return {name: np.flatnonzero(corpora == name) for name in known}


def _mean(values: list[dict[str, float]]) -> dict[str, float]:
    """Mean over seeds, and standard deviations where there are several."""
    mean = {name: float(np.mean([value[name] for value in values])) for name in values[0]}
    spread = {f"{name}_std": float(np.std([value[name] for value in values], ddof=1)) for name in values[0] if len(values) > 1}
    return mean | spread


def _classes(task: Task, outputs: list[npt.NDArray[np.float32]]) -> dict[str, Any]:
    count = len(task.classes)
    predicted = [scores.argmax(1) for scores in outputs]

    def scores(rows: Any, made: npt.NDArray[Any]) -> dict[str, float]:
        matrix = metrics.confusion(task.label[rows], made[rows], count)
        return {"f1": metrics.uf1(matrix), "uar": metrics.uar(matrix), "accuracy": metrics.accuracy(matrix)}

    every = np.arange(len(task.label))
    total = sum(metrics.confusion(task.label, made, count) for made in predicted)
    assert not isinstance(total, int)
    folds = []
    for fold in task.folds:
        matrix = sum(metrics.confusion(task.label[fold.test], made[fold.test], count) for made in predicted)
        assert not isinstance(matrix, int)
        seen = matrix.sum(0) + matrix.sum(1) > 0  # what programs do that average over folds: a class that is absent does not count
        f1 = float(metrics.class_f1(matrix)[seen].mean())
        folds.append({"name": fold.name, "clips": len(fold.test), "accuracy": metrics.accuracy(matrix), "f1": f1})
    return {
        "scores": _mean([scores(every, made) for made in predicted]),
        "corpora": {name: {"clips": len(rows), **_mean([scores(rows, made) for made in predicted])} for name, rows in _groups(task).items()},
        "per_class": {
            name: {"clips": int((task.label == k).sum()), "f1": float(f1), "recall": float(recall)}
            for k, (name, f1, recall) in enumerate(
                zip(task.classes, metrics.class_f1(total), np.diag(total) / np.maximum(total.sum(1), 1), strict=True)
            )
        },
        "confusion": total.tolist(),
        "per_seed": [scores(every, made) for made in predicted],
        "mean_of_folds": float(np.mean([fold["f1"] for fold in folds])),
        "folds": folds,
    }


def _action_units(task: Task, outputs: list[npt.NDArray[np.float32]]) -> dict[str, Any]:
    label = task.label

    def scores(rows: Any, made: npt.NDArray[np.float32]) -> dict[str, float]:
        binary, macro = metrics.au_f1(label[rows], made[rows] > 0)
        return {"f1": float(binary.mean()), "macro_f1": float(macro.mean())}

    every = np.arange(len(label))
    pooled = [metrics.au_f1(label, made > 0) for made in outputs]
    areas = [[metrics.auc(label[:, k], made[:, k]) for k in range(label.shape[1])] for made in outputs]
    folds = [
        {"name": fold.name, "clips": len(fold.test), "f1": float(np.mean([scores(fold.test, made)["f1"] for made in outputs]))}
        for fold in task.folds
    ]
    return {
        "scores": _mean([scores(every, made) for made in outputs]),
        "corpora": {name: {"clips": len(rows), **_mean([scores(rows, made) for made in outputs])} for name, rows in _groups(task).items()},
        "aus": {
            name: {
                "clips": int(label[:, k].sum()),
                "f1": float(np.mean([binary[k] for binary, _ in pooled])),
                "macro_f1": float(np.mean([macro[k] for _, macro in pooled])),
                "auc": float(np.mean([area[k] for area in areas])),
            }
            for k, name in enumerate(task.classes)
        },
        "per_seed": [scores(every, made) for made in outputs],
        "mean_of_folds": float(np.mean([fold["f1"] for fold in folds])),
        "folds": folds,
    }


