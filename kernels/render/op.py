"""render: frames of a face from coefficient vectors; displacement, shading and sensor noise in one integer pass."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import BackendError, RangeError, ShapeError, UsageError
from ...limits import MAX_CHANNELS, MAX_COEFFICIENT_SUM_Q12, MAX_NOISE_LEVELS, MAX_RENDER_BYTES, MAX_WIDTH_PX, MAX_WORKERS
from .. import require
from ..registry import Op
from . import ref

FORMATS = ("rgb", "planar", "yuv420")
SIMD = ("auto", "scalar", "avx2", "avx512")
UINT32 = 2**32 - 1

RENDER = Op("render")


class RenderSource:
    """A face ready to be rendered: its pixels and one basis grid per coefficient, prepared natively on first use.

    Args:
        pixels: uint8 [H, W, 3] RGB, sides of 1 to 8192 px.
        basis: int16 [K, F, GH, GW], K of 1 to 128; F = 2: displacement x, y in Q9 px at coefficient 1; F = 3: and gain in Q14.
            GH = ceil(H / 4) + 1, GW = ceil(W / 4) + 1; node g lies on the pixel corner 4 g - 1/2. Displacement points from a pixel of
            the frame to its place in the source (backward).

    Raises:
        ShapeError: pixels or basis have another shape or dtype.
        RangeError: a side above 8192 px, more than 128 grids.
    """

    def __init__(self, pixels: NDArray[np.uint8], basis: NDArray[np.int16]) -> None:
        height, width, _ = require.shape("RenderSource: pixels", pixels, "[H, W, 3]", dtype="uint8", hint="pass an RGB image")
        channels, fields, *grid = require.shape("RenderSource: basis", basis, "[K, F, GH, GW]", dtype="int16")
        require.integer("RenderSource: height", height, 1, MAX_WIDTH_PX, "scale the image down")
        require.integer("RenderSource: width", width, 1, MAX_WIDTH_PX, "scale the image down")
        require.integer("RenderSource: channels", channels, 1, MAX_CHANNELS, "merge grids that always move together")
        if fields not in (2, 3):
            raise ShapeError(f"RenderSource: basis has {fields} fields, expected 2 (x, y) or 3 (x, y, gain)")
        expected = [ref.grid_size(height), ref.grid_size(width)]
        if grid != expected:
            raise ShapeError(f"RenderSource: basis grids are {grid} nodes, expected {expected} for an image of {height} x {width} px")
        self.pixels = _frozen_copy(pixels)
        self.basis = _frozen_copy(basis)

    @cached_property
    def native(self) -> Any:
        """The prepared face in the C++ runtime (`_core.RenderSource`)."""
        return _core().RenderSource(self.pixels, self.basis)


@dataclass(frozen=True)
class RenderCall:
    """What every backend of render receives: arguments that passed the contract."""

    source: RenderSource
    coefficients: NDArray[np.int16]  # [T, K] Q12
    format: str
    noise_q15: int
    key: tuple[int, int]
    first_frame: int
    simd: str
    threads: int
    out: NDArray[np.uint8] | None


def frame_shape(source: RenderSource, frames: int, format: str) -> tuple[int, ...]:
    """Shape of what `render` returns."""
    height, width, _ = source.pixels.shape
    if format == "yuv420":
        return frames, height * width + 2 * ((height + 1) // 2) * ((width + 1) // 2)
    return (frames, height, width, 3) if format == "rgb" else (frames, 3, height, width)


def noise_word(sigma: float) -> int:
    """Noise multiplier (Q15, 0..32767) of a Gaussian sigma in grey levels, 0 to 84; full at 83.8. Raises RangeError."""
    return ref.noise_word(require.between("noise_word: sigma", sigma, 0, MAX_NOISE_LEVELS))


def render(
    source: RenderSource,
    coefficients: NDArray[np.int16],
    *,
    format: str = "rgb",
    noise_sigma: float = 0.0,
    key: tuple[int, int] = (0, 0),
    first_frame: int = 0,
    backend: str = "auto",
    simd: str = "auto",
    threads: int = 1,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Render one frame per coefficient vector: the source, displaced, shaded and noisy. Byte-identical on every backend.

    Args:
        source: the face and its basis grids.
        coefficients: int16 [T, K] Q12 (4096 = the basis as given), sum of absolute values of a frame at most 32767.
        format: "rgb", "planar" or "yuv420" (JPEG's full-range YCbCr, chroma centred on its 2 x 2 px).
        noise_sigma: Gaussian sensor noise in grey levels, 0 to 84, added to every plane.
        key: two words 0..2**32 - 1 (seed, clip) that the noise depends on, with the frame number, plane and pixel.
        first_frame: frame number of the first frame, 0..2**32 - 1; a batch may be split anywhere without changing a byte.
        backend: "auto", "cuda", "triton", "cpu" or "ref"; all but "auto" run or raise.
        simd: instruction set of the cpu backend: "auto", "scalar", "avx2" or "avx512"; all but "auto" run or raise.
        threads: threads of the cpu backend, 1 to 256; any number gives the same bytes.
        out: array of the result's shape to fill and return, contiguous; an earlier result serves well. A new array of this size can cost
            the system more time (fresh memory pages) than rendering it.

    Returns:
        uint8 [T, H, W, 3] for "rgb", [T, 3, H, W] for "planar", [T, bytes] for "yuv420": Y, then Cb and Cr of half size.

    Raises:
        ShapeError: coefficients or out of another shape or dtype.
        RangeError: a number outside its range.
        UsageError: an unknown format, backend or instruction set.
        BackendError: the backend or instruction set asked for cannot run here.
    """
    if not isinstance(source, RenderSource):
        raise UsageError(f"render: source is a {type(source).__name__}, expected a RenderSource; make one from pixels and basis")
    frames, channels = require.shape("render: coefficients", coefficients, "[T, K]", dtype="int16", hint="pass Q12, 4096 = 1.0")
    if channels != len(source.basis):
        raise ShapeError(f"render: coefficients have {channels} channels, expected {len(source.basis)}, one per basis grid")
    sums = np.abs(coefficients.astype(np.int32)).sum(1)
    if int(sums.max()) > MAX_COEFFICIENT_SUM_Q12:
        frame, limit = int(sums.argmax()), MAX_COEFFICIENT_SUM_Q12
        raise RangeError(f"render: sum of |coefficients| is {sums[frame]} in frame {frame}, at most {limit}; scale them down")
    require.one_of("render: format", format, FORMATS)
    require.one_of("render: simd", simd, SIMD)
    sigma = require.between("render: noise_sigma", noise_sigma, 0, MAX_NOISE_LEVELS)
    if not isinstance(key, (tuple, list)) or len(key) != 2:
        raise UsageError(f"render: key is {key!r}, expected two words (seed, clip)")
    words = tuple(require.integer("render: key", word, 0, UINT32) for word in key)
    require.integer("render: frames * bytes", frames * source.pixels.size, 1, MAX_RENDER_BYTES, "render fewer frames per call")
    if out is not None:
        require.shape("render: out", out, str(list(frame_shape(source, frames, format))), dtype="uint8", hint="pass an earlier result")
        if not (out.flags.c_contiguous and out.flags.writeable):
            raise UsageError("render: out is read-only or not contiguous, expected a writeable C-contiguous array; pass an earlier result")
    call = RenderCall(
        source=source,
        coefficients=np.ascontiguousarray(coefficients),
        format=format,
        noise_q15=ref.noise_word(sigma),
        key=(words[0], words[1]),
        first_frame=require.integer("render: first_frame", first_frame, 0, UINT32),
        simd=simd,
        threads=require.integer("render: threads", threads, 1, MAX_WORKERS),
        out=out,
    )
    if simd != "auto":
        if backend not in ("auto", "cpu"):
            raise UsageError(f"render: simd {simd!r} belongs to backend 'cpu', but backend is {backend!r}; leave one of them out")
        backend = "cpu"
    rendered: NDArray[np.uint8] = RENDER.run(call, backend)
    return rendered


def _core() -> Any:
    return importlib.import_module("mie_engine._core")


def _core_missing() -> str | None:
    try:
        _core()
    except ImportError as error:
        return f"the C++ runtime cannot be loaded ({error}); reinstall mie-engine"
    return None


@RENDER.backend("ref")
def _render_ref(call: RenderCall) -> NDArray[np.uint8]:
    frames = ref.render(call)
    if call.out is None:
        return frames
    call.out[...] = frames
    return call.out


@RENDER.backend("cpu", missing=_core_missing)
def _render_cpu(call: RenderCall) -> NDArray[np.uint8]:
    core = _core()
    levels = core.simd_levels()
    level = levels[-1] if call.simd == "auto" else call.simd
    if level not in levels:
        raise BackendError(f"render: simd {level!r} cannot run on this processor, which has {', '.join(levels)}")
    frames: NDArray[np.uint8] = core.render(
        call.source.native, call.coefficients, call.format, call.noise_q15, *call.key, call.first_frame, level, call.threads, call.out
    )
    return frames


def _frozen_copy(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only copy: what the reference reads can then never drift from what the native side has prepared."""
    copy = np.array(array, order="C")
    copy.setflags(write=False)
    return copy
