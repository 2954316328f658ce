"""A frame's way from pixels to events: mie.Recognizer beside the loop one would script from the same networks, OpenCV and NumPy.

The script measures landmarks in every frame, warps the face, estimates DIS FAST flow from a reference renewed every .4 s, makes 28x28
maps and names them. One thread, process CPU time, a 640x480 video of a shipped face in memory: decoding is in neither.
"""

from __future__ import annotations

import statistics
import time
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..models.face_mesh import FaceMesh
from ..models.recogniser import Recogniser
from ..recog.frames import Frame
from ..recog.recognizer import Recognizer
from ..synth.faces import Face
from ..synth.render import render
from .report import Row

FPS = 30.0
HEIGHT_PX, WIDTH_PX, FACE_PX, CROP_PX, MAP_PX = 480, 640, 256, _core.CROP_SIDE_PX, 28
FRAMES = 150
RENEW = 12  # frames between the script's references

Pixels = NDArray[np.uint8]


def video() -> list[Pixels]:
    """Five seconds of a shipped face: repeated smiles under sensor noise and drift, on a grey canvas."""
    with resources.as_file(resources.files("mie_engine") / "assets" / "faces" / "syn000.jpg") as path:
        face = Face.load(path, size=FACE_PX)
    clip = render(face, {"AU12": 0.25, "AU6": 0.15}, frames=30, seed=7).frames
    canvas = np.full((HEIGHT_PX, WIDTH_PX, 3), 128, np.uint8)
    top, left = (HEIGHT_PX - FACE_PX) // 2, (WIDTH_PX - FACE_PX) // 2
    pictures = []
    for t in range(FRAMES):
        picture = canvas.copy()
        picture[top : top + FACE_PX, left : left + FACE_PX] = clip[t % len(clip)]
        pictures.append(picture)
    return pictures


class Script:
    """The loop scripted with OpenCV."""

    def __init__(self, cv2: Any) -> None:
        self.cv2, self.mesh, self.network = cv2, FaceMesh.shared(), Recogniser.load()
        self.flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self.landmarks: NDArray[np.float64] | None = None
        self.reference: Pixels | None = None
        self.count = 0

    def push(self, rgb: Pixels) -> None:
        cv2 = self.cv2
        self.landmarks = self.find(rgb)
        crop = cv2.warpAffine(rgb, self.matrix(self.landmarks), (CROP_PX, CROP_PX), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
        if self.reference is None or self.count % RENEW == 0:
            self.reference = grey
        self.count += 1
        u, v = np.moveaxis(self.flow.calc(self.reference, grey, None), 2, 0)
        (u_y, u_x), (v_y, v_x) = np.gradient(u), np.gradient(v)
        planes = [u, v, np.sqrt(u_x**2 + v_y**2 + 0.5 * (u_y + v_x) ** 2)]
        small = np.stack([cv2.resize(plane, (MAP_PX, MAP_PX), interpolation=cv2.INTER_AREA) for plane in planes], 2)
        low, high = small.min((0, 1)), small.max((0, 1))
        self.network.scores(np.rint((small - low) / np.maximum(high - low, 1e-9) * 255).astype(np.uint8)[None])

    def find(self, rgb: Pixels) -> NDArray[np.float64]:
        """Landmarks in the frame: found once, then measured in the square around the last ones."""
        if self.landmarks is None:
            return np.asarray(self.mesh.find(rgb, 1)[0].landmarks)
        low, high = self.landmarks[:, :2].min(0), self.landmarks[:, :2].max(0)
        side, middle = 1.5 * (high - low).max(), (low + high) / 2
        step = side / 256
        matrix = np.array([[step, 0, middle[0] - side / 2], [0, step, middle[1] - side / 2]])
        crop = self.cv2.warpAffine(rgb, matrix, (256, 256), flags=self.cv2.INTER_LINEAR | self.cv2.WARP_INVERSE_MAP)
        found = np.asarray(self.mesh.run_landmarks(crop[None].astype(np.float32) / 255)[0], np.float64).reshape(-1, 3)
        return np.asarray(found * step + [*(middle - side / 2), 0])

    def matrix(self, landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(_core.layout_crop(landmarks, CROP_PX), np.float64).reshape(2, 3)


def road(cv2: Any, rounds: int) -> list[Row]:
    """CPU milliseconds a frame, ours and the script's, medians of interleaved runs over the video."""
    pictures = video()
    spent: dict[str, list[float]] = {"ours": [], "script": []}
    frames = [Frame(k, k / FPS, (rgb,), True) for k, rgb in enumerate(pictures)]
    for _ in range(max(2, rounds // 3)):
        recognizer, script = Recognizer(max_faces=1), Script(cv2)
        start = time.process_time()
        for frame in frames:
            recognizer.push(frame)
        middle = time.process_time()
        for rgb in pictures:
            script.push(rgb)
        spent["ours"].append((middle - start) * 1e3 / FRAMES)
        spent["script"].append((time.process_time() - middle) * 1e3 / FRAMES)
    ms = {name: statistics.median(values) for name, values in spent.items()}
    case = f"frames to events, {WIDTH_PX} x {HEIGHT_PX} at {FPS:g} frames a second"
    return [{"table": "road", "case": case, "ours, ms a frame": ms["ours"], "script, ms": ms["script"], "ratio": ms["script"] / ms["ours"]}]
