"""The faces of a plan, loaded when a shard needs them: from memory, from the run's cache of crops, or from the image file."""

from __future__ import annotations

import contextlib
import os
import uuid
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..runtime.files import TEMPORARY
from .faces import Face
from .plan import Identity


class FaceStore:
    """Loads identity i as an aligned Face of the plan's size.

    Args:
        identities: the plan's identities.
        origins: for each, the image file or a Face already loaded.
        size: side of the crops, px.
        cache: folder for crops (made on demand), so that detection runs once per face and run, or None.
    """

    def __init__(self, identities: Sequence[Identity], origins: Sequence[Path | Face], size: int, cache: Path | None) -> None:
        self.identities, self.origins, self.size, self.cache = tuple(identities), tuple(origins), size, cache

    def load(self, index: int) -> Face:
        """The face of an identity.

        Raises:
            InputError: the image is gone, or is not the one the plan was made with.
        """
        origin, identity = self.origins[index], self.identities[index]
        if isinstance(origin, Face):
            return origin
        kept = read_crop(self.cache, identity.sha256, self.size)
        face = kept or Face.load(origin, self.size)
        if face.source_sha256 != identity.sha256:
            raise InputError(f"{origin}: the file changed since the plan was made: restore it, or start a new dataset in another folder.")
        return face


def _crop_path(cache: Path, sha256: str, size: int) -> Path:
    return cache / f"{sha256}-{size}.npz"


def read_crop(cache: Path | None, sha256: str, size: int) -> Face | None:
    """A face kept by `write_crop`, or None."""
    if cache is None:
        return None
    try:
        with np.load(_crop_path(cache, sha256, size), allow_pickle=False) as kept:
            return Face(
                kept["pixels"],
                kept["landmarks_px"],
                str(kept["name"]),
                sha256,
                float(kept["score"]),
                float(kept["interocular_px"]),
                int(kept["face_count"]),
            )
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):  # not there, or torn by a crash of the machine
        return None


def write_crop(cache: Path, face: Face) -> None:
    """Keep an aligned face; a cache that cannot be written only costs time."""
    path = _crop_path(cache, face.source_sha256, face.size)
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}.npz")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(
            temporary,
            pixels=face.pixels,
            landmarks_px=face.landmarks_px,
            name=face.name,
            score=face.score,
            interocular_px=face.interocular_px,
            face_count=face.face_count,
        )
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
