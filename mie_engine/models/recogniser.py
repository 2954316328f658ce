"""A recogniser ready to run, without torch: flow maps (or onset and apex frames) to class and action-unit probabilities."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mie_engine import kernels
from mie_engine.errors import EnvironmentProblem, InputError, ShapeError
from mie_engine.limits import MAX_MAPS, MAX_MODEL_BYTES
from mie_engine.runtime.files import read_file
from mie_engine.runtime.session import Session

from .model_info import KEY, ModelInfo

DEFAULT = "recogniser.onnx"  # in assets/models
CHUNK = 256  # maps of one run of the network; frames 16

Floats = NDArray[np.float32]
Run = Callable[[list[Floats]], tuple[Floats, Floats]]


@dataclass(frozen=True)
class Scores:
    """Of N samples: logits float32 [N, C]; classes float32 [N, C], probabilities; aus float32 [N, A], probabilities, each for itself."""

    logits: Floats
    classes: Floats
    aus: Floats


class Recogniser:
    """A network with its description: name, classes, aus (numbers), side (px), strain, inputs ("maps" or "frames"), temperature.

    run: float32 [N, 3, side, side] per input, 0..255 -> logits [N, classes], au_logits [N, aus].
    """

    def __init__(self, info: ModelInfo, run: Run) -> None:
        self.name, self.classes, self.aus = info.model, info.classes, info.aus
        self.side, self.strain, self.inputs, self.images = info.side, info.strain, info.inputs, info.images
        self.temperature, self.run = info.temperature, run

    @classmethod
    def load(cls, source: str | Path = "default", *, provider: str = "cpu", threads: int = 1) -> Recogniser:
        """Load a recogniser.

        Args:
            source: "default", the shipped one; an .onnx file written by this engine; or the .safetensors file of a ststnet, which then
                runs natively on the CPU.
            provider: "cpu" or "cuda"; runs there or raises.
            threads: of one run of the network.

        Raises:
            InputError: the file is missing, too large, not ours or broken. EnvironmentProblem: the shipped network is missing.
            UsageError, RangeError, BackendError: as Session.
        """
        if source == "default":
            return cls._of_session(cls._shipped(provider, threads), "the shipped recogniser")
        path = Path(source)
        if path.suffix == ".safetensors":
            if provider != "cpu":
                raise InputError(f"{path} runs natively, on the CPU only; load its .onnx file for {provider}")
            return cls._native(path)
        if path.suffix != ".onnx":
            raise InputError(f'{path} is neither an .onnx nor a .safetensors file; give one, or "default"')
        data = read_file(path, MAX_MODEL_BYTES)
        try:
            session = Session(data, sha256=hashlib.sha256(data).hexdigest(), provider=provider, threads=threads)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        return cls._of_session(session, str(path))

    def scores(self, *images: NDArray[np.uint8]) -> Scores:
        """Recognise samples.

        Args:
            images: maps uint8 [N, side, side, 3], (u, v, strain) each min-max scaled; a frame network takes two: onset and apex
                uint8 [N, side, side, 3], RGB.

        Returns:
            Scores of the N samples; the same whatever else is in the batch, up to rounding.

        Raises:
            ShapeError: another number, shape or dtype of images. InputError: the network gives numbers that are not finite.
        """
        if len(images) != len(self.images):
            raise ShapeError(f"{self.name} takes {' and '.join(self.images)}, got {len(images)} arrays")
        shape = (len(images[0]) if isinstance(images[0], np.ndarray) and images[0].ndim else 0, self.side, self.side, 3)
        for name, image in zip(self.images, images, strict=True):
            if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape != shape or shape[0] > MAX_MAPS:
                got = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else type(image).__name__
                raise ShapeError(f"{self.name}: {name} is {got}, expected uint8 [N, {self.side}, {self.side}, 3] with N <= {MAX_MAPS}")
        step = CHUNK if self.inputs == "maps" else 16
        logits, aus = np.empty((shape[0], len(self.classes)), np.float32), np.empty((shape[0], len(self.aus)), np.float32)
        for at in range(0, shape[0], step):
            part = [np.ascontiguousarray(image[at : at + step].transpose(0, 3, 1, 2), np.float32) for image in images]
            logits[at : at + step], aus[at : at + step] = self.run(part)
        if not (np.isfinite(logits).all() and np.isfinite(aus).all()):
            raise InputError(f"{self.name} gives numbers that are not finite; train or export it again")
        scaled = (logits - logits.max(1, keepdims=True)) / np.float32(self.temperature)
        classes = np.exp(scaled)
        return Scores(logits, classes / classes.sum(1, keepdims=True), (0.5 * (1 + np.tanh(0.5 * aus))).astype(np.float32))

    @staticmethod
    def _shipped(provider: str, threads: int) -> Session:
        if not (resources.files("mie_engine") / "assets" / "models" / DEFAULT).is_file():
            raise EnvironmentProblem(f"the shipped recogniser {DEFAULT} is missing; install the engine again, or give an .onnx file")
        return Session.shipped(DEFAULT, provider=provider, threads=threads)

    @classmethod
    def _of_session(cls, session: Session, source: str) -> Recogniser:
        info = ModelInfo.parse(session.metadata.get(KEY), source)
        outputs = {"logits": len(info.classes)} | ({"au_logits": len(info.aus)} if info.aus else {})
        taken = {spec.name: (spec.dtype, spec.shape) for spec in session.inputs}
        given = {spec.name: (spec.dtype, spec.shape) for spec in session.outputs}
        expected_in = dict.fromkeys(taken, ("float32", (None, 3, info.side, info.side)))
        expected_out = {name: ("float32", (None, count)) for name, count in outputs.items()}
        if not taken or set(taken) - set(info.images) or taken != expected_in or given != expected_out:
            raise InputError(f"{source}: the graph's inputs {taken} and outputs {given} are not those of its description {info.json()}")

        def run(images: list[Floats]) -> tuple[Floats, Floats]:
            found = session.run({name: image for name, image in zip(info.images, images, strict=True) if name in taken})
            return found["logits"], found.get("au_logits", np.empty((len(images[0]), 0), np.float32))

        return cls(info, run)

    @classmethod
    def _native(cls, path: Path) -> Recogniser:
        info, layers = read_weights(path)
        if info.model != "ststnet" or info.members != 1:
            raise InputError(f"{path} holds {info.members} x {info.model}; only a single ststnet runs without a graph: load its .onnx file")
        for name, layer in layers.items():
            if layer.ndim == 4:  # the published filters take strain, v, u
                layers[name] = layer[:, ::-1]
        weights = kernels.StstnetWeights(layers)
        count = len(info.classes)
        if weights.layers["fc.bias"].size != count or weights.outputs != count + len(info.aus):
            raise InputError(f"{path}: the weights give {weights.outputs} outputs, its description {info.json()} has others")

        def run(images: list[Floats]) -> tuple[Floats, Floats]:
            logits = kernels.ststnet(images[0], weights)
            return logits[:, :count], logits[:, count:]

        return cls(info, run)


def read_weights(path: str | Path) -> tuple[ModelInfo, dict[str, NDArray[Any]]]:
    """A safetensors file's description and arrays. Raises InputError."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    data = read_file(path, MAX_MODEL_BYTES)
    try:
        layers = load(data)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:  # KeyError: a dtype that NumPy lacks
        raise InputError(f"{path} is not a safetensors file of plain numbers ({error})") from error
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])  # which load has checked
    return ModelInfo.parse(header.get("__metadata__", {}).get(KEY), str(path)), layers
