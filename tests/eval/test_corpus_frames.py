"""From the images of a corpus to flow maps and scores, on rendered faces."""

from importlib import resources
from pathlib import Path

import fakes
import numpy as np
import pytest

import mie_engine
from mie_engine import _core, kernels
from mie_engine.eval import datasets
from mie_engine.eval.evaluate import evaluate
from mie_engine.models.face_mesh import FaceMesh
from mie_engine.runtime.image import load_rgb

FACES = Path(str(resources.files("mie_engine"))) / "assets" / "faces"
MOTION = {"surprise": {"AU1": 0.5, "AU2": 0.5}, "happiness": {"AU12": 0.6}, "disgust": {"AU9": 0.6, "AU10": 0.6}}
PATHS = sorted(FACES.glob("*.jpg"))[:3]


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """CASME II, SAMM and SMIC of three rendered people each, one clip of every class."""
    folder = tmp_path_factory.mktemp("composite")
    drawn = {}
    for k, path in enumerate(PATHS):
        face = mie_engine.Face.load(path, size=256)
        for emotion, motion in MOTION.items():
            drawn[k + 1, emotion] = mie_engine.render(face, motion, frames=9, seed=k).frames

    def image(clip, frame):
        frames = drawn[clip["id"], {"negative": "disgust", "positive": "happiness"}.get(clip["emotion"], clip["emotion"])]
        at = {clip["onset"]: 0, clip["apex"]: len(frames) // 2}.get(frame, len(frames) - 1)
        return frames[min(2 * frame, 8) if frame < 5 else at]

    clips = [fakes.clip(id, f"EP0{id}_{emotion}", emotion=emotion) for id, emotion in drawn]
    fakes.corpus(folder / "casme2", "casme2", clips, image)
    fakes.corpus(folder / "samm", "samm", clips, image)
    names = {"disgust": "negative", "happiness": "positive", "surprise": "surprise"}
    fakes.smic(folder / "smic", [(id, names[emotion], f"s{id}_{emotion}") for id, emotion in drawn], image)
    return folder


def test_maps_of_frames(corpora):
    """The same maps as align and flow_maps give one pair alone, and motion where the expression is."""
    table = datasets.read(corpora, 28)
    assert (len(table), table.notes) == (27, ())
    assert (table.maps.shape, table.maps.dtype) == ((27, 28, 28, 3), np.uint8)
    assert sorted(clip.label3 for clip in table.clips) == [0] * 9 + [1] * 9 + [2] * 9
    for clip, made in zip(table.clips, table.maps, strict=True):
        onset, apex = (load_rgb(frame) if frame.suffix == ".jpg" else np.asarray(fakes.Image.open(frame)) for frame in clip.frames)
        crop = _core.layout_crop(FaceMesh.shared().find(onset, 1)[0].landmarks, 224)
        pair = [kernels.align(image, crop, 224, output="grey")[None] for image in (onset, apex)]
        assert np.array_equal(kernels.flow_maps(*pair, side=28)[0][0], made)
        strain = made[..., 2].astype(float)
        share = strain[:14].sum() / strain.sum()
        assert share > 0.55 if clip.label3 == 2 else share < 0.55, (clip.key, share)


def test_a_person_without_a_face_is_left_out(corpora, tmp_path):
    clips = [fakes.clip(1, "a"), fakes.clip(2, "b")]
    shown = load_rgb(PATHS[0])
    place = fakes.corpus(tmp_path / "casme2", "casme2", clips, lambda clip, frame: shown if clip["id"] == 1 else None)
    table = datasets.read(place, 28)
    assert [clip.name for clip in table.clips] == ["a"]
    assert "1 x no face in the onset frame" in table.notes[0]


def test_a_protocol_on_frames(corpora):
    pytest.importorskip("torch")
    got = evaluate("megc2019", corpora, "majority")
    assert {name: part["clips"] for name, part in got["corpora"].items()} == {"casme2": 9, "samm": 9, "smic": 9}
    frames = datasets.read(corpora / "samm", 224, "frames")
    assert (frames.maps.shape, frames.maps.dtype) == ((9, 2, 224, 224, 3), np.uint8)
    assert evaluate("emotion", corpora / "samm", "majority")["data"].endswith("happiness 3, surprise 3, others 0")
    assert [au for au, unit in evaluate("au", corpora / "samm", "constant")["aus"].items() if unit["clips"]] == ["AU4"]
