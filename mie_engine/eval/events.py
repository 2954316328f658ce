"""Spotted events against true ones: two CSV files as `mie recognize` writes them -> spotting F1 and STRS."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..limits import MAX_EVENTS
from ..runtime.files import read_file
from ..types import ABSTAIN, CLASSES
from .metrics import Interval, spotting

Events = dict[str, list[tuple[Interval, str]]]


def score(truth: str | Path, spotted: str | Path) -> dict[str, Any]:
    """Score events; see metrics.spotting.

    Args:
        truth, spotted: CSV with video, onset_frame, offset_frame and label (one of CLASSES; spotted may say ABSTAIN).

    Raises:
        InputError: naming file, line and column.
    """
    true, made = read(Path(truth), CLASSES), read(Path(spotted), (*CLASSES, ABSTAIN))
    strange = sorted(set(made) - set(true))
    notes = [f"{len(strange)} videos have events but no truth, such as {strange[0]}: all of them count as false"] if strange else []
    return {"protocol": "spot", "truth": str(truth), "events": str(spotted), "videos": len(true), **spotting(true, made), "notes": notes}


def read(path: Path, labels: tuple[str, ...]) -> Events:
    """Events of each video, in the order of the file; a row of a video with empty frames says that it has none."""
    try:
        rows = csv.DictReader(io.StringIO(read_file(path).decode("utf-8-sig"), newline=""), strict=True)
        wanted = ("video", "onset_frame", "offset_frame", "label")
        if missing := [name for name in wanted if name not in (rows.fieldnames or ())]:
            raise InputError(f"{path}: no column {', '.join(missing)}: expected {', '.join(wanted)}.")
        events: Events = {}
        for row in rows:
            where = f"{path}: line {rows.line_num}"
            of_video = events.setdefault(row["video"] or "", [])
            if not row["onset_frame"] and not row["offset_frame"]:
                continue
            try:
                first, last = int(row["onset_frame"]), int(row["offset_frame"])
            except (TypeError, ValueError):
                raise InputError(f"{where}, column onset_frame or offset_frame: not a whole number.") from None
            if not 0 <= first <= last < 2**31:
                raise InputError(f"{where}: frames {first} to {last}; an event ends at or after its onset, frames count from 0.")
            if row["label"] not in labels:
                raise InputError(f"{where}, column label: {str(row['label'])[:40]!r}, allowed are {', '.join(labels)}.")
            if len(of_video) == MAX_EVENTS:
                raise InputError(f"{where}: more than {MAX_EVENTS} events of one video: this is no table of micro-expressions.")
            of_video.append(((first, last), row["label"]))
    except UnicodeDecodeError as problem:
        raise InputError(f"{path}: not UTF-8 text at byte {problem.start}: save the table as UTF-8 CSV.") from problem
    except csv.Error as problem:
        raise InputError(f"{path}: not a valid CSV table ({problem}).") from problem
    return events


def markdown(result: dict[str, Any]) -> str:
    """The result as text."""
    lines = [f"# spot: intersection over union at least .5, over {result['videos']} videos", ""]
    lines += [f"- {name}: {result[name]:.4f}" if isinstance(result[name], float) else f"- {name}: {result[name]}" for name in
              ("tp", "fp", "fn", "precision", "recall", "f1", "recognition", "strs")]  # fmt: skip
    return "\n".join([*lines, *(f"- {note}" for note in result["notes"])]) + "\n"
