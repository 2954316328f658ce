"""ststnet: every path equals the layer-by-layer definition and ONNX Runtime; what is not finite is refused."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from mie_engine import kernels
from mie_engine.errors import BackendError, InputError, ShapeError, UsageError

PATHS = [{"simd": level} for level in kernels.SIMD] + [{"backend": "ref"}]
CHANNELS = {1: 3, 2: 5, 3: 8}


def layers(rng: np.random.Generator, classes: int = 3, aus: int = 0) -> dict[str, np.ndarray]:
    """Random weights, batch norm scales of both signs and zero."""
    w = {}
    for i, k in CHANNELS.items():
        w |= {f"conv{i}.weight": rng.normal(0, 0.2, (k, 3, 3, 3)), f"conv{i}.bias": rng.normal(0, 0.3, k)}
        w |= {f"bn{i}.{name}": rng.normal(0, 1, k) for name in ("weight", "bias", "running_mean")}
        w |= {f"bn{i}.running_var": rng.uniform(0.01, 3, k), f"bn{i}.num_batches_tracked": np.array(7)}
    w["bn3.weight"][2] = 0
    for head, count in {"fc": classes, "au": aus}.items():
        if count:
            w |= {f"{head}.weight": rng.normal(0, 0.05, (count, 400)), f"{head}.bias": rng.normal(0, 1, count)}
    return {name: np.asarray(value, np.int64 if name.endswith("tracked") else np.float32) for name, value in w.items()}


def run(maps, weights, path):
    try:
        return kernels.ststnet(maps, weights, **path)
    except BackendError as error:
        pytest.skip(f"{error}: this path is NOT tested here")


def assert_close(found, expected):
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * max(1.0, np.abs(expected).max()))


def torch_logits(maps, weights):
    """The network as its authors wrote it."""
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    w = {name: torch.from_numpy(value).double() for name, value in weights.items()}
    pooled = []
    for i in CHANNELS:
        x = functional.conv2d(torch.from_numpy(maps).double(), w[f"conv{i}.weight"], w[f"conv{i}.bias"], padding=2).relu()
        x = functional.batch_norm(x, *(w[f"bn{i}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")))
        pooled.append(functional.max_pool2d(x, 3, 3, 1))
    cells = functional.avg_pool2d(torch.cat(pooled, 1), 2).flatten(1)
    heads = [head for head in ("fc", "au") if f"{head}.weight" in w]
    return torch.cat([functional.linear(cells, w[f"{head}.weight"], w[f"{head}.bias"]) for head in heads], 1).numpy()


@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize(("count", "classes", "aus"), [(1, 3, 0), (2, 2, 1), (17, 3, 12), (0, 3, 0)])
@pytest.mark.parametrize("scale", [1, 255])
def test_paths_equal_the_authors_network(rng, path, count, classes, aus, scale):
    weights = layers(rng, classes, aus)
    maps = (scale * rng.uniform(0, 1, (count, 3, 28, 28))).astype(np.float32)
    found = run(maps, kernels.StstnetWeights(weights), path)
    assert found.shape == (count, classes + aus)
    if count:
        assert_close(found, torch_logits(maps, weights))


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_edge_values(rng, path):
    """Zeros, one lit pixel at every border and corner, huge values; a map's neighbours do not matter."""
    weights = layers(rng)
    maps = np.zeros((12, 3, 28, 28), np.float32)
    for n, (y, x) in enumerate([(0, 0), (0, 27), (27, 0), (27, 27), (13, 0), (0, 13), (27, 13), (13, 27), (2, 2), (26, 26)], 1):
        maps[n, n % 3, y, x] = 255
    maps[11] = rng.normal(0, 1e6, (3, 28, 28))
    packed = kernels.StstnetWeights(weights)
    found = run(maps, packed, path)
    for n in range(12):
        assert_close(found[n], torch_logits(maps[n : n + 1], weights)[0])
        assert np.array_equal(run(maps[n : n + 1], packed, path)[0], found[n]) or path == {"backend": "ref"}
    assert_close(run(np.asfortranarray(maps), weights, path), found)


@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite_is_refused(rng, path, value):
    for at in [(0, 0, 0, 0), (2, 2, 27, 27), (1, 1, 13, 14)]:
        maps = rng.normal(0, 1, (3, 3, 28, 28)).astype(np.float32)
        maps[at] = value
        weights = kernels.StstnetWeights(layers(rng))
        run(np.zeros((1, 3, 28, 28), np.float32), weights, path)
        with pytest.raises(InputError, match="NaN or infinity"):
            kernels.ststnet(maps, weights, **path)


def test_equals_onnxruntime(rng):
    """On the graph that export gives, at 0..255 and at the parity file's own input."""
    pytest.importorskip("torch")
    import torch

    from mie_engine.models.recognisers import build
    from mie_engine.runtime.session import Session

    net = build("ststnet").net.eval()
    weights = layers(rng)
    net.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    graph = exported(net)
    session = Session(graph[0], sha256=graph[1])
    for count in (1, 16):
        for scale in (1, 255):
            maps = (scale * rng.uniform(0, 1, (count, 3, 28, 28))).astype(np.float32)
            assert_close(kernels.ststnet(maps, weights), session.run({"maps": maps})["logits"])


def exported(net):
    import hashlib
    import io
    import warnings

    import torch

    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        axes = {"maps": {0: "n"}, "logits": {0: "n"}}
        example = (torch.zeros(2, 3, 28, 28),)
        torch.onnx.export(net, example, file, dynamo=False, input_names=["maps"], output_names=["logits"], dynamic_axes=axes)
    return file.getvalue(), hashlib.sha256(file.getvalue()).hexdigest()


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_parity_with_the_published_module(shared, path):
    sys.path.insert(0, str(shared / "parity"))
    from weights import fill

    with np.load(shared / "parity" / "meb_ststnet.npz", allow_pickle=False) as known:
        weights = {key: np.asarray(fill(key, shape, int(known["salt"]))) for key, shape in json.loads(str(known["keys"])).items()}
        assert_close(run(known["x"], weights, path), known["y"])


def test_contract(rng):
    weights = layers(rng)
    maps = np.zeros((1, 3, 28, 28), np.float32)
    for wrong in (maps[0], maps.astype(np.float64), np.zeros((1, 3, 28, 27), np.float32), [1], maps.astype(np.uint8)):
        with pytest.raises(ShapeError, match="ststnet: maps"):
            kernels.ststnet(wrong, weights)
    for change, message in (
        ({"conv2.weight": np.zeros((5, 3, 3, 2))}, r"conv2.weight has shape \(5, 3, 3, 2\), expected \(5, 3, 3, 3\)"),
        ({"extra": np.zeros(2)}, r"extra has shape \(2,\), expected None"),
        ({"bn1.running_var": -np.ones(3)}, "variance below 0"),
        ({"fc.bias": np.full(3, np.nan)}, "fc.bias holds"),
        ({"au.weight": np.zeros((2, 400))}, "au.bias"),
    ):
        with pytest.raises(InputError, match=message):
            kernels.StstnetWeights(weights | change)
    with pytest.raises(InputError, match=r"fc.bias"):
        kernels.StstnetWeights({name: value for name, value in weights.items() if name != "fc.bias"})
    with pytest.raises(UsageError, match="belongs to backend 'cpu'"):
        kernels.ststnet(maps, weights, backend="ref", simd="avx2")
    with pytest.raises(UsageError, match="allowed are"):
        kernels.ststnet(maps, weights, simd="sse9")
