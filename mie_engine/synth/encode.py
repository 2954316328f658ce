"""encode: frames -> image files. JPEG straight from YUV 4:2:0 planes through libjpeg-turbo; PNG when pixels must survive."""
from __future__ import annotations

import importlib.metadata
import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _core
from ..errors import RangeError, UsageError


@dataclass(frozen=True)
class EncoderSpec:
    """What frames are encoded with; part of the plan, because another encoder writes other bytes.

    format: "jpeg" (4:2:0, integer DCT) or "png". quality: 1 to 100, JPEG only.
    library: name and version of the library that does it; filled in by `of`.
    """

    format: str = "jpeg"
    quality: int = 95
    library: str = ""

    @classmethod
    def of(cls, format: str = "jpeg", quality: int = 95) -> EncoderSpec:
        """The encoder that this installation uses for `format`."""
        if format not in ("jpeg", "png"):
            raise UsageError(f"encoder: format is {format!r}, expected 'jpeg' or 'png'")
        if not 1 <= quality <= 100:
            raise RangeError(f"encoder: quality is {quality}, allowed is 1 to 100")
        if format == "png":
            return cls("png", 0, f"pillow {importlib.metadata.version('pillow')}")
        return cls("jpeg", quality, _core.JPEG_LIBRARY or f"simplejpeg {importlib.metadata.version('simplejpeg')}")

    @property
    def suffix(self) -> str:
        return "jpg" if self.format == "jpeg" else "png"

    @property
    def frame_format(self) -> str:
        """The render format it takes: "yuv420" or "rgb"."""
        return "yuv420" if self.format == "jpeg" else "rgb"

    def open(self) -> _core.FrameEncoder:
        """A ready encoder; one per thread."""
        if self.format == "png":
            return _core.callback_encoder("rgb", _encode_png)
        if self.library.startswith("simplejpeg"):
            return _core.callback_encoder("yuv420", _YuvToJpeg(self.quality))
        return _core.jpeg_encoder(self.quality)


def _encode_png(frame: memoryview, width: int, height: int) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.frombuffer("RGB", (width, height), frame, "raw", "RGB", 0, 1).save(file, "PNG", compress_level=1)
    return file.getvalue()


class _YuvToJpeg:
    """libjpeg-turbo by way of simplejpeg, where libmie was built without the library's headers."""

    def __init__(self, quality: int) -> None:
        self.quality = quality

    def __call__(self, frame: memoryview, width: int, height: int) -> Any:
        import simplejpeg

        y = np.frombuffer(frame, np.uint8)
        chroma = (height + 1) // 2, (width + 1) // 2
        luma_size, chroma_size = width * height, chroma[0] * chroma[1]
        return simplejpeg.encode_jpeg_yuv_planes(
            y[:luma_size].reshape(height, width),
            y[luma_size : luma_size + chroma_size].reshape(chroma),
            y[luma_size + chroma_size :].reshape(chroma),
            self.quality,
        )
