"""Training: the same seed gives the same bytes, mirrors mirror, what can be learnt is learnt, shuffled labels are not."""

import numpy as np
import pytest
import torch
from road import copy_faces, make

from mie_engine.errors import BackendError, InputError, RangeError, ShapeError, UsageError
from mie_engine.models import curves
from mie_engine.models.samples import CD6ME_AUS, Samples, read_dataset
from mie_engine.models.training import TrainRecipe, images_of, train

FEATURES = {"content": "features", "frames": 2, "size": 256}


def samples_of(rng, count=96, side=28, frames=False):
    """Maps whose class is the third of the picture that is bright; unit 1 is active in class 0."""
    label = np.arange(count) % 3
    maps = rng.integers(0, 60, (count, 2, side, side, 3) if frames else (count, side, side, 3), np.uint8)
    for k, third in enumerate(label):
        maps[k, ..., third * side // 3 : (third + 1) * side // 3, :, 1] += 150
    au = np.zeros((count, len(CD6ME_AUS)), np.float32)
    au[label == 0, 0] = 1
    return Samples(maps, label.astype(np.int64), au, [f"s{k % 5}" for k in range(count)], ["made"] * count)


def weights(module):
    return {key: value.numpy().tobytes() for key, value in module.state_dict().items()}


def test_same_seed_same_weights_and_the_generator_is_left_alone(rng):
    samples = samples_of(rng)
    torch.manual_seed(7)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    first, second, other = (train(samples, TrainRecipe(epochs=1, batch=32, seed=seed)) for seed in (3, 3, 4))
    assert weights(first.module) == weights(second.module)
    assert weights(first.module) != weights(other.module)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_members_are_the_networks_of_consecutive_seeds(rng):
    samples = samples_of(rng)
    both = train(samples, TrainRecipe(epochs=1, batch=32, seed=3, members=2))
    alone = train(samples, TrainRecipe(epochs=1, batch=32, seed=4))
    assert weights(both.members[1]) == weights(alone.module)
    assert [row["member"] for row in both.curves] == [0, 1]


def test_learns_what_is_there_and_not_what_is_not(rng):
    samples, unseen = samples_of(rng, 192), samples_of(rng, 90)
    shuffled = Samples(samples.maps, rng.permutation(samples.label), samples.au, samples.subject, samples.group)
    recipe = TrainRecipe(epochs=6, batch=32, lr=5e-3)

    def score(found):
        with torch.inference_mode():
            logits, au = found.module(*images_of(torch.from_numpy(unseen.maps)))
        return np.mean(logits.argmax(1).numpy() == unseen.label), np.mean((au[:, 0].numpy() > 0) == unseen.au[:, 0])

    classes, unit = score(train(samples, recipe))
    assert classes > 0.95
    assert unit > 0.9
    assert score(train(shuffled, recipe))[0] < 0.6


def test_curves_tell_every_epoch(rng):
    found = train(samples_of(rng), TrainRecipe(epochs=3, batch=32, members=2))
    again = train(samples_of(rng), TrainRecipe(epochs=2, batch=32), start=found)
    table = curves.csv(again.curves).splitlines()
    assert table[0] == "part,member,epoch,class_loss,au_loss,accuracy"
    assert [line.split(",")[:3] for line in table[1:]] == [
        [part, member, epoch] for part, epochs in (("1", "123"), ("2", "12")) for member in "01" for epoch in epochs
    ]
    drawing = curves.svg(again.curves, "a < b & c")
    assert drawing.count("<polyline") == 3 * 4
    assert "a &lt; b &amp; c" in drawing


def test_a_mirror_swaps_left_and_right_and_the_sign_of_u(rng):
    maps = torch.from_numpy(rng.integers(0, 256, (2, 28, 28, 3), np.uint8))
    (seen,) = images_of(maps, torch.tensor([False, True]))
    (plain,) = images_of(maps)
    assert torch.equal(seen[0], plain[0])
    assert torch.equal(seen[1, 0], 255 - plain[1, 0].flip(-1))
    assert torch.equal(seen[1, 1:], plain[1, 1:].flip(-1))
    frames = torch.from_numpy(rng.integers(0, 256, (2, 2, 8, 8, 3), np.uint8))
    onset, apex = images_of(frames, torch.tensor([True, False]))
    assert torch.equal(onset[0], frames[0, 0].movedim(-1, 0).flip(-1).float())
    assert torch.equal(apex[1], frames[1, 1].movedim(-1, 0).float())


def test_going_on_starts_from_the_weights_and_leaves_them(rng):
    samples = samples_of(rng)
    first = train(samples, TrainRecipe(epochs=2, batch=32))
    before = weights(first.module)
    second = train(samples, TrainRecipe(epochs=1, batch=32, lr=1e-8, weight_decay=0), start=first)
    assert weights(first.module) == before
    for (name, was), now in zip(first.module.named_parameters(), second.module.parameters(), strict=True):
        assert (was - now).abs().max() < 1e-5, name
    without = Samples(samples.maps, samples.label, None, samples.subject, samples.group)
    assert train(without, TrainRecipe(epochs=1, batch=32), start=first).info["aus"] == CD6ME_AUS


@pytest.mark.parametrize("name", ["ststnet", "offapexnet", "dual_inception"])
def test_trains_the_published_networks(rng, name):
    found = train(samples_of(rng), TrainRecipe(epochs=1, batch=32, dropout=(0.2,)), name)
    assert found.info["model"] == name
    assert found.info["aus"] == CD6ME_AUS


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"epochs": 0}, RangeError),
        ({"batch": 1}, RangeError),
        ({"lr": float("nan")}, RangeError),
        ({"members": 33}, RangeError),
        ({"dropout": (1.0,)}, RangeError),
    ],
)
def test_refuses_recipes(change, error):
    with pytest.raises(error):
        TrainRecipe(**change)


