"""Train a GANimation generator: WGAN-GP, its critic also reads action units; stopped anywhere, it goes on to the same bits.

Source: Pumarola et al., ECCV 2018; weights and schedule as MiE-X's generator was trained.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mie_engine.errors import BackendError, EnvironmentProblem, InputError, RangeError
from mie_engine.limits import MAX_MODEL_BYTES
from mie_engine.runtime.files import make_folder, read_file, write_file

from .face_table import FaceTable
from .training import seeded

if TYPE_CHECKING:
    from torch import Tensor, nn

    from .ganimation import Generator

KEY = "mie_ganimation_training"
STATE, GRAPH = "state.safetensors", "generator.onnx"
BETAS = (0.5, 0.999)
JITTER = 0.1  # of the targets: AU vectors of other faces


@dataclass(frozen=True)
class GanRecipe:
    """How a generator is trained; the lr falls linearly to 0 over the last `decay` epochs.

    critic_steps: of the critic for one of the generator. save_steps: between two saved states. The last six weigh the losses: critic's
    score, action units (mean square), cycle (mean absolute), mask (mean square), its roughness (total variation), gradient penalty.
    """

    epochs: int = 30
    decay: int = 10
    batch: int = 25
    lr: float = 1e-4
    critic_steps: int = 5
    save_steps: int = 1000
    seed: int = 0
    side: int = 128
    width: int = 64
    blocks: int = 6
    norm: str = "plain"
    adversarial: float = 1.0
    au: float = 160.0
    cycle: float = 10.0
    mask: float = 0.0
    smooth: float = 0.0
    penalty: float = 10.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, low = getattr(self, field.name), int(field.type == "int" and field.name not in ("decay", "seed", "blocks"))
            if field.name != "norm" and not low <= value <= 2**31:  # also refuses NaN
                raise RangeError(f"{field.name} is {value}, allowed is {low} to {2**31}")
        if self.decay > self.epochs:
            raise RangeError(f"the lr falls over {self.decay} of {self.epochs} epochs; give fewer")


AUTHORS = GanRecipe(norm="affine", au=4000.0, mask=0.1, smooth=1e-5)
"""The weights of the method's authors, for its other norm."""


@dataclass
class State:
    """Everything that decides how training goes on: networks, optimisers, steps done, rows of mean losses so far."""

    generator: Generator
    critic: nn.Module
    optimisers: dict[str, Any]
    step: int
    rows: list[dict[str, float]]


def train(
    faces: FaceTable,
    recipe: GanRecipe,
    out: Path,
    *,
    device: str = "cpu",
    threads: int = 1,
    progress: Callable[[int, int], None] = lambda samples, size: None,
) -> dict[str, Any]:
    """Train, or go on where the state in `out` ends; then write the generator's graph for mie synth.

    Args:
        faces: to learn from, of recipe.side. out: folder for state.safetensors and generator.onnx, made if missing.
        device: "cpu" or "cuda"; runs there or raises. threads: of torch; another number rounds differently.
        progress: called with the images of each step, twice; those of the saved steps with 0.

    Returns:
        steps, rows (mean losses between saves), difference (of the graph to the network).

    Raises:
        RangeError: fewer faces than a batch, or a loss that is not finite. InputError: the state in `out` is another training's.
        BackendError: no such device. EnvironmentProblem: no torch, or `out` cannot be written.
    """
    try:
        import torch

        from .ganimation_export import export_onnx
    except ImportError as error:
        raise EnvironmentProblem(f"training needs torch, which is missing ({error}); pip install mie-engine[train]") from error
    if device not in ("cpu", "cuda") or (device == "cuda" and not torch.cuda.is_available()):
        raise BackendError(f"device {device!r} cannot run here; choose cpu, or cuda where torch finds a device")
    if len(faces.images) < recipe.batch or faces.images.shape[1] != recipe.side:
        raise RangeError(f"{faces.images.shape} faces for batches of {recipe.batch} and {recipe.side} px: use more, or a smaller batch")
    make_folder(out)
    said = {"recipe": asdict(recipe), "faces_sha256": faces.sha256}
    with seeded(recipe.seed, threads):
        state = _begin(recipe, device)
        if (out / STATE).exists():
            _restore(state, out / STATE, said)
        progress(state.step * recipe.batch, 0)
        _run(state, faces, recipe, device, progress, lambda: _save(state, out / STATE, said))
        difference = export_onnx(state.generator, out / GRAPH, recipe.side)
    return {"steps": state.step, "rows": state.rows, "difference": difference}


def _begin(recipe: GanRecipe, device: str) -> State:
    import torch

    from .ganimation import Discriminator, Generator

    generator = Generator(recipe.norm, recipe.width, recipe.blocks).to(device)
    critic = Discriminator(recipe.side, recipe.width).to(device)
    optimisers = {
        name: torch.optim.Adam(net.parameters(), lr=recipe.lr, betas=BETAS) for name, net in (("generator", generator), ("critic", critic))
    }
    return State(generator, critic, optimisers, 0, [])


