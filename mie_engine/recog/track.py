"""track: faces followed through the frames of one video, with ids that last and landmarks that do not tremble."""

from __future__ import annotations

import threading

from .. import _core
from ..errors import RangeError
from ..limits import MAX_FACES_PER_IMAGE
from ..models.face_mesh import FaceMesh
from .frames import Frame


class Tracker:
    """Follows the faces of one video; the thin door to csrc/src/track.h.

    Args:
        max_faces: followed at once, 1 to limits.MAX_FACES_PER_IMAGE.
        landmark_interval_s: how often landmarks are measured, 0 (every frame) to 60 s.
        mesh: the networks; None: the process's one on the CPU.

    Raises:
        RangeError: a number outside its range.
    """

    def __init__(self, *, max_faces: int = 2, landmark_interval_s: float = 0.1, mesh: FaceMesh | None = None) -> None:
        if not 1 <= max_faces <= MAX_FACES_PER_IMAGE:
            raise RangeError(f"max_faces is {max_faces}, allowed is 1 to {MAX_FACES_PER_IMAGE}")
        if not 0 <= landmark_interval_s <= 60:
            raise RangeError(f"landmark_interval_s is {landmark_interval_s}, allowed is 0 to 60 s")
        networks = mesh or FaceMesh.shared()
        self._tracker = _core.FaceTracker(networks.run_detector, networks.run_landmarks, max_faces, landmark_interval_s)
        self._lock = threading.Lock()

    def push(self, frame: Frame) -> list[_core.TrackedFace]:
        """Take the next frame.

        Args:
            frame: of any size; where the size changes, all faces are new.

        Returns:
            The faces in it, in the order of their ids: id (from 0 in the order of appearance; kept over a loss of up to 2 s at the same
            place), fresh (measured in this very frame), presence (0.5 to 1), landmarks float64 [478, 3] (px; z in the scale of x).

        Raises:
            RangeError: time_s does not grow from frame to frame.
        """
        with self._lock:
            try:
                return self._tracker.push(frame.planes, frame.full_range, frame.time_s)
            except ValueError as error:
                raise RangeError(f"frame {frame.index} at {frame.time_s} s: {error}") from error
