"""shard: a pure function of (plan, shard number) -> one tar and its Parquet index, committed by renaming.

A final name means a finished file: whatever is killed wherever, running again makes the same bytes, nothing missing, nothing twice.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .. import _core, kernels
from ..errors import EnvironmentProblem, MieError
from ..models.generator import Generator
from ..runtime.files import TEMPORARY, sync_folder
from . import timeline
from .action_units import UNITS
from .au_csv import AuTable
from .encode import frame_format, open_encoder, suffix
from .facestore import FaceStore
from .features import feature_maps
from .generate import Generated
from .plan import Plan
from .rig import Rig
from .rows import Rows

RUN_FRAMES = 8192  # frames of one identity worked out at a time
Progress = Callable[[int, int], None]  # clips, bytes


@dataclass(frozen=True)
class ShardJob:
    """Everything a worker needs. backend: a backend of the op render; simd: a level of the CPU backend; generator: the plan's, if any."""

    plan: Plan
    out: Path
    faces: FaceStore
    table: AuTable | None = None
    backend: str = "cpu"
    simd: str = "auto"
    stop: threading.Event = field(default_factory=threading.Event, compare=False)
    generator: Generator | None = None


class Stopped(MieError):
    """The run was asked to stop; the shard in work was left out."""

    exit_code = 130


def shard_paths(out: Path, shard: int) -> tuple[Path, Path]:
    """Final names of a shard's tar and index."""
    return out / f"{shard:06d}.tar", out / f"{shard:06d}.parquet"


def is_complete(out: Path, shard: int, plan_hash: str) -> bool:
    """Both files are there, made by this plan, and the tar has the length its index remembers."""
    tar, index = shard_paths(out, shard)
    try:
        if not (tar.is_file() and index.is_file()):
            return False
        remembered = pq.read_schema(index).metadata or {}
        return remembered.get(b"plan_hash") == plan_hash.encode() and tar.stat().st_size == int(remembered.get(b"tar_bytes", b"-1"))
    except (OSError, pa.ArrowException, ValueError):
        return False


def build_shard(job: ShardJob, shard: int, progress: Progress = lambda clips, size: None) -> int:
    """Make one shard and put it in place.

    Args:
        job: plan, folder and faces.
        shard: number of the shard.
        progress: called with clips and bytes as they are written.

    Returns:
        Bytes of the tar.

    Raises:
        EnvironmentProblem: the folder cannot be written (full disk, no permission). InputError: a face is gone or changed.
        Stopped: `job.stop` was set.
    """
    tar_path, index_path = shard_paths(job.out, shard)
    mark = f"{TEMPORARY}{uuid.uuid4().hex}-"
    tar_tmp, index_tmp = job.out / (mark + tar_path.name), job.out / (mark + index_path.name)
    try:
        tar = _core.TarWriter(str(tar_tmp))
        rows = job.plan.rows(*job.plan.shard_range(shard), job.table)
        records: list[dict[str, Any]] = []
        for first, last in _runs(rows.identity, job.plan.frames):
            part = rows.of(slice(first, last))
            for record, size in (_features if job.plan.content == "features" else _clips)(job, tar, part):
                records.append(record | {"tar": tar_path.name})
                progress(1, size)
        size = tar.finish()
        _write_index(index_tmp, records, job.plan, size)
        os.replace(index_tmp, index_path)
        os.replace(tar_tmp, tar_path)
        sync_folder(job.out)
        return int(size)
    except OSError as error:
        raise EnvironmentProblem(
            f"{tar_path}: {error.strerror or error}. Free space or choose another folder, then run the same command again: "
            "finished shards are kept."
        ) from error
    finally:
        for leftover in (tar_tmp, index_tmp):
            with contextlib.suppress(OSError):
                leftover.unlink()


