"""Onset and apex images of clips -> what a recogniser takes."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...models.pairs import prepared
from ...runtime.decode import check_size, decode_rgb
from ...runtime.files import read_file
from ..table import Clip, Progress, Table
from .coding import Notes

Pixels = npt.NDArray[np.uint8]


def table(clips: Sequence[Clip], side: int, inputs: str, notes: Sequence[str], progress: Progress) -> Table:
    """Prepare clips; one whose onset shows no face is left out and noted. Arguments as models.pairs.prepared.

    Raises:
        InputError: an image that cannot be read, or no clip with a face.
    """
    digests: list[str] = []

    def images() -> Iterator[tuple[Pixels, Pixels]]:
        for clip in clips:
            assert clip.frames is not None
            data = [read_file(path) for path in clip.frames]
            digests.append(hashlib.sha256(b"".join(data)).hexdigest())
            yield _rgb(data[0], clip.frames[0]), _rgb(data[1], clip.frames[1])
            progress("clips", len(clips), 1)

    made = list(prepared(images(), inputs, side))
    missed = Notes()
    for clip, sample in zip(clips, made, strict=True):
        if sample is None:
            missed.add("no face in the onset frame, or an apex of another size, clip left out", f"{clip.corpus}: {clip.where}")
    kept = [replace(clip, digest=digest) for clip, digest, sample in zip(clips, digests, made, strict=True) if sample is not None]
    if not kept:
        raise InputError(f"no clip of {len(clips)} shows a face at its onset. {' '.join(missed.lines())}".strip())
    return Table.of(kept, np.stack([sample for sample in made if sample is not None]), (*notes, *missed.lines()))


def _rgb(data: bytes, path: Path) -> Pixels:
    if not data.startswith(b"BM"):
        return decode_rgb(data, str(path))
    from PIL import Image

    try:  # SMIC is published as bitmaps
        image = Image.open(io.BytesIO(data), formats=["BMP"])
        check_size(image.width, image.height, str(path))
        return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as problem:
        raise InputError(f"{path}: damaged or truncated ({problem}); save the image again") from problem
