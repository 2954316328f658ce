"""samples: what recognisers are trained and scored on, and how a synthesised dataset becomes such a record."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mie_engine.errors import InputError, RangeError, ShapeError, UsageError
from mie_engine.limits import MAX_PLAN_BYTES, MAX_SAMPLE_BYTES
from mie_engine.runtime.decode import decode_rgb
from mie_engine.runtime.files import read_file
from mie_engine.types import CLASSES

from .pairs import prepared

CD6ME_AUS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17)
"""The action units of the cross-dataset protocol (Varanka et al., arXiv 2211.11425)."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Samples:
    """N labelled samples.

    maps: uint8 [N, S, S, 3] (u, v, strain, each min-max scaled), or for frame networks [N, 2, S, S, 3] (onset, apex; RGB).
    label: int64 [N], position in types.CLASSES. au: float32 [N, A], 1 = active, over the numbers `aus`, or None where none are coded.
    subject, group: str, N each: who is seen, and in which database.
    """

    maps: npt.NDArray[np.uint8]
    label: npt.NDArray[np.int64]
    au: npt.NDArray[np.float32] | None
    subject: list[str]
    group: list[str]
    aus: tuple[int, ...] = CD6ME_AUS

    def __post_init__(self) -> None:
        count = len(self.label)
        if self.maps.dtype != np.uint8 or self.maps.ndim not in (4, 5) or self.maps.shape[-1] != 3 or len(self.maps) != count:
            raise ShapeError(f"maps are {self.maps.dtype} {list(self.maps.shape)} for {count} labels, expected uint8 [N, S, S, 3]")
        if self.label.dtype != np.int64 or (count and not 0 <= self.label.min() <= self.label.max() < len(CLASSES)):
            raise ShapeError(f"labels are {self.label.dtype}, expected int64 positions in {CLASSES}")
        if len(self.subject) != count or len(self.group) != count:
            raise ShapeError(f"{len(self.subject)} subjects and {len(self.group)} groups for {count} labels: one each is needed")
        if self.au is not None and self.au.shape != (count, len(self.aus)):
            raise ShapeError(f"au is {list(self.au.shape)}, expected [{count}, {len(self.aus)}]")

    def __len__(self) -> int:
        return len(self.label)

    @staticmethod
    def joined(parts: Sequence[Samples]) -> Samples:
        """Samples one after the other. Raises ShapeError: maps of different sizes, or units coded in some only or differently."""
        first = parts[0]
        if any(p.maps.shape[1:] != first.maps.shape[1:] or p.aus != first.aus or (p.au is None) != (first.au is None) for p in parts):
            raise ShapeError("samples differ in the size of their maps or in their action units: train on one after the other")
        au = None if first.au is None else np.concatenate([p.au for p in parts if p.au is not None])
        subject, group = [s for p in parts for s in p.subject], [g for p in parts for g in p.group]
        return Samples(np.concatenate([p.maps for p in parts]), np.concatenate([p.label for p in parts]), au, subject, group, first.aus)

    @property
    def sha256(self) -> str:
        """Of maps, labels and action units: what was learnt from."""
        digest = hashlib.sha256()
        for array in (self.maps, self.label, self.au):
            if array is not None:
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def read_dataset(
    folder: str | Path,
    *,
    inputs: str = "maps",
    side: int = 28,
    aus: tuple[int, ...] = CD6ME_AUS,
    progress: Progress = lambda samples, size: None,
) -> tuple[Samples, str]:
    """Read a synthesised dataset: its maps as they are, its pairs and clips through the engine's own flow or as frames.

    Args:
        folder: a finished dataset of any content; features serve maps of 28 px only.
        inputs: "maps" or "frames", see Samples.
        side: of maps or frames, px.
        aus: action units whose presence at the drawn apex becomes a label.
        progress: called with samples and bytes read.

    Returns:
        The samples, their subject the identity and their group "synthetic"; the hash of the dataset's plan.

    Raises:
        InputError: not a finished dataset, damaged or too large. UsageError: content or map size that this dataset does not hold.
    """
    folder = Path(folder)
    facts = _facts(folder)
    if facts["content"] == "features" and (inputs, side) != ("maps", 28):
        raise UsageError(f"{folder} holds maps of 28 px, {inputs} of {side} px are asked: synthesise content pair or clip.")
    count, shape = facts["clips"], (side, side, 3) if inputs == "maps" else (2, side, side, 3)
    if count * math.prod(shape) > MAX_SAMPLE_BYTES:
        raise RangeError(f"{folder}: {count} samples of {list(shape)} need more than {MAX_SAMPLE_BYTES / 1e9:.0f} GB: make fewer.")
    maps = np.empty((count, *shape), np.uint8)
    label, subject, units, at = np.empty(count, np.int64), [], [], 0
    for shard in range(facts["shards"]):
        rows, names, tar = _shard(folder, shard)
        for row, image in zip(rows, _images(folder, facts["content"], rows, tar, inputs, side), strict=True):
            if at == count:
                raise InputError(f"{folder} holds more than its {count} samples: make the dataset again.")
            maps[at], label[at] = image, row["label3"]
            subject.append(row["identity"])
            units.append(row["au_apex"])
            at += 1
            progress(1, image.nbytes)
    if at != count:
        raise InputError(f"{folder} holds {at} of {count} samples: run the command that made it again.")
    intensity, numbers = np.array(units), np.array([int(name.strip("AULR")) for name in names])
    au = np.stack([(intensity[:, numbers == number] > 0).any(1) for number in aus], 1).astype(np.float32)
    return Samples(maps, label, au, subject, ["synthetic"] * count, aus), facts["plan_hash"]


