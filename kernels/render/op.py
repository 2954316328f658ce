"""render: frames of a face from coefficient vectors; displacement, shading and sensor noise in one integer pass."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import RangeError, ShapeError, UsageError
from ...limits import MAX_CHANNELS, MAX_COEFFICIENT_SUM_Q12, MAX_NOISE_LEVELS, MAX_RENDER_BYTES, MAX_WIDTH_PX, MAX_WORKERS
from .. import require
from ..registry import Op, core, core_missing, cpu_if_simd, simd_level
from . import ref, ref_motion

FORMATS = ("rgb", "planar", "yuv420")
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
        return core().RenderSource(self.pixels, self.basis)


class RenderCall(NamedTuple):
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
    onset: NDArray[np.int16] | None = None  # [K] Q12, where flow starts from
    flow: bool = False
    strain: bool = False


class Rendered(NamedTuple):
    """frames: uint8, see `render`. flow: float32 [T, H, W, 2] px, strain: float32 [T, H, W], or None where not asked for."""

    frames: NDArray[np.uint8]
    flow: NDArray[np.float32] | None
    strain: NDArray[np.float32] | None


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
    call = _checked(source, coefficients, format, noise_sigma, key, first_frame, simd, threads, out)
    rendered: Rendered = RENDER.run(call, cpu_if_simd("render", backend, simd))
    return rendered.frames


def render_with_motion(
    source: RenderSource,
    coefficients: NDArray[np.int16],
    *,
    onset: NDArray[np.int16] | None = None,
    flow: bool = True,
    strain: bool = True,
    format: str = "rgb",
    noise_sigma: float = 0.0,
    key: tuple[int, int] = (0, 0),
    first_frame: int = 0,
    backend: str = "auto",
    simd: str = "auto",
    threads: int = 1,
) -> Rendered:
    """Render frames and, in the same pass and from the same nodes, the exact flow and strain they show; the same bits on every backend.

    Args:
        onset: int16 [K] Q12, coefficients of the frame that the flow starts from; None = the source at rest.
        flow, strain: what to compute beside the frames.
        source, coefficients, format, noise_sigma, key, first_frame, backend, simd, threads: as for `render`.

    Returns:
        The frames; flow in px with frame(x + flow(x)) = onset(x), within 0.02 px for
        fields of slope up to 0.8, noise and shading excluded; strain sqrt(ux^2 + vy^2 + (uy + vx)^2 / 2) by central differences, one-sided
        at the border.

    Raises:
        As `render`; RangeError: frames below 2 x 2 px.
    """
    call = _checked(source, coefficients, format, noise_sigma, key, first_frame, simd, threads, None)
    frames, height, width = len(coefficients), *source.pixels.shape[:2]
    require.integer("render_with_motion: smaller side", min(height, width), 2, MAX_WIDTH_PX)
    require.integer("render_with_motion: frames * bytes", frames * height * width * 12, 1, MAX_RENDER_BYTES, "render fewer frames per call")
    if onset is not None:
        require.shape("render_with_motion: onset", onset, f"[{len(source.basis)}]", dtype="int16", hint="pass Q12, one frame")
        onset = np.ascontiguousarray(onset)
    rendered: Rendered = RENDER.run(call._replace(onset=onset, flow=flow, strain=strain), cpu_if_simd("render", backend, simd))
    return rendered


def _checked(
    source: RenderSource,
    coefficients: NDArray[np.int16],
    format: str,
    noise_sigma: float,
    key: tuple[int, int],
    first_frame: int,
    simd: str,
    threads: int,
    out: NDArray[np.uint8] | None,
) -> RenderCall:
    if not isinstance(source, RenderSource):
        raise UsageError(f"render: source is a {type(source).__name__}, expected a RenderSource; make one from pixels and basis")
    frames, channels = require.shape("render: coefficients", coefficients, "[T, K]", dtype="int16", hint="pass Q12, 4096 = 1.0")
    if channels != len(source.basis):
        raise ShapeError(f"render: coefficients have {channels} channels, expected {len(source.basis)}, one per basis grid")
    require.one_of("render: format", format, FORMATS)
    sigma = require.between("render: noise_sigma", noise_sigma, 0, MAX_NOISE_LEVELS)
    if not isinstance(key, (tuple, list)) or len(key) != 2:
        raise UsageError(f"render: key is {key!r}, expected two words (seed, clip)")
    words = tuple(require.integer("render: key", word, 0, UINT32) for word in key)
    require.integer("render: frames * bytes", frames * source.pixels.size, 1, MAX_RENDER_BYTES, "render fewer frames per call")
    if out is not None:
        require.shape("render: out", out, str(list(frame_shape(source, frames, format))), dtype="uint8", hint="pass an earlier result")
        if not (out.flags.c_contiguous and out.flags.writeable):
            raise UsageError("render: out is read-only or not contiguous, expected a writeable C-contiguous array; pass an earlier result")
    return RenderCall(
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


def _check_sums(coefficients: NDArray[np.int16]) -> None:
    sums = np.abs(coefficients, dtype=np.int32).sum(1)
    if int(sums.max()) > MAX_COEFFICIENT_SUM_Q12:
        frame, limit = int(sums.argmax()), MAX_COEFFICIENT_SUM_Q12
        raise RangeError(f"render: sum of |coefficients| is {sums[frame]} in frame {frame}, at most {limit}; scale them down")


@RENDER.backend("ref")
def _render_ref(call: RenderCall) -> Rendered:
    _check_sums(call.coefficients if call.onset is None else np.vstack([call.coefficients, call.onset]))
    frames = ref.render(call)
    if call.out is not None:
        call.out[...] = frames
        frames = call.out
    if not (call.flow or call.strain):
        return Rendered(frames, None, None)
    basis = call.source.basis[:, :2]
    later = np.stack([ref.sum_nodes(c, basis) for c in call.coefficients])
    onset = None if call.onset is None else ref.sum_nodes(call.onset, basis)
    height, width = call.source.pixels.shape[:2]
    return Rendered(frames, *ref_motion.motion(later, onset, height, width, call.flow, call.strain))


@RENDER.backend("cpu", missing=core_missing)
def _render_cpu(call: RenderCall) -> Rendered:
    native = core()
    level = simd_level("render", call.simd)
    shape = (len(call.coefficients), *call.source.pixels.shape[:2])
    flow = np.empty((*shape, 2), np.float32) if call.flow else None
    strain = np.empty(shape, np.float32) if call.strain else None
    onset = None if call.onset is None else call.onset[None]
    try:
        frames = native.render(
            call.source.native, call.coefficients, call.format, call.noise_q15, *call.key, call.first_frame, level, call.threads, call.out,
            onset, flow, strain,
        )  # fmt: skip
    except ValueError as error:  # the sums of the coefficients, which it adds up anyway
        raise RangeError(str(error)) from None
    return Rendered(frames, flow, strain)


def _frozen_copy(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only copy: what the reference reads can then never drift from what the native side has prepared."""
    copy = np.array(array, order="C")
    copy.setflags(write=False)
    return copy
