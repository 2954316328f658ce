"""OFF-ApexNet: two small convolutions over the flow of the apex frame, two linear layers.

Source: Gan et al., "OFF-ApexNet on micro-expression recognition system", Signal Processing: Image Communication 74, 2019. The variant whose
streams u and v are joined at the first convolution, as the CD6ME benchmark (arXiv 2211.11425) runs it, with its layer names.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .network import Trunk


class OffApexNet(Trunk):
    """Convolutions of 6 and 16 channels, each halved by its maximum; 784 -> 1024 -> classes."""

    width = 1024

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 16, 3, padding=1)
        self.dropout = nn.Dropout(0.5)
        self.fc1, self.fc = nn.Linear(784, self.width), nn.Linear(self.width, classes)

    @staticmethod
    def prepare(maps: Tensor) -> Tensor:
        """u and v, 0..1."""
        return maps[:, :2] / 255

    def features(self, x: Tensor) -> Tensor:
        for conv in (self.conv1, self.conv2):
            x = nn.functional.max_pool2d(torch.relu(conv(x)), 2)
        out: Tensor = self.dropout(torch.relu(self.fc1(x.flatten(1))))
        return out


NETS: dict[str, Any] = {"offapexnet": OffApexNet}