def clips_in(folder: str | Path) -> int:
    """How many samples a finished dataset holds. Raises InputError."""
    return int(_facts(Path(folder))["clips"])


def _images(folder: Path, content: str, rows: list[dict[str, Any]], tar: bytes, inputs: str, side: int) -> Iterator[npt.NDArray[np.uint8]]:
    """What a network takes of every row of a shard."""

    def member(row: dict[str, Any], k: int) -> bytes:
        try:
            offset, size = row["offsets"][k], row["sizes"][k]
        except IndexError:
            offset, size = -1, 0
        if not 0 <= offset <= offset + size <= len(tar):
            raise InputError(f"{folder}: sample {row['key']} does not lie in its shard: make the dataset again.")
        return tar[offset : offset + size]

    if content == "features":
        yield from (_map(member(row, 0), side, f"{folder}: sample {row['key']}") for row in rows)
        return

    def pair(row: dict[str, Any]) -> tuple[Any, Any]:
        onset, apex = (decode_rgb(member(row, k), f"{folder}: sample {row['key']}") for k in (0, row["apex_frame"]))
        return onset, apex

    for row, image in zip(rows, prepared(map(pair, rows), inputs, side), strict=True):
        if image is None:
            raise InputError(f"{folder}: the onset of sample {row['key']} shows no face: make the dataset of clearer photographs.")
        yield image


def _facts(folder: Path) -> dict[str, Any]:
    path = folder / "dataset.json"
    try:
        found = json.loads(read_file(path, 2 * MAX_PLAN_BYTES))
        facts = {name: found[name] for name in ("clips", "shards", "plan_hash")} | {"content": found["plan"]["content"]}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{folder} is not a finished dataset ({error!s:.200}): run the command that makes it to its end.") from error
    if [type(value) for value in facts.values()] != [int, int, str, str] or facts["clips"] < 1:
        raise InputError(f"{path}: clips, shards, plan_hash and content are not those of a dataset.")
    return facts


def _shard(folder: Path, shard: int) -> tuple[list[dict[str, Any]], list[str], bytes]:
    """Rows of the index, the names of its units, and the tar."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = ["key", "identity", "label3", "apex_frame", "au_apex", "offsets", "sizes"]
    try:
        table = pq.read_table(folder / f"{shard:06d}.parquet", columns=wanted)
        names = (table.schema.metadata or {})[b"units"].decode().split(",")
        tar = (folder / f"{shard:06d}.tar").read_bytes()
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise InputError(f"{folder}: shard {shard:06d} cannot be read ({error!s:.200}): make the dataset again.") from error
    return table.to_pylist(), names, tar


def _map(data: bytes, side: int, source: str) -> npt.NDArray[np.uint8]:
    try:
        found: npt.NDArray[np.uint8] = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{source} is not an array ({error!s:.200}): make the dataset again.") from error
    if found.dtype != np.uint8 or found.shape != (side, side, 3):
        raise InputError(f"{source} is {found.dtype} {list(found.shape)}, expected uint8 [{side}, {side}, 3]: make the dataset again.")
    return found
