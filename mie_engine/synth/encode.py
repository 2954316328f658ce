"""encode: frames -> image files. JPEG straight from YUV 4:2:0 planes through libjpeg-turbo; PNG when pixels must survive."""

from __future__ import annotations

import importlib.metadata
import io
from typing import Any

import numpy as np

from .. import _core
from ..errors import PlanError
from .plan import Encoder


def encoder_of(format: str = "jpeg", quality: int = 95) -> Encoder:
    """The encoder that this installation uses for `format`; its library is part of the plan, because another one writes other bytes.

    Args:
        format: "jpeg" (4:2:0, integer DCT) or "png".
        quality: 1 to 100, JPEG only.

    Raises:
        UsageError, RangeError: see Encoder.
    """
    if format == "png":
        return Encoder("png", 100, f"pillow {importlib.metadata.version('pillow')}")
    return Encoder(format, quality, _core.JPEG_LIBRARY or f"simplejpeg {importlib.metadata.version('simplejpeg')}")


def require_encoder(encoder: Encoder) -> None:
    """Refuse a plan whose encoder is not the one installed: its shards could not be finished with the same bytes.

    Raises:
        PlanError: another library or version.
    """
    here = encoder_of(encoder.format, encoder.quality)
    if here != encoder:
        raise PlanError(
            f"the plan encodes with {encoder.library}, here is {here.library}: install that version, "
            "or make a new dataset in another folder."
        )


def suffix(encoder: Encoder) -> str:
    """Ending of the files it writes."""
    return "jpg" if encoder.format == "jpeg" else "png"


def frame_format(encoder: Encoder) -> str:
    """The render format it takes."""
    return "yuv420" if encoder.format == "jpeg" else "rgb"


def open_encoder(encoder: Encoder) -> _core.FrameEncoder:
    """A ready encoder; one per thread."""
    if encoder.format == "png":
        return _core.callback_encoder("rgb", _encode_png)
    if _core.JPEG_LIBRARY:
        return _core.jpeg_encoder(encoder.quality)
    return _core.callback_encoder("yuv420", _YuvToJpeg(encoder.quality))


def _encode_png(frame: memoryview, width: int, height: int) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.asarray(frame, np.uint8).reshape(height, width, 3)).save(file, "PNG", compress_level=1)
    return file.getvalue()


class _YuvToJpeg:
    """libjpeg-turbo by way of simplejpeg, where libmie was built without the library's headers."""

    def __init__(self, quality: int) -> None:
        self.quality = quality

    def __call__(self, frame: memoryview, width: int, height: int) -> Any:
        import simplejpeg

        y = np.asarray(frame, np.uint8)
        chroma = (height + 1) // 2, (width + 1) // 2
        luma_size, chroma_size = width * height, chroma[0] * chroma[1]
        return simplejpeg.encode_jpeg_yuv_planes(
            y[:luma_size].reshape(height, width),
            y[luma_size : luma_size + chroma_size].reshape(chroma),
            y[luma_size + chroma_size :].reshape(chroma),
            self.quality,
        )
