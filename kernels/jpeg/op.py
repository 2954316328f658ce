"""jpeg: YUV 4:2:0 frames to baseline JPEG files, the bytes of libjpeg's accurate integer transform on every path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import ShapeError, UsageError
from ...limits import MAX_WIDTH_PX
from .. import require
from ..registry import Op, core, core_missing, cpu_if_simd, simd_level
from . import ref

JPEG = Op("jpeg")


@dataclass(frozen=True)
class JpegCall:
    """What every backend of jpeg receives: arguments that passed the contract."""

    frames: NDArray[np.uint8]  # [T, bytes], contiguous
    size: tuple[int, int]  # height, width
    quality: int
    simd: str


def encode_jpeg(
    frames: NDArray[np.uint8], size: tuple[int, int], quality: int = 95, backend: str = "auto", simd: str = "auto"
) -> list[bytes]:
    """Encode frames as baseline JPEG 4:2:0 with standard Huffman tables; the same bytes on every backend and processor.

    Args:
        frames: uint8 [T, bytes], what `render` gives as "yuv420": Y [H, W], then Cb and Cr [(H + 1) // 2, (W + 1) // 2], full range.
        size: (H, W), 1 to 8192 px each. Odd sizes are filled up with the last row and column.
        quality: 1 to 100, the scale of libjpeg.
        backend: "auto", "cuda", "triton", "cpu" or "ref"; all but "auto" run or raise.
        simd: instruction set of the cpu backend: "auto", "scalar", "avx2" or "avx512"; all but "auto" run or raise.

    Returns:
        One JFIF file per frame.

    Raises:
        ShapeError: frames of another shape or dtype than size asks for.
        RangeError: a side or the quality outside its range.
        UsageError: size is not two numbers; an unknown backend or instruction set.
        BackendError: the backend or instruction set asked for cannot run here.

    Source: ITU-T T.81 (1992), Annex K; see ref.py.
    """
    if not isinstance(size, (tuple, list)) or len(size) != 2:
        raise UsageError(f"encode_jpeg: size is {size!r}, expected (height, width) in px")
    height = require.integer("encode_jpeg: height", size[0], 1, MAX_WIDTH_PX)
    width = require.integer("encode_jpeg: width", size[1], 1, MAX_WIDTH_PX)
    _, given = require.shape("encode_jpeg: frames", frames, "[T, bytes]", dtype="uint8", hint='pass what render gives as "yuv420"')
    expected = height * width + 2 * ((height + 1) // 2) * ((width + 1) // 2)
    if given != expected:
        raise ShapeError(
            f"encode_jpeg: frames have {given} bytes each, expected {expected} for yuv420 of {height} x {width} px; check size"
        )
    call = JpegCall(np.ascontiguousarray(frames), (height, width), require.integer("encode_jpeg: quality", quality, 1, 100), simd)
    files: list[bytes] = JPEG.run(call, cpu_if_simd("encode_jpeg", backend, simd))
    return files


JPEG.backend("ref")(ref.encode_jpeg)


@JPEG.backend("cpu", missing=core_missing)
def _encode_cpu(call: JpegCall) -> list[bytes]:
    height, width = call.size
    files: list[bytes] = core().encode_jpeg(call.frames, width, height, call.quality, simd_level("encode_jpeg", call.simd))
    return files
