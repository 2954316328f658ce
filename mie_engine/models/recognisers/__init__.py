"""The networks that name a micro-expression, one file each; torch is imported when one is built.

Every network takes the same maps (u, v, strain; 0..255) and brings its published input convention along, so an exported graph is
self-contained. Inside, layers have the published names, so published checkpoints load.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mie_engine.errors import EnvironmentProblem, RangeError, UsageError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Spec:
    """What a network takes: "maps" float [N, 3, side, side], or "frames": onset and apex, RGB."""

    module: str
    side: int
    inputs: str


SPECS = {
    "robustnet": Spec("robustnet", 28, "maps"),
    "ststnet": Spec("ststnet", 28, "maps"),
    "offapexnet": Spec("offapexnet", 28, "maps"),
    "sssnet": Spec("sssnet", 64, "maps"),
    "dual_inception": Spec("dual_inception", 28, "maps"),
    "htnet": Spec("htnet", 28, "maps"),
    "branches": Spec("resnet18", 224, "frames"),
    "apexme": Spec("resnet18", 224, "frames"),
}
NAMES = tuple(SPECS)
SIDES = (28, 56, 64)  # of maps, as kernels.flow_maps makes them; this module stays free of NumPy for the command line


def build(
    name: str, classes: int = 3, aus: Sequence[int] = (), *, side: int | None = None, width: int | None = None, members: int = 1
) -> nn.Module:
    """Make a network with fresh weights.

    Args:
        name: one of NAMES.
        classes: how many classes, 2 or more.
        aus: action units of the second head, which shares everything below its one linear layer; none: no such head.
        side: of the maps, px; only robustnet takes another than its own: 28, 56 or 64.
        width: channels of the first convolution; only robustnet takes one, default 32.
        members: networks whose logits are averaged, 1 or more.

    Returns:
        A module: maps float [N, 3, side, side] of 0..255 in the order u, v, strain (frame networks: onset and apex float
        [N, 3, 224, 224] of 0..255, RGB) -> (logits [N, classes], AU logits [N, len(aus)] or None).

    Raises:
        UsageError: an unknown name, or an option that this network does not have. RangeError: a number outside its range.
        EnvironmentProblem: torch is missing.
    """
    if name not in SPECS:
        raise UsageError(f"network {name!r} is unknown; choose one of {', '.join(NAMES)}")
    if classes < 2 or members < 1 or (width is not None and width < 1):
        raise RangeError(f"{classes} classes, {members} members, width {width}: at least 2, 1 and 1 are needed")
    if name != "robustnet" and (side not in (None, SPECS[name].side) or width is not None):
        raise UsageError(f"network {name!r} takes maps of {SPECS[name].side} px and no width; leave side and width out")
    if name == "robustnet" and side not in (None, *SIDES):
        raise RangeError(f"side is {side}, allowed are {', '.join(map(str, SIDES))}")
    try:
        from .network import Network
    except ImportError as error:
        raise EnvironmentProblem(f"networks are built with torch, which is missing ({error}); pip install mie-engine[train]") from error
    options = {key: value for key, value in (("side", side), ("width", width)) if value is not None and name == "robustnet"}
    make = importlib.import_module(f"{__name__}.{SPECS[name].module}").NETS[name]
    networks: list[nn.Module] = [Network(make(classes, **options), len(aus)) for _ in range(members)]
    return networks[0] if members == 1 else ensemble(networks)


def ensemble(networks: Sequence[nn.Module]) -> nn.Module:
    """One module that averages the logits of networks of the same inputs and outputs."""
    from .network import Ensemble

    return Ensemble(networks)
