"""What the shipped recogniser learns from: the `features` of the shipped synthetic faces, each number at the recipe's default."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from ..models.samples import Samples, read_dataset
from . import synthesize
from .dataset import Progress

CLIPS, SEED = 12_000, 1


def default_data(folder: Path, progress: Progress = lambda clips, size: None) -> tuple[Samples, dict[str, Any]]:
    """Synthesise it (or finish what is there).

    Args:
        folder: of the dataset. progress: called with samples and bytes made.

    Returns:
        The samples, and what train.json says of them.

    Raises:
        As synthesize.
    """
    faces = resources.files("mie_engine") / "assets" / "faces"
    with resources.as_file(faces) as place:
        synthesize(place, folder, clips=CLIPS, seed=SEED, content="features", progress=progress)
    samples, plan_hash = read_dataset(folder)
    return samples, {"data": "shipped faces", "plan_hash": plan_hash, "synthetic": True}
