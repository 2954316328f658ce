"""When things move: action-unit curves from onset over apex to offset, and the drift of the head, frame by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .. import limits
from ..errors import RangeError
from .draws import Floats

if TYPE_CHECKING:
    from .rows import Rows


def apex_frames(onset_to_apex_s: Floats, duration_s: Floats, frames: int) -> npt.NDArray[np.int64]:
    """Frame nearest to the apex of clips of `frames` frames over `duration_s`: never the first, nor the last of three or more."""
    nearest = np.floor(onset_to_apex_s / duration_s * (frames - 1) + 0.5).astype(np.int64)
    return np.clip(nearest, 1, max(frames - 2, 1))


def intensity(rows: Rows, frames: int) -> Floats:
    """Action-unit curves of clips: smooth (C1) rise from onset to apex, smooth decay to the offset.

    Every unit leads or lags by its phase within the ramp, but all start together in frame 0, meet exactly at the apex frame and end
    together in the last frame, where `rows.residual` of the motion is left; nothing leaves the range between onset and apex.

    Args:
        rows: N clips.
        frames: T, 2 (onset and apex only) to limits.MAX_FRAMES.

    Returns:
        float64 [N, T, U] over action_units.UNITS.

    Raises:
        RangeError: frames outside its limits.
    """
    _require_frames(frames)
    apex = apex_frames(rows.onset_to_apex_s, rows.duration_s, frames)[:, None]
    frame = np.arange(frames)
    rising = frame <= apex
    # position within the ramp, 0 to 1; with two frames there is no decay and the divisor only has to be non-zero
    position = np.where(rising, frame / apex, (frame - apex) / np.maximum(frames - 1 - apex, 1))[:, :, None]
    # bends the ramp's time, fixed at both ends and monotone for |phase| <= 1/4
    position = position + 4 * rows.phase[:, None, :] * position * (1 - position)
    smooth = position * position * (3 - 2 * position)
    kept = rows.residual[:, None, None]
    level = np.where(rising[:, :, None], smooth, 1 - smooth * (1 - kept))
    onset, peak = rows.onset[:, None, :], rows.apex[:, None, :]
    curves = np.clip(onset + (peak - onset) * level, np.minimum(onset, peak), np.maximum(onset, peak))
    at_apex: Floats = np.where((frame == apex)[:, :, None], peak, curves)  # exact, not only to the last rounding
    return at_apex


def pose(rows: Rows, frames: int) -> Floats:
    """Rigid head drift of clips: a Bernstein polynomial of degree 4 through 0 at frame 0, so smooth and never beyond its knots.

    Args:
        rows: N clips.
        frames: T, 2 to limits.MAX_FRAMES.

    Returns:
        float64 [N, T, 4]: x px, y px (down), roll rad, natural log of scale, relative to frame 0.

    Raises:
        RangeError: frames outside its limits.
    """
    _require_frames(frames)
    s = np.arange(frames) / (frames - 1)
    r = 1 - s
    basis = (4 * s * r * r * r, 6 * s * s * r * r, 4 * s * s * s * r, s * s * s * s)
    path = np.zeros((len(rows), frames, 4))
    for k, weight in enumerate(basis):  # summed in a fixed order: a matrix product may not be
        path += weight[None, :, None] * rows.drift[:, k, None, :]
    return path


def _require_frames(frames: int) -> None:
    if not limits.MIN_FRAMES <= frames <= limits.MAX_FRAMES:
        raise RangeError(f"frames is {frames}, allowed is {limits.MIN_FRAMES} to {limits.MAX_FRAMES}.")
