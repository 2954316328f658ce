"""A protocol, data and a model -> a result: plain JSON values, from which the report is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..errors import InputError, UsageError
from ..models.recognisers import NAMES
from . import datasets, metrics, protocols, scorers
from .audit import admit, audit, permuted_labels, steady
from .protocols import Task
from .scorers import Floats, Scorer
from .table import Progress, Rows, quiet


def evaluate(
    protocol: str,
    data: str | Path | None,
    model: str,
    *,
    weights: str | Path | None = None,
    seeds: Sequence[int] = (0,),
    epochs: int = 60,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Run a protocol.

    Args:
        protocol: a name of protocols.PROTOCOLS.
        data: folder of a corpus, of several, or of maps; None: cd6me from its label counts, for a constant model.
        model: "default" or a recogniser's file, scored as it is; a network's name, trained in every fold; "constant" or "majority".
        weights: folder of one checkpoint per left-out subject; `model` then names the network of published .pth files.
        seeds, epochs: of training; scores are the mean over seeds.

    Returns:
        protocol, model, data, seeds, split_hash, classes, scores, corpora, per_class or aus, folds, audit, notes.

    Raises:
        UsageError, InputError, EnvironmentProblem: as readers, loaders and the audit.
    """
    protocols.check(protocol)
    constant = model in ("constant", "majority")
    if weights is not None and model not in (*NAMES, "default"):
        raise UsageError(f"--model is {model}: with --weights it names their network, one of {', '.join(NAMES)}.")
    if weights is not None and not Path(weights).is_dir():
        raise InputError(f"{weights}: no folder; --weights is one with a checkpoint per left-out subject, such as sub01.pth.")
    if data is not None:
        side, inputs = (0, "maps") if constant else scorers.takes(model, weights)
        task = protocols.task(protocol, datasets.read(Path(data), side, inputs, progress))
    elif protocol == "cd6me" and constant:
        task = protocols.task(protocol, protocols.label_counts())
    else:
        raise UsageError("--data is missing: only `cd6me --model constant` can be told from label counts.")
    if weights is not None:
        return run(task, scorers.files(weights, task, model if model in NAMES else None), seeds, progress)
    if constant:
        return run(task, scorers.constant(model), seeds, progress)
    return run(task, scorers.trained(model, epochs) if model in NAMES else scorers.files(model, task), seeds, progress)


def run(task: Task, scorer: Scorer, seeds: Sequence[int] = (0,), progress: Progress = quiet) -> dict[str, Any]:
    """Score every fold, for every seed where the scorer learns, and audit; arguments and result as `evaluate`."""
    if len(set(seeds)) != len(seeds) or not seeds or min(seeds) < 0:
        raise UsageError(f"seeds are {list(seeds)}: give different whole numbers from 0 on.")
    admit(scorer)
    outputs: list[Floats] = []
    again = order = True
    for seed in seeds if scorer.learns else seeds[:1]:
        outputs.append(np.zeros((len(task.label), len(task.classes)), np.float32))
        for fold in task.folds:
            outputs[-1][fold.test], same, near = steady(scorer.fit(task, fold, seed), task.table.maps[fold.test])
            again, order = again and same, order and near
            progress("folds", len(task.folds) * (len(seeds) if scorer.learns else 1), 1)
    every = np.arange(len(task.label))
    corpora = np.array([clip.corpus for clip in task.table.clips])
    folds = [{"name": fold.name, "clips": len(fold.test), **_scores(task, outputs, fold.test)} for fold in task.folds]
    scores = _scores(task, outputs, every)
    of_folds = float(np.mean([fold["f1_present"] for fold in folds]))
    null = permuted_labels(task, scorer) if scorer.learns else None
    return {
        "protocol": task.protocol,
        "about": protocols.PROTOCOLS[task.protocol][2],
        "data": protocols.summary(task),
        "model": scorer.name,
        "seeds": list(seeds[: len(outputs)]),
        "split_hash": task.split_hash,
        "mie_engine": __version__,
        "scores": scores,
        "per_seed": [_scores(task, [output], every) for output in outputs],
        "corpora": {
            name: {"clips": int((corpora == name).sum()), **_scores(task, outputs, np.flatnonzero(corpora == name))}
            for name in protocols.CORPORA
            if name in corpora
        },
        **(_action_units if task.multi else _classes)(task, outputs),
        "folds": folds,
        "audit": audit(task, scorer, scores["f1"], of_folds, again, order, null),
        "notes": list(task.table.notes),
    }


def _scores(task: Task, outputs: list[Floats], rows: Rows) -> dict[str, float]:
    """Mean over seeds, and standard deviation where there are several. f1_present leaves out classes that do not occur in rows."""
    of_seeds: list[dict[str, float]] = []
    for output in outputs:
        if task.multi:
            binary, macro = metrics.au_f1(task.label[rows], output[rows] > 0)
            of_seeds.append({"f1": float(binary.mean()), "macro_f1": float(macro.mean()), "f1_present": float(binary.mean())})
        else:
            matrix = metrics.confusion(task.label[rows], output[rows].argmax(1), len(task.classes))
            present = float(metrics.class_f1(matrix)[matrix.sum(0) + matrix.sum(1) > 0].mean())
            kinds = {"f1": metrics.uf1, "uar": metrics.uar, "accuracy": metrics.accuracy}
            of_seeds.append({name: score(matrix) for name, score in kinds.items()} | {"f1_present": present})
    mean = {name: float(np.mean([seed[name] for seed in of_seeds])) for name in of_seeds[0]}
    spread = {f"{name}_std": float(np.std([seed[name] for seed in of_seeds], ddof=1)) for name in mean if len(of_seeds) > 1}
    return mean | spread


def _classes(task: Task, outputs: list[Floats]) -> dict[str, Any]:
    """The confusion matrix, summed over seeds, and the scores of each class in it."""
    label, made = np.tile(task.label, len(outputs)), np.concatenate([output.argmax(1) for output in outputs])
    matrix = metrics.confusion(label, made, len(task.classes))
    rows = zip(task.classes, metrics.class_f1(matrix).tolist(), metrics.class_recall(matrix).tolist(), strict=True)
    return {"confusion": matrix.tolist(), "per_class": {name: {"f1": f1, "recall": recall} for name, f1, recall in rows}}


def _action_units(task: Task, outputs: list[Floats]) -> dict[str, Any]:
    """Scores of each action unit, mean over seeds."""
    pooled = np.mean([metrics.au_f1(task.label, output > 0) for output in outputs], 0)
    units = {}
    for k, name in enumerate(task.classes):
        area = float(np.mean([metrics.auc(task.label[:, k], output[:, k]) for output in outputs]))
        units[name] = {"clips": int(task.label[:, k].sum()), "f1": float(pooled[0, k]), "macro_f1": float(pooled[1, k]), "auc": area}
    return {"aus": units}
