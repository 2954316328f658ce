"""Frames: a video file, a folder of images, a camera or a URL in; one picture at a time out, with true timestamps."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .. import limits
from ..errors import InputError, MieError, RangeError, UsageError
from ..runtime.files import StrPath
from ..runtime.image import SUFFIXES, is_image_name, load_rgb

DEFAULT_FPS = 30.0
JUMP_S = 1.0  # a timestamp further back than this means that the clock was set back, not that two frames changed places
JUDGED_FRAMES = 60  # after which a rate too low for micro-expressions is noted

Planes = tuple[npt.NDArray[np.uint8], ...]
Picture = tuple[float | None, Planes, bool]  # timestamp in s or none, planes, full_range
Source = StrPath | int


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a video.

    index counts from 0. time_s grows from frame to frame and starts near 0. planes: (RGB,) uint8 [H, W, 3]; (Y, U, V) or (Y, UV) of
    4:2:0 video, uint8 [H, W] and [ceil(H/2), ceil(W/2)] or [.., .., 2]. full_range: Y spans 0..255 instead of 16..235.
    """

    index: int
    time_s: float
    planes: Planes
    full_range: bool

    @property
    def width(self) -> int:
        return int(self.planes[0].shape[1])

    @property
    def height(self) -> int:
        return int(self.planes[0].shape[0])


