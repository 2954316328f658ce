"""One network, loaded from checked bytes and run on arrays: the Session that every step uses, over the onnxruntime package."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from mie_engine.errors import BackendError, EnvironmentProblem, InputError, RangeError, ShapeError, UsageError

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

# ONNX messages that can hold a tensor, as {message: {field number: message}}; a tensor stored outside the file has field 13, or field 14
# set to 1. Source: onnx.proto.
_TENSOR_PATHS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_MAX_DEPTH = 32


@dataclass(frozen=True)
class TensorSpec:
    """Name, shape (None where any length is taken) and NumPy dtype name of one input or output."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


class Session:
    """A network on one explicitly chosen device; may be run from several threads at once.

    Args:
        data: an ONNX file's bytes, without external data.
        sha256: hexadecimal digest the bytes must have.
        provider: "cpu" or "cuda"; runs there or raises.
        threads: threads of one run, 1 or more.

    Raises:
        InputError: wrong digest, external data, or not a network. BackendError: the provider cannot run here.
        UsageError, RangeError: an unknown provider, or threads below 1. EnvironmentProblem: onnxruntime is missing.
    """

    def __init__(self, data: bytes, *, sha256: str, provider: str = "cpu", threads: int = 1) -> None:
        if provider not in PROVIDERS:
            raise UsageError(f"provider {provider!r} is unknown; choose one of {', '.join(PROVIDERS)}")
        if threads < 1:
            raise RangeError(f"threads is {threads}, at least 1 is needed")
        digest = hashlib.sha256(data).hexdigest()
        if digest != sha256:
            raise InputError(f"network has SHA-256 {digest}, expected {sha256}; install the engine again")
        if _refers_outside(data):
            raise InputError("network keeps weights outside its file; export it as one file")
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise EnvironmentProblem("the onnxruntime package is missing; pip install onnxruntime") from error
        if PROVIDERS[provider] not in ort.get_available_providers():
            raise BackendError(
                f"provider {provider!r} is not in this onnxruntime ({ort.get_available_providers()}); install onnxruntime-gpu"
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(data, options, providers=[PROVIDERS[provider]])
        except Exception as error:  # onnxruntime's own exception types are not public
            raise InputError(f"onnxruntime refuses the network: {error}") from error
        if self._session.get_providers()[0] != PROVIDERS[provider]:
            raise BackendError(f"provider {provider!r} could not start: onnxruntime fell back to {self._session.get_providers()[0]}")
        self.provider = provider
        self.inputs = tuple(map(_spec, self._session.get_inputs()))
        self.outputs = tuple(map(_spec, self._session.get_outputs()))
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    @classmethod
    def shipped(cls, name: str, *, provider: str = "cpu", threads: int = 1) -> Session:
        """Load a network that comes with the engine.

        Args:
            name: its file name in assets/models, as listed in manifest.json.
            provider, threads: as Session.

        Returns:
            The session.

        Raises:
            As Session; UsageError for a name that is not shipped.
        """
        folder = resources.files("mie_engine") / "assets" / "models"
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        if name not in manifest:
            raise UsageError(f"network {name!r} is not shipped; choose one of {', '.join(manifest)}")
        try:
            data = (folder / name).read_bytes()
        except OSError as error:
            raise EnvironmentProblem(f"network {name} cannot be read ({error}); install the engine again") from error
        return cls(data, sha256=manifest[name]["sha256"], provider=provider, threads=threads)

    def run(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        """Run the network once, without the GIL.

        Args:
            feeds: one array per input name, of that input's shape and dtype.

        Returns:
            One array per output name.

        Raises:
            ShapeError: a missing, unknown or unfitting input.
        """
        if set(feeds) != {spec.name for spec in self.inputs}:
            raise ShapeError(f"network takes {[spec.name for spec in self.inputs]}, got {sorted(feeds)}")
        for spec in self.inputs:
            array = feeds[spec.name]
            fits = len(array.shape) == len(spec.shape) and all(w in (None, n) for w, n in zip(spec.shape, array.shape, strict=True))
            if not fits or array.dtype != spec.dtype:
                raise ShapeError(f"input {spec.name} is {array.dtype} {list(array.shape)}, expected {spec.dtype} {list(spec.shape)}")
        names = [spec.name for spec in self.outputs]
        return dict(zip(names, self._session.run(names, dict(feeds)), strict=True))


def _spec(argument: Any) -> TensorSpec:
    kinds = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"}
    kind = argument.type.removeprefix("tensor(").removesuffix(")")
    return TensorSpec(argument.name, tuple(n if isinstance(n, int) else None for n in argument.shape), kinds.get(argument.type, kind))


def _refers_outside(data: bytes) -> bool:
    try:
        return _walk(memoryview(data), "model", 0)
    except (IndexError, ValueError) as error:
        raise InputError(f"not an ONNX network ({error})") from error


def _walk(message: memoryview, kind: str, depth: int) -> bool:
    """Whether any tensor below this protobuf message lies in another file."""
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deep")
    inner = _TENSOR_PATHS[kind]
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        field, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(message, at)
            if kind == "tensor" and field == 14 and value == 1:
                return True
        elif wire == 2:
            size, at = _varint(message, at)
            if size > len(message) - at:
                raise ValueError("truncated")
            if kind == "tensor" and field == 13:
                return True
            if field in inner and _walk(message[at : at + size], inner[field], depth + 1):
                return True
            at += size
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
    return False


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("number too long")
