"""The networks: the published modules' numbers from the published layer names, their own input convention inside, two heads."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from mie_engine.errors import RangeError, UsageError
from mie_engine.models import recognisers

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

SMALL = [name for name in recognisers.NAMES if name != "htnet"]
PARITY = {"meb_ststnet": "ststnet", "meb_offapexnet": "offapexnet", "meb_sssnet": "sssnet", "htnet": "htnet"}


def inputs_of(name, count, seed=0):
    spec = recognisers.SPECS[name]
    generator = torch.Generator().manual_seed(seed)
    shape = (count, 3, spec.side, spec.side)
    return [torch.randint(0, 256, shape, generator=generator).float() for _ in range(1 if spec.inputs == "maps" else 2)]


@pytest.mark.parametrize(("file", "name"), PARITY.items())
def test_parity_with_the_published_module(shared, file, name):
    sys.path.insert(0, str(shared / "parity"))
    from weights import fill

    with np.load(shared / "parity" / f"{file}.npz", allow_pickle=False) as known:
        net = recognisers.build(name, known["y"].shape[1]).net.eval()
        keys = json.loads(str(known["keys"]))
        weights = {key: torch.from_numpy(np.asarray(fill(key, shape, int(known["salt"])))) for key, shape in keys.items()}
        net.load_state_dict(weights, strict=True)
        with torch.no_grad():
            np.testing.assert_allclose(net(torch.from_numpy(known["x"])).numpy(), known["y"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", SMALL)
def test_two_heads_share_the_trunk(name):
    network = recognisers.build(name, 5, (1, 12)).eval()
    images = inputs_of(name, 2)
    with torch.no_grad():
        logits, aus = network(*images)
        alone = torch.cat([network(*(image[i : i + 1] for image in images))[0] for i in range(2)])
        network.au.weight.zero_()
        assert torch.equal(network(*images)[0], logits)
    assert logits.shape == (2, 5)
    assert aus.shape == (2, 2)
    torch.testing.assert_close(alone, logits, rtol=1e-4, atol=1e-5)
    assert recognisers.build(name)(*images)[1] is None


@pytest.mark.parametrize("name", SMALL)
def test_every_weight_learns(name):
    network = recognisers.build(name, 3, (1, 12)).train()
    logits, aus = network(*inputs_of(name, 4))
    (logits.square().sum() + aus.square().sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_conventions_of_the_authors():
    """Channel order and scale of the published inputs; HTNet's mosaic from the places of eyes and lip corners."""
    maps = torch.arange(2 * 3 * 28 * 28).reshape(2, 3, 28, 28).float()
    u, v, strain = maps.unbind(1)

    def prepared(name):
        return recognisers.build(name).net.prepare(maps)

    assert torch.equal(prepared("ststnet"), torch.stack([strain, v, u], 1))
    assert torch.equal(prepared("offapexnet"), torch.stack([u, v], 1) / 255)
    assert torch.equal(prepared("dual_inception"), torch.stack([u, v], 1) / 255)
    from mie_engine.models.recognisers.htnet import HTNet

    mosaic = HTNet.prepare(maps)
    assert mosaic.shape == (2, 3, 28, 28)
    assert torch.equal(mosaic[:, 0, :14, :14], strain[:, 0:14, 1:15])  # left eye
    assert torch.equal(mosaic[:, 2, :14, 14:], u[:, 12:26, 2:16])  # left lip corner
    assert torch.equal(mosaic[:, 1, 14:, :14], v[:, 0:14, 13:27])  # right eye


@pytest.mark.parametrize("side", [28, 56])
def test_robustnet_standardises_as_numpy_does(rng, side):
    from mie_engine.models.recognisers.robustnet import standardise

    maps = rng.integers(0, 256, (5, 3, side, side)).astype(np.float32)
    maps[1] = 7  # constant
    maps[2, 0] = np.where(rng.random((side, side)) < 0.01, 255, 128)
    flat = maps.reshape(5, 3, -1)
    deviation = np.maximum(flat.std(-1, keepdims=True), 1e-3)
    expected = 1.5 * np.tanh((flat - np.median(flat, -1, keepdims=True)) / deviation / 1.5)
    np.testing.assert_allclose(standardise(torch.from_numpy(maps)).flatten(2).numpy(), expected, atol=2e-6)
    assert not standardise(torch.from_numpy(maps))[1].any()


def test_ensemble_averages_logits():
    members = [recognisers.build("robustnet", 3, (12,)).eval() for _ in range(3)]
    network = recognisers.ensemble(members)
    maps = inputs_of("robustnet", 4)
    with torch.no_grad():
        logits, aus = network(*maps)
        single = [member(*maps) for member in members]
    torch.testing.assert_close(logits, torch.stack([x for x, _ in single]).mean(0))
    torch.testing.assert_close(aus, torch.stack([x for _, x in single]).mean(0))


def test_build_refuses():
    with pytest.raises(UsageError, match="'alexnet' is unknown; choose one of robustnet"):
        recognisers.build("alexnet")
    with pytest.raises(UsageError, match="leave side and width out"):
        recognisers.build("ststnet", side=56)
    for wrong in ({"classes": 1}, {"side": 30}, {"width": 0}, {"members": 0}):
        with pytest.raises(RangeError):
            recognisers.build("robustnet", **wrong)
