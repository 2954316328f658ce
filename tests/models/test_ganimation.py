"""The GANimation generator: published numbers, both published kinds, what its padding means, and the folded graph."""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import json
import time
from collections import OrderedDict

import numpy as np
import pytest

from mie_engine.errors import InputError, RangeError, ShapeError, UsageError
from mie_engine.models import checkpoint
from mie_engine.models.generator import AUS, Generator
from mie_engine.runtime.session import Session
from mie_engine.synth.action_units import OPENFACE_AUS

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from mie_engine.models import ganimation, ganimation_export  # noqa: E402


def small(norm="plain", seed=3, width=8, blocks=1):
    torch.manual_seed(seed)
    net = ganimation.Generator(norm, width, blocks).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.InstanceNorm2d) and module.affine:
            torch.nn.init.normal_(module.weight, 1, 0.2)
            torch.nn.init.normal_(module.bias, 0, 0.2)
    return net


def inputs(side=32, count=2, seed=5):
    draws = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, side, side, generator=draws) * 2 - 1, torch.rand(count, 17, generator=draws)


@pytest.fixture(scope="module")
def known(shared_weights):
    fill, folder = shared_weights

    def of(name):
        with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
            data = dict(arrays)
        shapes, salt = json.loads(str(data["keys"])), int(data["salt"])
        return data, {key: torch.from_numpy(fill(key, tuple(shape), salt)) for key, shape in shapes.items()}

    return of


@pytest.fixture(scope="module")
def shared_weights(shared):
    spec = importlib.util.spec_from_file_location("parity_weights", shared / "parity" / "weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.fill, shared / "parity"


def test_published_generator(known, tmp_path):
    data, weights = known("ganimation_generator")
    torch.save(weights, tmp_path / "g.pth")
    net = checkpoint.import_published(tmp_path / "g.pth", "ganimation")
    assert (net.norm, net.width, net.blocks) == ("plain", 64, 6)
    image, aus = torch.from_numpy(data["image"]), torch.from_numpy(data["action_units"])
    with torch.no_grad():
        result, color, mask = ganimation.blend(image, *net(image, aus))
        folded = ganimation.blend(image, *ganimation_export.Folded(net, 64)(image, aus))
    for found, name in ((result, "result"), (color, "color"), (mask, "mask")):
        assert np.abs(found.numpy() - data[name]).max() <= 1e-4, name
    assert (folded[0] - result).abs().max() <= 5e-6
    net, image, aus = copy.deepcopy(net).double(), image.double(), aus.double()
    with torch.no_grad():  # in double precision, folding changes nothing at all, and the folded network is the nearer one in single
        exact = ganimation.blend(image, *net(image, aus))
        again = ganimation.blend(image, *ganimation_export.Folded(net, 64)(image, aus))
    assert all((a - b).abs().max() <= 1e-12 for a, b in zip(again, exact, strict=True))
    assert all((a - b).abs().max() <= 5e-6 for a, b in zip(folded, exact, strict=True))


def test_published_numbers_in_the_other_format(known, tmp_path):
    """A norm removes the bias before it, so the same filters without biases, scale 1 and shift 0, must give the published numbers."""
    data, weights = known("ganimation_generator")
    other = {}
    for key, value in weights.items():
        if key.endswith(".weight"):
            other[f"body.{len(other)}.weight"] = value
        else:
            other |= {f"body.{len(other)}.weight": torch.ones(len(value)), f"body.{len(other) + 1}.bias": torch.zeros(len(value))}
    torch.save(other, tmp_path / "g.pth")
    net = checkpoint.import_published(tmp_path / "g.pth", "ganimation")
    assert (net.norm, net.width, net.blocks) == ("affine", 64, 6)
    image = torch.from_numpy(data["image"])
    with torch.no_grad():
        found = ganimation.blend(image, *net(image, torch.from_numpy(data["action_units"])))
    for array, name in zip(found, ("result", "color", "mask"), strict=True):
        assert np.abs(array.numpy() - data[name]).max() <= 1e-4, name


def test_published_discriminator(known, tmp_path):
    data, weights = known("ganimation_discriminator")
    torch.save({"state_dict": {f"module.{key}": value for key, value in weights.items()}}, tmp_path / "d.pth")
    net = checkpoint.import_published(tmp_path / "d.pth", "ganimation_discriminator")
    with torch.no_grad():
        patches, aus = net(torch.from_numpy(data["image"]))
    assert np.abs(patches[0].numpy() - data["out0"]).max() <= 1e-4
    assert np.abs(aus[0].numpy() - data["out1"]).max() <= 1e-4


@pytest.mark.parametrize("norm", ganimation.NORMS)
def test_any_names_in_any_order_of_heads(tmp_path, norm):
    """The other published file has other names, heads in the other order, and statistics that an instance norm never reads."""
    net = small(norm)
    weights = net.state_dict()
    order = [key for key in weights if "_top" not in key] + ["au_top.0.weight", "color_top.0.weight"]
    foreign = OrderedDict((f"module.body.{k}.{key.rpartition('.')[2]}", weights[key]) for k, key in enumerate(order))
    foreign["module.body.1.running_mean"] = torch.zeros(8)
    torch.save(foreign, tmp_path / "g.pth")
    again = checkpoint.import_published(tmp_path / "g.pth", "ganimation")
    assert again.norm == norm
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), again.state_dict().values(), strict=True))


