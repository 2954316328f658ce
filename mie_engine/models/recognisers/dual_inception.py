"""Dual-Inception: one stream of two inception blocks for u and one for v, joined before the linear layers.

Source: Zhou, Mao and Xue, "Dual-Inception Network for Cross-Database Micro-Expression Recognition", FG 2019, rebuilt from its description:
6 and 16 channels in each of the four branches of a block, 2x2 maximum after it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .network import Trunk


class Inception(nn.Module):
    """1x1, 3x3, 5x5 convolutions and a 3x3 maximum with 1x1 convolution, side by side."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList([nn.Conv2d(channels_in, channels, size, padding=size // 2) for size in (1, 3, 5, 1)])

    def forward(self, x: Tensor) -> Tensor:
        """Float [N, C, H, W] to [N, 4 channels, H // 2, W // 2]."""
        pooled = nn.functional.max_pool2d(x, 3, 1, 1)
        found = [branch(pooled if i == 3 else x) for i, branch in enumerate(self.branches)]
        return nn.functional.max_pool2d(torch.relu(torch.cat(found, 1)), 2)


class DualInception(Trunk):
    """Two streams to 2 x 3136 features -> 1024 -> classes."""

    width = 1024

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.u, self.v = (nn.Sequential(Inception(1, 6), Inception(24, 16), nn.Flatten()) for _ in range(2))
        self.dropout = nn.Dropout(0.5)
        self.fc1, self.fc = nn.Linear(2 * 64 * 7 * 7, self.width), nn.Linear(self.width, classes)

    @staticmethod
    def prepare(maps: Tensor) -> Tensor:
        """u and v, 0..1."""
        return maps[:, :2] / 255

    def features(self, x: Tensor) -> Tensor:
        joined = torch.cat([self.u(x[:, :1]), self.v(x[:, 1:])], 1)
        out: Tensor = self.dropout(torch.relu(self.fc1(joined)))
        return out


NETS: dict[str, Any] = {"dual_inception": DualInception}
