"""Where weights come from: the shipped networks, and checkpoints that others published and the engine can import."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from mie_engine.limits import MAX_MODEL_BYTES
from mie_engine.runtime.files import read_file
from mie_engine.runtime.session import Session

from . import model_info
from .generator import Generator
from .recogniser import Recogniser, read_weights


@dataclass(frozen=True)
class Published:
    """A checkpoint that does not ship: model it fills, where it is, its licence, how its sha256 begins ("" = its authors tell none)."""

    model: str
    where: str
    licence: str
    sha256: str = ""


PUBLISHED = (
    Published(
        "ganimation",
        "https://github.com/donydchen/ganimation_replicate, Download Resources, folder ckpts: the generator of epoch 30 of emotionNet "
        "190327_160828 (the one MiE-X uses) or celebA 190327_161852",
        "code MIT; trained on EmotionNet or CelebA, for research only",
    ),
    Published(
        "ganimation",
        "https://github.com/albertpumarola/GANimation, the authors' own: instance norm with scale",
        "code GPL-3.0; weights: ask the authors",
    ),
    Published("ststnet", "https://github.com/christy1206/STSTNet, STSTNet_Weights/SUBJECT.pth: 68, one for each subject left out", "none"),
    Published(
        "branches, apexme (trunks)",
        "https://download.pytorch.org/models/resnet18-f37072fd.pth, ResNet-18 on ImageNet",
        "BSD-3-Clause",
        "f37072fd",
    ),
)
NO_WEIGHTS = ("offapexnet", "sssnet", "dual_inception", "htnet")  # networks that can be imported, but nobody published their weights


def shipped() -> dict[str, dict[str, Any]]:
    """The manifest of assets/models with `found`: whether the file is there with that sha256."""
    folder = resources.files("mie_engine") / "assets" / "models"
    manifest: dict[str, dict[str, Any]] = json.loads((folder / "manifest.json").read_text("utf-8"))
    for name, entry in manifest.items():
        file = folder / name
        entry["found"] = file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == entry["sha256"]
    return manifest


def verify(path: str | Path) -> dict[str, Any]:
    """What a model file is.

    Args:
        path: an .onnx or .safetensors file of the engine, or a published checkpoint.

    Returns:
        file, bytes, sha256; known: the shipped or published file with this sha256, or None; holds: what loading it found, or None for a
        checkpoint, which only importing reads.

    Raises:
        InputError: no such file; an .onnx or .safetensors file that is not the engine's, or broken.
    """
    path = Path(path)
    data = read_file(path, MAX_MODEL_BYTES)
    digest = hashlib.sha256(data).hexdigest()
    known = [f"{name}, {entry['content']} (shipped)" for name, entry in shipped().items() if entry["sha256"] == digest]
    known += [f"{entry.model}: {entry.where}" for entry in PUBLISHED if entry.sha256 and digest.startswith(entry.sha256)]
    holds = None
    if path.suffix == ".safetensors":
        holds = f"{read_weights(path)[0].model}, a recogniser"
    elif path.suffix == ".onnx" and not known:
        recogniser = model_info.KEY in Session(data, sha256=digest).metadata
        holds = f"{Recogniser.load(path).name}, a recogniser" if recogniser else f"{Generator.load(path).name}, a generator"
    return {"file": str(path), "bytes": len(data), "sha256": digest, "known": known[0] if known else None, "holds": holds}
