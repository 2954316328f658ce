"""A neural generator ready to run, without torch: one face and action units -> the face with these action units, uint8."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mie_engine import _core, kernels
from mie_engine.errors import InputError, ShapeError
from mie_engine.limits import MAX_MODEL_BYTES, MAX_SIZE_PX, MIN_SIZE_PX
from mie_engine.runtime.files import read_file
from mie_engine.runtime.session import Session

KEY = "mie_generator"
AU_COUNT = 17  # the OpenFace intensities, in the order of AUS
AUS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)


class Generator:
    """A generator's graph: name, side (px), sha256 of its file, library and instruction set that run it (which decide the bytes)."""

    def __init__(self, session: Session, sha256: str, source: str) -> None:
        try:
            said = json.loads(session.metadata[KEY])
            self.name, self.side = str(said["model"]), int(said["side"])
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(f"{source} has no {KEY!r} in its metadata; use a generator written by `mie models import`") from error
        if not MIN_SIZE_PX <= self.side <= MAX_SIZE_PX:
            raise InputError(f"{source}: side is {self.side} px, allowed are {MIN_SIZE_PX} to {MAX_SIZE_PX}")
        square = (self.side, self.side)
        taken = {spec.name: (spec.dtype, spec.shape) for spec in session.inputs}
        given = {spec.name: (spec.dtype, spec.shape) for spec in session.outputs}
        if taken != {"image": ("float32", (None, 3, *square)), "action_units": ("float32", (None, AU_COUNT))} or given != {
            "color": ("float32", (None, 3, *square)),
            "mask": ("float32", (None, 1, *square)),
        }:
            raise InputError(f"{source}: the graph's inputs {taken} and outputs {given} are not those of a generator of {self.side} px")
        self._session, self.sha256 = session, sha256
        self.library = f"onnxruntime {importlib.metadata.version('onnxruntime')} {session.provider} {_core.simd_levels()[-1]}"

    @classmethod
    def load(cls, path: str | Path, *, provider: str = "cpu", threads: int = 1) -> Generator:
        """Load a generator.

        Args:
            path: an .onnx file written by ganimation_export.export_onnx.
            provider: "cpu" or "cuda"; runs there or raises.
            threads: of one run.

        Raises:
            InputError: missing, too large, or not such a file. UsageError, RangeError, BackendError: as Session.
        """
        data = read_file(path, MAX_MODEL_BYTES)
        sha256 = hashlib.sha256(data).hexdigest()
        return cls(Session(data, sha256=sha256, provider=provider, threads=threads), sha256, str(path))

    def frames(self, face: NDArray[np.uint8], action_units: NDArray[np.floating]) -> NDArray[np.uint8]:
        """The face with these action units; may be called from several threads.

        Args:
            face: uint8 [S, S, 3] RGB, S = side.
            action_units: [N, 17] in [0, 1], in the order of AUS.

        Returns:
            uint8 [N, S, S, 3]; a frame's bytes depend on its own action units alone, not on N: every frame is one run.

        Raises:
            ShapeError: another shape. InputError: the network gives numbers that are not finite.
        """
        if face.shape != (self.side, self.side, 3) or face.dtype != np.uint8:
            raise ShapeError(f"{self.name} takes faces uint8 [{self.side}, {self.side}, 3], got {face.dtype} {list(face.shape)}")
        if action_units.ndim != 2 or action_units.shape[1] != AU_COUNT:
            raise ShapeError(f"{self.name} takes action units [N, {AU_COUNT}], got {list(action_units.shape)}")
        image = np.ascontiguousarray(face.transpose(2, 0, 1)[None], np.float32) / np.float32(127.5) - np.float32(1)
        frames = np.empty((len(action_units), *face.shape), np.uint8)
        for k, vector in enumerate(np.asarray(action_units, np.float32)):
            heads = self._session.run({"image": image, "action_units": vector[None]})
            frames[k] = kernels.blend_pack(heads["color"], heads["mask"], face[None])[0]
        return frames