def test_other_networks_are_refused(tmp_path):
    weights = small().state_dict()
    lacking = {key: value for key, value in weights.items() if not key.startswith("color_top")}
    swapped = {f"x{k}": value for k, value in enumerate(reversed(weights.values()))}
    broken = weights | {"model.0.bias": torch.full((8,), float("nan"))}
    for wrong in ({}, lacking, swapped, broken, {"fc.weight": torch.zeros(3, 400)}):
        torch.save(wrong, tmp_path / "g.pth")
        for name in ganimation.NAMES:
            with pytest.raises(InputError, match=r"g\.pth"):
                checkpoint.import_published(tmp_path / "g.pth", name)
    with pytest.raises(UsageError, match="norm"):
        ganimation.Generator("batch")


def test_action_units_act_through_the_zero_padding_alone():
    """The norm removes what is constant over the plane: with replicated borders the units would have no effect at all."""
    net = small(width=16)
    image, aus = inputs(64)
    with torch.no_grad():
        effect = [(a - b).abs().max() for a, b in zip(net(image, aus), net(image, aus * 0), strict=True)]
        net.model[0].padding_mode = "replicate"
        net.model[0]._reversed_padding_repeated_twice = [3, 3, 3, 3]
        without = [(a - b).abs().max() for a, b in zip(net(image, aus), net(image, aus * 0), strict=True)]
    assert min(effect) > 0.01
    assert max(without) < 1e-4


def test_full_mask_gives_the_image():
    image, _ = inputs()
    result, _, mask = ganimation.blend(image, torch.randn(2, 3, 32, 32), torch.full((2, 1, 32, 32), 200.0))
    assert torch.equal(mask, torch.ones_like(mask))
    assert torch.equal(result, image)


@pytest.mark.parametrize("norm", ganimation.NORMS)
@pytest.mark.parametrize("side", [16, 32, 52])
def test_folding_is_exact(norm, side):
    net = small(norm)
    image, aus = inputs(side)
    folded = ganimation_export.Folded(net, side)
    with torch.no_grad():
        for found, expected in zip(folded(image, aus), net(image, aus), strict=True):
            assert (found - expected).abs().max() <= 5e-6


