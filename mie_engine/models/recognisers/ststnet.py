"""STSTNet: three parallel convolutions of 3, 5 and 8 channels over a flow map, pooled, one linear layer.

Source: Liong et al., "Shallow Triple Stream Three-dimensional CNN (STSTNet) for Micro-expression Recognition", FG 2019; layer names and
input (strain, v, u; 0..255) of its published checkpoints. Batch norm follows ReLU, and the maximum follows batch norm.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .network import Trunk


class STSTNet(Trunk):
    """1,683 weights for three classes."""

    width = 400

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 3, 3, padding=2), nn.BatchNorm2d(3)
        self.conv2, self.bn2 = nn.Conv2d(3, 5, 3, padding=2), nn.BatchNorm2d(5)
        self.conv3, self.bn3 = nn.Conv2d(3, 8, 3, padding=2), nn.BatchNorm2d(8)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(self.width, classes)

    @staticmethod
    def prepare(maps: Tensor) -> Tensor:
        """Strain, v, u."""
        return maps.flip(1)

    def features(self, x: Tensor) -> Tensor:
        streams = [bn(torch.relu(conv(x))) for conv, bn in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3))]
        pooled = [self.dropout(nn.functional.max_pool2d(stream, 3, 3, 1)) for stream in streams]
        return nn.functional.avg_pool2d(torch.cat(pooled, 1), 2).flatten(1)


NETS: dict[str, Any] = {"ststnet": STSTNet}
