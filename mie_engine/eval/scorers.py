"""What is evaluated: a recogniser file, one checkpoint per left-out subject, a network trained in every fold, or a constant answer.

A scorer is asked once per fold and sees of it only the training clips and the fold's name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import InputError, UsageError
from ..models.model_info import ModelInfo
from ..models.recogniser import Recogniser
from ..models.recognisers import SPECS
from ..runtime.files import read_image_bytes
from ..types import CLASSES
from .protocols import Fold, Task
from .table import Maps

Floats = npt.NDArray[np.float32]
Predict = Callable[[Maps], Floats]  # maps -> [N, C]: the largest is the class; action units are active above 0
BATCH = 64  # of training in a fold: corpora are small
SUFFIXES = (".onnx", ".safetensors", ".pth")


@dataclass(frozen=True)
class Trace:
    """How a checkpoint came to be, as its train.json says. told is None for one of other people, which says nothing.

    told: "selected_by" ("last", "validation", "test"), "epoch", "subjects" (persons trained on, corpus/subject), "synthetic" (bool).
    """

    source: str
    told: Mapping[str, Any] | None


class Scorer(Protocol):
    """learns: trains in every fold. traces: of the checkpoints used."""

    name: str
    learns: bool
    traces: tuple[Trace, ...]

    def fit(self, task: Task, fold: Fold, seed: int) -> Predict:
        """A predictor that has learnt from the fold's training clips at most."""
        ...


class Constant:
    """Always the same answer: every action unit, or ("majority") the commonest class of the training clips."""

    learns, traces = False, ()

    def __init__(self, name: str) -> None:
        self.name = name

    def fit(self, task: Task, fold: Fold, seed: int) -> Predict:
        answer = np.zeros(len(task.classes), np.float32)
        if self.name == "majority":
            label = task.label[fold.train]
            often = (label.mean(0) > 0.5) if task.multi else np.bincount(label, minlength=len(answer)) == np.bincount(label).max()
            answer[:] = 2 * often - 1.0
        elif task.multi:
            answer[:] = 1
        else:
            answer[0] = 1
        return lambda maps: np.tile(answer, (len(maps), 1))


class Files:
    """One recogniser for all clips, or one per left-out subject, as they are.

    Args:
        path: an .onnx or .safetensors file of ours or "default"; or the folder of <subject>.onnx, .safetensors or published .pth files.
        network: what published checkpoints are, a name of models.recognisers.NAMES.
    """

    learns = False

    def __init__(self, path: str, task: Task, network: str | None = None) -> None:
        self.name = f"{network} {path}" if network else path
        self.network = network
        self._loaded: tuple[str, Predict] | None = None
        self.of: dict[str, Path | str] = {}
        folder = Path(path)
        if folder.is_dir():
            if not all("/" in fold.name for fold in task.folds):
                raise UsageError(f"{path} holds a checkpoint per subject, {task.protocol} leaves out others than single subjects.")
            self.of = {fold.name: _checkpoint(folder, fold.name.split("/", 1)[1]) for fold in task.folds}
        else:
            self.of = {fold.name: path for fold in task.folds}
        self.traces = tuple(trace_of(source) for source in dict.fromkeys(self.of.values()))

    def fit(self, task: Task, fold: Fold, seed: int) -> Predict:
        source = self.of[fold.name]
        key = str(source)
        if self._loaded is None or self._loaded[0] != key:  # one file serves every fold, a folder's files one each
            self._loaded = key, answers(recogniser(source, self.network, task.classes), source, task)
        return self._loaded[1]


class Trained:
    """A network trained in every fold on the fold's training clips, to the last epoch.

    Three classes train the class head. Other label sets train one output each against all others, in the second head, where action units
    also are.
    """

    learns = True
    traces: tuple[Trace, ...] = ()

    def __init__(self, network: str, epochs: int) -> None:
        self.name, self.network, self.epochs = f"{network}, {epochs} epochs in every fold", network, epochs

    def fit(self, task: Task, fold: Fold, seed: int) -> Predict:
        from ..models.module import as_recogniser
        from ..models.samples import Samples
        from ..models.training import TrainRecipe, train

        rows, whole = fold.train, task.classes == CLASSES
        label = task.label[rows]
        hot = label if task.multi else np.eye(len(task.classes))[label]
        clips = [task.table.clips[k] for k in rows.tolist()]
        samples = Samples(
            task.table.maps[rows],
            label if whole else np.zeros(len(rows), np.int64),
            None if whole else hot.astype(np.float32),
            [clip.person for clip in clips],
            [clip.corpus for clip in clips],
            tuple(range(1, len(task.classes) + 1)),
        )
        batch = min(BATCH, len(rows))
        made = train(samples, TrainRecipe(epochs=self.epochs, batch=batch, au_weight=0.0 if whole else 1.0, seed=seed), self.network)
        found = as_recogniser(made.module, ModelInfo.of(made.info))
        return lambda maps: found.scores(maps).logits if whole else found.scores(maps).aus - np.float32(0.5)


