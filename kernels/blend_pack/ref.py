"""The definition of blend_pack, in integers.

i = rint(4096 clamp(color, -8, 8)), j = rint(2048 clamp(mask, -16, 16)) (ties to even), from tables of every i and j
    level_q8 = rint(256 * 127.5 (tanh(i / 4096) + 1)),  m_q16 = rint(65536 / (1 + exp(-j / 2048)))
    out = (256 m_q16 source + (65536 - m_q16) level_q8 + 2**23) >> 24
Within 0.55 levels of m x + (1 - m) c before rounding; a mask above 11.8 gives the source itself.
Source: the output of GANimation (Pumarola et al., ECCV 2018), scaled to bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .op import BlendPackCall

HALF = 32768  # tables go from -HALF to HALF
COLOR_STEPS, MASK_STEPS = 4096, 2048  # per unit of the raw head


def tables() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """level_q8 and m_q16, [2 HALF + 1] each."""
    at = np.arange(-HALF, HALF + 1, dtype=np.float64)
    level = np.rint(256 * 127.5 * (np.tanh(at / COLOR_STEPS) + 1))
    return level.astype(np.uint32), np.rint(65536 / (1 + np.exp(-at / MASK_STEPS))).astype(np.uint32)


def blend_pack(call: BlendPackCall) -> NDArray[np.uint8]:
    """uint8 [N, H, W, 3] of a checked call."""
    levels, masks = tables()
    i = np.rint(np.clip(call.color, -8, 8) * np.float32(COLOR_STEPS)).astype(np.int32) + HALF
    j = np.rint(np.clip(call.mask, -16, 16) * np.float32(MASK_STEPS)).astype(np.int32) + HALF
    m = masks[j].transpose(0, 2, 3, 1)
    level = levels[i].transpose(0, 2, 3, 1)
    packed: NDArray[np.uint8] = ((256 * m * call.source + (65536 - m) * level + 2**23) >> 24).astype(np.uint8)
    return packed
