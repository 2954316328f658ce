"""Speed of recognition: STSTNet natively beside ONNX Runtime on the same weights, the shipped recogniser, and the road of a frame.

One thread, process CPU time, medians of interleaved rounds, every call through its public door from Python.
"""

from __future__ import annotations

import json as json_module
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import kernels
from ..errors import EnvironmentProblem
from ..models import checkpoint
from ..models.model_info import KEY
from ..models.recogniser import Recogniser
from .report import Row, goal, measured, medians_ms, peer_package, print_rows, show
from .road import road

BATCHES = (1, 16)
GOAL = 5.0  # times ONNX Runtime
CLOSE = 1e-5  # largest difference, relative to the largest logit where that is above 1
INFO = {"model": "ststnet", "classes": ["negative", "positive", "surprise"]}


def weights(seed: int = 7) -> dict[str, NDArray[np.float32]]:
    """Random weights of a STSTNet of three classes, by their published names."""
    rng = np.random.default_rng(seed)
    layers: dict[str, NDArray[Any]] = {"fc.weight": rng.normal(0, 0.05, (3, 400)), "fc.bias": rng.normal(0, 1, 3)}
    for i, k in enumerate((3, 5, 8), 1):
        layers |= {f"conv{i}.weight": rng.normal(0, 0.2, (k, 3, 3, 3)), f"conv{i}.bias": rng.normal(0, 0.3, k)}
        layers |= {f"bn{i}.{name}": rng.normal(0, 1, k) for name in ("weight", "bias", "running_mean")}
        layers[f"bn{i}.running_var"] = rng.uniform(0.5, 2, k)
    return {name: value.astype(np.float32) for name, value in layers.items()}


def peer(layers: dict[str, NDArray[np.float32]]) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """ONNX Runtime on the network's bare graph, which takes the maps in the order of the weights."""
    import onnxruntime as ort
    from safetensors.numpy import save_file

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory(prefix="mie-bench-") as name:
        save_file(layers, Path(name, "m.safetensors"), metadata={KEY: json_module.dumps(INFO)})
        network, _ = checkpoint.load(Path(name, "m.safetensors"))
        network.get_submodule("net").prepare = lambda maps: maps  # type: ignore[assignment]
        checkpoint.export_onnx(network, INFO, Path(name, "m.onnx"))
        session = ort.InferenceSession(str(Path(name, "m.onnx")), options, providers=["CPUExecutionProvider"])
    return lambda maps: session.run(["logits"], {"maps": maps})[0]


def ststnet(rounds: int) -> list[Row]:
    """Microseconds a map at every batch size and the largest difference of the logits, maps of 0..255."""
    layers = weights()
    packed, theirs = kernels.StstnetWeights(layers), peer(layers)
    rows: list[Row] = []
    for batch in BATCHES:
        maps = np.random.default_rng(batch).uniform(0, 255, (batch, 3, 28, 28)).astype(np.float32)
        calls: dict[str, Callable[[], Any]] = {"native": partial(kernels.ststnet, maps, packed), "ONNX Runtime": partial(theirs, maps)}
        expected = calls["ONNX Runtime"]()
        difference = float(np.abs(calls["native"]() - expected).max() / max(1.0, np.abs(expected).max()))
        times = {case: 1000 * ms / batch for case, ms in medians_ms(calls, rounds).items()}
        row = {"table": "speed", "case": f"STSTNet, batch {batch}"} | {f"{case}, us a map": us for case, us in times.items()}
        rows.append(row | {"times ONNX Runtime": times["ONNX Runtime"] / times["native"], "largest difference": difference})
    return rows


def shipped(rounds: int) -> Row:
    """Microseconds a map of the default recogniser through its session, batch 16, from uint8 maps to probabilities."""
    row: Row = {"table": "default recogniser", "case": "maps to probabilities, batch 16"}
    try:
        recogniser = Recogniser.load()
    except EnvironmentProblem as error:
        return row | {"us a map": str(error)}
    maps = np.random.default_rng(1).integers(0, 256, (16, recogniser.side, recogniser.side, 3), np.uint8)
    return row | {"us a map": 1000 * medians_ms({"": lambda: recogniser.scores(maps)}, rounds)[""] / 16}


def goals(rows: list[Row]) -> list[Row]:
    """The aims, the figures reached and whether they hold."""
    found: list[Row] = []
    for row in rows:
        if row["table"] == "speed":
            found.append(goal(f"{row['case']}: x ONNX Runtime", row["times ONNX Runtime"], GOAL))
            found.append(goal(f"{row['case']}: difference", row["largest difference"], CLOSE, at_most=True))
    return found


def measure(rounds: int) -> list[Row]:
    """Measure in this process."""
    rows = [*ststnet(rounds), shipped(rounds), *road(peer_package(), rounds)]
    return rows + goals(rows)


def main(json: bool = False, rounds: int = 9) -> int:
    """Print the report, as tables or as JSON; returns 0, or 5 when a goal is missed."""
    peer_package("torch")
    return show(measured("mie_engine.bench.recog", rounds), "recog, 28 x 28 x 3 maps, one thread", json)


if __name__ == "__main__":
    print_rows(measure(int(sys.argv[1])))
