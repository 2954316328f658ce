"""The definition of ststnet, layer by layer in NumPy, float64.

Source: Liong et al., "Shallow Triple Stream Three-dimensional CNN (STSTNet) for Micro-expression Recognition", FG 2019, as its
published code has it: convolution, ReLU, batch norm, 3x3 maximum, joined, 2x2 mean, one linear layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .op import StstnetCall

EPSILON = 1e-5  # of batch norm


def ststnet(call: StstnetCall) -> NDArray[np.float32]:
    """float32 [N, outputs] of a checked call."""
    w = {name: value.astype(np.float64) for name, value in call.weights.layers.items()}
    padded = np.pad(call.maps.astype(np.float64), ((0, 0), (0, 0), (2, 2), (2, 2)))
    patches = sliding_window_view(padded, (3, 3), (2, 3))  # [N, 3, 30, 30, 3, 3]
    streams = []
    for i in (1, 2, 3):
        x = np.einsum("ncyxij,kcij->nkyx", patches, w[f"conv{i}.weight"], optimize=True) + w[f"conv{i}.bias"][:, None, None]
        gain = w[f"bn{i}.weight"] / np.sqrt(w[f"bn{i}.running_var"] + EPSILON)
        x = (np.maximum(x, 0) - w[f"bn{i}.running_mean"][:, None, None]) * gain[:, None, None] + w[f"bn{i}.bias"][:, None, None]
        framed = np.pad(x, ((0, 0), (0, 0), (1, 0), (1, 0)), constant_values=-np.inf)[..., :30, :30]  # what is left fits no window
        streams.append(framed.reshape(*x.shape[:2], 10, 3, 10, 3).max((3, 5)))
    cells = np.concatenate(streams, 1).reshape(-1, 16, 5, 2, 5, 2).mean((3, 5)).reshape(-1, 400)
    heads = [(w["fc.weight"], w["fc.bias"])] + ([(w["au.weight"], w["au.bias"])] if "au.weight" in w else [])
    return np.concatenate([cells @ weight.T + bias for weight, bias in heads], 1).astype(np.float32)
