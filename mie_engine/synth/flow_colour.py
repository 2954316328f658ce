"""Flow as colour: hue is the direction, saturation the amount, white is rest (the wheel of Baker et al., IJCV 2011)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import ShapeError

# Red right, yellow down, cyan left, violet up; the uneven spacing follows what the eye tells apart.
_STOPS = np.cumsum([0, 15, 6, 4, 11, 13, 6]) / 55
_COLOURS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1], [1, 0, 0]], np.float64)
_INK = 0.88  # full colours are dimmed a little: pure ones glare on paper


def flow_colour(flow: npt.NDArray[np.float32], full_px: float) -> npt.NDArray[np.uint8]:
    """Colour a flow field.

    Args:
        flow: float32 [H, W, 2], px right and down.
        full_px: motion shown in full colour, px; 0 or less shows rest.

    Returns:
        uint8 [H, W, 3].

    Raises:
        ShapeError: flow is not [H, W, 2].
    """
    if flow.ndim != 3 or flow.shape[2] != 2:
        raise ShapeError(f"flow has shape {list(flow.shape)}, expected [H, W, 2].")
    across, down = flow[..., 0].astype(np.float64), flow[..., 1].astype(np.float64)
    turn = np.arctan2(down, across) / (2 * np.pi) % 1.0
    hue = np.stack([np.interp(turn, _STOPS, channel) for channel in _COLOURS.T], axis=-1)
    amount = np.clip(np.hypot(across, down) / full_px, 0, 1) if full_px > 0 else np.zeros_like(across)
    return np.round(255 * (1 - amount[..., None] * (1 - hue * _INK))).astype(np.uint8)


def wheel(size_px: int) -> npt.NDArray[np.uint8]:
    """The legend: uint8 [size, size, 4], a disc whose rim is full motion, transparent outside."""
    oversampled = 4 * size_px
    centre = (oversampled - 1) / 2
    y, x = (np.mgrid[:oversampled, :oversampled] - centre) / (oversampled / 2)
    colour = flow_colour(np.stack([x, y], axis=-1).astype(np.float32), 1.0)
    inside = np.where(x * x + y * y <= 1, 255, 0).astype(np.uint8)
    fine = np.concatenate([colour, inside[..., None]], axis=-1).reshape(size_px, 4, size_px, 4, 4)
    disc: npt.NDArray[np.uint8] = np.round(fine.mean(axis=(1, 3))).astype(np.uint8)
    return disc
