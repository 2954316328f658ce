"""GANimation: the generator that changes a face's action units, and its discriminator, layers under the published names.

Source: Pumarola et al., ECCV 2018, as MiE-X (arXiv 2112.01730) uses it. Both published kinds of instance norm are known: "plain"
(convolutions with bias, norm without scale) and "affine" (convolutions without bias, norm with scale and shift).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mie_engine.errors import InputError, RangeError, UsageError

from .checkpoint import fill
from .generator import AU_COUNT

NAMES = ("ganimation", "ganimation_discriminator")
NORMS = ("plain", "affine")
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # old files keep some; an instance norm never reads them


class Generator(nn.Module):
    """image float [N, 3, H, W] in [-1, 1] and action units float [N, 17] in [0, 1] -> raw heads (colour [N, 3, H, W], mask [N, 1, H, W]).

    norm: of NORMS. width: channels of the first layer. blocks: residual ones. H and W are multiples of 4, at least 16.
    """

    def __init__(self, norm: str = "plain", width: int = 64, blocks: int = 6) -> None:
        super().__init__()
        if norm not in NORMS:
            raise UsageError(f"norm {norm!r} is unknown; choose one of {', '.join(NORMS)}")
        if width < 1 or blocks < 0:
            raise RangeError(f"width is {width} and blocks {blocks}; at least 1 and 0 are needed")
        self.norm, self.width, self.blocks = norm, width, blocks
        affine = norm == "affine"

        def layer(conv: nn.Module, channels: int) -> list[nn.Module]:
            return [conv, nn.InstanceNorm2d(channels, affine=affine), nn.ReLU()]

        # Zero padding is part of the network: the constant planes act through the border alone, everywhere else the norm removes them.
        layers = layer(nn.Conv2d(3 + AU_COUNT, width, 7, 1, 3, bias=not affine), width)
        for c in (width, 2 * width):
            layers += layer(nn.Conv2d(c, 2 * c, 4, 2, 1, bias=not affine), 2 * c)
        layers += [_Residual(4 * width, affine) for _ in range(blocks)]
        for c in (4 * width, 2 * width):
            layers += layer(nn.ConvTranspose2d(c, c // 2, 4, 2, 1, bias=not affine), c // 2)
        self.model = nn.Sequential(*layers)
        self.color_top = nn.Sequential(nn.Conv2d(width, 3, 7, 1, 3, bias=False))
        self.au_top = nn.Sequential(nn.Conv2d(width, 1, 7, 1, 3, bias=False))

    def forward(self, image: Tensor, action_units: Tensor) -> tuple[Tensor, Tensor]:
        planes = action_units[:, :, None, None].expand(-1, -1, *image.shape[2:])
        return self.heads(self.model(torch.cat([image, planes], 1)))

    def heads(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The raw heads of the last features."""
        return self.color_top(features), self.au_top(features)


class _Residual(nn.Module):
    def __init__(self, channels: int, affine: bool) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=not affine), nn.InstanceNorm2d(channels, affine=affine), nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=not affine), nn.InstanceNorm2d(channels, affine=affine),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.conv_block(x)
        return out


class Discriminator(nn.Module):
    """image float [N, 3, side, side] in [-1, 1] -> (patches [N, side/64, side/64], action units [N, 17])."""

    def __init__(self, side: int = 128, width: int = 64) -> None:
        super().__init__()
        if side not in (64, 128, 256) or width < 1:
            raise RangeError(f"side is {side} px and width {width}; sides are 64, 128 or 256, width at least 1")
        self.side, self.width = side, width
        layers: list[nn.Module] = []
        for low, high in itertools.pairwise([3, *(width << k for k in range(6))]):
            layers += [nn.Conv2d(low, high, 4, 2, 1), nn.LeakyReLU(0.01)]
        self.model = nn.Sequential(*layers)
        self.dis_top = nn.Conv2d(width << 5, 1, 3, 1, 1, bias=False)
        self.aus_top = nn.Conv2d(width << 5, AU_COUNT, side // 64, bias=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        features = self.model(image)
        return self.dis_top(features)[:, 0], self.aus_top(features).flatten(1)


def blend(image: Tensor, color: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The published outputs of raw heads: result = m image + (1 - m) c in [-1, 1], colour c = tanh, mask m = sigmoid."""
    c, m = color.tanh(), mask.sigmoid()
    return m * image + (1 - m) * c, c, m


def from_published(name: str, weights: Mapping[str, Tensor], source: str) -> nn.Module:
    """A network of a published state dict, whatever its layers are called: they are told by their order and their shapes.

    Args:
        name: one of NAMES. weights: tensors in the file's order; convolutions, then the parameters of their norm, heads last.
        source: the file, for messages.

    Raises:
        InputError: another network.
    """
    found = {key: value for key, value in weights.items() if key.rpartition(".")[2] not in _STATISTICS}
    kernels = [value.shape for value in found.values() if value.ndim == 4]
    network: nn.Module
    if name == NAMES[0]:
        widths = [shape[0] for shape in kernels if tuple(shape[1:]) == (3 + AU_COUNT, 7, 7)]
        if len(widths) != 1:
            raise InputError(f"{source} has no first layer of {3 + AU_COUNT} planes and 7 x 7 px; is it a {name}?")
        wide = 4 * widths[0]
        blocks, odd = divmod(sum(tuple(shape) == (wide, wide, 3, 3) for shape in kernels), 2)
        if odd or blocks > 64 or widths[0] > 512:
            raise InputError(f"{source} has {2 * blocks + odd} inner layers of width {widths[0]}; is it a {name}?")
        affine = len(found) > len(kernels) + (len(kernels) - 2)
        network = Generator("affine" if affine else "plain", widths[0], blocks)
    else:
        sides = {shape[2] for shape in kernels if shape[0] == AU_COUNT}
        widths = [shape[0] for shape in kernels if tuple(shape[1:]) == (3, 4, 4)]
        if len(sides) != 1 or len(widths) != 1 or not sides <= {1, 2, 4} or widths[0] > 512:
            raise InputError(f"{source} has no head of {AU_COUNT} action units after layers of 4 x 4 px; is it a {name}?")
        network = Discriminator(64 * sides.pop(), widths[0])
    fill(network, _renamed(network.state_dict(), found, source, name), source)
    return network.eval()


def _renamed(own: Mapping[str, Tensor], found: Mapping[str, Tensor], source: str, name: str) -> dict[str, Tensor]:
    """The tensors under this network's names: layers in order, the two heads (which files list in either order) by their shape."""
    rest, renamed = dict(found), {}
    heads = [key for key in own if "_top" in key]
    for key in heads:
        fits = [other for other, value in rest.items() if value.shape == own[key].shape]
        if len(fits) != 1:
            raise InputError(f"{source} has {len(fits)} layers of the shape {list(own[key].shape)} of {key}; is it a {name}?")
        renamed[key] = rest.pop(fits[0])
    trunk = [key for key in own if key not in heads]
    if len(rest) != len(trunk):
        raise InputError(f"{source} has {len(rest)} tensors before its heads, expected {len(trunk)}; is it a {name}?")
    return renamed | dict(zip(trunk, rest.values(), strict=True))
