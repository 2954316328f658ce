"""The recogniser at run time, without torch: what it loads, what it gives, what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from mie_engine.errors import EnvironmentProblem, InputError, ShapeError, UsageError
from mie_engine.models import recogniser, recognisers
from mie_engine.models.model_info import KEY, ModelInfo
from mie_engine.models.recogniser import Recogniser

INFO = {"model": "ststnet", "classes": ["negative", "positive", "surprise"], "aus": [4, 12], "side": 28, "strain": "true", "inputs": "maps"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One network as .onnx and .safetensors."""
    torch = pytest.importorskip("torch")
    from mie_engine.models import checkpoint

    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("models")
    network = recognisers.build("ststnet", 3, (4, 12))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.normal_()
    checkpoint.save(network, INFO, folder / "m.safetensors")
    checkpoint.export_onnx(network, INFO, folder / "m.onnx")
    return folder


def with_metadata(files, folder, text, suffix):
    """The same network with another description."""
    path = folder / f"changed{suffix}"
    if suffix == ".safetensors":
        from safetensors.numpy import load_file, save_file

        save_file(load_file(files / "m.safetensors"), path, metadata=None if text is None else {KEY: text})
    else:
        onnx = pytest.importorskip("onnx")
        graph = onnx.load(files / "m.onnx")
        onnx.helper.set_model_props(graph, {} if text is None else {KEY: text})
        onnx.save(graph, path)
    return path


def test_native_equals_the_graph(files, rng):
    native, graph = (Recogniser.load(files / f"m{suffix}") for suffix in (".safetensors", ".onnx"))
    assert (graph.name, graph.classes, graph.aus, graph.side, graph.strain, graph.inputs) == tuple(
        tuple(value) if isinstance(value, list) else value for value in INFO.values()
    )
    maps = rng.integers(0, 256, (300, 28, 28, 3), np.uint8)  # more than a chunk
    a, b = native.scores(maps), graph.scores(maps)
    np.testing.assert_allclose(a.logits, b.logits, rtol=0, atol=1e-5 * np.abs(b.logits).max())
    np.testing.assert_allclose(a.aus, b.aus, atol=1e-4)
    np.testing.assert_allclose(a.classes.sum(1), 1, atol=1e-6)
    np.testing.assert_array_equal(a.classes.argmax(1), a.logits.argmax(1))
    np.testing.assert_array_equal(native.scores(maps[290:]).logits, a.logits[290:])
    assert native.scores(maps[:0]).aus.shape == (0, 2)


def test_temperature_softens(files, tmp_path, rng):
    maps = rng.integers(0, 256, (4, 28, 28, 3), np.uint8)
    plain = Recogniser.load(files / "m.onnx").scores(maps)
    warm = Recogniser.load(with_metadata(files, tmp_path, json.dumps(INFO | {"temperature": 4.0}), ".onnx")).scores(maps)
    np.testing.assert_array_equal(plain.logits, warm.logits)
    expected = np.exp(plain.logits / 4 - (plain.logits / 4).max(1, keepdims=True))
    np.testing.assert_allclose(warm.classes, expected / expected.sum(1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "only recognisers written by this engine"),
        ("{", "not JSON"),
        ("[" * 9000, "not JSON"),
        ("[]", "expected an object"),
        (json.dumps(INFO) + " " * 20_000, "at most 16384"),
        *(
            (json.dumps(INFO | change), message)
            for change, message in [
                ({"model": "vgg"}, "model is 'vgg'"),
                ({"model": ["ststnet"]}, "model is"),
                ({"classes": "abc"}, "classes is 'abc', expected a list"),
                ({"classes": ["a", "a", "b"]}, "classes is"),
                ({"classes": ["a", 2, "b"]}, "classes is"),
                ({"classes": ["a", "b\n", "c"]}, "classes is"),
                ({"classes": [f"c{i}" for i in range(65)]}, "classes is"),
                ({"aus": [4, 4]}, "aus is"),
                ({"aus": [4, True]}, "aus is"),
                ({"aus": [4.0, 12]}, "aus is"),
                ({"side": 56}, "side is 56"),
                ({"side": None}, "side is None"),
                ({"strain": "fake"}, "strain is"),
                ({"inputs": "frames"}, "inputs is"),
                ({"temperature": 0}, "temperature is 0"),
                ({"temperature": float("nan")}, "temperature is nan"),
                ({"temperature": "1"}, "temperature is"),
                ({"members": 10**9}, "members is"),
                ({"width": 32}, "width is 32"),
                ({"code": "import os"}, r"unknown \['code'\]"),
                ({"classes": ["a", "b"]}, "description"),
                ({"aus": [12]}, "description"),
            ]
        ),
    ],
)
def test_wrong_descriptions_are_refused(files, tmp_path, suffix, text, message):
    with pytest.raises(InputError, match=message):
        Recogniser.load(with_metadata(files, tmp_path, text, suffix))


