"""Faces: an image in, one aligned square crop with its 478 landmarks out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from mie_engine import _core, limits
from mie_engine.errors import InputError, RangeError, ShapeError
from mie_engine.runtime.decode import decode_rgb
from mie_engine.runtime.files import StrPath, read_file
from mie_engine.runtime.image import as_rgb

LANDMARKS = 478  # 468 of the mesh, then 5 of each iris: centre, right, top, left, bottom (in the image)
RIGHT_IRIS, LEFT_IRIS = 468, 473  # the subject's right and left


@dataclass(frozen=True, eq=False)
class Face:
    """One aligned face; make it with `load`, `from_array` or `from_landmarks`.

    The crop has level eyes (line between the midpoints of the eye corners), is a similarity of the source, centred on the box that the
    turned landmarks span, with side = 1.35 x the longer side of that box, antialiased; outside the image its edge is repeated.

    Attributes:
        pixels: uint8 [S, S, 3] RGB, read-only.
        landmarks_px: float64 [478, 3], pixels of the crop (centres at integers), z in the same scale, smaller is nearer; read-only.
        name: file stem, or what the caller said.
        source_sha256: of the file's bytes; of shape and pixels for an array.
        score: of the detector, 0.5..1; 1 for given landmarks.
        interocular_px: between the iris centres, in the source image.
        face_count: faces found in the source; this is the largest.
    """

    pixels: np.ndarray[Any, Any]
    landmarks_px: np.ndarray[Any, Any]
    name: str
    source_sha256: str
    score: float
    interocular_px: float
    face_count: int = 1

    def __post_init__(self) -> None:
        for array in (self.pixels, self.landmarks_px):
            array.setflags(write=False)

    @property
    def size(self) -> int:
        """Side of the crop, px."""
        return int(self.pixels.shape[0])

    @classmethod
    def load(cls, path: StrPath, size: int = 256) -> Face:
        """Read an image file and align its largest face.

        Args:
            path: JPEG, PNG or WebP, see `load_rgb`.
            size: side of the crop, limits.MIN_SIZE_PX..MAX_SIZE_PX px.

        Returns:
            The face, named after the file.

        Raises:
            InputError: the file is refused, or shows no face or too small a one. RangeError: size.
        """
        data = read_file(path)
        return _find(decode_rgb(data, str(path)), size, str(path), Path(path).stem, hashlib.sha256(data).hexdigest())

    @classmethod
    def from_array(cls, rgb: object, size: int = 256, name: str = "array") -> Face:
        """Align the largest face of an image array.

        Args:
            rgb: as `as_rgb` takes it.
            size: side of the crop, px.
            name: of the face.

        Returns:
            The face.

        Raises:
            InputError: no face or too small a one, or as `as_rgb`. RangeError: size.
        """
        pixels = as_rgb(rgb)
        return _find(pixels, size, name, name, _sha256_of(pixels))

    @classmethod
    def from_landmarks(cls, rgb: object, landmarks_px: object, size: int = 256, name: str = "array") -> Face:
        """Align a face whose landmarks are known; runs no network.

        Args:
            rgb: as `as_rgb` takes it.
            landmarks_px: [478, 3] finite numbers, pixels of `rgb`, within one image size of it.
            size: side of the crop, px.
            name: of the face.

        Returns:
            The face.

        Raises:
            ShapeError: landmarks of another shape. InputError: landmarks that are not finite, far away or too small. RangeError: size.
        """
        pixels = as_rgb(rgb)
        return _align(pixels, landmarks_px, size, name, name=name, source_sha256=_sha256_of(pixels))

    def mirrored(self) -> Face:
        """Return the face seen in a mirror: pixels flipped, landmarks flipped and renumbered (left eye becomes right eye)."""
        landmarks = self.landmarks_px[_mirror_order()]
        landmarks[:, 0] = (self.size - 1) - landmarks[:, 0]
        flipped = np.ascontiguousarray(self.pixels[:, ::-1])
        return Face(flipped, landmarks, self.name, self.source_sha256, self.score, self.interocular_px, self.face_count)


def _find(pixels: np.ndarray[Any, Any], size: int, source: str, name: str, sha256: str) -> Face:
    from mie_engine.models.face_mesh import FaceMesh

    _check_crop(size)
    found = FaceMesh.shared().find(pixels)
    if not found:
        height, width = pixels.shape[:2]
        hint = "use a frontal photograph in which the face fills at least a fifth of the longer side"
        raise InputError(f"{source}: no face found in {width} x {height} px; {hint}")
    face = found[0]
    return _align(pixels, face.landmarks, size, source, name=name, source_sha256=sha256, score=face.score, face_count=len(found))


def _align(
    pixels: np.ndarray[Any, Any],
    landmarks: object,
    size: int,
    source: str,
    *,
    name: str,
    source_sha256: str,
    score: float = 1.0,
    face_count: int = 1,
) -> Face:
    _check_crop(size)
    try:
        points = np.array(landmarks, np.float64)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{source}: landmarks are not numbers ({error})") from error
    if points.shape != (LANDMARKS, 3):
        raise ShapeError(f"{source}: landmarks have shape {list(points.shape)}, expected [{LANDMARKS}, 3]")
    height, width = pixels.shape[:2]
    extent = max(width, height)
    if not np.isfinite(points).all() or (np.abs(points - [width / 2, height / 2, 0]) > 1.5 * extent).any():
        raise InputError(f"{source}: landmarks must be finite and lie within one image size of the {width} x {height} px image")
    dx, dy = points[LEFT_IRIS, :2] - points[RIGHT_IRIS, :2]
    interocular_px = float(np.sqrt(dx * dx + dy * dy))
    if interocular_px < limits.MIN_FACE_INTEROCULAR_PX:
        allowed = limits.MIN_FACE_INTEROCULAR_PX
        raise InputError(f"{source}: the eyes are {interocular_px:.1f} px apart, at least {allowed:g} px are needed; use a larger image")
    try:
        crop, moved = _core.align_face(pixels, points, size)
    except ValueError as error:
        raise InputError(f"{source}: {error}") from error
    return Face(crop, moved, name, source_sha256, score, interocular_px, face_count)


def _check_crop(size: int) -> None:
    if not limits.MIN_SIZE_PX <= size <= limits.MAX_SIZE_PX:
        raise RangeError(f"size is {size}, allowed are {limits.MIN_SIZE_PX}..{limits.MAX_SIZE_PX} px")


def _sha256_of(pixels: np.ndarray[Any, Any]) -> str:
    digest = hashlib.sha256(f"{pixels.shape[0]}x{pixels.shape[1]} ".encode())
    digest.update(pixels.data)
    return digest.hexdigest()


@cache
def _mirror_order() -> np.ndarray[Any, Any]:
    text = (resources.files("mie_engine") / "assets" / "mirror478.json").read_text("utf-8")
    return np.array(json.loads(text), np.intp)
