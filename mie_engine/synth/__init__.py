"""The making road, in order: image -> faces -> plan -> geometry (rig) -> render -> encode -> shard -> dataset."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..models.generator import Generator
from . import au_csv as _au_csv
from .dataset import CACHE_FOLDER, Inputs, Progress, Report, build_dataset, check_run, scan_faces
from .encode import encoder_of
from .folder import read_plan
from .generate import load_generator, network_of, require_generator
from .plan import AuCsv, Identity, Plan, make_plan

_ANY_FACE = Inputs((Identity("any", "0" * 64),), ())


def known_faces(out: Path, size: int) -> dict[str, Identity]:
    """The faces that the dataset in `out` was planned with, by their sha256, if its crops have this size.

    Raises:
        PlanError: the folder cannot become or continue a dataset, see folder.read_plan.
    """
    plan = read_plan(out)
    if plan is None or plan.size != size:
        return {}
    return {identity.sha256: identity for identity in plan.identities}


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
    generator: Generator | None = None,
    **fields: Any,
) -> tuple[Plan, _au_csv.AuTable | None]:
    """The plan of a call, and the AU table it names.

    Args:
        inputs: usable faces, see scan_faces.
        clips, seed, content, **fields: see plan.make_plan.
        encoder, quality: see encode.encoder_of.
        csv, csv_scale: an OpenFace or py-feat table that becomes the source "au_csv", and its full intensity.
        generator: a neural one for the expressions, see generate.load_generator.

    Raises:
        UsageError, RangeError, InputError.
    """
    table = None
    if generator is not None:
        fields["generator"] = network_of(generator)
    if csv is None and csv_scale is not None:
        raise UsageError(f"the scale {csv_scale} belongs to an AU table, but none is given: give both or neither.")
    if csv is not None:
        table = _au_csv.read(csv, csv_scale)
        fields["au_csv"] = AuCsv(table.name, table.sha256, table.scale)
        fields.setdefault("sources", ("expert", "micro", "macro", "au_csv"))
    chosen = encoder_of(encoder, quality)
    plan = make_plan(clips=clips, seed=seed, identities=inputs.identities, content=content, encoder=chosen, **fields)
    plan.rows(0, min(plan.clips, plan.balance * len(plan.sources)), table)  # one of each class and source: a table may lack some
    return plan, table


def check_options(*, workers: int, backend: str = "auto", simd: str = "auto", **options: Any) -> tuple[Plan, _au_csv.AuTable | None]:
    """Refuse a wrong option before a million images are looked at.

    Args:
        workers, backend, simd: see dataset.build_dataset.
        **options: see plan_dataset.

    Returns:
        The plan, still without its faces, and the AU table it names.

    Raises:
        UsageError, RangeError, InputError, BackendError.
    """
    plan, table = plan_dataset(_ANY_FACE, **options)
    require_generator(plan, options.get("generator"))
    check_run(plan.content, workers, backend, simd)
    return plan, table


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
    generator: str = "warp",
    weights: str | Path | None = None,
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
        generator, weights: "warp", or "ganimation" and its .onnx file; frames then have that file's size.
        backend, simd: see kernels.render. progress, stop: see dataset.build_dataset.
        **options: see plan_dataset (content, sources, balance, encoder, csv, noise_sigma, ...).

    Returns:
        What was made, what was there already, and the faces that were skipped.

    Raises:
        UsageError, RangeError: the call. InputError, PlanError: faces, tables or a folder with another dataset.
        EnvironmentProblem: the folder cannot be written, or a backend cannot run.
    """
    out, workers = Path(out), workers if workers is not None else os.cpu_count() or 1
    options["generator"] = network = load_generator(generator, weights)
    draft, table = check_options(workers=workers, backend=backend, simd=simd, clips=clips, seed=seed, size=size, **options)
    inputs = scan_faces(faces, size, cache=out / CACHE_FOLDER, known=known_faces(out, size), workers=workers)
    plan = replace(draft, identities=inputs.identities)
    return build_dataset(
        plan, inputs, out, table=table, generator=network, workers=workers, backend=backend, simd=simd, progress=progress, stop=stop
    )


__all__ = ["check_options", "known_faces", "load_generator", "plan_dataset", "synthesize"]
