"""Datasets of a neural generator: its frames, resumed to the same bytes; the warp's plans and bytes as they were."""

import io
import json
import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image
from road import contents, copy_faces, make, mie_here

from mie_engine.errors import InputError, PlanError, UsageError
from mie_engine.models.generator import AUS, Generator
from mie_engine.synth import load_generator, timeline
from mie_engine.synth.action_units import parse
from mie_engine.synth.faces import Face
from mie_engine.synth.generate import Generated, network_inputs
from mie_engine.synth.plan import Identity, Network, Plan, make_plan

torch = pytest.importorskip("torch")
KINDS = {"clip": {"content": "clip"}, "pair": {"content": "pair", "frames": 2}, "png": {"content": "pair", "frames": 2, "encoder": "png"}}


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return copy_faces(tmp_path_factory.mktemp("generate") / "faces")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    from mie_engine.models import ganimation, ganimation_export

    folder = tmp_path_factory.mktemp("weights")
    for seed in (1, 2):
        torch.manual_seed(seed)
        ganimation_export.export_onnx(ganimation.Generator(width=8, blocks=1), folder / f"{seed}.onnx", 64)
    return folder


@pytest.fixture(scope="module")
def reference(faces, weights, tmp_path_factory):
    made = {}

    def of(kind):
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp("reference") / "out"
            make(faces, made[kind], generator="ganimation", weights=weights / "1.onnx", **KINDS[kind])
        return made[kind]

    return of


@pytest.mark.parametrize("kind", KINDS)
def test_one_hash_however_it_is_made(faces, weights, reference, tmp_path, kind):
    wanted = contents(reference(kind))
    make(faces, tmp_path / "out", generator="ganimation", weights=weights / "1.onnx", workers=3, backend="ref", **KINDS[kind])
    assert contents(tmp_path / "out") == wanted
    for name in ("000001.tar", "000002.parquet", "preview.png", "dataset.json"):  # as after a crash
        (tmp_path / "out" / name).unlink()
    report = make(faces, tmp_path / "out", generator="ganimation", weights=weights / "1.onnx", workers=2, **KINDS[kind])
    assert report.shards_made == 2
    assert contents(tmp_path / "out") == wanted


def test_frames_are_the_networks(faces, weights, tmp_path):
    from mie_engine.synth.plan import Drift

    make(faces, tmp_path, generator="ganimation", weights=weights / "1.onnx", noise_sigma=0, drift=Drift(0, 0, 0), **KINDS["png"])
    plan, network = Plan.from_json((tmp_path / "plan.json").read_bytes()), Generator.load(weights / "1.onnx")
    assert plan.generator == Network("ganimation", network.sha256, network.library)
    assert network.sha256 in (tmp_path / "README.md").read_text("utf-8")
    rows, by_name = plan.rows(0, plan.clips), {path.stem: path for path in faces.iterdir()}
    curves = timeline.intensity(rows, 2)
    with tarfile.open(tmp_path / "000000.tar") as tar:
        for i in (0, 3, 6):
            face = Face.load(by_name[plan.identities[rows.identity[i]].name], 64)
            wanted = network.frames(face.pixels, network_inputs(curves[i]))
            for part, frame in zip(("onset", "apex"), wanted, strict=True):
                found = np.asarray(Image.open(io.BytesIO(tar.extractfile(f"{rows.key[i]}.{part}.png").read())))
                assert np.array_equal(found, frame)


def test_onsets_are_shared(faces, weights):
    network, asked = Generator.load(weights / "1.onnx"), []
    face = Face.load(next(iter(sorted(faces.iterdir()))), 64)

    class Counted:
        def frames(self, pixels, action_units):
            asked.append(action_units)
            return network.frames(pixels, action_units)

    made = Generated(Counted(), face)
    for level in (0.2, 0.3, 0.4):
        onset, apex = made.pixels(np.stack([parse({}), parse({"AU12": level})]))
        assert np.array_equal(onset, network.frames(face.pixels, np.zeros((1, 17)))[0])
        assert not np.array_equal(onset, apex)
    assert len(asked) == 4
    still = made.pixels(np.stack([parse({"AU4": 0.1})] * 3))
    assert len(asked) == 5
    assert np.array_equal(still[0], still[2])


def test_units_of_the_network():
    vector = network_inputs(np.stack([parse({"AU12L": 0.3, "AU12R": 0.1, "AU45": 0.2, "AU16": 1.0})]))[0]
    assert dict(zip(AUS, vector, strict=True)) == dict.fromkeys(AUS, 0) | {12: 0.3, 45: 0.2}
    assert network_inputs(parse({"AU24L": 0.2})[None])[0, AUS.index(23)] == 0.2


def test_no_sample_is_without_motion():
    for source in ("expert", "micro", "macro"):
        plan = make_plan(clips=2000, seed=1, identities=(Identity("a", "0" * 64),), sources=(source,))
        assert network_inputs(plan.rows(0, plan.clips).apex).max(1).min() > 0.005


def test_a_plan_of_the_warp_is_as_it_was():
    plan = make_plan(clips=3, seed=1, identities=(Identity("a", "0" * 64),))
    assert "generator" not in json.loads(plan.to_json())
    assert Plan.from_json(plan.to_json()) == plan
    network = Network("ganimation", "1" * 64, "onnxruntime 1 cpu")
    other = make_plan(clips=3, seed=1, identities=plan.identities, generator=network)
    assert other.hash != plan.hash
    assert Plan.from_json(other.to_json()) == other


def test_another_generator_is_refused(faces, weights, reference, tmp_path):
    out = shutil.copytree(reference("clip"), tmp_path / "out")
    before = contents(out)
    for other in ({"generator": "ganimation", "weights": weights / "2.onnx"}, {}):
        with pytest.raises(PlanError, match=r"generator"):
            make(faces, out, **KINDS["clip"], **other)
    assert contents(out) == before
    make(faces, tmp_path / "warp", **KINDS["clip"])
    with pytest.raises(PlanError, match="generator: None there"):
        make(faces, tmp_path / "warp", generator="ganimation", weights=weights / "1.onnx", **KINDS["clip"])


def test_wrong_options(faces, weights, tmp_path):
    network = {"generator": "ganimation", "weights": weights / "1.onnx"}
    for wrong, error, words in (
        ({"generator": "ganimation"}, UsageError, "ships no weights"),
        ({"weights": weights / "1.onnx"}, UsageError, "belong to generator ganimation"),
        ({"generator": "gan"}, UsageError, "allowed are warp, ganimation"),
        ({**network, "size": 128}, UsageError, "--size 64"),
        ({**network, "content": "features", "frames": 2}, UsageError, "warp's own flow"),
        ({**network, "weights": faces}, InputError, "not a regular file"),
    ):
        with pytest.raises(error, match=words):
            make(faces, tmp_path / "out", **wrong)
        assert not (tmp_path / "out").exists()
    assert load_generator("warp", None) is None


def test_command_line(faces, weights, tmp_path, capsys):
    options = ("--clips", 6, "--frames", 2, "--content", "pair", "--json", "--workers", 1)
    assert mie_here("synth", faces, "--out", tmp_path / "a", "--generator", "ganimation", "--weights", weights / "1.onnx", *options) == 0
    assert json.loads(capsys.readouterr().out)["clips"] == 6
    assert Plan.from_json((tmp_path / "a" / "plan.json").read_bytes()).size == 64
    assert mie_here("synth", faces, "--out", tmp_path / "b", "--generator", "ganimation", *options) == 2
