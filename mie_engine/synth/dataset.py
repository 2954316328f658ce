"""dataset: the whole road, from a folder of faces to finished shards, resumable at any moment."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .. import __version__, kernels
from ..errors import InputError, RangeError, UsageError
from ..limits import MAX_WORKERS
from ..models.generator import Generator
from ..runtime.files import read_file, write_file
from .au_csv import AuTable
from .faces import Face
from .facestore import FaceStore, read_crop, write_crop
from .folder import CACHE_FOLDER, CARD_FILE, DATASET_FILE, open_folder, settle_plan
from .generate import require_generator
from .image import PLAN_FILE, PREVIEW_FILE, find_images
from .plan import Identity, Plan
from .shard import ShardJob, Stopped, build_shard, is_complete, shard_paths

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Inputs:
    """The usable faces of a call, and what was left out.

    identities and origins: one each per usable face. skipped: (file, reason), in printable characters.
    """

    identities: tuple[Identity, ...]
    origins: tuple[Path | Face, ...]
    skipped: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Report:
    """What a run did: the folder, shards and clips made now and already there, bytes written now, faces skipped.

    notes: (face, what to know), such as a photograph that shows several faces.
    """

    out: Path
    plan_hash: str
    clips: int
    shards: int
    shards_made: int
    bytes_written: int
    faces: int
    skipped: tuple[tuple[str, str], ...] = ()
    notes: tuple[tuple[str, str], ...] = ()


def scan_faces(
    faces: Any,
    size: int,
    *,
    cache: Path | None = None,
    known: Mapping[str, Identity] = MappingProxyType({}),
    workers: int = 1,
    progress: Progress = lambda images, size: None,
) -> Inputs:
    """Find and check every face of a call, each image once.

    Args:
        faces: a folder, glob or file, a sequence of these, or Face records.
        size: side of the crops, px.
        cache: where crops are kept until the dataset beside them has its plan, or None.
        known: faces that an earlier run found usable at this size, by the sha256 of their files; they are not looked at again.
        workers: images looked at at a time.
        progress: called with 1 and the bytes of each image looked at.

    Raises:
        InputError: nothing there, or no usable face at all (the reasons of the first few files are named).
        RangeError: size or workers.
    """
    _check_workers(workers)
    items: Sequence[Any] = faces if isinstance(faces, Sequence) and not isinstance(faces, str | bytes) else [faces]
    if items and all(isinstance(item, Face) for item in items):
        for item in items:
            if item.size != size:
                raise InputError(f"{item.name}: the face is {item.size} px, the dataset {size} px: load it with size={size}.")
        return Inputs(tuple(Identity(f.name, f.source_sha256, f.face_count) for f in items), tuple(items))
    paths = find_images(items)
    if cache is not None and (cache.parent / PLAN_FILE).exists():
        cache = None  # its faces have their crops; any other face leads to a refusal, which must leave the folder as it is

    def look(path: Path) -> tuple[Identity | tuple[str, str], int]:
        looked_at = 0
        try:
            if not path.name.isprintable():
                raise InputError(f"{path}: the name has characters that cannot be printed: rename the file.")
            data = read_file(path)
            looked_at, digest = len(data), hashlib.sha256(data).hexdigest()
            if digest in known:
                return replace(known[digest], name=path.stem), looked_at
            face = read_crop(cache, digest, size)
            if face is None:
                face = Face.load(path, size)
                if cache is not None:
                    write_crop(cache, face)
            return Identity(path.stem, face.source_sha256, face.face_count), looked_at
        except InputError as error:
            return (_printable(str(path)), _printable(str(error))), looked_at

    usable: list[tuple[Identity, Path]] = []
    skipped: list[tuple[str, str]] = []
    with ThreadPoolExecutor(workers) as pool:
        try:
            for path, (result, looked_at) in zip(paths, pool.map(look, paths), strict=True):
                if isinstance(result, Identity):
                    usable.append((result, path))
                else:
                    skipped.append(result)
                progress(1, looked_at)
        except BaseException:  # Ctrl-C must not wait for every image
            pool.shutdown(wait=False, cancel_futures=True)
            raise
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
    generator: Generator | None = None,
    workers: int = 1,
    backend: str = "auto",
    simd: str = "auto",
    progress: Progress = lambda clips, size: None,
    stop: threading.Event | None = None,
) -> Report:
    """Make what is missing of a dataset; finished shards stay as they are.

    Args:
        plan: what to make. inputs: its faces. table, generator: its AU table and neural generator, if it names them.
        out: folder; made if missing.
        workers: shards in work at a time. backend, simd: see kernels.render.
        progress: called with clips and bytes, from any worker; shards found finished are reported at once with 0 bytes.
        stop: set it to stop after the clip in work.

    Raises:
        UsageError, RangeError: workers, backend or simd. PlanError: the folder holds another plan, or the generator is another.
        EnvironmentProblem: unwritable, full, another run is at work there, or the backend or simd cannot run here.
        Stopped: `stop` was set; run again to finish.
    """
    chosen = check_run(plan.content, workers, backend, simd)
    require_generator(plan, generator)
    with open_folder(out) as out:
        settle_plan(plan, out)
        store = FaceStore(plan.identities, inputs.origins, plan.size, out / CACHE_FOLDER)
        job = ShardJob(plan, out, store, table, chosen, simd, stop or threading.Event(), generator)
        missing, made, written = [], 0, 0
        for shard in range(plan.shard_count):
            if is_complete(out, shard, plan.hash):
                first, last = plan.shard_range(shard)
                progress(last - first, 0)
            else:
                missing.append(shard)
        tasks: list[Callable[[], int]] = [partial(build_shard, job, shard, progress) for shard in missing]
        if not (out / PREVIEW_FILE).is_file():  # needs nothing but the plan; halfway it leaves no worker idle at the end
            tasks.insert((len(tasks) + 1) // 2, partial(_write_preview, job))
        for size in _run_local(tasks, workers, job.stop):
            made, written = made + (size > 0), written + size
        _finish(job, inputs)
    crowds = tuple((face.name, f"shows {face.face_count} faces, the largest is used") for face in plan.identities if face.face_count > 1)
    return Report(out, plan.hash, plan.clips, plan.shard_count, made, written, len(plan.identities), inputs.skipped, crowds)


def _check_workers(workers: int) -> None:
    if not 1 <= workers <= MAX_WORKERS:
        raise RangeError(f"workers is {workers}, allowed is 1 to {MAX_WORKERS}.")


def check_run(content: str, workers: int, backend: str, simd: str) -> str:
    """The backend that `backend` means here, if these options can run.

    Raises:
        UsageError, RangeError, BackendError.
    """
    _check_workers(workers)
    chosen = kernels.choose("render" if content != "features" else "features", backend)
    if simd not in kernels.SIMD:
        raise UsageError(f"simd is {simd!r}, allowed are {', '.join(kernels.SIMD)}.")
    if simd != "auto" and (chosen != "cpu" or content == "features"):
        raise UsageError(f"simd {simd!r} is a level of the frame renderer on backend cpu; this is {content} on {chosen}: use auto.")
    if simd != "auto":
        kernels.simd_level("render", simd)
    return chosen


def _printable(text: str) -> str:
    """Text for a terminal or a UTF-8 file, whatever bytes a file's name is made of."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _run_local(tasks: Sequence[Callable[[], int]], workers: int, stop: threading.Event) -> Iterator[int]:
    """Results of the tasks as they come, a few ahead; the first error or Ctrl-C stops the others."""
    queue = iter(tasks)
    with ThreadPoolExecutor(workers) as pool:
        running: set[Future[int]] = set()
        try:
            while True:
                for task in queue:
                    running.add(pool.submit(task))
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


def _write_preview(job: ShardJob) -> int:
    """The contact sheet; counts as no shard."""
    from .card import preview

    write_file(job.out / PREVIEW_FILE, preview(job.plan, job.faces, job.table, job.generator))
    return 0


def _finish(job: ShardJob, inputs: Inputs) -> None:
    """dataset.json and card, when every shard is there; the cache goes."""
    from .card import card

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
    if not ((out / CARD_FILE).is_file() and _holds(out / DATASET_FILE, text)):
        write_file(out / CARD_FILE, card(plan, facts).encode())
        write_file(out / DATASET_FILE, text.encode())
    if (out / CACHE_FOLDER).is_dir():  # rmtree would wait for a pipe of that name
        shutil.rmtree(out / CACHE_FOLDER, ignore_errors=True)


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.stat().st_size == len(text.encode()) and path.read_bytes() == text.encode()


__all__ = [
    "CACHE_FOLDER",
    "PLAN_FILE",
    "PREVIEW_FILE",
    "Inputs",
    "Report",
    "Stopped",
    "build_dataset",
    "check_run",
    "open_folder",
    "scan_faces",
]
