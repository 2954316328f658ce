"""SSSNet: one shallow stream over a 64 x 64 flow map.

Source: Varanka et al., "Data Leakage and Evaluation Issues in Micro-Expression Analysis", arXiv 2211.11425; layer names of its code.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .network import Trunk


class SSSNet(Trunk):
    """Convolutions of 32 and 64 channels, each pooled, then normalised; 5184 -> 256 -> classes."""

    width = 256

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1, self.bn1, self.drop1 = nn.Conv2d(3, 32, 5), nn.BatchNorm2d(32), nn.Dropout2d(0.5)
        self.conv2, self.bn2, self.drop2 = nn.Conv2d(32, 64, 3), nn.BatchNorm2d(64), nn.Dropout(0.5)
        self.fc1, self.fc = nn.Linear(5184, self.width), nn.Linear(self.width, classes)

    @staticmethod
    def prepare(maps: Tensor) -> Tensor:
        """u, v, strain; 0..1."""
        return maps / 255

    def features(self, x: Tensor) -> Tensor:
        x = self.drop1(self.bn1(nn.functional.max_pool2d(torch.relu(self.conv1(x)), 3)))
        x = self.bn2(nn.functional.max_pool2d(torch.relu(self.conv2(x)), 2))
        out: Tensor = self.drop2(torch.relu(self.fc1(x.flatten(1))))
        return out


NETS: dict[str, Any] = {"sssnet": SSSNet}
