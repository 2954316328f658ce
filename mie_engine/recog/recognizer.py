"""recognizer: the whole road from frames to events, the thin door to csrc/src/recognizer.h."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core, kernels
from ..errors import RangeError, UsageError
from ..kernels import require
from ..limits import MAX_FACES_PER_IMAGE
from ..models.face_mesh import FaceMesh
from ..models.recogniser import Recogniser
from ..runtime.files import StrPath
from ..types import ABSTAIN, Event
from .frames import Frame, Source, open_frames


@dataclass(frozen=True, eq=False)
class Sighting(Event):
    """An event with what it was seen from.

    motion_px: height of the motion's peak in the 224 px crop (eyes 101 px apart). threshold_px: what it had to exceed. onset, apex: the
    crops that were compared, uint8 [224, 224] grey.
    """

    motion_px: float
    threshold_px: float
    onset: npt.NDArray[np.uint8]
    apex: npt.NDArray[np.uint8]


class Recognizer:
    """Finds micro-expressions in video and says what they show.

    Args:
        model: "default" (the shipped recogniser), a file for Recogniser.load, or a Recogniser; it must read maps.
        max_faces: followed at once, 1 to limits.MAX_FACES_PER_IMAGE.
        mesh: the face networks; None: the process's one on the CPU.
        simd: see kernels.simd_level; all give the same events.

    Raises:
        UsageError: a recogniser of frames instead of maps. RangeError: max_faces. As Recogniser.load.
    """

    def __init__(
        self, model: StrPath | Recogniser = "default", *, max_faces: int = 2, mesh: FaceMesh | None = None, simd: str = "auto"
    ) -> None:
        self.max_faces = require.integer("max_faces", max_faces, 1, MAX_FACES_PER_IMAGE)
        self.network = model if isinstance(model, Recogniser) else Recogniser.load(str(model))
        if self.network.inputs != "maps":
            raise UsageError(f"{self.network.name} reads {self.network.inputs}; spotted events are labelled from maps: give such a model")
        self._mesh, self._simd = mesh or FaceMesh.shared(), kernels.simd_level("recognizer", simd)
        self._lock = threading.Lock()
        self._native, self._ended = self._new(), False

    def _new(self) -> Any:
        network, mesh = self.network, self._mesh
        return _core.Recognizer(
            mesh.run_detector,
            mesh.run_landmarks,
            lambda maps: network.run([maps]),
            classes=len(network.classes),
            aus=len(network.aus),
            side=network.side,
            strain=network.strain,
            temperature=network.temperature,
            max_faces=self.max_faces,
            simd=self._simd,
        )

    def recognize(self, source: Source, *, fps: float | None = None) -> Iterator[Event]:
        """Find the events of one video, lazily, in constant memory; an event comes 0.6 s of video after its offset.

        Args:
            source, fps: see open_frames.

        Yields:
            Events in the order in which they become known.

        Raises:
            As open_frames.
        """
        one = Recognizer(self.network, max_faces=self.max_faces, mesh=self._mesh, simd=self._simd)
        with open_frames(source, fps=fps) as frames:
            for frame in frames:
                yield from one.push(frame)
        yield from one.finish()

    def push(self, frame: Frame) -> list[Sighting]:
        """Take the next frame of a stream.

        Returns:
            The events that became known with it.

        Raises:
            UsageError: no Frame. RangeError: time_s does not grow from frame to frame.
        """
        if not isinstance(frame, Frame):
            raise UsageError(f"push takes a mie_engine.Frame, not a {type(frame).__name__}: Frame(index, time_s, (rgb,), True)")
        with self._lock:
            if self._ended:
                self._native, self._ended = self._new(), False
            try:
                self._native.push(frame.planes, frame.full_range, frame.index, frame.time_s)
            except ValueError as error:
                raise RangeError(f"frame {frame.index} at {frame.time_s} s: {error}") from error
            return self._events()

    def finish(self) -> list[Sighting]:
        """The stream has ended: the events still open. The next push begins another stream, with faces and counts from 0."""
        with self._lock:
            self._native.finish()
            self._ended = True
            return self._events()

    def faces(self) -> list[tuple[int, npt.NDArray[np.float64]]]:
        """Faces of the last frame: id, landmarks float64 [478, 3] px."""
        with self._lock:
            return [(face.id, face.landmarks) for face in self._native.faces]

    def energy(self) -> list[tuple[int, float, float]]:
        """Motion energy since the last call: face, time_s, px of the crop; the largest pulse of any facial region."""
        with self._lock:
            points: list[tuple[int, float, float]] = self._native.poll_energy()
        return points

    def counts(self) -> dict[str, Any]:
        """What was counted so far: frames, faces, frames_without_face, small_faces, breaks, and rejected by reason."""
        with self._lock:
            counts: dict[str, Any] = self._native.counts
        return counts

    def _events(self) -> list[Sighting]:
        return [self._sighting(found) for found in self._native.poll()]

    def _sighting(self, found: dict[str, Any]) -> Sighting:
        classes = self.network.classes
        best, scores, aus = found.pop("best"), found.pop("scores"), found.pop("aus")
        return Sighting(
            label=ABSTAIN if best < 0 else classes[best],
            scores=dict(zip(classes, scores, strict=True)),
            au={f"AU{number}": value for number, value in zip(self.network.aus, aus, strict=True)},
            **found,
        )
