"""Labels: the network reads the map of onset and apex, and an event without evidence stays without a class."""

import numpy as np
import pytest
from scenes import Scene

from mie_engine import Face, Recognizer, kernels
from mie_engine.errors import UsageError
from mie_engine.models.model_info import ModelInfo
from mie_engine.models.recogniser import Recogniser
from mie_engine.recog.frames import Frame
from mie_engine.types import ABSTAIN, CLASSES


def network(run, aus=(1, 4, 12), **fields):
    return Recogniser(ModelInfo("ststnet", CLASSES, aus, **fields), run)


def constant(logits, au_logits=(0, 0, 0)):
    return lambda images: (np.array([logits], np.float32), np.array([au_logits], np.float32))


@pytest.fixture(scope="module")
def pictures(shared):
    """A second and a half with one clear event."""
    face = Face.load(shared / "assets" / "faces_synthetic" / "syn010.jpg")
    return list(Scene(face, seconds=2.6, events=1, blinks=0, seed=4))


def seen(recognizer, pictures):
    events = [event for k, rgb in enumerate(pictures) for event in recognizer.push(Frame(k, k / 30, (rgb,), True))]
    return events + recognizer.finish()


@pytest.mark.parametrize(("side", "strain"), [(28, "true"), (56, "shift")])
def test_the_network_reads_the_map_of_onset_and_apex(pictures, side, strain):
    maps = []

    def run(images):
        maps.append(images[0].copy())
        return np.array([[0.5, 3.0, -1.0]], np.float32), np.array([[2.0, -2.0, 0.0]], np.float32)

    (event,) = seen(Recognizer(network(run, side=side, strain=strain, temperature=2.0)), pictures)
    wanted, _ = kernels.flow_maps(event.onset[None], event.apex[None], side=side, strain=strain)
    assert maps[0].dtype == np.float32
    assert np.array_equal(maps[0], wanted.transpose(0, 3, 1, 2).astype(np.float32))
    odds = np.exp(np.array([0.5, 3.0, -1.0]) / 2)
    assert np.allclose([event.scores[name] for name in CLASSES], odds / odds.sum(), atol=1e-6)
    assert (event.label, event.score) == ("positive", pytest.approx(odds[1] / odds.sum()))
    assert event.au == {"AU1": pytest.approx(1 / (1 + np.exp(-2))), "AU4": pytest.approx(1 / (1 + np.exp(2))), "AU12": 0.5}


def test_abstains(pictures):
    (event,) = seen(Recognizer(network(constant([0.1, 0.0, 0.05]))), pictures)
    assert event.label == ABSTAIN
    assert event.score == max(event.scores.values())


def test_a_recogniser_without_action_units(pictures):
    (event,) = seen(Recognizer(network(lambda images: (np.array([[2, 0, 0]], np.float32), np.empty((1, 0), np.float32)), aus=())), pictures)
    assert (event.label, event.au) == ("negative", {})


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (constant([np.nan, 0, 0]), "not finite"),
        (constant([0, 0, 0], (0, np.inf, np.nan)), "not finite"),
        (constant([0, 0]), "has 2 numbers, expected 3"),
        (lambda images: np.zeros((1, 3), np.float32), "two arrays"),
    ],
    ids=["NaN", "NaN of a unit", "two classes", "one array"],
)
def test_networks_that_misbehave(pictures, run, words):
    with pytest.raises((RuntimeError, ValueError, TypeError), match=words):
        seen(Recognizer(network(run)), pictures)


def test_networks_of_frames_are_refused():
    with pytest.raises(UsageError, match="maps"):
        Recognizer(network(constant([0, 0, 0]), side=224, inputs="frames"))