def _runs(identity: np.ndarray[Any, Any], frames: int) -> Iterator[tuple[int, int]]:
    """First and one past last row of each identity (a plan lists them in order), in parts of RUN_FRAMES so that memory stays flat."""
    starts = [0, *(np.flatnonzero(np.diff(identity)) + 1).tolist(), len(identity)]
    most = max(1, RUN_FRAMES // frames)
    for first, last in pairwise(starts):
        for part in range(first, last, most):
            yield part, min(part + most, last)


def _clips(job: ShardJob, tar: _core.TarWriter, rows: Rows) -> Iterator[tuple[dict[str, Any], int]]:
    plan = job.plan
    curves = timeline.intensity(rows, plan.frames)
    pose = timeline.pose(rows, plan.frames)
    face = job.faces.load(int(rows.identity[0]))
    # A generator shows the expressions; the renderer then moves the head and adds the noise.
    generated = None if job.generator is None else Generated(job.generator, face)
    warped = curves if generated is None else np.zeros_like(curves)
    rig = Rig.of(face, warped.max((0, 1)))
    coefficients = rig.coefficients(warped.reshape(-1, len(UNITS)), rig.pose_px(pose).reshape(-1, 6))
    coefficients = coefficients.reshape(len(rows), plan.frames, -1)
    encoder, ending = open_encoder(plan.encoder, job.simd), suffix(plan.encoder)
    parts = ["onset", "apex"] if plan.content == "pair" else [f"{t:03d}" for t in range(plan.frames)]
    noise_q15, key0 = kernels.noise_word(plan.noise_sigma), plan.noise_key
    level = kernels.simd_level("render", job.simd)
    for i, facts in enumerate(_facts(plan, rows)):
        if job.stop.is_set():
            raise Stopped("stopped; run the same command again to finish.")
        names = [f"{facts['key']}.{part}.{ending}" for part in parts]
        clip_key = (key0, int(rows.index[i]) & 0xFFFFFFFF)
        if generated is None and job.backend == "cpu":  # rendered, encoded and written without a frame in between
            entries = tar.add_clip(rig.source.native, coefficients[i], names, noise_q15, *clip_key, encoder, level)
        else:
            render = partial(kernels.render, rig.source) if generated is None else partial(generated.render, rig, curves[i])
            frames = render(
                coefficients[i],
                format=frame_format(plan.encoder),
                noise_sigma=plan.noise_sigma,
                key=clip_key,
                backend=job.backend,
            )
            entries = tar.add_frames(frames, plan.size, plan.size, names, encoder)
        yield _add_record(tar, facts, entries, plan)


def _features(job: ShardJob, tar: _core.TarWriter, rows: Rows) -> Iterator[tuple[dict[str, Any], int]]:
    maps, ranges = feature_maps(job.plan, job.faces.load(int(rows.identity[0])), rows, backend=job.backend)
    for i, facts in enumerate(_facts(job.plan, rows)):
        if job.stop.is_set():
            raise Stopped("stopped; run the same command again to finish.")
        file = io.BytesIO()
        np.save(file, maps[i], allow_pickle=False)
        entry = tar.add(f"{facts['key']}.npy", file.getvalue())
        yield _add_record(tar, facts | {"ranges": ranges[i].ravel().tolist()}, [entry], job.plan)


def _facts(plan: Plan, rows: Rows) -> list[dict[str, Any]]:
    """What the index and the JSON say of every row, as plain Python values."""
    columns = {
        "key": rows.key.tolist(),
        "identity": [plan.identities[i].name for i in rows.identity.tolist()],
        "label3": rows.label3.tolist(),
        "label7": rows.label7.tolist(),
        "emotion": rows.emotion.tolist(),
        "source": rows.source.tolist(),
        "one_sided": rows.one_sided.tolist(),
        "apex_frame": rows.apex_frame.tolist(),
        "onset_to_apex_s": rows.onset_to_apex_s.round(6).tolist(),
        "duration_s": rows.duration_s.round(6).tolist(),
        "au_onset": rows.onset.round(6).tolist(),
        "au_apex": rows.apex.round(6).tolist(),
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _add_record(tar: _core.TarWriter, facts: dict[str, Any], entries: list[tuple[int, int]], plan: Plan) -> tuple[dict[str, Any], int]:
    """Write the sample's JSON; return its row of the index and the bytes written."""
    # Every unit, zeros too: readers that infer a table from the first samples would drop units that come later.
    vectors = {name: dict(zip(UNITS, facts[name], strict=True)) for name in ("au_onset", "au_apex")}
    text = json.dumps(facts | vectors, sort_keys=True, separators=(",", ":"))
    all_entries = [*entries, tar.add(f"{facts['key']}.json", text.encode())]
    sizes = [size for _, size in all_entries]
    return facts | {"seed": plan.seed, "offsets": [offset for offset, _ in all_entries], "sizes": sizes}, sum(sizes)


_SCHEMA = [
    ("key", pa.string()),
    ("identity", pa.string()),
    ("label3", pa.int8()),
    ("label7", pa.int8()),
    ("emotion", pa.string()),
    ("source", pa.string()),
    ("one_sided", pa.string()),
    ("apex_frame", pa.int32()),
    ("onset_to_apex_s", pa.float64()),
    ("duration_s", pa.float64()),
    ("au_onset", pa.list_(pa.float32())),
    ("au_apex", pa.list_(pa.float32())),
    ("seed", pa.int64()),
    ("tar", pa.string()),
    ("offsets", pa.list_(pa.int64())),
    ("sizes", pa.list_(pa.int64())),
]


def _write_index(path: Path, records: list[dict[str, Any]], plan: Plan, tar_bytes: int) -> None:
    fields = _SCHEMA + ([("ranges", pa.list_(pa.float32()))] if plan.content == "features" else [])
    metadata = {"plan_hash": plan.hash, "tar_bytes": str(tar_bytes), "units": ",".join(UNITS)}
    table = pa.Table.from_pylist(records, pa.schema(fields, metadata=metadata))
    with path.open("wb") as file:
        pq.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
