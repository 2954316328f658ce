"""RobustNet, the shipped default: maps standardised against outliers, then three small convolutions.

Per channel x -> 1.5 tanh((x - median) / deviation / 1.5): the background of a map is its median, and a single strong motion (a blink) no
longer squeezes everything else into a few levels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .network import Trunk


def standardise(maps: Tensor) -> Tensor:
    """Per channel subtract the median, divide by the standard deviation, bend large values; a constant channel becomes 0."""
    flat = maps.flatten(2)
    half = flat.shape[2] // 2  # pixels are even in number: the median lies between two
    median = flat.topk(half + 1, largest=False).values[..., half - 1 :].mean(-1, keepdim=True)
    deviation = (flat - flat.mean(-1, keepdim=True)).square().mean(-1, keepdim=True).sqrt().clamp_min(1e-3)
    return (1.5 * torch.tanh((flat - median) / (1.5 * deviation))).view_as(maps)


def _block(channels_in: int, channels: int) -> list[nn.Module]:
    return [nn.Conv2d(channels_in, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(), nn.MaxPool2d(2)]


class RobustNet(Trunk):
    """3x3 convolutions of width, 2 width and 3 width channels, each with batch norm, ReLU and 2x2 maximum."""

    def __init__(self, classes: int, side: int = 28, width: int = 32) -> None:
        super().__init__()
        self.width = 3 * width * (side // 8) ** 2
        layers = [*_block(3, width), *_block(width, 2 * width), nn.Dropout(0.3), *_block(2 * width, 3 * width)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.5))
        self.fc = nn.Linear(self.width, classes)

    @staticmethod
    def prepare(maps: Tensor) -> Tensor:
        """Standardised maps."""
        return standardise(maps)

    def features(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


NETS: dict[str, Any] = {"robustnet": RobustNet}