def test_refuses_what_does_not_fit(rng):
    samples, recipe = samples_of(rng), TrainRecipe(epochs=1, batch=32)
    with pytest.raises(RangeError, match="fewer than one batch"):
        train(samples, TrainRecipe(epochs=1, batch=128))
    with pytest.raises(UsageError, match="unknown"):
        train(samples, recipe, "resnet")
    with pytest.raises(UsageError, match="sssnet takes maps of 64 px"):
        train(samples, recipe, "sssnet")
    with pytest.raises(UsageError, match="device"):
        train(samples, recipe, device="tpu")
    if not torch.cuda.is_available():
        with pytest.raises(BackendError):
            train(samples, recipe, device="cuda")
    broken = train(samples, recipe)
    with torch.no_grad():
        broken.members[0].au.bias[0] = torch.nan
    with pytest.raises(RangeError, match="loss is not finite"):
        train(samples, recipe, start=broken)
    with pytest.raises(ShapeError):
        Samples(samples.maps, samples.label + 1, None, samples.subject, samples.group)
    with pytest.raises(ShapeError):
        Samples(samples.maps[:-1], samples.label, None, samples.subject, samples.group)
    with pytest.raises(ShapeError):
        Samples.joined([samples, Samples(samples.maps, samples.label, None, samples.subject, samples.group)])


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return copy_faces(tmp_path_factory.mktemp("train") / "faces")


def test_reads_features_as_they_were_made(faces, tmp_path):
    made = make(faces, tmp_path / "out", **FEATURES)
    samples, plan_hash = read_dataset(tmp_path / "out")
    assert plan_hash == made.plan_hash
    assert len(samples) == 24
    assert samples.maps.shape == (24, 28, 28, 3)
    assert np.bincount(samples.label).tolist() == [8, 8, 8]
    assert samples.subject[0] != samples.subject[-1]
    smiles = samples.au[:, CD6ME_AUS.index(12)]
    assert smiles[samples.label == 1].mean() > smiles[samples.label == 2].mean()
    with pytest.raises(UsageError, match="content pair or clip"):
        read_dataset(tmp_path / "out", side=64)


@pytest.mark.parametrize("content", ["pair", "clip"])
def test_reads_pairs_and_clips_through_the_flow(faces, tmp_path, content):
    make(faces, tmp_path / "out", content=content, frames=2 if content == "pair" else 5, size=128, clips=12)
    for side in (28, 64):
        samples, _ = read_dataset(tmp_path / "out", side=side)
        assert samples.maps.shape == (12, side, side, 3)
        assert samples.maps.reshape(12, -1).std(1).min() > 1
    frames, _ = read_dataset(tmp_path / "out", inputs="frames", side=32)
    assert frames.maps.shape == (12, 2, 32, 32, 3)
    assert not np.array_equal(frames.maps[:, 0], frames.maps[:, 1])


def test_refuses_damaged_datasets(faces, tmp_path):
    with pytest.raises(InputError, match="not a finished dataset"):
        read_dataset(tmp_path)
    make(faces, tmp_path / "out", **FEATURES)
    tar = tmp_path / "out" / "000001.tar"
    whole = tar.read_bytes()
    tar.write_bytes(whole[:600])
    with pytest.raises(InputError, match="does not lie in its shard"):
        read_dataset(tmp_path / "out")
    tar.write_bytes(whole[:512] + b"\x80\x04pickled" + whole[521:])
    with pytest.raises(InputError, match="not an array"):
        read_dataset(tmp_path / "out")
    tar.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        read_dataset(tmp_path / "out")


@pytest.mark.slow
def test_trains_frame_networks(rng):
    samples = samples_of(rng, 6, 224, frames=True)
    found = train(samples, TrainRecipe(epochs=1, batch=3, au_weight=0), "branches")
    assert found.info["inputs"] == "frames"
    assert found.info["aus"] == ()
    with pytest.raises(UsageError, match="ststnet takes maps"):
        train(samples, TrainRecipe(epochs=1, batch=3), "ststnet")