def test_description_survives_json():
    info = ModelInfo.of({"model": "robustnet", "classes": ["a", "b"], "width": 48, "members": 3, "temperature": 1.5})
    assert ModelInfo.parse(info.json(), "here") == info


def test_files_that_are_refused(files, tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"\x08\x07not a graph")
    (tmp_path / "m.safetensors").write_bytes((2**62).to_bytes(8, "little") + b"{}")
    cut = (files / "m.safetensors").read_bytes()[:-10]
    (tmp_path / "cut.safetensors").write_bytes(cut)
    for name in ("m.onnx", "m.safetensors", "cut.safetensors", "none.onnx", "none.safetensors", "m.pth"):
        with pytest.raises(InputError):
            Recogniser.load(tmp_path / name)
    with pytest.raises(InputError, match="on the CPU only"):
        Recogniser.load(files / "m.safetensors", provider="cuda")
    with pytest.raises(UsageError, match="provider 'tpu'"):
        Recogniser.load(files / "m.onnx", provider="tpu")


def test_other_networks_need_their_graph(tmp_path):
    pytest.importorskip("torch")
    from mie_engine.models import checkpoint

    info = INFO | {"model": "robustnet", "aus": []}
    checkpoint.save(recognisers.build("robustnet"), info, tmp_path / "m.safetensors")
    with pytest.raises(InputError, match=r"1 x robustnet; only a single ststnet .* load its .onnx file"):
        Recogniser.load(tmp_path / "m.safetensors")


def test_images_that_are_refused(files):
    loaded = Recogniser.load(files / "m.safetensors")
    maps = np.zeros((2, 28, 28, 3), np.uint8)
    for wrong in ((maps.astype(np.float32),), (maps[0],), (maps[:, :27],), (maps.tolist(),), (maps, maps), (), (np.uint8(3),)):
        with pytest.raises(ShapeError, match="ststnet"):
            loaded.scores(*wrong)


def test_missing_default_says_so(monkeypatch):
    monkeypatch.setattr(recogniser, "DEFAULT", "absent.onnx")
    with pytest.raises(EnvironmentProblem, match=r"absent.onnx is missing; install the engine again"):
        Recogniser.load()


def test_runs_without_torch(files):
    """In a process where torch cannot be imported, and building says what is missing."""
    program = f"""
import sys; sys.modules["torch"] = None
import numpy as np
from mie_engine.errors import EnvironmentProblem
from mie_engine.models import recognisers
from mie_engine.models.recogniser import Recogniser
for suffix in ("onnx", "safetensors"):
    assert Recogniser.load({str(files / "m.")!r} + suffix).scores(np.zeros((1, 28, 28, 3), np.uint8)).logits.shape == (1, 3)
try:
    recognisers.build("ststnet")
except EnvironmentProblem as error:
    assert "mie-engine[train]" in str(error)
else:
    raise AssertionError("built without torch")
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=files, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
