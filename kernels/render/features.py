"""features: 28 x 28 training maps of the exact flow of rendered frames, with the nuisances of a real flow estimate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import RangeError, ShapeError, UsageError
from ...limits import (
    MAX_BLUR_SIGMA,
    MAX_CHANNELS,
    MAX_COEFFICIENT_SUM_Q12,
    MAX_LATTICE_PX,
    MAX_RENDER_BYTES,
    MAX_WIDTH_PX,
    MIN_BLUR_SIGMA,
)
from .. import require
from ..registry import Op, core, core_missing, simd_level
from . import ref_features
from .ref_features import LATTICE, Batch

FEATURES = Op("features")

BLUR_TAPS = 13
Features = tuple[NDArray[np.uint8], NDArray[np.float32]]


def features(
    basis: NDArray[np.int16],
    coefficients: NDArray[np.int16],
    *,
    relative: NDArray[np.int16] | None = None,
    channel_peak_q7: NDArray[np.int32] | None = None,
    lattice: NDArray[np.int32],
    turn: NDArray[np.int16],
    patch_sigma: NDArray[np.floating[Any]] | None = None,
    patch_strength: float = 0.0,
    noise_sigma: NDArray[np.floating[Any]] | None = None,
    noise_level: NDArray[np.floating[Any]] | None = None,
    keys: NDArray[np.uint32] | None = None,
    backend: str = "auto",
) -> Features:
    """28 x 28 maps of (u, v, strain) of the exact motion of one face, without pixels in between; byte-identical on every backend.

    Args:
        basis: int16 [K, F, GH, GW] Q9 px at coefficient 1, F = 2 or 3 (gain, not used), K of 1 to 128: the grids of a RenderSource.
        coefficients: int16 [N, K] Q12 of the later frame (the onset is at rest), sum of absolute values at most 32767.
        relative: int16 [N, K] Q12 or None: channels added as a fraction of the peak displacement of `coefficients` (blink, head pose).
            In channel order the additions share what the sum of absolute values leaves of 32767.
        channel_peak_q7: int32 [K] Q7 px, largest displacement of each channel at coefficient 1, above 0 where relative is used.
        lattice: int32 [N, 6] Q16 px (ox, oy, xx, xy, yx, yy): point (i across, j down) of the 56 x 56 lattice lies in the source at
            x = ox + i xx + j xy, y = oy + i yx + j yy, within +-16384 px.
        turn: int16 [N, 4] Q12, 2 x 2 matrix by rows that takes source px to lattice px, -8..8.
        patch_sigma: float [N], 0.5 to 4 lattice px, blur of the patchy gain exp(a m - a), m of unit variance; needed when a > 0.
        patch_strength: a, 0 to 1; 0 is off.
        noise_sigma: float [N], 0.5 to 4 lattice px, blur of the flow noise, or None for no noise.
        noise_level: float [N], 0 to 1, deviation of the noise as a fraction of the peak flow; needed with noise_sigma.
        keys: uint32 [N, 2], noise key of each sample; needed with patches or noise. A sample depends on nothing but its own row.
        backend: "auto", "cpu" or "ref"; all but "auto" run or raise.

    Returns:
        maps uint8 [N, 28, 28, 3], each channel scaled from its least to its largest value onto 0..255 (constant: 0); and ranges float32
        [N, 3, 2], these values: u and v in lattice px, strain.

    Raises:
        ShapeError: an array of another shape or dtype.
        RangeError: a number outside its range.
        UsageError: an argument that another one needs is missing, an unknown backend.
        BackendError: the backend asked for cannot run here.
    """
    channels, fields, rows, columns = require.shape("features: basis", basis, "[K, F, GH, GW]", dtype="int16")
    require.integer("features: channels", channels, 1, MAX_CHANNELS, "merge grids that always move together")
    if fields not in (2, 3) or min(rows, columns) < 2 or max(rows, columns) > MAX_WIDTH_PX // 4 + 1:
        raise ShapeError(
            f"features: basis has shape {list(basis.shape)}, expected 2 or 3 fields of 2 to {MAX_WIDTH_PX // 4 + 1} nodes a side"
        )
    count, _ = require.shape("features: coefficients", coefficients, f"[N, {channels}]", dtype="int16", hint="pass Q12, 4096 = 1.0")
    require.integer("features: samples * bytes", count * (LATTICE // 2) ** 2 * 3, 1, MAX_RENDER_BYTES, "pass fewer samples per call")
    sums = np.abs(coefficients.astype(np.int32)).sum(1)
    if int(sums.max()) > MAX_COEFFICIENT_SUM_Q12:
        sample = int(sums.argmax())
        raise RangeError(
            f"features: sum of |coefficients| is {sums[sample]} in sample {sample}, at most {MAX_COEFFICIENT_SUM_Q12}; scale down"
        )
    peaks = None if relative is None else _check_relative(relative, channel_peak_q7, count, channels)
    require.shape("features: turn", turn, f"[{count}, 4]", dtype="int16", hint="pass Q12, 4096 = 1.0")
    _check_lattice(lattice, count)

    strength = require.between("features: patch_strength", patch_strength, 0, 1)
    patch_blur = noise_blur = level_q12 = None
    if strength > 0:
        if patch_sigma is None:
            raise UsageError(f"features: patch_strength is {strength} but patch_sigma is missing; pass one sigma per sample, or strength 0")
        patch_blur = _blur_weights("patch_sigma", patch_sigma, count)
    if (noise_sigma is None) != (noise_level is None):
        raise UsageError("features: noise_sigma and noise_level belong together; pass both or neither")
    if noise_sigma is not None and noise_level is not None:
        noise_blur = _blur_weights("noise_sigma", noise_sigma, count)
        level_q12 = np.rint(_check_floats("noise_level", noise_level, count, 0, 1) * 4096).astype(np.int16)
    if patch_blur is not None or noise_blur is not None:
        if keys is None:
            raise UsageError("features: keys are missing; patchy gain and noise need uint32 [N, 2]")
        require.shape("features: keys", keys, f"[{count}, 2]", dtype="uint32")
    batch = Batch(
        basis=np.ascontiguousarray(basis),
        coefficients=np.ascontiguousarray(coefficients),
        relative=None if relative is None else np.ascontiguousarray(relative),
        channel_peak_q7=None if peaks is None else np.ascontiguousarray(peaks),
        lattice=np.ascontiguousarray(lattice),
        turn=np.ascontiguousarray(turn),
        patch_blur=patch_blur,
        patch_log2_q12=round(strength * math.log2(math.e) * 4096),
        noise_blur=noise_blur,
        noise_level_q12=level_q12,
        keys=None if keys is None else np.ascontiguousarray(keys),
    )
    result: Features = FEATURES.run(batch, backend)
    return result


def _check_relative(relative: NDArray[np.int16], channel_peak_q7: NDArray[np.int32] | None, count: int, channels: int) -> NDArray[np.int32]:
    require.shape("features: relative", relative, f"[{count}, {channels}]", dtype="int16", hint="pass Q12, 4096 = the peak itself")
    if channel_peak_q7 is None:
        raise UsageError("features: channel_peak_q7 is missing; relative needs the peak displacement of each channel, int32 [K] Q7 px")
    require.shape("features: channel_peak_q7", channel_peak_q7, f"[{channels}]", dtype="int32")
    bad = np.flatnonzero(relative.any(0) & (channel_peak_q7 <= 0))
    if len(bad):
        raise RangeError(
            f"features: channel_peak_q7 is {channel_peak_q7[bad[0]]} in channel {bad[0]}, must be above 0 where relative is used"
        )
    return channel_peak_q7


def _check_lattice(lattice: NDArray[np.int32], count: int) -> None:
    require.shape("features: lattice", lattice, f"[{count}, 6]", dtype="int32", hint="pass Q16 px: ox oy xx xy yx yy")
    ox, oy, *axes = lattice.astype(np.int64).T
    across, down = np.stack(axes[::2]), np.stack(axes[1::2])
    corners = np.stack([np.stack([ox, oy]) + (LATTICE - 1) * (i * across + j * down) for i in (0, 1) for j in (0, 1)])
    farthest = int(abs(corners).max())
    if farthest >= MAX_LATTICE_PX << 16:
        raise RangeError(f"features: lattice reaches {farthest / 65536:.1f} px from the origin, allowed is below {MAX_LATTICE_PX}")


def _check_floats(name: str, values: NDArray[np.floating[Any]], count: int, low: float, high: float) -> NDArray[np.float64]:
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f" or values.shape != (count,):
        given = f"{values.dtype} {list(values.shape)}" if isinstance(values, np.ndarray) else type(values).__name__
        raise ShapeError(f"features: {name} is {given}, expected float [{count}], one per sample")
    inside = (values >= low) & (values <= high)  # also refuses NaN
    if not inside.all():
        raise RangeError(f"features: {name} is {values[~inside][0]}, allowed is {low:g}..{high:g}")
    return values.astype(np.float64)


def _blur_weights(name: str, sigma: NDArray[np.floating[Any]], count: int) -> NDArray[np.int16]:
    """Gaussian weights from the centre outward, int16 [N, 13] Q12, of unit 2-norm: blurred white noise keeps its variance."""
    deviation = _check_floats(name, sigma, count, MIN_BLUR_SIGMA, MAX_BLUR_SIGMA)[:, None]
    weight: NDArray[np.float64] = np.exp(-0.5 * (np.arange(BLUR_TAPS) / deviation) ** 2)
    weight /= np.sqrt(2 * (weight**2).sum(1, keepdims=True) - weight[:, :1] ** 2)
    weights_q12: NDArray[np.int16] = np.rint(weight * 4096).astype(np.int16)
    return weights_q12


@FEATURES.backend("ref")
def _features_ref(batch: Batch) -> Features:
    return ref_features.features(batch)


@FEATURES.backend("cpu", missing=core_missing)
def _features_cpu(batch: Batch) -> Features:
    maps, ranges = core().features(*batch, simd_level("features", "auto"))
    return maps, ranges
