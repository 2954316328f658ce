"""training: samples and a recipe -> a network of the last epoch, and the curves of its way there.

Nothing is selected: no epoch by a score, no seed by a score. On the CPU the same samples, recipe and thread count give the same weights.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mie_engine.errors import BackendError, EnvironmentProblem, RangeError, UsageError
from mie_engine.types import CLASSES

from .recognisers import SPECS, build, ensemble
from .samples import Samples

if TYPE_CHECKING:
    from torch import Tensor, nn

SELECTED_BY = "last epoch"


@dataclass(frozen=True)
class TrainRecipe:
    """Every number of a training run; the defaults are those of the recipe that carries over from synthetic to real faces.

    epochs, batch: 1 or more. lr: peak of the one-cycle schedule, AdamW. weight_decay, label_smoothing, flip (mirror half of the maps),
    au_weight: share of the action units' loss. dropout: of the network's dropout layers in order; () = as published. members: networks
    trained from consecutive seeds whose logits are averaged. width: channels of robustnet's first layer.
    """

    epochs: int = 8
    batch: int = 128
    lr: float = 2e-3
    weight_decay: float = 1e-3
    label_smoothing: float = 0.1
    flip: bool = True
    au_weight: float = 0.1
    dropout: tuple[float, ...] = ()
    members: int = 1
    width: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        limits: dict[str, tuple[float, float]] = {
            "epochs": (1, 100_000), "batch": (2, 65_536), "lr": (1e-8, 10), "weight_decay": (0, 1), "label_smoothing": (0, 0.9),
            "au_weight": (0, 100), "members": (1, 32), "seed": (0, 2**63 - 33),
        }  # fmt: skip
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise RangeError(f"{name} is {value}, allowed is {low:g} to {high:g}.")
        if not all(0 <= share < 1 for share in self.dropout):
            raise RangeError(f"dropout is {self.dropout}, allowed are shares from 0 to below 1.")


DEFAULT_RECIPE = TrainRecipe(members=3, width=64)
"""How the shipped recogniser is trained; its data: synth.default_data."""


@dataclass(frozen=True)
class Trained:
    """Trained networks of one kind (several are averaged), their description for checkpoint.save, and curves: a row an epoch and member."""

    members: list[nn.Module]
    info: dict[str, Any]
    curves: list[dict[str, float]]

    @property
    def module(self) -> nn.Module:
        """The one network, or the average of all."""
        return self.members[0] if len(self.members) == 1 else ensemble(self.members)


def train(
    samples: Samples,
    recipe: TrainRecipe,
    model: str = "robustnet",
    *,
    start: Trained | None = None,
    device: str = "cpu",
    threads: int = 1,
    progress: Callable[[int, int], None] = lambda samples, size: None,
) -> Trained:
    """Train a recogniser and return it as it is after the last epoch.

    Args:
        samples: to learn from.
        recipe: how.
        model: one of recognisers.NAMES.
        start: go on from these networks instead of fresh ones; they are left as they are. The recipe's members and width are theirs.
        device: "cpu" or "cuda"; runs there or raises.
        threads: of torch on the CPU; another number rounds differently.
        progress: called with the samples learnt from, twice.

    Raises:
        UsageError, RangeError: the recipe does not fit network or samples. BackendError: no such device. EnvironmentProblem: no torch.
    """
    try:
        import torch
    except ImportError as error:
        raise EnvironmentProblem(f"training needs torch, which is missing ({error}); pip install mie-engine[train]") from error
    if device not in ("cpu", "cuda"):
        raise UsageError(f"device {device!r} is unknown; choose cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise BackendError("device cuda cannot run here: torch finds no CUDA device; use cpu")
    if len(samples) < recipe.batch:
        raise RangeError(f"{len(samples)} samples are fewer than one batch of {recipe.batch}: use more, or a smaller batch")
    info = _info(samples, recipe, model) if start is None else start.info
    if start is not None and (samples.maps.shape[-2] != info["side"] or (samples.au is not None and info["aus"] not in ((), samples.aus))):
        raise UsageError(f"the samples have {samples.maps.shape[-2]} px and units {samples.aus}, the network was begun with {info}")
    members, curves = [], [] if start is None else list(start.curves)
    for member in range(recipe.members if start is None else len(start.members)):
        with seeded(recipe.seed + member, threads):
            if start is None:
                net = build(model, len(CLASSES), info["aus"], side=info["side"] if model == "robustnet" else None, width=recipe.width)
            else:
                net = copy.deepcopy(start.members[member])
            for layer, share in zip([m for m in net.modules() if isinstance(m, torch.nn.Dropout)], recipe.dropout, strict=False):
                layer.p = share
            rows = _epochs(net.to(device), samples, recipe, device, progress)
        curves += [{"member": member, "part": 1 if start is None else 2, **row} for row in rows]
        members.append(net.cpu().eval())
    return Trained(members, info, curves)


@contextlib.contextmanager
def seeded(seed: int, threads: int) -> Iterator[None]:
    """Torch as if alone: its random numbers, threads and choice of algorithms are put back afterwards."""
    import torch

    before, were = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng():
        try:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(True, warn_only=True)
            torch.manual_seed(seed)
            yield
        finally:
            torch.set_num_threads(before)
            torch.use_deterministic_algorithms(were)


def _info(samples: Samples, recipe: TrainRecipe, model: str) -> dict[str, Any]:
    spec = SPECS.get(model)
    if spec is None:
        raise UsageError(f"network {model!r} is unknown; choose one of {', '.join(SPECS)}")
    side, inputs = samples.maps.shape[-2], "frames" if samples.maps.ndim == 5 else "maps"
    if inputs != spec.inputs or (model != "robustnet" and side != spec.side):
        raise UsageError(f"{model} takes {spec.inputs} of {spec.side} px, the samples are {inputs} of {side} px")
    aus = samples.aus if samples.au is not None and recipe.au_weight > 0 else ()
    return {
        "model": model, "classes": CLASSES, "aus": aus, "side": side, "inputs": inputs, "width": recipe.width, "members": recipe.members,
    }  # fmt: skip


def _epochs(net: Any, samples: Samples, recipe: TrainRecipe, device: str, progress: Callable[[int, int], None]) -> list[dict[str, float]]:
    import torch
    from torch.nn import functional

    steps = len(samples) // recipe.batch  # what is left over comes in another epoch: batch norm wants whole batches
    maps, label = torch.from_numpy(samples.maps), torch.from_numpy(samples.label)
    au = None if samples.au is None or net.au is None or recipe.au_weight == 0 else torch.from_numpy(samples.au)
    optimiser = torch.optim.AdamW(net.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.lr, total_steps=max(recipe.epochs * steps, 2))
    net.train()
    rows = []
    for epoch in range(recipe.epochs):
        order, total = torch.randperm(len(samples)), np.zeros(3)
        for chosen in order[: steps * recipe.batch].view(steps, recipe.batch):
            target = label[chosen].to(device)
            logits, found = net(*images_of(maps[chosen].to(device), mirrored=torch.rand(len(chosen)) < 0.5 if recipe.flip else None))
            class_loss = functional.cross_entropy(logits, target, label_smoothing=recipe.label_smoothing)
            au_loss = functional.binary_cross_entropy_with_logits(found, au[chosen].to(device)) if au is not None else class_loss * 0
            optimiser.zero_grad()
            loss: Any = class_loss + recipe.au_weight * au_loss
            loss.backward()
            optimiser.step()
            schedule.step()
            total += [float(class_loss.detach()), float(au_loss.detach()), float((logits.argmax(1) == target).float().mean())]
            progress(recipe.batch, recipe.batch)
        if not np.isfinite(total).all():
            raise RangeError(f"the loss is not finite after epoch {epoch + 1}: use a lower lr than {recipe.lr:g}")
        rows.append({"epoch": epoch + 1, **dict(zip(("class_loss", "au_loss", "accuracy"), (total / steps).tolist(), strict=True))})
    return rows


def images_of(maps: Tensor, mirrored: Tensor | None = None) -> list[Tensor]:
    """Samples as a network takes them, some of them seen in a mirror: left and right change places, and so does the sign of u.

    Args:
        maps: uint8 [N, S, S, 3], or [N, 2, S, S, 3] for frame networks.
        mirrored: bool [N].
    """
    frames = maps.dim() == 5
    planes = maps.movedim(-1, -3).float()
    if mirrored is not None:
        planes[mirrored] = planes[mirrored].flip(-1)
        if not frames:
            planes[mirrored, 0] = 255 - planes[mirrored, 0]
    return list(planes.unbind(1)) if frames else [planes]
