"""What the shipped recogniser learns from: the shipped synthetic faces under the recipe, two thirds computed, one third rendered."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from ..models.samples import CD6ME_AUS, Samples, read_dataset
from . import plan_dataset, synthesize
from .action_units import AU_NUMBERS, AU_OF_UNIT
from .dataset import Progress, scan_faces
from .facestore import FaceStore
from .plan import Plan
from .rendered import rendered_maps

COMPUTED, RENDERED = 12_000, 6_000
COMPUTED_SEED, RENDERED_SEED = 1, 2


def default_data(folder: Path, progress: Progress = lambda clips, size: None) -> tuple[Samples, dict[str, Any]]:
    """Synthesise it (or finish what is there).

    Args:
        folder: of the computed dataset; the rendered samples stay in memory. progress: called with samples and bytes made.

    Returns:
        The samples, and what train.json says of them.

    Raises:
        As synthesize.
    """
    with resources.as_file(resources.files("mie_engine") / "assets" / "faces") as faces:
        synthesize(faces, folder, clips=COMPUTED, seed=COMPUTED_SEED, content="features", progress=progress)
        computed, plan_hash = read_dataset(folder)
        inputs = scan_faces(faces, 256)
        plan, _ = plan_dataset(inputs, clips=RENDERED, seed=RENDERED_SEED, content="features")
        rendered = _rendered(plan, FaceStore(plan.identities, inputs.origins, plan.size, None), progress)
    facts = {"data": "shipped faces", "plan_hash": plan_hash, "rendered_plan_hash": plan.hash, "synthetic": True}
    return Samples.joined([computed, rendered]), facts


def _rendered(plan: Plan, faces: FaceStore, progress: Progress) -> Samples:
    rows, maps = plan.rows(0, plan.clips), []
    for identity in range(len(plan.identities)):
        first, last = np.searchsorted(rows.identity, [identity, identity + 1]).tolist()
        maps.append(rendered_maps(plan, faces.load(identity), rows.of(slice(first, last))))
        progress(last - first, maps[-1].nbytes)
    active = np.stack([(rows.apex[:, AU_NUMBERS.index(number) == AU_OF_UNIT] > 0).any(1) for number in CD6ME_AUS], 1)
    subject = [plan.identities[k].name for k in rows.identity.tolist()]
    return Samples(np.concatenate(maps), rows.label3.astype(np.int64), active.astype(np.float32), subject, ["rendered"] * len(rows))