def _run(
    state: State, faces: FaceTable, recipe: GanRecipe, device: str, progress: Callable[[int, int], None], save: Callable[[], None]
) -> None:
    import torch

    per_epoch = len(faces.images) // recipe.batch
    last = recipe.epochs * per_epoch
    images, action_units = torch.from_numpy(faces.images), torch.from_numpy(faces.action_units)
    since: dict[str, list[float]] = {}
    while state.step < last:
        epoch, place = divmod(state.step, per_epoch)
        # All that is random comes from the step's number: going on needs no state of a generator.
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(recipe.seed * 1_000_003 + epoch))
        chosen = order[place * recipe.batch : (place + 1) * recipe.batch]
        draws = torch.Generator().manual_seed(recipe.seed * 1_000_003 + 500_000 + state.step)
        x = (images[chosen].movedim(-1, 1).float() / 127.5 - 1).to(device)
        aus = action_units[chosen]
        jitter = JITTER * (2 * torch.rand(aus.shape, generator=draws) - 1)
        target = (aus[torch.randperm(len(aus), generator=draws)] + jitter).clamp(0, 1).to(device)
        mix = torch.rand((len(x), 1, 1, 1), generator=draws).to(device)
        lr = recipe.lr * min(1.0, (recipe.epochs - epoch) / (recipe.decay + 1))
        losses = _critic_step(state, recipe, x, aus.to(device), target, mix, lr)
        state.step += 1
        if state.step % recipe.critic_steps == 0:
            losses |= _generator_step(state, recipe, x, aus.to(device), target, lr)
        for name, value in losses.items():
            since.setdefault(name, []).append(value)
        if not all(map(math.isfinite, losses.values())):
            raise RangeError(f"the loss is not finite in step {state.step}: use a lower lr than {recipe.lr:g}")
        if state.step % recipe.save_steps == 0 or state.step == last:
            state.rows.append({"step": state.step, "lr": lr, **{name: sum(values) / len(values) for name, values in since.items()}})
            since = {}
            save()
        progress(recipe.batch, recipe.batch)


def _update(optimiser: Any, loss: Tensor, lr: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = lr
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


def _critic_step(state: State, recipe: GanRecipe, x: Tensor, aus: Tensor, target: Tensor, mix: Tensor, lr: float) -> dict[str, float]:
    import torch
    from torch.nn import functional

    from .ganimation import blend

    with torch.no_grad():
        fake = blend(x, *state.generator(x, target))[0]
    real_score, found = state.critic(x)
    fake_score, _ = state.critic(fake)
    between = (mix * x + (1 - mix) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(state.critic(between)[0].sum(), between, create_graph=True)
    penalty = (slope.flatten(1).norm(2, 1) - 1).square().mean()
    distance, au = fake_score.mean() - real_score.mean(), functional.mse_loss(found, aus)
    loss = recipe.adversarial * distance + recipe.au * au + recipe.penalty * penalty
    _update(state.optimisers["critic"], loss, lr)
    return {"critic": float(loss.detach()), "distance": float(-distance.detach()), "critic_au": float(au.detach())}


def _generator_step(state: State, recipe: GanRecipe, x: Tensor, aus: Tensor, target: Tensor, lr: float) -> dict[str, float]:
    from torch.nn import functional

    from .ganimation import blend

    fake, _, mask = blend(x, *state.generator(x, target))
    score, found = state.critic(fake)
    back, _, mask_back = blend(fake, *state.generator(fake, aus))
    au, cycle = functional.mse_loss(found, target), (back - x).abs().mean()
    loss = -recipe.adversarial * score.mean() + recipe.au * au + recipe.cycle * cycle
    for m in (mask, mask_back):  # a full mask copies the image
        rough = (m[:, :, 1:] - m[:, :, :-1]).square().sum() + (m[:, :, :, 1:] - m[:, :, :, :-1]).square().sum()
        loss = loss + recipe.mask * m.square().mean() + recipe.smooth * rough / len(m)
    _update(state.optimisers["generator"], loss, lr)
    return {"generator": float(loss.detach()), "generator_au": float(au.detach()), "cycle": float(cycle.detach())}


def _save(state: State, path: Path, said: dict[str, Any]) -> None:
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    for name, net in (("generator", state.generator), ("critic", state.critic)):
        tensors |= {f"{name}.{key}": value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
        for index, moments in state.optimisers[name].state_dict()["state"].items():
            tensors |= {f"adam.{name}.{index}.{key}": value.detach().cpu().contiguous() for key, value in moments.items()}
    write_file(path, save(tensors, metadata={KEY: json.dumps({**said, "step": state.step, "rows": state.rows})}))


def _restore(state: State, path: Path, said: dict[str, Any]) -> None:
    """Put a saved state in place. Raises InputError: not one, or of another recipe or other faces."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    from .checkpoint import fill

    data = read_file(path, MAX_MODEL_BYTES)
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        found = json.loads(header["__metadata__"][KEY])
        step, rows = int(found["step"]), list(found["rows"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not the state of a training ({error!r:.200}); choose another folder") from error
    for what, value in said.items():
        if found.get(what) != value:
            raise InputError(f"{path} was begun with another {what.replace('_', ' ')}; use the same options and faces, or another folder")
    for name, net in (("generator", state.generator), ("critic", state.critic)):
        fill(net, {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}, str(path))
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith(f"adam.{name}."):
                index, _, field = key.removeprefix(f"adam.{name}.").partition(".")
                moments.setdefault(int(index), {})[field] = value
        optimiser = state.optimisers[name]
        shapes = [p.shape for p in net.parameters()]
        if moments and not all(
            set(m) == {"step", "exp_avg", "exp_avg_sq"} and k < len(shapes) and m["exp_avg"].shape == m["exp_avg_sq"].shape == shapes[k]
            for k, m in moments.items()
        ):
            raise InputError(f"{path} has moments that do not fit its {name}; choose another folder")
        optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
    state.step, state.rows = step, rows
