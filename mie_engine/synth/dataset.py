"""dataset: the whole road, from a folder of faces to finished shards, resumable at any moment."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import __version__, kernels
from ..errors import EnvironmentProblem, InputError, PlanError, RangeError
from ..limits import MAX_WORKERS
from .au_csv import AuTable
from .faces import Face
from .facestore import FaceStore, read_crop, write_crop
from .image import find_images, read_image_bytes
from .plan import Identity, Plan
from .shard import TEMPORARY, ShardJob, Stopped, build_shard, is_complete, shard_paths, sync_folder

PLAN_FILE, DATASET_FILE, PREVIEW_FILE, CARD_FILE = "plan.json", "dataset.json", "preview.png", "README.md"
CACHE_FOLDER = ".cache"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Inputs:
    """The usable faces of a call, and what was left out.

    identities and origins: one each per usable face. skipped: (file, reason).
    """

    identities: tuple[Identity, ...]
    origins: tuple[Path | Face, ...]
    skipped: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Report:
    """What a run did: the folder, shards and clips made now and already there, bytes written now, faces skipped."""

    out: Path
    plan_hash: str
    clips: int
    shards: int
    shards_made: int
    bytes_written: int
    faces: int
    skipped: tuple[tuple[str, str], ...] = field(default=())


def scan_faces(
    faces: Any,
    size: int,
    *,
    cache: Path | None = None,
    known: frozenset[str] = frozenset(),
    workers: int = 1,
    progress: Progress = lambda images, size: None,
) -> Inputs:
    """Find and check every face of a call, each image once.

    Args:
        faces: a folder, glob or file, a sequence of these, or Face records.
        size: side of the crops, px.
        cache: where crops are kept between runs of one dataset, or None.
        known: sha256 of files that an earlier run found usable at this size; they are not looked at again.
        workers: images looked at at a time.
        progress: called with 1 and the bytes of each image looked at.

    Raises:
        InputError: nothing there, or no usable face at all (the reasons of the first few files are named).
    """
    items: Sequence[Any] = faces if isinstance(faces, Sequence) and not isinstance(faces, str | bytes) else [faces]
    if items and all(isinstance(item, Face) for item in items):
        for item in items:
            if item.size != size:
                raise InputError(f"{item.name}: the face is {item.size} px, the dataset {size} px: load it with size={size}.")
        return Inputs(tuple(Identity(f.name, f.source_sha256) for f in items), tuple(items))
    paths = find_images(items)

    def look(path: Path) -> Identity | tuple[str, str]:
        try:
            digest = hashlib.sha256(read_image_bytes(path)).hexdigest()
            if digest in known:
                return Identity(path.stem, digest)
            face = read_crop(cache, digest, size)
            if face is None:
                face = Face.load(path, size)
                if cache is not None:
                    write_crop(cache, face)
            return Identity(path.stem, face.source_sha256)
        except InputError as error:
            return str(path), str(error)

    usable: list[tuple[Identity, Path]] = []
    skipped: list[tuple[str, str]] = []
    with ThreadPoolExecutor(workers) as pool:
        for path, result in zip(paths, pool.map(look, paths), strict=True):
            if isinstance(result, Identity):
                usable.append((result, path))
            else:
                skipped.append(result)
            progress(1, path.stat().st_size)
    if not usable:
        reasons = "; ".join(reason for _, reason in skipped[:3])
        raise InputError(f"none of {len(paths)} images shows a usable face: {reasons}")
    return Inputs(tuple(i for i, _ in usable), tuple(p for _, p in usable), tuple(skipped))


def build_dataset(
    plan: Plan,
    inputs: Inputs,
    out: Path,
    *,
    table: AuTable | None = None,
    workers: int = 1,
    backend: str = "auto",
    simd: str = "auto",
    progress: Progress = lambda clips, size: None,
    stop: threading.Event | None = None,
) -> Report:
    """Make what is missing of a dataset; finished shards stay as they are.

    Args:
        plan: what to make. inputs: its faces. table: its AU table, if it names one.
        out: folder; made if missing.
        workers: shards in work at a time. backend, simd: see kernels.render.
        progress: called with clips and bytes, from any worker; shards found finished are reported at once with 0 bytes.
        stop: set it to stop after the clip in work.

    Raises:
        PlanError: the folder holds another plan. EnvironmentProblem: unwritable, full, or another run is at work there.
        Stopped: `stop` was set; run again to finish.
    """
    if not 1 <= workers <= MAX_WORKERS:
        raise RangeError(f"workers is {workers}, allowed is 1 to {MAX_WORKERS}.")
    chosen = kernels.choose("render" if plan.content != "features" else "features", backend)
    with open_folder(out) as out:
        _settle_plan(plan, out)
        store = FaceStore(plan.identities, inputs.origins, plan.size, out / CACHE_FOLDER)
        job = ShardJob(plan, out, store, table, chosen, simd, stop or threading.Event())
        missing, made, written = [], 0, 0
        for shard in range(plan.shard_count):
            if is_complete(out, shard):
                first, last = plan.shard_range(shard)
                progress(last - first, 0)
            else:
                missing.append(shard)
        for size in _map_local(lambda shard: build_shard(job, shard, progress), missing, workers, job.stop):
            made, written = made + 1, written + size
        _finish(job, inputs)
    return Report(out, plan.hash, plan.clips, plan.shard_count, made, written, len(plan.identities), inputs.skipped)


def _map_local(build: Callable[[int], int], shards: Sequence[int], workers: int, stop: threading.Event) -> Iterator[int]:
    """Results of build(shard) as they come, a few shards ahead; the first error or Ctrl-C stops the others."""
    queue = iter(shards)
    with ThreadPoolExecutor(workers) as pool:
        running: set[Future[int]] = set()
        try:
            while True:
                for shard in queue:
                    running.add(pool.submit(build, shard))
                    if len(running) >= 2 * workers:
                        break
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BaseException:
            stop.set()
            for future in running:
                future.cancel()
            raise


@contextlib.contextmanager
def open_folder(out: Path) -> Iterator[Path]:
    """Make the folder, take its lock (released with the process, however it ends) and clear what a killed run left.

    Raises:
        EnvironmentProblem: it cannot be written, or another run holds it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / ".lock").open("w")
    except OSError as error:
        raise EnvironmentProblem(f"{out}: {error.strerror}. Choose a folder you may write to.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise EnvironmentProblem(f"{out}: another run is writing there. Wait for it, or choose another folder.") from error
        for leftover in out.glob(TEMPORARY + "*"):
            leftover.unlink(missing_ok=True)
        yield out


def write_file(path: Path, data: bytes) -> None:
    """Write a file so that it is either the old one or the new one, never half."""
    temporary = path.with_name(TEMPORARY + path.name)
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise EnvironmentProblem(
            f"{path}: {error.strerror}. Free space or choose another folder, then run the same command again."
        ) from error


def _settle_plan(plan: Plan, out: Path) -> None:
    """The folder's plan is this one; a new folder gets it."""
    path = out / PLAN_FILE
    if path.exists():
        there = Plan.from_json(path.read_bytes())
        if there.hash != plan.hash:
            raise PlanError(
                f"{path}: this folder holds another dataset ({_difference(there, plan)}). Choose another folder, or the same options."
            )
    else:
        write_file(path, plan.to_json().encode())


def _difference(there: Plan, plan: Plan) -> str:
    old, new = json.loads(there.to_json()), json.loads(plan.to_json())
    keys = [k for k in new if old.get(k) != new[k]]
    show = [f"{k}: {old.get(k)} there, {new[k]} asked" if len(str(new[k])) < 60 else f"other {k}" for k in keys[:4]]
    return "; ".join(show)


def _finish(job: ShardJob, inputs: Inputs) -> None:
    """dataset.json, card and preview, when every shard is there; the cache goes."""
    from .card import card, preview

    plan, out = job.plan, job.out
    sizes = [shard_paths(out, shard)[0].stat().st_size for shard in range(plan.shard_count)]
    facts = {
        "format": "webdataset",
        "plan": json.loads(plan.to_json()),
        "plan_hash": plan.hash,
        "engine": f"mie_engine {__version__}",
        "shards": plan.shard_count,
        "clips": plan.clips,
        "bytes": sum(sizes),
        "skipped": [{"file": Path(file).name, "reason": reason.replace(file, Path(file).name)} for file, reason in inputs.skipped],
    }
    text = json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if (out / DATASET_FILE).exists() and (out / DATASET_FILE).read_text("utf-8") == text and (out / PREVIEW_FILE).exists():
        return
    write_file(out / CARD_FILE, card(plan, facts).encode())
    write_file(out / PREVIEW_FILE, preview(plan, job.faces, job.table))
    write_file(out / DATASET_FILE, text.encode())
    shutil.rmtree(out / CACHE_FOLDER, ignore_errors=True)


__all__ = ["Inputs", "Report", "Stopped", "build_dataset", "open_folder", "scan_faces"]
