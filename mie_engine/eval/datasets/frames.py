"""Onset and apex images -> the layout crop, frozen at the onset -> flow maps."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ... import _core, kernels
from ...errors import InputError
from ...models.face_mesh import FaceMesh
from ...runtime.decode import check_size, decode_rgb
from ...runtime.files import read_image_bytes
from ..table import Clip, Maps, Table
from .coding import Notes

CROP_PX = 224
BATCH = 32  # pairs whose flow is worked out at once


def table(clips: Sequence[Clip], side: int, notes: Sequence[str]) -> Table:
    """Make the maps of clips; a clip whose onset shows no face is left out and noted.

    Args:
        clips: with frames. side: of the maps, px. notes: to keep.

    Raises:
        InputError: an image that cannot be read, or no clip with a face.
    """
    missed: dict[str, Notes] = {}
    kept: list[Clip] = []
    digests: list[str] = []
    crops: list[npt.NDArray[np.uint8]] = []
    maps: list[Maps] = []

    def flush() -> None:
        if crops:
            pairs = np.stack(crops)
            maps.append(kernels.flow_maps(np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1]), side=side)[0])
            crops.clear()

    for clip in clips:
        assert clip.frames is not None
        data = [read_image_bytes(path) for path in clip.frames]
        onset, apex = (_rgb(content, path) for content, path in zip(data, clip.frames, strict=True))
        faces = FaceMesh.shared().find(onset, 1)
        if not faces or onset.shape != apex.shape:
            reason = "no face in the onset frame" if not faces else "onset and apex of different sizes"
            missed.setdefault(clip.corpus, Notes(clip.corpus)).add(f"{reason}, clip left out", str(clip.frames[0]))
            continue
        crop = _core.layout_crop(faces[0].landmarks, CROP_PX)
        crops.append(np.stack([kernels.align(image, crop, CROP_PX, output="grey") for image in (onset, apex)]))
        digests.append(hashlib.sha256(b"".join(data)).hexdigest())
        kept.append(clip)
        if len(crops) == BATCH:
            flush()
    flush()
    said = [line for place in missed.values() for line in place.lines()]
    if not kept:
        raise InputError(f"no clip of {len(clips)} shows a face at its onset. {' '.join(said)}".strip())
    return Table.of(kept, np.concatenate(maps), digests, (*notes, *said))


def _rgb(data: bytes, path: Path) -> npt.NDArray[np.uint8]:
    if not data.startswith(b"BM"):
        return decode_rgb(data, str(path))
    from PIL import Image

    try:  # SMIC is published as bitmaps
        image = Image.open(io.BytesIO(data), formats=["BMP"])
        check_size(image.width, image.height, str(path))
        return np.asarray(image.convert("RGB"))
    except InputError:
        raise
    except Exception as problem:  # Pillow answers damage with a dozen types
        raise InputError(f"{path}: damaged or truncated ({problem}); save the image again") from problem
