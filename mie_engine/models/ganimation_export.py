"""A generator as ONNX, its action units folded: 17 constant planes under a zero-padded 7 x 7 convolution become a border bias.

At a pixel, the planes contribute sum_a au[a] * (sum of the kernel's taps that lie inside the image): one of 7 x 7 values, by how near
the pixel is to the borders. The first convolution then has 3 input planes in place of 20.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mie_engine.errors import RangeError
from mie_engine.limits import MAX_SIZE_PX

from .checkpoint import write_graph
from .ganimation import Generator
from .generator import AU_COUNT, AUS, KEY

REACH = 3  # px that the 7 x 7 kernel reaches beyond a pixel


class Folded(nn.Module):
    """What Generator computes on images of one side, without the constant planes."""

    def __init__(self, net: Generator, side: int) -> None:
        super().__init__()
        if side % 4 or not 16 <= side <= MAX_SIZE_PX:
            raise RangeError(f"side is {side} px, allowed are multiples of 4 from 16 to {MAX_SIZE_PX}")
        first: Any = net.model[0]
        self.net, self.rest = net, net.model[1:]
        self.register_buffer("weight", first.weight.detach()[:, :3].clone())
        self.register_buffer("bias", None if first.bias is None else first.bias.detach().clone())
        self.register_buffer("table", border_table(first.weight.detach()[:, 3:]).flatten(0, 2).T.contiguous())
        near = np.arange(side)
        classes = np.where(near < REACH, near, np.where(near >= side - REACH, near - side + 2 * REACH + 1, REACH))
        self.register_buffer("classes", torch.from_numpy(classes))

    def forward(self, image: Tensor, action_units: Tensor) -> tuple[Tensor, Tensor]:
        classes: Any = self.classes
        weight: Any = self.weight
        bias: Any = self.bias
        table: Any = self.table
        border = (action_units @ table).view(-1, weight.shape[0], 7, 7)
        # columns first, while there are 7 rows: the long copies are then whole rows
        plane = border.index_select(3, classes).index_select(2, classes)
        features = nn.functional.conv2d(image, weight, bias, padding=REACH) + plane
        return self.net.heads(self.rest(features))


def border_table(taps: Tensor) -> Tensor:
    """What a constant plane of 1 gives at each border class: taps [K, A, 7, 7] -> [K, 7, 7, A], class y * 7 + x from top left."""
    inside = torch.zeros(7, 7, dtype=torch.float64)  # [class, tap]: does the tap read the image?
    for c in range(7):
        inside[c, max(0, REACH - c) : 7 - max(0, c - REACH)] = 1
    return torch.einsum("kaij,yi,xj->kyxa", taps.double(), inside, inside).to(taps.dtype)


def _scaled(net: Generator) -> Generator:
    """The same network, every norm with scale 1 and shift 0 where it had none: the exporter writes no others."""
    scaled = copy.deepcopy(net).cpu().float().eval()
    for module in scaled.modules():
        if isinstance(module, nn.InstanceNorm2d) and not module.affine:
            module.affine, channels = True, module.num_features
            module.weight, module.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
    return scaled


def export_onnx(net: Generator, path: str | Path, side: int = 128, *, folded: bool = True) -> float:
    """Write a generator as one ONNX file of stock operators: static side, free batch, the two raw heads; compared before it is written.

    Args:
        net: the generator; left as it is. path: the file, replaced at once. side: of the images, px, a multiple of 4.
        folded: False keeps the 17 constant planes.

    Returns:
        The largest difference of its heads to the module's on random inputs, relative to the largest where that is above 1.

    Raises:
        InputError: the graph differs by more than 1e-4. RangeError: side.
        EnvironmentProblem: onnx is missing, or the file cannot be written.
    """
    scaled = _scaled(net)
    chosen = Folded(scaled, side)  # checks the side
    draws = torch.Generator().manual_seed(0)
    feeds = {"image": torch.rand(3, 3, side, side, generator=draws) * 2 - 1, "action_units": torch.rand(3, AU_COUNT, generator=draws)}
    with torch.no_grad():
        expected = dict(zip(("color", "mask"), scaled(*feeds.values()), strict=True))
    said = {"model": "ganimation", "side": side, "norm": net.norm, "aus": AUS, "folded": folded}
    return write_graph(chosen if folded else scaled, feeds, expected, {KEY: json.dumps(said)}, Path(path))
