"""`mie synth`: faces -> a labelled dataset."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from ..errors import UsageError
from .progress import Progress


def synth(
    faces: Annotated[list[str], typer.Argument(help="Folders, globs or image files (JPEG, PNG, WebP).")],
    out: Annotated[Path | None, typer.Option(help="Folder of the dataset; an unfinished one is finished.")] = None,
    clips: Annotated[int, typer.Option(help="Samples to make.")] = 900,
    seed: Annotated[int, typer.Option(help="Decides everything random: the same call makes the same bytes.")] = 0,
    content: Annotated[str, typer.Option(help="clip (onset to offset), pair (onset, apex) or features (28x28 u, v, strain).")] = "clip",
    size: Annotated[int | None, typer.Option(help="Side of the frames, px [256, or what the generator's weights have].")] = None,
    frames: Annotated[int | None, typer.Option(help="Frames of a clip [16].")] = None,
    sources: Annotated[str | None, typer.Option(help="Of expert, micro, macro, au_csv; comma separated.")] = None,
    balance: Annotated[int, typer.Option(help="Classes kept equally frequent: 3 or 7.")] = 3,
    au_csv: Annotated[Path | None, typer.Option(help="OpenFace or py-feat table, an additional source.")] = None,
    csv_scale: Annotated[float | None, typer.Option(help="Full intensity of that table [5, py-feat 1].")] = None,
    noise: Annotated[float | None, typer.Option(help="Sensor noise, grey levels.")] = None,
    encoder: Annotated[str, typer.Option(help="jpeg or png.")] = "jpeg",
    quality: Annotated[int, typer.Option(help="JPEG quality.")] = 95,
    generator: Annotated[str, typer.Option(help="warp, or ganimation with --weights.")] = "warp",
    weights: Annotated[Path | None, typer.Option(help="The generator's .onnx file, see mie models.")] = None,
    shard_clips: Annotated[int | None, typer.Option(help="Samples per shard [512].")] = None,
    workers: Annotated[int, typer.Option(help="Shards in work at a time; 0 = one per core.")] = 0,
    backend: Annotated[str, typer.Option(help="auto, cpu or ref; all give the same bytes.")] = "auto",
    simd: Annotated[str, typer.Option(help="auto, scalar, avx2 or avx512; all give the same bytes.")] = "auto",
    plan_only: Annotated[bool, typer.Option("--plan-only", help="Print the plan and its counts, make nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, no progress.")] = False,
) -> None:
    """Make a dataset of labelled micro-expressions. Run the same command again to finish what is missing."""
    from ..synth import check_options, known_faces, load_generator
    from ..synth.dataset import CACHE_FOLDER, PREVIEW_FILE, build_dataset, scan_faces
    from ..synth.describe import describe
    from ..synth.image import find_images

    if out is None and not plan_only:
        raise UsageError("--out is missing: name the folder of the dataset, or ask for --plan-only.")
    workers = workers or os.cpu_count() or 1
    fields: dict[str, Any] = {"frames": frames, "noise_sigma": noise, "shard_clips": shard_clips}
    fields = {name: value for name, value in fields.items() if value is not None}
    if sources is not None:
        fields["sources"] = tuple(name.strip() for name in sources.split(","))

    network = load_generator(generator, weights)
    if size is None:
        size = 256 if network is None else network.side
    options: dict[str, Any] = {
        "clips": clips, "seed": seed, "content": content, "encoder": encoder, "quality": quality, "csv": au_csv, "csv_scale": csv_scale,
        "size": size, "balance": balance, "generator": network, **fields,
    }  # fmt: skip
    draft, table = check_options(workers=workers, backend=backend, simd=simd, **options)
    images = find_images(faces)
    with Progress("faces", len(images), "faces", quiet=as_json) as bar:
        cache = out / CACHE_FOLDER if out is not None and not plan_only else None
        known = known_faces(out, size) if out is not None else {}
        inputs = scan_faces(images, size, cache=cache, known=known, workers=workers, progress=bar.add)
    plan = replace(draft, identities=inputs.identities)
    if plan_only:
        print(json.dumps({"plan": json.loads(plan.to_json()), "summary": describe(plan, 10, table), "skipped": inputs.skipped}, indent=1))
        return
    assert out is not None

    stop = threading.Event()
    begun = time.monotonic()
    with Progress("clips", plan.clips, "clips", quiet=as_json) as bar, _StopOnInterrupt(stop):
        report = build_dataset(
            plan, inputs, out, table=table, generator=network, workers=workers, backend=backend, simd=simd, progress=bar.add, stop=stop
        )
    seconds = time.monotonic() - begun
    facts = {
        "out": str(report.out),
        "plan_hash": report.plan_hash,
        "clips": report.clips,
        "shards": report.shards,
        "shards_made": report.shards_made,
        "bytes_written": report.bytes_written,
        "seconds": round(seconds, 3),
        "faces": report.faces,
        "skipped": report.skipped,
        "notes": report.notes,
        "preview": str(report.out / PREVIEW_FILE),
    }
    if as_json:
        print(json.dumps(facts))
        return
    made = f"{report.shards_made} of {report.shards} shards made" if report.shards_made else "everything was there already"
    print(f"{report.clips:,} samples of {report.faces:,} faces in {out} ({made}, {report.bytes_written / 1e6:,.1f} MB, {seconds:.1f} s)")
    for name, note in report.notes:
        print(f"note: {name} {note}")
    for file, reason in report.skipped:
        print(f"skipped: {reason if file in reason else f'{file}: {reason}'}")
    print(f"preview: {report.out / PREVIEW_FILE}")


class _StopOnInterrupt:
    """The first Ctrl-C stops after the clip in work, the second one at once; either way the folder can be finished later."""

    def __init__(self, stop: threading.Event) -> None:
        self.stop = stop

    def __enter__(self) -> None:
        def interrupted(number: int, frame: FrameType | None) -> None:
            if self.stop.is_set():
                raise KeyboardInterrupt
            self.stop.set()

        self.before = {number: signal.signal(number, interrupted) for number in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
