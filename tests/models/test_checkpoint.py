"""Recogniser files: what is written is read back, what is exported equals the module, what is hostile or does not fit is refused."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from mie_engine import limits
from mie_engine.errors import InputError
from mie_engine.models import checkpoint, recognisers
from mie_engine.models.recogniser import Recogniser

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

NAMES = ["negative", "positive", "surprise"]


def info_of(name, **more):
    spec = recognisers.SPECS[name]
    return {"model": name, "classes": NAMES, "side": spec.side, "strain": "true", "inputs": spec.inputs} | more


def trained(name, aus=(), **options):
    """Batch norm that has seen something, as after training."""
    torch.manual_seed(3)
    network = recognisers.build(name, 3, aus, **options)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return network


@pytest.mark.parametrize(
    ("name", "aus", "options"),
    [
        *((name, (4, 12), {}) for name in recognisers.NAMES if name != "htnet"),
        ("robustnet", (), {"side": 56, "width": 12, "members": 2}),
        pytest.param("htnet", (), {}, marks=pytest.mark.slow),
    ],
)
def test_written_exported_and_read_back(tmp_path, rng, name, aus, options):
    network = trained(name, aus, **options)
    info = info_of(name, aus=list(aus), **options)
    checkpoint.save(network, info, tmp_path / "m.safetensors")
    again, read = checkpoint.load(tmp_path / "m.safetensors")
    assert json.loads(read.json()) == info
    assert all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), again.state_dict().values(), strict=True))

    assert checkpoint.export_onnx(network, info, tmp_path / "m.onnx") <= 1e-4
    assert network.training  # left as it was
    loaded = Recogniser.load(tmp_path / "m.onnx")
    images = [rng.integers(0, 256, (3, loaded.side, loaded.side, 3), np.uint8) for _ in range(1 if loaded.inputs == "maps" else 2)]
    found = loaded.scores(*images)
    with torch.no_grad():
        logits, au = again(*(torch.from_numpy(image).permute(0, 3, 1, 2).float() for image in images))
    np.testing.assert_allclose(found.logits, logits, rtol=1e-5, atol=1e-4)
    assert found.aus.shape == (3, len(aus))
    if aus:
        np.testing.assert_allclose(found.aus, au.sigmoid(), atol=1e-5)


def test_stored_under_published_names(tmp_path):
    from safetensors.numpy import load_file

    checkpoint.save(trained("ststnet", (12,)), info_of("ststnet", aus=[12]), tmp_path / "m.safetensors")
    stored = load_file(tmp_path / "m.safetensors")
    assert {"conv1.weight", "bn3.running_var", "fc.bias", "au.weight"} <= set(stored)
    assert stored["fc.weight"].shape == (3, 400)


def test_leave_one_subject_out_checkpoint(tmp_path):
    """<subject>.pth as published: the state dict, an OrderedDict; or inside {"state_dict"}, from DataParallel, of five classes."""
    state = OrderedDict(trained("ststnet").net.state_dict())
    torch.save(state, tmp_path / "sub01.pth")
    wrapped = {"epoch": 800, "state_dict": {f"module.{key}": value for key, value in state.items()}}
    torch.save(wrapped, tmp_path / "sub02.pth")
    torch.save(state, tmp_path / "sub03.pth", _use_new_zipfile_serialization=False)
    for path in sorted(tmp_path.iterdir()):
        network = checkpoint.import_published(path, "ststnet")
        assert not network.training
        assert all(torch.equal(value, state[key]) for key, value in network.net.state_dict().items())
    torch.save(state | {"fc.weight": torch.zeros(5, 400), "fc.bias": torch.zeros(5)}, tmp_path / "five.pth")
    assert checkpoint.import_published(tmp_path / "five.pth", "ststnet")(torch.zeros(1, 3, 28, 28))[0].shape == (1, 5)


def test_imagenet_resnet18_fills_the_trunks(tmp_path):
    state = trained("apexme").net.apex.state_dict()
    torch.save(state | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}, tmp_path / "resnet18.pth")
    network = checkpoint.import_published(tmp_path / "resnet18.pth", "branches")
    for trunk in (network.net.onset, network.net.apex):
        assert all(torch.equal(value, state[key]) for key, value in trunk.state_dict().items())


class Hostile:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def test_hostile_pickles_are_not_run(tmp_path):
    mark = tmp_path / "was_run"
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Hostile(mark)))
    torch.save({"conv1.weight": Hostile(mark)}, tmp_path / "inside.pth")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")  # a whole module needs code
    for name in ("plain", "inside", "module"):
        with pytest.raises(InputError, match="not a checkpoint of plain tensors"):
            checkpoint.import_published(tmp_path / f"{name}.pth", "ststnet")
    assert not mark.exists()


def test_unfit_checkpoints_name_the_layer(tmp_path, monkeypatch):
    state = dict(trained("ststnet").net.state_dict())
    cases = {
        "lacks conv2.bias": {k: v for k, v in state.items() if k != "conv2.bias"},
        "has unknown conv9.weight": state | {"conv9.weight": torch.zeros(1)},
        r"has other shapes: conv1.weight \[3, 3, 5, 5\] for \[3, 3, 3, 3\]": state | {"conv1.weight": torch.zeros(3, 3, 5, 5)},
        "not finite in bn1.bias": state | {"bn1.bias": torch.full((3,), torch.nan)},
        "no state dict": [1, 2],
        "no state dict ": state | {"conv1.weight": torch.zeros(3, 3, 3, 3).to_sparse()},
    }
    for message, content in cases.items():
        torch.save(content, tmp_path / "m.pth")
        with pytest.raises(InputError, match=message.strip()):
            checkpoint.import_published(tmp_path / "m.pth", "ststnet")
    huge = state | {"fc.bias": torch.zeros(1).expand(10**12)}  # a tebibyte from four bytes
    torch.save(huge, tmp_path / "m.pth")
    with pytest.raises(InputError, match="other shapes"):
        checkpoint.import_published(tmp_path / "m.pth", "ststnet")
    (tmp_path / "m.pth").write_bytes(b"")
    with pytest.raises(InputError):
        checkpoint.import_published(tmp_path / "m.pth", "ststnet")
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("archive/data.pkl", bytes(2_000_000))
    monkeypatch.setattr(checkpoint, "MAX_MODEL_BYTES", 1_000_000)
    with pytest.raises(InputError, match="unpacks to"):
        checkpoint.import_published(tmp_path / "bomb.pth", "ststnet")


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.pth")
    for path in (tmp_path / "none.pth", tmp_path, tmp_path / "pipe.pth"):
        with pytest.raises(InputError):
            checkpoint.import_published(path, "ststnet")
    torch.save(trained("ststnet").net.state_dict(), tmp_path / "m.pth")
    assert limits.MAX_MODEL_BYTES == 2**30
    monkeypatch.setattr("mie_engine.models.checkpoint.MAX_MODEL_BYTES", 1000)
    with pytest.raises(InputError, match="at most 1000 are read"):
        checkpoint.import_published(tmp_path / "m.pth", "ststnet")


def test_description_must_fit_the_network(tmp_path):
    network = trained("robustnet", (12,))
    for wrong in ({"aus": []}, {"aus": [1, 2]}, {"classes": ["a", "b"]}, {"width": 16}, {"side": 56}, {"model": "ststnet"}):
        with pytest.raises(InputError):
            checkpoint.save(network, info_of("robustnet", aus=[12]) | wrong, tmp_path / "m.safetensors")
    network.net.fc.bias.data[0] = torch.nan
    with pytest.raises(InputError, match=r"not finite: \['fc.bias'\]"):
        checkpoint.save(network, info_of("robustnet", aus=[12]), tmp_path / "m.safetensors")
    with pytest.raises(InputError):
        checkpoint.export_onnx(network, info_of("robustnet", aus=[12]), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_the_gate_refuses_a_graph_that_differs(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "PARITY", 0.0)
    with pytest.raises(InputError, match="differs from the network"):
        checkpoint.export_onnx(trained("ststnet"), info_of("ststnet"), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())
