"""What is scored: a recogniser's file, one checkpoint per left-out subject, a network trained in every fold, or a constant answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError, UsageError
from ..models.model_info import ModelInfo
from ..models.recogniser import DEFAULT, Recogniser, Scores
from ..models.recognisers import SPECS
from ..runtime.files import read_file
from ..types import CLASSES
from .protocols import Fold, Task
from .table import Maps

Floats = npt.NDArray[np.float32]
Predict = Callable[[Maps], Floats]  # maps -> [N, C]: the largest is the class; action units are active above 0
SUFFIXES = (".onnx", ".safetensors", ".pth")
BATCH = 64  # of training in a fold: corpora are small


@dataclass(frozen=True)
class Trace:
    """How a checkpoint came to be: its train.json (selected_by; epoch, subjects, synthetic if known), None where there is none."""

    source: str
    told: Mapping[str, Any] | None


@dataclass(frozen=True)
class Scorer:
    """fit: a task, one of its folds and a seed -> a predictor that knows of the fold its training clips at most. learns: fit trains."""

    name: str
    fit: Callable[[Task, Fold, int], Predict]
    traces: tuple[Trace, ...] = ()
    learns: bool = False


def constant(name: str) -> Scorer:
    """The same answer for every clip: "constant" (all action units, or the first class) or "majority" of the training clips."""

    def fit(task: Task, fold: Fold, seed: int) -> Predict:
        label = task.label[fold.train]
        if name == "constant":
            answer = np.ones(len(task.classes)) if task.multi else np.eye(len(task.classes))[0]
        elif task.multi:
            answer = np.where(label.mean(0) > 0.5, 1.0, -1.0)
        else:
            answer = np.bincount(label, minlength=len(task.classes)).astype(float)
        return lambda maps: np.tile(answer.astype(np.float32), (len(maps), 1))

    return Scorer(name, fit)


def files(path: str | Path, task: Task, network: str | None = None) -> Scorer:
    """Recognisers as they are.

    Args:
        path: "default", an .onnx or .safetensors file of ours; or a folder of <subject>.onnx, .safetensors or published .pth.
        network: what the .pth files are, a name of models.recognisers.NAMES.

    Raises:
        UsageError: a folder for folds that are no single subjects. InputError: not one checkpoint of each.
    """
    of: dict[str, str | Path] = dict.fromkeys((fold.name for fold in task.folds), path)
    if path != "default" and Path(path).is_dir():
        for name in of:
            subject = name.partition("/")[2]
            found = [each for suffix in SUFFIXES if (each := Path(path, subject + suffix)).is_file()]
            if not subject:
                raise UsageError(f"{path} holds a checkpoint per subject, {task.protocol} leaves out several at a time: give one file.")
            if len(found) != 1:
                raise InputError(f"{path}: {len(found)} checkpoints of {subject}, one is needed: {subject} with {' or '.join(SUFFIXES)}.")
            of[name] = found[0]

    @lru_cache(1)  # one file serves all folds and seeds
    def load(source: str | Path) -> Predict:
        return _answers(recogniser(source, network, task.classes), source, task)

    traces = tuple(_trace(source) for source in dict.fromkeys(of.values()))
    return Scorer(f"{network} {path}" if network else str(path), lambda task, fold, seed: load(of[fold.name]), traces)


def trained(network: str, epochs: int) -> Scorer:
    """A network trained in every fold to the last epoch.

    Three classes train the class head; other label sets one output each against all others, in the head where action units are too.
    """

    def fit(task: Task, fold: Fold, seed: int) -> Predict:
        from ..models.module import as_recogniser
        from ..models.samples import Samples
        from ..models.training import TrainRecipe, train

        whole, label = task.classes == CLASSES, task.label[fold.train]
        hot = label if task.multi else np.eye(len(task.classes))[label]
        clips = [task.table.clips[k] for k in fold.train.tolist()]
        samples = Samples(
            task.table.maps[fold.train],
            label if whole else np.zeros(len(label), np.int64),
            None if whole else hot.astype(np.float32),
            [clip.person for clip in clips],
            [clip.corpus for clip in clips],
            tuple(range(1, len(task.classes) + 1)),
        )
        recipe = TrainRecipe(epochs=epochs, batch=min(BATCH, len(label)), au_weight=0.0 if whole else 1.0, seed=seed)
        made = train(samples, recipe, network)
        found = as_recogniser(made.module, ModelInfo.of(made.info))
        return lambda maps: _scores(found, maps).logits if whole else _scores(found, maps).aus - np.float32(0.5)

    return Scorer(f"{network}, {epochs} epochs in every fold", fit, learns=True)


def takes(model: str, weights: str | Path | None) -> tuple[int, str]:
    """Side, px, and kind ("maps" or "frames") of what a model takes; errors as `recogniser`."""
    if model in SPECS:
        return SPECS[model].side, SPECS[model].inputs
    sources = sorted(path for path in Path(weights).iterdir() if path.suffix in SUFFIXES) if weights else [model]
    if not sources:
        raise InputError(f"{weights}: no checkpoint: expected <subject>.pth, .onnx or .safetensors.")
    found = recogniser(sources[0], None, ())
    if found.strain != "true":
        raise UsageError(f"{sources[0]} was trained on {found.strain} strain, maps have true strain here: choose another model.")
    return found.side, found.inputs


def recogniser(source: str | Path, network: str | None, classes: tuple[str, ...]) -> Recogniser:
    """Load a recogniser.

    Args:
        source: "default", .onnx, .safetensors, or a published .pth, which is a `network` and tells `classes` in this order.

    Raises:
        UsageError: which network a .pth is was not said. InputError: as the loaders of models.
    """
    if not str(source).endswith(".pth"):
        found = _own(source)
        if network not in (None, found.name):
            raise UsageError(f"{source} is a {found.name}, --model says {network}.")
        return found
    from ..models import checkpoint
    from ..models.module import as_recogniser

    if network is None:
        raise UsageError(f"{source} does not say which network it is: add --model, such as ststnet.")
    info = ModelInfo(network, classes, (), SPECS[network].side, "true", SPECS[network].inputs)
    return as_recogniser(checkpoint.import_published(source, network), info)


def _own(source: str | Path) -> Recogniser:
    if not str(source).endswith(".safetensors"):
        return Recogniser.load(source)
    from ..models import checkpoint
    from ..models.module import as_recogniser

    return as_recogniser(*checkpoint.load(source))


def _scores(found: Recogniser, maps: Maps) -> Scores:
    return found.scores(maps) if found.inputs == "maps" else found.scores(maps[:, 0], maps[:, 1])


def _answers(found: Recogniser, source: object, task: Task) -> Predict:
    told = tuple(f"AU{au}" for au in found.aus) if task.multi else found.classes
    if not set(task.classes) <= set(told) or not (task.multi or len(told) == len(task.classes)):
        raise UsageError(f"{source} tells {', '.join(told) or 'no action units'}; {task.protocol} asks for {', '.join(task.classes)}.")
    order = [told.index(name) for name in task.classes]
    return lambda maps: _scores(found, maps).aus[:, order] - np.float32(0.5) if task.multi else _scores(found, maps).logits[:, order]


def _trace(source: str | Path) -> Trace:
    """What <name>.train.json or train.json beside a checkpoint says."""
    shipped = Path(str(resources.files("mie_engine") / "assets" / "models" / DEFAULT))
    path = shipped if source == "default" else Path(source)
    for beside in (path.with_name(f"{path.stem}.train.json"), path.with_name("train.json")):
        if beside.is_file():
            try:
                told = json.loads(read_file(beside))
            except (ValueError, RecursionError) as problem:
                raise InputError(f"{beside}: not JSON ({problem}).") from problem
            return Trace(str(source), told if isinstance(told, dict) else {})
    return Trace(str(source), None)