@pytest.mark.parametrize("norm", ganimation.NORMS)
def test_exported_graph(tmp_path, rng, norm):
    net = small(norm)
    for folded in (True, False):
        assert ganimation_export.export_onnx(net, tmp_path / f"{folded}.onnx", 32, folded=folded) <= 1e-4
    found, plain = (Generator.load(tmp_path / f"{folded}.onnx") for folded in (True, False))
    assert (found.side, found.name) == (32, "ganimation")
    face = rng.integers(0, 256, (32, 32, 3), np.uint8)
    aus = rng.random((4, 17))
    frames = found.frames(face, aus)
    assert frames.shape == (4, 32, 32, 3)
    assert np.abs(frames.astype(int) - plain.frames(face, aus)).max() <= 1
    image = torch.from_numpy(face).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        wanted = [ganimation.blend(image, *net(image, torch.from_numpy(v[None]).float()))[0][0].permute(1, 2, 0) for v in aus]
    assert np.abs(frames - (torch.stack(wanted).numpy() + 1) * 127.5).max() <= 0.56
    for split in (1, 2, 3):  # bytes do not depend on what is asked for together
        assert np.array_equal(frames, np.concatenate([found.frames(face, aus[:split]), found.frames(face, aus[split:])]))


@pytest.mark.slow
def test_folding_is_worth_it(tmp_path):
    """Full size, one thread, runs in turn."""
    net, sessions = ganimation.Generator().eval(), {}
    for folded in (True, False):
        ganimation_export.export_onnx(net, tmp_path / "g.onnx", 128, folded=folded)
        data = (tmp_path / "g.onnx").read_bytes()
        sessions[folded] = Session(data, sha256=hashlib.sha256(data).hexdigest())
    image, aus = inputs(128, 1)
    feeds, spent = {"image": image.numpy(), "action_units": aus.numpy()}, {True: [], False: []}
    for _ in range(15):
        for folded, session in sessions.items():
            begun = time.process_time()
            session.run(feeds)
            spent[folded].append(time.process_time() - begun)
    ratio = np.median(spent[False]) / np.median(spent[True])
    print(f"folded {1e3 * np.median(spent[True]):.0f} ms, {ratio:.2f} times the speed")
    assert ratio >= 1.05


def test_a_broken_network_is_refused(tmp_path):
    net = small()
    with torch.no_grad():
        net.color_top[0].weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(InputError, match="differs from the network"):
        ganimation_export.export_onnx(net, tmp_path / "g.onnx", 32)


def test_heads_that_overflow_are_refused(tmp_path, rng, monkeypatch):
    net = small()
    with torch.no_grad():
        net.color_top[0].weight.fill_(3e38)
    monkeypatch.setattr(checkpoint, "_difference", lambda *_: 0.0)
    ganimation_export.export_onnx(net, tmp_path / "g.onnx", 32)
    with pytest.raises(InputError, match="NaN or infinity"):
        Generator.load(tmp_path / "g.onnx").frames(rng.integers(0, 256, (32, 32, 3), np.uint8), np.zeros((1, 17)))


def test_the_gate_refuses_another_graph(tmp_path, monkeypatch):
    net = small()
    monkeypatch.setattr(ganimation_export, "border_table", lambda taps: torch.zeros(taps.shape[0], 7, 7, taps.shape[1]))
    with pytest.raises(InputError, match="differs from the network"):
        ganimation_export.export_onnx(net, tmp_path / "g.onnx", 32)
    assert not (tmp_path / "g.onnx").exists()


def test_wrong_calls_and_files(tmp_path, rng):
    assert AUS == OPENFACE_AUS
    with pytest.raises(RangeError, match="multiples of 4"):
        ganimation_export.export_onnx(small(), tmp_path / "g.onnx", 30)
    with pytest.raises(InputError, match=r"g\.onnx"):
        Generator.load(tmp_path / "g.onnx")
    shipped = checkpoint.Path(checkpoint.__file__).parents[1] / "assets" / "models" / "recogniser.onnx"
    with pytest.raises(InputError, match="mie_generator"):
        Generator.load(shipped)
    ganimation_export.export_onnx(small(), tmp_path / "g.onnx", 32)
    found = Generator.load(tmp_path / "g.onnx")
    face = rng.integers(0, 256, (32, 32, 3), np.uint8)
    with pytest.raises(ShapeError, match="faces"):
        found.frames(face[:16], np.zeros((1, 17)))
    with pytest.raises(ShapeError, match="action units"):
        found.frames(face, np.zeros((1, 16)))
