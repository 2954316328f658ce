"""encode: frames -> image files. JPEG straight from YUV 4:2:0 planes through kernels/jpeg; PNG when pixels must survive."""

from __future__ import annotations

import importlib.metadata
import io

import numpy as np

from .. import _core, kernels
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
    return Encoder(format, quality, f"mie jpeg {_core.JPEG_VERSION}")


def suffix(encoder: Encoder) -> str:
    """Ending of the files it writes."""
    return "jpg" if encoder.format == "jpeg" else "png"


def frame_format(encoder: Encoder) -> str:
    """The render format it takes."""
    return "yuv420" if encoder.format == "jpeg" else "rgb"


def open_encoder(encoder: Encoder, simd: str = "auto") -> _core.FrameEncoder:
    """A ready encoder; one per thread. simd: level of the JPEG encoder, all give the same bytes."""
    if encoder.format == "png":
        return _core.callback_encoder("rgb", _encode_png)
    return _core.jpeg_encoder(encoder.quality, kernels.simd_level("encode_jpeg", simd))


def _encode_png(frame: memoryview, width: int, height: int) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.asarray(frame, np.uint8).reshape(height, width, 3)).save(file, "PNG", compress_level=1)
    return file.getvalue()
