"""The making road, in order: image -> faces -> plan -> geometry (rig) -> render -> encode -> shard -> dataset."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from . import au_csv as _au_csv
from .dataset import CACHE_FOLDER, PLAN_FILE, Inputs, Progress, Report, build_dataset, scan_faces
from .encode import encoder_of, require_encoder
from .plan import AuCsv, Plan, make_plan


def known_faces(out: Path, size: int) -> frozenset[str]:
    """sha256 of the faces that the dataset in `out` was planned with, if its crops have this size."""
    try:
        plan = Plan.from_json((out / PLAN_FILE).read_bytes())
    except (OSError, ValueError):
        return frozenset()
    return frozenset(identity.sha256 for identity in plan.identities) if plan.size == size else frozenset()


def plan_dataset(
    inputs: Inputs,
    *,
    clips: int,
    seed: int,
    content: str = "clip",
    encoder: str = "jpeg",
    quality: int = 95,
    csv: Path | None = None,
    csv_scale: float | None = None,
    **fields: Any,
) -> tuple[Plan, _au_csv.AuTable | None]:
    """The plan of a call, and the AU table it names.

    Args:
        inputs: usable faces, see scan_faces.
        clips, seed, content, **fields: see plan.make_plan.
        encoder, quality: see encode.encoder_of.
        csv, csv_scale: an OpenFace or py-feat table that becomes the source "au_csv", and its full intensity.

    Raises:
        UsageError, RangeError, InputError.
    """
    table = None
    if csv is not None:
        table = _au_csv.read(csv, csv_scale)
        fields["au_csv"] = AuCsv(table.name, table.sha256, table.scale)
        fields.setdefault("sources", ("expert", "micro", "macro", "au_csv"))
    chosen = encoder_of(encoder, quality)
    return make_plan(clips=clips, seed=seed, identities=inputs.identities, content=content, encoder=chosen, **fields), table


def synthesize(
    faces: Any,
    out: str | Path,
    *,
    clips: int,
    seed: int = 0,
    size: int = 256,
    workers: int | None = None,
    backend: str = "auto",
    simd: str = "auto",
    progress: Progress = lambda clips, size: None,
    stop: threading.Event | None = None,
    **options: Any,
) -> Report:
    """Make a labelled micro-expression dataset from faces; run again to finish what is missing.

    Args:
        faces: a folder, glob or image file, several of these, or Face records.
        out: folder of the dataset.
        clips: samples, 1 to limits.MAX_CLIPS.
        seed: decides everything random; the same call makes the same bytes.
        size: side of the frames, px.
        workers: shards in work at a time; None = one per core. Any number gives the same bytes.
        backend, simd: see kernels.render. progress, stop: see dataset.build_dataset.
        **options: see plan_dataset (content, sources, balance, encoder, csv, noise_sigma, ...).

    Returns:
        What was made, what was there already, and the faces that were skipped.

    Raises:
        UsageError, RangeError: the call. InputError, PlanError: faces, tables or a folder with another dataset.
        EnvironmentProblem: the folder cannot be written, or a backend cannot run.
    """
    out, workers = Path(out), workers if workers is not None else os.cpu_count() or 1
    inputs = scan_faces(faces, size, cache=out / CACHE_FOLDER, known=known_faces(out, size), workers=workers)
    plan, table = plan_dataset(inputs, clips=clips, seed=seed, size=size, **options)
    require_encoder(plan.encoder)
    return build_dataset(plan, inputs, out, table=table, workers=workers, backend=backend, simd=simd, progress=progress, stop=stop)


__all__ = ["known_faces", "plan_dataset", "synthesize"]
