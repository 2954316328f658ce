"""Images in: regular files of three formats, and arrays; always returned as uint8 RGB."""

from __future__ import annotations

from typing import Any

import numpy as np

from mie_engine.errors import InputError, RangeError, ShapeError
from mie_engine.runtime.decode import check_size, decode_rgb, to_rgb8
from mie_engine.runtime.files import StrPath, read_file

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def load_rgb(path: StrPath) -> np.ndarray[Any, Any]:
    """Read a JPEG, PNG or WebP file, told apart by content.

    Args:
        path: a regular file within limits.MAX_IMAGE_BYTES and limits.MAX_IMAGE_PIXELS; the header is checked before decoding.

    Returns:
        uint8 [H, W, 3] RGB, upright (EXIF orientation applied; an unreadable EXIF block counts as none). Grey, palette, CMYK and
        16-bit images are converted (16 bits scaled and rounded), transparency is laid over mid-grey, colour profiles are ignored,
        of several pictures in one JPEG (depth or gain maps of telephones) the first is taken.

    Raises:
        InputError: naming the file: unreadable, another format, too large, truncated, damaged, or an animation.
    """
    return decode_rgb(read_file(path), str(path))


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


def is_image_name(name: str) -> bool:
    """Whether a file of this name is taken for an image: one of SUFFIXES in any case, not hidden."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")
