"""overlay: the video again, with the faces boxed and every event named while it happens."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from .. import kernels
from ..errors import EnvironmentProblem
from ..runtime.files import TEMPORARY
from ..types import Event
from .events import named
from .frames import Frame

HOLD_S = 1.4  # an event is known this long after its onset at the latest, so frames wait that long for their banner
MAX_SIDE_PX = 1280  # frames are kept and written no larger
SHOWN_S = 1.0  # a banner stays after the offset: half a second is too short to read

Faces = Sequence[tuple[int, npt.NDArray[np.float64]]]
Box = tuple[int, float, float, float, float]  # id, left, top, right, bottom


class Overlay:
    """Writes an MP4 file next to the recognition, in constant memory; a context manager, and only a whole file gets its name."""

    def __init__(self, path: Path) -> None:
        import av  # PyAV takes its time to load

        self._av, self._path, self._temporary = av, path, path.with_name(TEMPORARY + path.name)
        self._out: Any = None
        self._stream: Any = None
        self._waiting: deque[tuple[float, npt.NDArray[np.uint8], list[Box]]] = deque()
        self._events: list[Event] = []

    def __enter__(self) -> Overlay:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._write_until(float("inf"))
            if self._out is not None:
                if kind is None:
                    self._out.mux(self._stream.encode(None))
                self._out.close()
                if kind is None:
                    self._temporary.replace(self._path)
        finally:
            self._temporary.unlink(missing_ok=True)

    def add(self, frame: Frame, faces: Faces, events: Sequence[Event]) -> None:
        """Take a frame, the faces in it (id, landmarks) and the events that became known with it.

        Raises:
            EnvironmentProblem: the file cannot be written.
        """
        scale = max(1.0, max(frame.width, frame.height) / MAX_SIDE_PX)
        picture = self._picture(frame, scale)
        boxes = [(face, *(points[:, :2].min(0) / scale).tolist(), *(points[:, :2].max(0) / scale).tolist()) for face, points in faces]
        self._waiting.append((frame.time_s, picture, boxes))
        self.add_events(events)
        self._write_until(frame.time_s - HOLD_S)

    def add_events(self, events: Sequence[Event]) -> None:
        """Take events that became known after the last frame."""
        self._events += events

    def _picture(self, frame: Frame, scale: float) -> npt.NDArray[np.uint8]:
        width, height = (int(side / scale) // 2 * 2 for side in (frame.width, frame.height))
        matrix = np.array([[scale, 0, 0], [0, scale, 0]], np.float64)
        planes = frame.planes if len(frame.planes) > 1 else frame.planes[0]
        square = kernels.align(planes, matrix, max(width, height), output="rgb", full_range=frame.full_range)
        return np.ascontiguousarray(square[:height, :width])

    def _write_until(self, time_s: float) -> None:
        while self._waiting and self._waiting[0][0] <= time_s:
            at_s, picture, boxes = self._waiting.popleft()
            self._events = [event for event in self._events if event.offset_s + SHOWN_S > at_s]
            self._write(at_s, _drawn(picture, boxes, [event for event in self._events if event.onset_s <= at_s]))

    def _write(self, time_s: float, picture: Image.Image) -> None:
        try:
            if self._out is None:
                self._out = self._av.open(str(self._temporary), "w", format="mp4")
                codec = "libx264" if "libx264" in self._av.codecs_available else "mpeg4"
                self._stream = self._out.add_stream(codec, rate=30)
                self._stream.width, self._stream.height, self._stream.pix_fmt = *picture.size, "yuv420p"
                self._stream.codec_context.time_base = Fraction(1, 10_000)
            size = (self._stream.width, self._stream.height)
            pixels = np.asarray(picture if picture.size == size else picture.resize(size))
            frame = self._av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = round(time_s * 10_000), Fraction(1, 10_000)
            self._out.mux(self._stream.encode(frame))
        except (OSError, self._av.FFmpegError) as error:
            raise EnvironmentProblem(f"{self._path}: the video cannot be written ({error}); free space or choose another folder") from error


def _drawn(pixels: npt.NDArray[np.uint8], boxes: Sequence[Box], events: Sequence[Event]) -> Image.Image:
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    size_px = max(12, picture.height // 24)
    font = ImageFont.load_default(size_px)
    for face, *box in boxes:
        draw.rectangle(box, outline="#ffffff", width=max(1, size_px // 10))
        draw.text((box[0], box[3]), f"face {face}", "#ffffff", font, stroke_width=1, stroke_fill="#14181d")
    for k, event in enumerate(events):
        text = f"face {event.face}: {named(event)}, {event.onset_s:.2f} to {event.offset_s:.2f} s"
        top = k * (size_px + 8)
        draw.rectangle((0, top, picture.width, top + size_px + 8), fill="#14181d")
        draw.text((8, top + 3), text, "#ffffff", font)
    return picture