def _checkpoint(folder: Path, subject: str) -> Path:
    found = [folder / f"{subject}{suffix}" for suffix in SUFFIXES if (folder / f"{subject}{suffix}").is_file()]
    if len(found) != 1:
        raise InputError(f"{folder}: {len(found)} checkpoints of {subject}, there must be one of {subject}{f', {subject}'.join(SUFFIXES)}.")
    return found[0]


def trace_of(source: Path | str) -> Trace:
    """Read the train.json of a checkpoint: <name>.train.json or train.json beside it.

    Raises:
        InputError: it is no JSON object.
    """
    if source == "default":
        from importlib import resources

        path = Path(str(resources.files("mie_engine") / "assets" / "models" / "recogniser.onnx"))
    else:
        path = Path(source)
    for beside in (path.with_name(f"{path.stem}.train.json"), path.with_name("train.json")):
        if beside.is_file():
            try:
                told = json.loads(read_image_bytes(beside))
            except ValueError as problem:
                raise InputError(f"{beside}: not JSON ({problem}).") from problem
            if not isinstance(told, dict):
                raise InputError(f"{beside}: {type(told).__name__}, expected an object.")
            return Trace(str(source), told)
    return Trace(str(source), None)


def recogniser(source: Path | str, network: str | None, classes: tuple[str, ...]) -> Recogniser:
    """Load a recogniser of maps.

    Args:
        source: "default", .onnx, .safetensors, or a published .pth, which is a `network` and tells `classes` in this order.

    Raises:
        UsageError: which network a .pth is was not said, or it takes frames. InputError: as the loaders of models.
    """
    if str(source).endswith(".onnx") or source == "default":
        found = Recogniser.load(source)
    else:
        from ..models import checkpoint
        from ..models.module import as_recogniser

        if str(source).endswith(".pth"):
            if network is None:
                raise UsageError(f"{source} does not say which network it is: add --model, such as ststnet.")
            module, info = checkpoint.import_published(source, network), info_of(network, classes)
        else:
            module, info = checkpoint.load(source)
        found = as_recogniser(module, info)
    if found.inputs != "maps":
        raise UsageError(f"{source} takes {found.inputs}; flow maps are evaluated here: choose a network of maps.")
    return found


def side_of(model: str, weights: str | Path | None) -> int:
    """Side of the maps a model takes, px.

    Raises:
        InputError: no checkpoint in the folder. UsageError, EnvironmentProblem: as recogniser.
    """
    if model in SPECS:
        if SPECS[model].inputs != "maps":
            raise UsageError(f"{model} takes {SPECS[model].inputs}; flow maps are evaluated here: choose a network of maps.")
        return SPECS[model].side
    if weights is None:
        return recogniser(model, None, ()).side
    first = next((path for path in sorted(Path(weights).iterdir()) if path.suffix in SUFFIXES), None)
    if first is None:
        raise InputError(f"{weights}: no checkpoint: expected <subject>.pth, .onnx or .safetensors.")
    return recogniser(first, None, ()).side


def info_of(network: str, classes: tuple[str, ...], aus: tuple[int, ...] = ()) -> ModelInfo:
    """The description of a network of a known name."""
    if network not in SPECS:
        raise UsageError(f"network {network!r} is unknown: choose one of {', '.join(SPECS)}.")
    return ModelInfo(network, classes, aus, SPECS[network].side, "true", SPECS[network].inputs)


def answers(found: Recogniser, source: object, task: Task) -> Predict:
    """A recogniser's scores in the order of a task's classes.

    Raises:
        UsageError: it does not tell them.
    """
    units = tuple(f"AU{au}" for au in found.aus)
    told = units if task.multi else found.classes
    if not set(task.classes) <= set(told) or not (task.multi or len(told) == len(task.classes)):
        raise UsageError(f"{source} tells {', '.join(told) or 'no action units'}; {task.protocol} asks for {', '.join(task.classes)}.")
    order = [told.index(name) for name in task.classes]
    if task.multi:
        return lambda maps: found.scores(maps).aus[:, order] - np.float32(0.5)
    return lambda maps: found.scores(maps).logits[:, order]
