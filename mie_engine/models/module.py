"""A torch network behind the recogniser's call, so that who scores it needs no torch of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .model_info import ModelInfo
from .recogniser import Floats, Recogniser

if TYPE_CHECKING:
    from torch import nn


def as_recogniser(module: nn.Module, info: ModelInfo) -> Recogniser:
    """Wrap a network of recognisers.build; it is put in evaluation mode, so a sample's scores do not depend on its batch.

    Args:
        module: on any device. info: its description.
    """
    import torch

    module.eval()
    device = next(module.parameters()).device

    def run(images: list[Floats]) -> tuple[Floats, Floats]:
        with torch.inference_mode():
            logits, aus = module(*(torch.from_numpy(image).to(device) for image in images))
        empty = np.empty((len(logits), 0), np.float32)
        return logits.float().cpu().numpy(), empty if aus is None else aus.float().cpu().numpy()

    return Recogniser(info, run)
