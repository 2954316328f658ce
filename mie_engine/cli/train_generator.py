"""`mie train ganimation`: faces and their action units -> a generator for mie synth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .progress import Progress


def train_generator(data: Path, out: Path, given: dict[str, Any], threads: int, device: str, as_json: bool) -> None:
    """Train, or go on with what `out` holds.

    Args:
        given: fields of GanRecipe; over the last third of the epochs the lr falls.
    """
    from ..models import face_table, ganimation_training

    if unknown := set(given) - set(ganimation_training.GanRecipe.__dataclass_fields__):
        raise UsageError(f"ganimation has no --{', --'.join(sorted(unknown)).replace('_', '-')}; leave it out")
    epochs = given.get("epochs", 30)
    recipe = ganimation_training.GanRecipe(**{**given, "decay": epochs // 3})
    with Progress("faces", 0, "images", quiet=as_json) as bar:
        faces = face_table.read(data, recipe.side, bar.add)
    total = len(faces.images) // recipe.batch * recipe.batch * recipe.epochs
    with Progress("ganimation", total, "images", quiet=as_json) as bar:
        found = ganimation_training.train(faces, recipe, out, device=device, threads=threads, progress=bar.add)
    if as_json:
        print(json.dumps({"out": str(out), **found}))
        return
    graph = out / ganimation_training.GRAPH
    print(f"ganimation in {out}: {found['steps']:,} steps of {recipe.batch} of {len(faces.images):,} faces")
    print(f"use it: mie synth FACES --out DIR --generator ganimation --weights {graph}")
