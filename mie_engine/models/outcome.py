"""outcome: what a training run leaves behind: weights, graph, curves, and the record that an audit reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mie_engine import __version__
from mie_engine.runtime.files import make_folder, write_file

from . import checkpoint, curves
from .samples import Samples
from .training import SELECTED_BY, Trained, TrainRecipe


def write(
    found: Trained,
    parts: Sequence[tuple[Samples, Mapping[str, Any]]],
    recipes: Sequence[TrainRecipe],
    out: Path,
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """Write model.safetensors, model.onnx, curves.csv, curves.svg and train.json.

    Args:
        found: the networks. parts: what they learnt from, in turn, each with what to say of it ("data", "synthetic").
        recipes: one for each part. out: folder, made if missing. facts: more for the record.

    Returns:
        The record.

    Raises:
        EnvironmentProblem: it cannot be written. InputError: the exported graph differs from the network.
    """
    import numpy
    import torch

    make_folder(out)
    checkpoint.save(found.module, found.info, out / "model.safetensors")
    checkpoint.export_onnx(found.module, found.info, out / "model.onnx")
    record = {
        "model": found.info["model"],
        "selected_by": SELECTED_BY,
        "epoch": recipes[-1].epochs,
        "synthetic": all(said["synthetic"] for _, said in parts),
        "parts": [
            {**said, "samples": len(samples), "samples_sha256": samples.sha256, "recipe": asdict(recipe)}
            for (samples, said), recipe in zip(parts, recipes, strict=True)
        ],
        "subjects": sorted({name for samples, _ in parts for name in samples.subject}),
        "sha256": {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in ("model.safetensors", "model.onnx")},
        "versions": {"mie_engine": __version__, "torch": torch.__version__, "numpy": numpy.__version__},
        **facts,
    }
    title = f"{found.info['model']}: {', then '.join(str(said['data']) for _, said in parts)}"
    write_file(out / "curves.csv", curves.csv(found.curves).encode())
    write_file(out / "curves.svg", curves.svg(found.curves, title).encode())
    write_file(out / "train.json", (json.dumps(record, indent=1) + "\n").encode())
    return record