class Frames(Iterator[Frame]):
    """The frames of one source, read once, in constant memory; a context manager. Made by open_frames.

    name: the source. duration_s: what the source says about its length, or None. notes: sentences about what was repaired, assumed or
    cut short; complete when the iteration has ended.

    Iterating raises InputError when not even one frame can be read; what goes wrong later ends the iteration with a note.
    """

    def __init__(
        self,
        name: str,
        pictures: Iterator[Picture],
        *,
        fps: float,
        duration_s: float | None = None,
        notes: list[str] | None = None,
        close: Callable[[], object] = lambda: None,
    ) -> None:
        self.name, self.duration_s, self.notes = name, duration_s, [] if notes is None else notes
        self._close, self._interval_s = close, 1 / fps
        self._frames = self._in_order(pictures)

    def __next__(self) -> Frame:
        return next(self._frames)

    def __enter__(self) -> Frames:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the iteration and release the source."""
        self._frames.close()
        self._close()

    def _in_order(self, pictures: Iterator[Picture]) -> Generator[Frame]:
        index = repaired = in_row = resized = 0
        first_s = last_s = shift_s = -math.inf
        size: tuple[int, ...] = ()
        try:
            for stamp_s, planes, full_range in pictures:
                given_s = math.nan if stamp_s is None or not math.isfinite(stamp_s) else stamp_s
                if index == 0:
                    shift_s, time_s = 0.0, 0.0 if math.isnan(given_s) else given_s
                    first_s = time_s
                    repaired += math.isnan(given_s)
                else:
                    time_s = given_s + shift_s
                    if time_s > last_s:
                        in_row = 0
                    else:
                        repaired, in_row = repaired + 1, in_row + 1
                        if time_s < last_s - JUMP_S:
                            shift_s += last_s + self._interval_s - time_s
                            in_row = 2
                        once = in_row == 1 and not math.isnan(time_s)  # two at one time, or two that changed places
                        time_s = last_s + self._interval_s / (8 if once else 1)
                height, width = planes[0].shape[:2]
                if size not in ((), (width, height)):
                    resized += 1
                    if resized == 1:
                        self._note(f"the picture changes from {size[0]} x {size[1]} to {width} x {height} px at frame {index}")
                size = width, height
                last_s = time_s
                if index == JUDGED_FRAMES:
                    self._judge_rate(index, last_s - first_s)
                yield Frame(index, time_s, planes, full_range)
                index += 1
        except MieError as error:
            if index == 0:
                raise
            self._note(f"cut short after frame {index - 1} at {last_s:.2f} s, the frames before are used ({error})")
        else:
            if index == 0:
                raise InputError(f"{self.name}: holds no frame; give a video with pictures in it")
            if self.duration_s and self.duration_s - last_s > 3 * self._interval_s + 0.25:
                self._note(f"the file promises {self.duration_s:.2f} s, its frames end at {last_s:.2f} s: it may be truncated")
        finally:
            if repaired:
                self._note(f"{repaired} of {index} timestamps were missing or did not grow; they were set from the frame rate")
            if resized > 1:
                self._note(f"the size of the picture changes {resized} times")
            if 1 < index <= JUDGED_FRAMES:
                self._judge_rate(index - 1, last_s - first_s)
            self._close()

    def _note(self, sentence: str) -> None:
        self.notes.append(f"{self.name}: {sentence}")

    def _judge_rate(self, intervals: int, span_s: float) -> None:
        if intervals < 0.99 * limits.MIN_VIDEO_FPS * span_s:
            fps = intervals / span_s
            self._note(f"{fps:.3g} fps is too slow for most micro-expressions; film at {limits.MIN_VIDEO_FPS} fps or more")


def open_frames(source: Source, *, fps: float | None = None, timeout_s: float = 10.0) -> Frames:
    """Open a source of frames.

    Args:
        source: a video file or named pipe; a folder of images (natural order of their names); a camera by its number ("0", 0) or its
            name in /dev; a URL (http, https, rtsp, tcp, udp).
        fps: of a folder (default 30) and of video without timestamps, 1/60 to limits.MAX_VIDEO_FPS.
        timeout_s: how long to wait for data, 0.1 to 600 s. Files are read without limit.

    Returns:
        The frames. A size that changes on the way is noted and passed on: trackers start anew. Timestamps that are missing or not finite
        are set one frame interval after the one before, a single one that does not grow an eighth of it; after a jump back of more than
        a second the video's clock is taken to go on from there. All of this is noted.

    Raises:
        InputError: missing, unreadable, not a video, damaged from the start, without pictures, too large, or no data in time.
        EnvironmentProblem: no such camera, no PyAV. UsageError, RangeError: an unknown kind of URL, numbers outside their range.
    """
    if fps is not None and not 1 / 60 <= fps <= limits.MAX_VIDEO_FPS:
        raise RangeError(f"fps is {fps}, allowed is 1/60 to {limits.MAX_VIDEO_FPS}")
    if not 0.1 <= timeout_s <= 600:
        raise RangeError(f"timeout_s is {timeout_s}, allowed is 0.1 to 600 s")
    if isinstance(source, bool) or not isinstance(source, (int, str, os.PathLike)):
        raise UsageError(f"source is {source!r}; give a path, a URL or the number of a camera")
    name = str(source)
    if "://" not in name and not isinstance(source, int) and os.path.isdir(name):
        return _open_folder(Path(name), fps)
    from .video import Video  # PyAV takes its time to load

    video = Video(name, timeout_s=timeout_s)
    rate = fps or video.fps or DEFAULT_FPS
    return Frames(video.name, video.pictures(), fps=rate, duration_s=video.duration_s, notes=video.notes, close=video.close)


def _open_folder(folder: Path, fps: float | None) -> Frames:
    try:
        names = [entry.name for entry in os.scandir(folder) if is_image_name(entry.name)]
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error})") from error
    if not names:
        raise InputError(f"{folder}: no image in this folder; looked for {' '.join(SUFFIXES)}")
    if len(names) > limits.MAX_FOLDER_FRAMES:
        raise InputError(f"{folder}: {len(names)} images, at most {limits.MAX_FOLDER_FRAMES} are allowed; make a video of them")
    names.sort(key=lambda name: [int(part) if part.isdecimal() else part.lower() for part in re.split(r"([0-9]+)", name)])
    rate = fps or DEFAULT_FPS
    notes = [] if fps else [f"{folder}: images carry no time, {DEFAULT_FPS:g} fps are assumed; give fps if it is another rate"]
    pictures = ((index / rate, (load_rgb(folder / name),), True) for index, name in enumerate(names))
    return Frames(str(folder), pictures, fps=rate, duration_s=len(names) / rate, notes=notes)
