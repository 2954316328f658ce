"""HTNet: a hierarchical transformer over a mosaic of the two eyes and the two lip corners.

Source: Wang et al., "HTNet for micro-expression recognition", arXiv 2307.14637, written from its description; layer names of its code.
A block of attention holds one 7 x 7 patch at every level of a 28 x 28 mosaic, and softmax over one key is 1: attention is its value
projection. Queries and keys stay in the file, for its names, and take no part.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .network import Trunk

PATCH = 7
DIMS, HEADS, REPEATS = (256, 512, 1024), (3, 6, 12), (2, 2, 10)
MOSAIC = (((0, 1), (12, 2)), ((0, 13), (12, 12)))  # top, left of 14 x 14 px: left eye, left lip corner; right eye, right lip corner


class Norm(nn.Module):
    """Layer norm over channels."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.g, self.b = nn.Parameter(torch.ones(1, dim, 1, 1)), nn.Parameter(torch.zeros(1, dim, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(1, keepdim=True)
        deviation = (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
        return centred / deviation * self.g + self.b


class Residual(nn.Module):
    """x + fn(norm(x))."""

    def __init__(self, dim: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm, self.fn = Norm(dim), fn

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.fn(self.norm(x))
        return out


class Attention(nn.Module):
    """Attention within blocks of one patch."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.inner = dim // heads * heads
        self.to_qkv = nn.Conv2d(dim, 3 * self.inner, 1, bias=False)
        self.to_out = nn.Sequential(nn.Conv2d(self.inner, dim, 1), nn.Dropout(0.0))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.to_out(nn.functional.conv2d(x, self.to_qkv.weight[2 * self.inner :]))
        return out


class FeedForward(nn.Module):
    """Two 1x1 convolutions, four times wider between."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(dim, 4 * dim, 1), nn.GELU(), nn.Dropout(0.0), nn.Conv2d(4 * dim, dim, 1), nn.Dropout(0.0))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out


class Transformer(nn.Module):
    """A level: attention and feed-forward, repeated."""

    def __init__(self, dim: int, heads: int, repeats: int) -> None:
        super().__init__()
        self.pos_emb = nn.Parameter(torch.randn(1))  # one place in a block
        self.layers = nn.ModuleList(
            nn.ModuleList([Residual(dim, Attention(dim, heads)), Residual(dim, FeedForward(dim))]) for _ in range(repeats)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pos_emb
        for layer in self.layers:
            for step in layer.children():
                x = step(x)
        return x


class HTNet(Trunk):
    """4 x 4, then 2 x 2, then one place of 256, 512, 1024 channels; 139.6 million weights."""

    head = "mlp_head.2"
    width = DIMS[-1]

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.to_patch_embedding = nn.ModuleList([nn.Identity(), nn.Conv2d(3 * PATCH * PATCH, DIMS[0], 1)])
        self.layers = nn.ModuleList()
        for level, (dim, heads, repeats) in enumerate(zip(DIMS, HEADS, REPEATS, strict=True)):
            joins: nn.Module = nn.Identity()
            if level + 1 < len(DIMS):
                after = DIMS[level + 1]
                joins = nn.Sequential(nn.Conv2d(dim, after, 3, padding=1), Norm(after), nn.MaxPool2d(3, 2, 1))
            self.layers.append(nn.ModuleList([Transformer(dim, heads, repeats), joins]))
        self.mlp_head = nn.ModuleList([Norm(DIMS[-1]), nn.Identity(), nn.Linear(DIMS[-1], classes)])

    @staticmethod
    def prepare(maps: Tensor) -> Tensor:
        """The mosaic of (strain, v, u); landmarks are where the layout of the maps puts them."""
        rows = [torch.cat([maps[:, :, y : y + 14, x : x + 14] for y, x in row], 3) for row in MOSAIC]
        return torch.cat(rows, 2).flip(1)

    def features(self, x: Tensor) -> Tensor:
        cells = x.reshape(-1, 3, 4, PATCH, 4, PATCH)  # [N, 3, row, y, column, x]
        x = self.to_patch_embedding[1](cells.permute(0, 3, 5, 1, 2, 4).flatten(1, 3))
        for level in self.layers:
            for step in level.children():
                x = step(x)
        out: Tensor = self.mlp_head[0](x).mean((2, 3))
        return out


NETS: dict[str, Any] = {"htnet": HTNet}
