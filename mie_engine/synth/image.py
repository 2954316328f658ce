"""Images in: regular files of three formats, folders of them, and arrays; always returned as uint8 RGB."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mie_engine import limits
from mie_engine.errors import InputError, RangeError, ShapeError
from mie_engine.runtime.decode import check_size, to_rgb8
from mie_engine.runtime.files import StrPath

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
PLAN_FILE, PREVIEW_FILE = "plan.json", "preview.png"  # of a dataset: what shows that a picture is its contact sheet


def as_rgb(array: object) -> np.ndarray[Any, Any]:
    """Bring an image array to uint8 RGB.

    Args:
        array: uint8 or uint16 (0..65535) or float (0..1), [H, W] or [H, W, 1] grey, [H, W, 3] RGB, [H, W, 4] RGB and alpha.

    Returns:
        uint8 [H, W, 3], C-contiguous; the argument itself where nothing had to change.

    Raises:
        ShapeError: another shape or dtype. RangeError: floats outside 0..1. InputError: not finite, too small or too large.
    """
    try:
        given = np.asarray(array)
    except ValueError as error:
        raise ShapeError(f"not an image array ({error})") from error
    pixels = given
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4):
        raise ShapeError(f"image array has shape {list(given.shape)}, expected [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]")
    check_size(pixels.shape[1], pixels.shape[0], "image array")
    if pixels.dtype.kind == "f":
        if not np.isfinite(pixels).all():
            raise InputError("image array holds NaN or infinity; every sample must lie in 0..1")
        low, high = float(pixels.min()), float(pixels.max())
        if low < 0 or high > 1:
            raise RangeError(f"float image array spans {low:g}..{high:g}, allowed is 0..1; divide by the peak value or pass uint8")
        pixels = np.rint(pixels.astype(np.float64) * 65535).astype(np.uint16)  # k / 255 becomes 257 k: 8 bits survive
    elif pixels.dtype.kind != "u" or pixels.dtype.itemsize > 2:
        raise ShapeError(f"image array has dtype {pixels.dtype}, expected uint8, uint16 or float in 0..1")
    return to_rgb8(pixels)


def find_images(paths: StrPath | Sequence[StrPath]) -> list[Path]:
    """List the images named by files, folders and glob patterns.

    Args:
        paths: each a file (any name), a folder (searched recursively; links to folders are not followed, contact sheets of datasets
            are left out) or a glob pattern. Folders and patterns yield names that end in SUFFIXES, in any case, and are not hidden.

    Returns:
        Paths in the order given, sorted within a folder or pattern, each once.

    Raises:
        InputError: nothing found, a name that does not exist, or more than limits.MAX_FACES files.
    """
    given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    found: dict[Path, None] = {}
    for path in given:
        for image in _expand(Path(path)):
            found[image] = None
            if len(found) > limits.MAX_FACES:
                raise InputError(f"{path}: more than {limits.MAX_FACES} images; split the input")
    if not found:
        raise InputError(f"no image in {', '.join(map(str, given)) or 'an empty list'}; looked for {' '.join(SUFFIXES)}")
    return list(found)


def _expand(path: Path) -> Iterator[Path]:
    try:
        if path.is_dir():
            yield from _walk(path)
        elif os.path.lexists(path):
            yield path
        elif any(character in str(path) for character in "*?["):
            anchor = Path(path.anchor)
            yield from (match for match in sorted(anchor.glob(str(path.relative_to(anchor)))) if _is_image_name(match.name))
        else:
            raise InputError(f"{path}: no such file or folder")
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r}: cannot be searched ({error})") from error


def _walk(top: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise error  # os.walk would leave the folder out without a word

    for folder, folders, names in os.walk(top, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if PLAN_FILE in names and PREVIEW_FILE in names:  # a dataset made below its faces: its contact sheet is no face
            names.remove(PREVIEW_FILE)
        yield from (Path(folder, name) for name in sorted(names) if _is_image_name(name))


def _is_image_name(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")
