"""Weights on disk: our safetensors and ONNX files, and the only place that reads published .pth checkpoints."""

from __future__ import annotations

import copy
import io
import re
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mie_engine.errors import EnvironmentProblem, InputError
from mie_engine.limits import MAX_MODEL_BYTES, MAX_MODEL_CLASSES
from mie_engine.runtime.files import read_file, write_file

from .model_info import KEY, ModelInfo
from .recogniser import read_weights
from .recognisers import build

if TYPE_CHECKING:
    from torch import Tensor, nn

PARITY = 1e-4  # largest difference of a graph's logits to its module's, relative to the largest logit where that is above 1


def save(module: nn.Module, info: Mapping[str, Any], path: str | Path) -> None:
    """Write a network as safetensors, layers under their published names, the description in the metadata.

    Args:
        module: what recognisers.build or ensemble gave.
        info: the description; see ModelInfo.
        path: the file, replaced at once.

    Raises:
        InputError: the description does not fit the module, or a weight is not finite. EnvironmentProblem: the file cannot be written.
    """
    from safetensors.torch import save as to_bytes

    described = _described(module, info)
    weights = {_stored(key): value.detach().cpu().contiguous() for key, value in module.state_dict().items()}
    if bad := [key for key, value in weights.items() if not value.isfinite().all()]:
        raise InputError(f"network has weights that are not finite: {bad[:3]}; train it again")
    write_file(Path(path), to_bytes(weights, metadata={KEY: described.json()}))


def load(path: str | Path) -> tuple[nn.Module, ModelInfo]:
    """Read a network that `save` wrote, in evaluation mode.

    Raises:
        InputError: not such a file, or its weights do not fit its description.
    """
    import torch

    info, arrays = read_weights(path)
    weights = {key: torch.from_numpy(value.copy()) for key, value in arrays.items()}
    module = _empty(info)
    fill(module, {_module_key(key): value for key, value in weights.items()}, str(path))
    return module.eval(), info


def export_onnx(module: nn.Module, info: Mapping[str, Any], path: str | Path) -> float:
    """Write a network as one ONNX file of stock operators with a free batch size, after comparing it with the module.

    Args:
        module: what recognisers.build or ensemble gave; it is exported in evaluation mode and left as it is.
        info: the description; see ModelInfo.
        path: the file, replaced at once.

    Returns:
        The largest difference of its outputs to the module's on 64 random inputs (frame networks: 4), relative to the largest output where
        that is above 1; at most 1e-4.

    Raises:
        InputError: the graph differs by more than 1e-4, or the description does not fit. EnvironmentProblem: onnx is missing, or the file
            cannot be written.
    """
    import torch

    described = _described(module, info)
    net = copy.deepcopy(module).cpu().float().eval()
    names = list(described.images)
    outputs = ["logits", "au_logits"] if described.aus else ["logits"]
    count = 64 if described.inputs == "maps" else 4
    side = described.side
    images = [torch.randint(0, 256, (count, 3, side, side), generator=torch.Generator().manual_seed(i)).float() for i in range(len(names))]
    with torch.no_grad():
        expected = [x for x in net(*images) if x is not None]
    feeds, found = dict(zip(names, images, strict=True)), dict(zip(outputs, expected, strict=True))
    return write_graph(net, feeds, found, {KEY: described.json()}, Path(path))


def write_graph(net: nn.Module, feeds: dict[str, Tensor], expected: dict[str, Tensor], metadata: dict[str, str], path: Path) -> float:
    """Write a module as export_onnx does: free batch size, stock operators, and only if its outputs for `feeds` are the expected ones.

    Returns:
        The largest difference, relative to the largest output where that is above 1; at most PARITY.

    Raises:
        As export_onnx.
    """
    try:
        import onnx
        import torch
    except ImportError as error:
        raise EnvironmentProblem(f"export needs torch and onnx ({error}); pip install mie-engine[train]") from error
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the newer exporter is ten times slower and needs another package; the comparison decides
        file = Path(folder, "graph.onnx")
        named: dict[str, Any] = {
            "input_names": list(feeds),
            "output_names": list(expected),
            "dynamic_axes": {name: {0: "n"} for name in (*feeds, *expected)},
        }
        torch.onnx.export(net, tuple(x[:2] for x in feeds.values()), file, dynamo=False, opset_version=17, **named)
        graph = onnx.load(file)
    onnx.helper.set_model_props(graph, metadata)
    onnx.checker.check_model(graph, full_check=True)
    data = graph.SerializeToString()
    if len(data) > MAX_MODEL_BYTES:
        raise InputError(f"graph has {len(data)} bytes, at most {MAX_MODEL_BYTES} can be loaded again")
    difference = _difference(data, feeds, expected)
    if not difference <= PARITY:
        raise InputError(f"exported graph differs from the network by {difference:.2g}, at most {PARITY:g} is allowed")
    write_file(path, data)
    return difference


