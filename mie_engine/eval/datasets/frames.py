"""Onset and apex images -> the layout crop, frozen at the onset -> flow maps."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ... import _core, kernels
from ...errors import InputError
from ...models.face_mesh import FaceMesh
from ...runtime.decode import check_size, decode_rgb
from ...runtime.image import read_image_bytes
from ..table import Clip, Maps, Table
from .coding import Notes

CROP_PX = 224


def table(clips: Sequence[Clip], side: int, notes: Sequence[str]) -> Table:
    """Make the maps of clips, `side` px each; a clip whose onset shows no face is left out and noted.

    Raises:
        InputError: an image that cannot be read, or no clip with a face.
    """
    missed, kept, maps = Notes(), list[Clip](), list[Maps]()
    for clip in clips:
        assert clip.frames is not None
        data = [read_image_bytes(path) for path in clip.frames]
        onset, apex = (_rgb(content, path) for content, path in zip(data, clip.frames, strict=True))
        faces = FaceMesh.shared().find(onset, 1)
        if not faces or onset.shape != apex.shape:
            kind = "no face in the onset frame" if not faces else "onset and apex of different sizes"
            missed.add(f"{kind}, clip left out", str(clip.frames[0]))
            continue
        crop = _core.layout_crop(faces[0].landmarks, CROP_PX)
        first, later = (kernels.align(image, crop, CROP_PX, output="grey")[None] for image in (onset, apex))
        maps.append(kernels.flow_maps(first, later, side=side)[0])
        kept.append(replace(clip, digest=hashlib.sha256(b"".join(data)).hexdigest()))
    if not kept:
        raise InputError(f"no clip of {len(clips)} shows a face at its onset. {' '.join(missed.lines())}".strip())
    return Table.of(kept, np.concatenate(maps), (*notes, *missed.lines()))


def _rgb(data: bytes, path: Path) -> npt.NDArray[np.uint8]:
    if not data.startswith(b"BM"):
        return decode_rgb(data, str(path))
    from PIL import Image

    try:  # SMIC is published as bitmaps
        image = Image.open(io.BytesIO(data), formats=["BMP"])
        check_size(image.width, image.height, str(path))
        return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as problem:
        raise InputError(f"{path}: damaged or truncated ({problem}); save the image again") from problem
