"""Faces in an image: BlazeFace and FaceMesh V2 on onnxruntime, steered by libmie."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from mie_engine import _core
from mie_engine.limits import MAX_FACES_PER_IMAGE
from mie_engine.runtime.session import Session


class FaceMesh:
    """The two networks on the CPU, ready to run; may be used from several threads at once. Raises as Session.shipped."""

    _shared: FaceMesh | None = None
    _lock = threading.Lock()

    def __init__(self) -> None:
        self._detector = Session.shipped("face_detector.onnx")
        self._landmarks = Session.shipped("face_landmarks_detector.onnx")

    @classmethod
    def shared(cls) -> FaceMesh:
        """Return the process's one FaceMesh, loaded at the first call."""
        with cls._lock:
            if cls._shared is None:
                cls._shared = cls()
            return cls._shared

    def find(self, rgb: np.ndarray[Any, Any], max_faces: int = MAX_FACES_PER_IMAGE) -> list[Any]:
        """Find faces and their landmarks.

        Args:
            rgb: uint8 [H, W, 3].
            max_faces: how many to return at most.

        Returns:
            Faces, largest first, each with score and presence (0..1), box float64 [4] (left, top, right, bottom, px) and landmarks
            float64 [478, 3] (px; z in the scale of x, smaller is nearer).

        Source: MediaPipe face_landmarker, image mode; agrees with it to 0.02 % of the inter-ocular distance.
        """
        found: list[Any] = _core.find_faces(rgb, self.run_detector, self.run_landmarks, max_faces)
        return found

    def run_detector(self, image: np.ndarray[Any, Any]) -> tuple[Any, Any]:
        """BlazeFace: float32 [1, 128, 128, 3] in -1..1 -> regressors [1, 896, 16] in px, scores [1, 896, 1] as logits."""
        outputs = self._detector.run({"input": image})
        return outputs["regressors"], outputs["classificators"]

    def run_landmarks(self, image: np.ndarray[Any, Any]) -> tuple[Any, Any]:
        """FaceMesh V2: float32 [1, 256, 256, 3] in 0..1 -> landmarks (478 x 3) in px of that image, presence as a logit."""
        outputs = self._landmarks.run({"input_12": image})
        return outputs["Identity"], outputs["Identity_1"]