def _difference(data: bytes, images: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    import hashlib

    from mie_engine.runtime.session import Session

    session = Session(data, sha256=hashlib.sha256(data).hexdigest())
    taken = {spec.name for spec in session.inputs}
    differences = []
    for part in (slice(0, 1), slice(1, None)):  # the batch size must really be free
        found = session.run({name: np.ascontiguousarray(image[part].numpy()) for name, image in images.items() if name in taken})
        for name, value in expected.items():
            wanted = value[part].numpy()
            differences.append(np.abs(found[name] - wanted).max() / np.maximum(1.0, np.abs(wanted).max()))
    return float(np.max(differences))  # NaN where a network gives NaN


def import_published(path: str | Path, model: str) -> nn.Module:
    """Read a checkpoint as its authors published it (`<subject>.pth` of a leave-one-subject-out run, too).

    Args:
        path: a file of torch.save, with a state dict or {"state_dict": one}; nothing in it is executed.
        model: one of recognisers.NAMES, "ganimation" or "ganimation_discriminator". The number of classes is the file's. A plain
            ResNet-18 (torchvision names) fills the trunks of branches and apexme and leaves their heads fresh.

    Returns:
        The network, in evaluation mode.

    Raises:
        InputError: not a checkpoint of plain tensors, too large, or other keys or shapes than this network's: they are named.
        UsageError: an unknown model.
    """
    import torch

    data = read_file(path, MAX_MODEL_BYTES)
    try:
        if zipfile.is_zipfile(io.BytesIO(data)):
            unpacked = sum(member.file_size for member in zipfile.ZipFile(io.BytesIO(data)).infolist())
            if unpacked > MAX_MODEL_BYTES:
                raise InputError(f"it unpacks to {unpacked} bytes, at most {MAX_MODEL_BYTES} are read")
        found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling a hostile file may raise anything
        raise InputError(f"{path} is not a checkpoint of plain tensors ({(str(error) or repr(error)).splitlines()[0][:200]})") from error
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    plain = isinstance(found, dict) and all(
        isinstance(k, str) and isinstance(v, torch.Tensor) and v.layout is torch.strided and not v.is_quantized and v.device.type == "cpu"
        for k, v in found.items()
    )
    if not plain:
        raise InputError(f"{path} holds no state dict of tensors; save model.state_dict()")
    weights = {key.removeprefix("module."): value for key, value in found.items()}
    if model.startswith("ganimation"):
        from . import ganimation

        return ganimation.from_published(model, weights, str(path))
    network: Any = build(model)
    trunks = getattr(network.net, "trunks", ())
    if trunks and "layer1.0.conv1.weight" in weights:
        backbone = {key: value for key, value in weights.items() if not key.startswith("fc.")}
        for trunk in trunks:
            fill(getattr(network.net, trunk), backbone, str(path))
    else:
        last = weights.get(f"{network.net.head}.bias")
        if last is not None and last.ndim == 1 and len(last) != 3 and 2 <= len(last) <= MAX_MODEL_CLASSES:
            network = build(model, len(last))
        fill(network.net, weights, str(path))
    return cast("nn.Module", network.eval())


def _described(module: nn.Module, info: Mapping[str, Any]) -> ModelInfo:
    """The description, if it is this module's."""
    import torch

    described = ModelInfo.of(info)
    with torch.device("meta"):  # shapes only
        expected = {key: value.shape for key, value in _empty(described).state_dict().items()}
    if {key: value.shape for key, value in module.state_dict().items()} != expected:
        raise InputError(f"description {described.json()} does not fit the network; describe the one that was built")
    return described


def _empty(info: ModelInfo) -> nn.Module:
    side = info.side if info.model == "robustnet" else None
    return build(info.model, len(info.classes), info.aus, side=side, width=info.width, members=info.members)


def fill(module: Any, weights: Mapping[str, Tensor], source: str) -> None:
    """Load weights; a missing, unknown or unfitting one is an InputError that names it. Counters of batch norm may be missing."""
    own = module.state_dict()
    missing = [key for key in own if key not in weights and not key.endswith("num_batches_tracked")]
    unknown = [key for key in weights if key not in own]
    unfit = [f"{k} {list(weights[k].shape)} for {list(v.shape)}" for k, v in own.items() if k in weights and weights[k].shape != v.shape]
    faults = {"lacks": missing, "has unknown": unknown, "has other shapes:": unfit}
    if not any(faults.values()):
        faults["has numbers that are not finite in"] = [key for key, value in weights.items() if not value.isfinite().all()]
    for what, keys in faults.items():
        if keys:
            more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
            raise InputError(f"{source} {what} {', '.join(keys[:5])}{more}; is it this network?")
    module.load_state_dict(weights, strict=False)


def _stored(key: str) -> str:
    """net.conv1.weight is stored as conv1.weight, members.0.net.conv1.weight as 0.conv1.weight: the published names."""
    return re.sub(r"^(?:members\.(\d+\.))?(?:net\.)?", r"\1", key)


def _module_key(key: str) -> str:
    """What _stored took away."""
    first, dot, rest = key.partition(".")
    member, name = (f"members.{first}.", rest) if first.isdigit() else ("", first + dot + rest)
    return f"{member}{'' if name.startswith('au.') else 'net.'}{name}"
