"""`mie train`: labelled samples -> a recogniser of the last epoch, with its curves and its record."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError, UsageError
from ..models.recognisers import NAMES
from .progress import Progress, Stages
from .train_generator import train_generator

if TYPE_CHECKING:
    from ..models.samples import Samples
    from ..models.training import TrainRecipe


def train(
    model: Annotated[str, typer.Argument(help=f"{', '.join(NAMES)} or ganimation; default: make the shipped recogniser again.")],
    out: Annotated[Path, typer.Option(help="Folder for model.safetensors, model.onnx, curves and train.json.")],
    data: Annotated[list[Path] | None, typer.Option(help="A synthesised dataset or a corpus; a second one comes after it.")] = None,
    epochs: Annotated[list[int] | None, typer.Option(help="One for every --data, or one for all [8].")] = None,
    lr: Annotated[list[float] | None, typer.Option(help="Peak of the one-cycle schedule; as --epochs [0.002].")] = None,
    batch: Annotated[int | None, typer.Option(help="Samples a step [128].")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Of AdamW [0.001].")] = None,
    label_smoothing: Annotated[float | None, typer.Option(help="[0.1]")] = None,
    flip: Annotated[bool, typer.Option(help="Show half of the samples in a mirror.")] = True,
    au_weight: Annotated[float | None, typer.Option(help="Weight of the action units' loss; 0: no second head [0.1].")] = None,
    dropout: Annotated[list[float] | None, typer.Option(help="Of the dropout layers, in order [as published].")] = None,
    members: Annotated[int | None, typer.Option(help="Networks to train and average [1].")] = None,
    width: Annotated[int | None, typer.Option(help="Channels of the first layer, robustnet only [32].")] = None,
    side: Annotated[int | None, typer.Option(help="Of the maps, px, robustnet only [28].")] = None,
    seed: Annotated[int, typer.Option(help="Same samples, options and threads: same weights.")] = 0,
    threads: Annotated[int, typer.Option(help="Of torch; another number rounds differently.")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda; runs there or fails.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, no progress.")] = False,
) -> None:
    """Train a recogniser on synthetic data, on real data, or on one and then the other; the last epoch counts."""
    from ..models import training
    from ..models.recognisers import SPECS
    from ..runtime.files import check_folder

    if threads < 1:
        raise UsageError(f"--threads is {threads}, at least 1 is needed")
    check_folder(out)
    given: dict[str, Any] = {
        "batch": batch, "weight_decay": weight_decay, "label_smoothing": label_smoothing, "au_weight": au_weight, "members": members,
        "width": width, "dropout": tuple(dropout) if dropout else None,
    }  # fmt: skip
    given = {name: value for name, value in given.items() if value is not None}
    if model == "ganimation":
        if data is None or len(data) != 1 or any(len(values) > 1 for values in (epochs or [], lr or [])) or not flip:
            raise UsageError("ganimation learns from one folder: give --data once, with images and a CSV of their action units")
        given |= {name: values[0] for name, values in (("epochs", epochs), ("lr", lr)) if values} | ({"side": side} if side else {})
        return train_generator(data[0], out, {**given, "seed": seed}, threads, device, as_json)
    if model == "default":
        if data or epochs or lr or side or given or not flip or seed:
            raise UsageError("the shipped recogniser has one recipe: give --out only, or name its network, robustnet, and your data")
        from ..synth.default_data import COMPUTED, RENDERED, default_data

        model, recipes = "robustnet", [training.DEFAULT_RECIPE]
        with Progress("synthesis", COMPUTED + RENDERED, "samples", quiet=as_json) as bar:
            parts = [default_data(out / "data", bar.add)]
    else:
        if model not in SPECS:
            raise UsageError(f"network {model!r} is unknown; choose one of {', '.join(SPECS)}, or default")
        if not data or len(data) > 2:
            raise UsageError(f"{len(data or [])} --data are given: name one dataset, or two to train on one after the other")
        recipes = _recipes(training.TrainRecipe(seed=seed, flip=flip, **given), len(data), epochs, lr)
        parts = [_read(folder, SPECS[model].inputs, side or SPECS[model].side, as_json) for folder in data]
    _train(model, parts, recipes, out, threads, device, as_json)


def _recipes(recipe: TrainRecipe, count: int, epochs: list[int] | None, lr: list[float] | None) -> list[TrainRecipe]:
    for name, values in (("--epochs", epochs), ("--lr", lr)):
        if values and len(values) not in (1, count):
            raise UsageError(f"{name} is given {len(values)} times for {count} --data: give it once, or once for each")
    recipes = []
    for k in range(count):
        own: dict[str, Any] = {name: values[min(k, len(values) - 1)] for name, values in (("epochs", epochs), ("lr", lr)) if values}
        recipes.append(replace(recipe, **own))
    return recipes


def _read(folder: Path, inputs: str, side: int, quiet: bool) -> tuple[Samples, dict[str, Any]]:
    """Samples of a folder, and what train.json says of them."""
    from ..models.samples import clips_in, read_dataset

    if not (folder / "dataset.json").exists():
        with Stages(quiet=quiet) as stages:
            samples, notes = _corpus(folder, inputs, side, stages)
        return samples, {"data": folder.name, "synthetic": False, "notes": notes}
    with Progress(f"reading {folder.name}", clips_in(folder), "samples", quiet=quiet) as bar:
        samples, plan_hash = read_dataset(folder, inputs=inputs, side=side, progress=bar.add)
    return samples, {"data": folder.name, "plan_hash": plan_hash, "synthetic": True}


def _corpus(folder: Path, inputs: str, side: int, stages: Stages) -> tuple[Samples, list[str]]:
    import numpy as np

    from ..eval import datasets
    from ..models.samples import CD6ME_AUS, Samples

    table = datasets.read(folder, side, inputs, stages.add)
    rows = np.flatnonzero([clip.label3 >= 0 for clip in table.clips])
    if not len(rows):
        raise InputError(f"{folder}: no clip of {len(table.clips)} has one of the three classes")
    clips, left_out = table.take(rows).clips, len(table.clips) - len(rows)
    notes = [*table.notes, *([f"{left_out} clips have none of the three classes"] if left_out else [])]
    au = None
    if all(clip.aus is not None for clip in clips):
        au = np.array([[number in (clip.aus or ()) for number in CD6ME_AUS] for clip in clips], np.float32)
    label = np.array([clip.label3 for clip in clips], np.int64)
    return Samples(table.maps[rows], label, au, [clip.person for clip in clips], [clip.corpus for clip in clips]), notes


def _train(
    model: str,
    parts: list[tuple[Samples, dict[str, Any]]],
    recipes: list[TrainRecipe],
    out: Path,
    threads: int,
    device: str,
    quiet: bool,
) -> None:
    from ..models import training
    from ..models.outcome import write

    found = None
    for k, ((samples, _), recipe) in enumerate(zip(parts, recipes, strict=True)):
        members = recipe.members if found is None else len(found.members)
        total = members * recipe.epochs * (len(samples) // recipe.batch * recipe.batch)
        with Progress(f"training {k + 1} of {len(parts)}" if len(parts) > 1 else "training", total, "samples", quiet=quiet) as bar:
            found = training.train(samples, recipe, model, start=found, device=device, threads=threads, progress=bar.add)
    assert found is not None
    record = write(found, parts, recipes, out, {"threads": threads, "device": device})
    last = {name: round(value, 4) for name, value in found.curves[-1].items()}
    if quiet:
        print(json.dumps({"out": str(out), "last": last, **record}))
        return
    count = sum(len(samples) for samples, _ in parts)
    learnt = "them" if len(parts) == 1 else f"the last {len(parts[-1][0]):,}"
    print(f"{model} in {out}: {count:,} samples, accuracy on {learnt} {last['accuracy']:.3f} in the last epoch")
    for _, said in parts:
        for note in said.get("notes", ()):
            print(f"note: {note}")
    print(f"weights: {out / 'model.safetensors'}, {out / 'model.onnx'}; curves: {out / 'curves.svg'}")
