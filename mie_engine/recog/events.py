"""events: the table of events, and in words what was counted and what a frame rate can show."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..types import ABSTAIN, Event

COLUMNS = ("video", "face", "onset_frame", "apex_frame", "offset_frame", "onset_s", "apex_s", "offset_s", "label", "score")
SPOTTED_FPS = 8.0  # below, a pulse of half a second has no shape (csrc/src/spot.h)
USED_FPS = 126.0
SHORT_S = 0.5

REASONS = {
    "blink": "blink{s}",
    "head": "movement{s} of the head",
    "too_long": "longer than half a second",
    "too_large": "too large for a micro-expression",
    "repeated": "part of a longer movement, such as speech",
    "not_returning": "did not return to where they began",
}


def table(video: str, events: Sequence[Event], aus: Sequence[str]) -> bytes:
    """events.csv: UTF-8, one row per event, one column per action unit of `aus` after COLUMNS; empty where an event has no such unit."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *aus])
    for event in events:
        frames = (event.onset_frame, event.apex_frame, event.offset_frame)
        times = (f"{t:.4f}" for t in (event.onset_s, event.apex_s, event.offset_s))
        units = (f"{event.au[au]:.4f}" if au in event.au else "" for au in aus)
        writer.writerow([video, event.face, *frames, *times, event.label, f"{event.score:.4f}", *units])
    return text.getvalue().encode()


def named(event: Event) -> str:
    """What an event shows: "surprise 91%", "uncertain, nearest negative 44%"."""
    nearest = f", nearest {max(event.scores, key=lambda name: event.scores[name])}" if event.label == ABSTAIN else ""
    return f"{event.label}{nearest} {event.score:.0%}"


def visibility(fps: float, length_s: float = math.inf) -> str:
    """What a frame rate and a length can show and what they cannot, in a sentence or two."""
    if length_s < SHORT_S:
        return f"{length_s:.2g} s are too short: a micro-expression lasts up to half a second, and is spotted by the rest around it."
    if fps < SPOTTED_FPS:
        return f"At {fps:.3g} frames a second nothing can be spotted: a micro-expression of half a second needs {SPOTTED_FPS:g} and more."
    step_ms = 1000 / min(fps, USED_FPS)
    thinned = f" Frames closer than {step_ms:.0f} ms are left out: {USED_FPS:g} a second show any pulse." if fps > USED_FPS else ""
    hidden = f"what lasts less than {2 * step_ms:.0f} ms (two frames) cannot be told from noise"
    return f"At {fps:.3g} frames a second {hidden}, and onset, apex and offset are known to half a frame (±{step_ms / 2:.0f} ms).{thinned}"


def notes(counts: Mapping[str, Any]) -> list[str]:
    """Sentences about what was counted that a reader of the events must know."""
    said = []
    frames, without = counts["frames"], counts["frames_without_face"]
    if counts["faces"] == 0:
        said.append("no face was found in any frame, so nothing could be spotted")
    elif without:
        said.append(f"{without:,} of {frames:,} frames show no face")
    if counts["faces"] > 1:
        said.append(f"{counts['faces']} faces appear; each has its own events")
    if counts["small_faces"]:
        said.append("a face was too small at times (eyes less than 20 px apart): there nothing is spotted")
    if counts["breaks"]:
        gaps = "1 cut or gap" if counts["breaks"] == 1 else f"{counts['breaks']:,} cuts or gaps"
        said.append(f"{gaps} between frames; nothing is spotted across {'it' if counts['breaks'] == 1 else 'them'}")
    return said


def rejections(counts: Mapping[str, Any]) -> list[str]:
    """Peaks of motion that are not micro-expressions: "12 blinks"."""
    return [f"{count:,} {REASONS[reason].format(s='s' * (count != 1))}" for reason, count in counts["rejected"].items() if count]
