"""`mie recognize`: a video -> its micro-expressions, as a table, a page and an annotated video."""

from __future__ import annotations

import json
import math
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError
from ..types import Event
from .progress import Progress


def recognize(
    video: Annotated[str, typer.Argument(help="A video file, a folder of images, a URL, or the number of a camera.")],
    csv: Annotated[Path | None, typer.Option(help="Table of events.")] = Path("events.csv"),
    plot: Annotated[Path | None, typer.Option(help="Page with the timeline and every event.")] = Path("report.html"),
    annotate: Annotated[Path | None, typer.Option(help="The video with faces and events drawn in, such as out.mp4.")] = None,
    model: Annotated[str, typer.Option(help='"default", or a recogniser file (.onnx, .safetensors).')] = "default",
    fps: Annotated[float | None, typer.Option(help="Frame rate of a folder, or of video without timestamps.")] = None,
    max_faces: Annotated[int, typer.Option(help="Faces followed at once.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, no progress.")] = False,
) -> None:
    """Spot micro-expressions in a video and say what they show. A camera is watched until Ctrl-C."""
    from ..recog.events import named, notes, rejections, table, visibility
    from ..recog.frames import open_frames
    from ..recog.overlay import Overlay
    from ..recog.recognizer import Recognizer
    from ..recog.report import Report
    from ..runtime.files import write_file

    targets = [path for path in (csv, plot, annotate) if path is not None]
    for path in targets:  # an hour of work is not lost to a wrong folder
        if not path.parent.is_dir() or path.is_symlink() or (path.exists() and not path.is_file()):  # never a device, nor what a link names
            raise UsageError(f"{path} cannot be made a file: name one in a folder that exists.")
    if len({path.resolve() for path in targets}) < len(targets) or any(path.resolve() == Path(video).resolve() for path in targets):
        raise UsageError("--csv, --plot, --annotate and the video must be different files.")

    recognizer, report = Recognizer(model, max_faces=max_faces), Report()
    events: list[Event] = []
    first_s = last_s = math.nan
    stopped: list[str] = []
    with ExitStack() as stack:
        frames = stack.enter_context(open_frames(video, fps=fps))
        overlay = stack.enter_context(Overlay(annotate)) if annotate is not None else None
        length = math.ceil(frames.duration_s or 0)
        bar = stack.enter_context(Progress("video", length, "s", quiet=as_json or not length))
        try:
            for frame in frames:
                found = recognizer.push(frame)
                report.add(found, recognizer.energy())
                events += [_plain(event) for event in found]
                if overlay is not None:
                    overlay.add(frame, recognizer.faces(), found)
                if math.isnan(first_s):
                    first_s = frame.time_s
                last_s = frame.time_s
                if (elapsed := min(int(last_s - first_s), length)) > bar.done:
                    bar.add(elapsed - bar.done, 1)
        except KeyboardInterrupt:
            if frames.duration_s is not None or math.isnan(last_s):
                raise
            stopped.append(f"stopped at {last_s:.1f} s")
        found = recognizer.finish()
        report.add(found, recognizer.energy())
        events += [_plain(event) for event in found]
        if overlay is not None:
            overlay.add_events(found)
        bar.add(max(length - bar.done, 0), 1)

    counts, video = recognizer.counts(), frames.name  # a password of a URL is not in it
    length_s = last_s - first_s
    rate = (counts["frames"] - 1) / length_s if length_s > 0 else 0.0
    aus = [f"AU{number}" for number in recognizer.network.aus]
    seen, said, rejected = visibility(rate, length_s), [*frames.notes, *stopped, *notes(counts)], rejections(counts)
    if csv is not None:
        write_file(csv, table(video, events, aus))
    if plot is not None:
        faces = f"{_count(counts['frames'], 'frame')}, {_count(counts['faces'], 'face')}"
        page = report.html(video, length_s=length_s, facts=[faces, seen], found=said, rejected=rejected, model=recognizer.network.name)
        write_file(plot, page.encode())
    if as_json:
        facts = {"video": video, "seconds": round(length_s, 3), "fps": round(rate, 3), "visibility": seen, "notes": said, **counts}
        listed = [{field.name: getattr(event, field.name) for field in fields(Event)} for event in events]
        print(json.dumps({**facts, "events": listed, "files": [str(path) for path in targets]}))
        return
    for event in events:
        print(f"{event.onset_s:9.2f} to {event.offset_s:.2f} s  face {event.face}  {named(event)}")
    print(f"{_count(len(events), 'event')} in {length_s:.1f} s of video ({_count(counts['frames'], 'frame')}). {seen}")
    if rejected:
        print(f"no micro-expressions: {', '.join(rejected)}")
    for note in said:
        print(f"note: {note}")
    print("evidence, not truth: a movement is not a feeling. In the EU, inferring emotions at work or in education is prohibited.")
    for path in targets:
        print(f"written: {path}")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _plain(event: Event) -> Event:
    """The event without its pictures, of which there may be many."""
    return Event(**{field.name: getattr(event, field.name) for field in fields(Event)})
