"""Branches and ApexME: ResNet-18 on the onset and the apex frame, or on the apex alone, with three linear layers.

Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, with torchvision's layer names, so that ImageNet weights load;
the heads of Liu et al., "How to Synthesize a Large-Scale and Trainable Micro-Expression Dataset?", ECCV 2022.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .network import Trunk

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, 0..1


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        self.downsample = None
        if stride > 1:
            self.downsample = nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        found = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(found + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    """Without its last linear layer: [N, 3, 224, 224] to [N, 512]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(Block(64, 64, 1), Block(64, 64, 1))
        self.layer2 = nn.Sequential(Block(64, 128, 2), Block(128, 128, 1))
        self.layer3 = nn.Sequential(Block(128, 256, 2), Block(256, 256, 1))
        self.layer4 = nn.Sequential(Block(256, 512, 2), Block(512, 512, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for level in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = level(x)
        return x.mean((2, 3))


class FrameNet(Trunk):
    """Trunks side by side; features -> 128 -> 32 -> classes."""

    trunks: tuple[str, ...]
    width = 32

    def __init__(self, classes: int) -> None:
        super().__init__()
        for trunk in self.trunks:
            setattr(self, trunk, ResNet18())
        hidden = [
            nn.Linear(512 * len(self.trunks), 128),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(128, self.width),
            nn.ReLU(),
            nn.Dropout(0.5),
        ]
        self.hidden = nn.Sequential(*hidden)
        self.fc = nn.Linear(self.width, classes)

    def features(self, x: Tensor) -> Tensor:
        """See Trunk; frames lie one after the other in the channels."""
        parts = [getattr(self, trunk)(x[:, 3 * i : 3 * i + 3]) for i, trunk in enumerate(self.trunks)]
        out: Tensor = self.hidden(torch.cat(parts, 1))
        return out


class Branches(FrameNet):
    """Onset and apex."""

    trunks = ("onset", "apex")

    @staticmethod
    def prepare(onset: Tensor, apex: Tensor) -> Tensor:  # type: ignore[override]
        """Both normalised, [N, 6, H, W]."""
        return torch.cat([_normalise(onset), _normalise(apex)], 1)


class ApexME(FrameNet):
    """The apex alone."""

    trunks = ("apex",)

    @staticmethod
    def prepare(onset: Tensor, apex: Tensor) -> Tensor:  # type: ignore[override]
        """The apex, normalised."""
        return _normalise(apex)


def _normalise(frame: Tensor) -> Tensor:
    return torch.stack([(frame[:, c] / 255 - MEAN[c]) / DEVIATION[c] for c in range(3)], 1)


NETS: dict[str, Any] = {"branches": Branches, "apexme": ApexME}
