"""What all recognisers share: input convention, trunk, one linear head for the classes and one for action units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

Outputs = tuple[Tensor, Tensor | None]


class Trunk(nn.Module):
    """A network with its published layer names; called directly, it takes its authors' own input and gives class logits."""

    head: ClassVar[str] = "fc"  # name of the last linear layer
    width: int  # features that the heads take

    @staticmethod
    def prepare(maps: Tensor) -> Tensor:
        """Maps (u, v, strain; 0..255) to the authors' own input."""
        return maps

    def features(self, x: Tensor) -> Tensor:
        """The last hidden layer, [N, width]."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Class logits of the authors' own input."""
        logits: Tensor = self.get_submodule(self.head)(self.features(x))
        return logits


class Network(nn.Module):
    """A trunk that takes maps (or frames) as the engine makes them; gives class logits and AU logits."""

    def __init__(self, net: Trunk, aus: int) -> None:
        super().__init__()
        self.net = net
        self.au = nn.Linear(net.width, aus) if aus else None

    def forward(self, *images: Tensor) -> Outputs:
        """Maps, or onset and apex, to (logits, AU logits or None)."""
        features = self.net.features(self.net.prepare(*images))
        logits = self.net.get_submodule(self.net.head)(features)
        return logits, None if self.au is None else self.au(features)


class Ensemble(nn.Module):
    """Members' logits averaged: the geometric mean of their probabilities, which stays one stock graph."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, *images: Tensor) -> Outputs:
        outputs = [member(*images) for member in self.members]
        logits: Tensor = sum(logits for logits, _ in outputs) / len(outputs)
        aus = [au for _, au in outputs if au is not None]
        return logits, sum(aus) / len(aus) if aus else None
