"""The dataset: one hash however it is made, reruns that finish and change nothing, files that hold what they promise."""

import io
import json
import shutil
import tarfile
import threading
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from road import SMALL, contents, copy_faces, make, stamps

from mie_engine import _core, kernels, limits
from mie_engine.errors import BackendError, EnvironmentProblem, InputError, PlanError, RangeError, UsageError
from mie_engine.synth import card, facestore, plan_dataset, timeline
from mie_engine.synth.action_units import UNITS
from mie_engine.synth.dataset import Stopped, build_dataset, open_folder, scan_faces
from mie_engine.synth.faces import Face
from mie_engine.synth.plan import Plan
from mie_engine.synth.rig import Rig

KINDS = {
    "clip jpeg": {"content": "clip"},
    "clip png": {"content": "clip", "encoder": "png"},
    "pair jpeg": {"content": "pair", "frames": 2},
    "features": {"content": "features", "frames": 2},
}


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return copy_faces(tmp_path_factory.mktemp("road") / "faces")


@pytest.fixture(scope="module")
def reference(faces, tmp_path_factory):
    """Folders made once, with one worker and the default backend."""
    made = {}

    def of(kind):
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp("reference") / "out"
            make(faces, made[kind], **KINDS[kind])
        return made[kind]

    return of


@pytest.fixture
def copied(reference, tmp_path):
    """A copy of the reference dataset to spoil."""
    return shutil.copytree(reference("clip jpeg"), tmp_path / "out")


def plan_of(out):
    return Plan.from_json((out / "plan.json").read_bytes())


def members(out):
    """{member name: bytes} of all shards, in order."""
    found = {}
    for shard in sorted(out.glob("*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar:
                assert member.name not in found, f"{member.name} is there twice"
                found[member.name] = tar.extractfile(member).read()
    return found


def index_of(out):
    return [row for shard in sorted(out.glob("*.parquet")) for row in pq.read_table(shard).to_pylist()]


# ---- one hash


def variants(kind):
    yield "workers 2", {"workers": 2}
    yield "workers 4", {"workers": 4}
    yield "ref", {"backend": "ref"}
    yield "cpu", {"backend": "cpu", "workers": 3}
    if kind != "features":
        yield from ((f"simd {level}", {"backend": "cpu", "simd": level}) for level in _core.simd_levels())


@pytest.mark.parametrize(("kind", "variant"), [(kind, name) for kind in KINDS for name, _ in variants(kind)])
def test_one_hash(faces, reference, tmp_path, monkeypatch, kind, variant):
    if variant != "ref":  # the contact sheet takes longer than all shards and does not depend on these options
        sheet = (reference(kind) / "preview.png").read_bytes()
        monkeypatch.setattr(card, "preview", lambda *_: sheet)
    report = make(faces, tmp_path / "out", **KINDS[kind], **dict(variants(kind))[variant])
    assert report.shards_made == report.shards == 4
    assert contents(tmp_path / "out") == contents(reference(kind))


def test_faces_in_memory_make_the_same_shards(faces, reference, tmp_path):
    loaded = [Face.load(path, 64) for path in sorted(faces.iterdir())]
    make(loaded, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(reference("clip jpeg"))
    with pytest.raises(InputError, match=r"syn000: the face is 64 px, the dataset 96 px: load it with size=96"):
        make(loaded, tmp_path / "other", size=96)


@pytest.mark.parametrize("shard_clips", [1, 5, 8, 24, 500])
def test_shard_borders_do_not_change_samples(faces, reference, tmp_path, monkeypatch, shard_clips):
    monkeypatch.setattr(card, "preview", lambda *_: b"")
    out = tmp_path / "out"
    report = make(faces, out, shard_clips=shard_clips, noise_sigma=0.0)  # noise is keyed by the plan, which names the shard size
    make(faces, tmp_path / "whole", noise_sigma=0.0)
    assert report.shards == -(-SMALL["clips"] // shard_clips)
    assert members(out) == members(tmp_path / "whole")
    assert [row["key"] for row in index_of(out)] == [f"{i:09d}" for i in range(SMALL["clips"])]


# ---- again


def test_running_again_changes_nothing(faces, reference, copied):
    before = stamps(copied)
    seen = []
    report = make(faces, copied, progress=lambda clips, size: seen.append((clips, size)))
    assert (report.shards_made, report.bytes_written) == (0, 0)
    assert seen == [(7, 0), (7, 0), (7, 0), (3, 0)]
    assert stamps(copied) == before
    assert contents(copied) == contents(reference("clip jpeg"))


def without(name):
    return lambda out: (out / name).unlink()


def cut(name, keep):
    def spoil(out):
        data = (out / name).read_bytes()
        (out / name).write_bytes(data[: int(len(data) * keep)])

    return spoil


def of_another_dataset(out):
    make(copy_faces(out.parent / "faces"), out.parent / "other", seed=6)
    for suffix in ("tar", "parquet"):
        shutil.copy(out.parent / "other" / f"000001.{suffix}", out)


def leave_rubbish(out):
    (out / ".tmp-0123-000002.tar").write_bytes(b"half")
    (out / ".tmp-plan.json").write_bytes(b"half")
    (out / ".cache").mkdir()
    (out / ".cache" / ".tmp-1.npz").write_bytes(b"half")
    (out / "000003.tar").unlink()


@pytest.mark.parametrize(
    ("spoil", "made"),
    [
        (without("000001.tar"), 1),
        (without("000003.parquet"), 1),
        (cut("000000.tar", 0.5), 1),
        (cut("000002.tar", 0), 1),
        (cut("000002.parquet", 0.7), 1),
        (cut("000002.parquet", 0), 1),
        (of_another_dataset, 1),
        (leave_rubbish, 1),
        (without("README.md"), 0),
        (without("preview.png"), 0),
        (without("dataset.json"), 0),
        (cut("dataset.json", 0.5), 0),
    ],
)
def test_what_is_missing_is_made_again(faces, reference, copied, spoil, made):
    spoil(copied)
    report = make(faces, copied, workers=2)
    assert report.shards_made == made
    assert contents(copied) == contents(reference("clip jpeg"))


def test_stops_and_goes_on(faces, reference, tmp_path):
    out, stop = tmp_path / "out", threading.Event()
    with pytest.raises(Stopped, match="run the same command again"):
        make(faces, out, stop=stop, progress=lambda clips, size: stop.set() if (out / "000001.tar").exists() else None)
    assert sorted(path.name for path in out.glob("*.tar")) == ["000000.tar", "000001.tar"]
    assert not list(out.glob(".tmp-*"))
    assert make(faces, out).shards_made == 2
    assert contents(out) == contents(reference("clip jpeg"))


def test_a_contact_sheet_below_the_faces_is_no_face(faces, tmp_path):
    folder = tmp_path / "faces"
    shutil.copytree(faces, folder)
    make(folder, folder / "out")
    before = stamps(folder)
    assert make(folder, folder / "out").shards_made == 0
    assert stamps(folder) == before


# ---- refusals


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"seed": 6}, "seed: 5 there, 6 asked"),
        ({"clips": 25}, "clips: 24 there, 25 asked"),
        ({"size": 96}, "size: 64 there, 96 asked"),
        ({"encoder": "png"}, r"encoder\.format: jpeg there, png asked"),
        ({"sources": ("micro",)}, r"sources: .*expert.* there, ..micro.. asked"),
    ],
)
def test_another_plan_is_refused(faces, copied, options, told):
    before = stamps(copied)
    with pytest.raises(PlanError, match=told) as caught:
        make(faces, copied, **options)
    assert "plan.json: this folder holds another dataset" in str(caught.value)
    assert stamps(copied) == before


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: shutil.copy(folder / "syn002.jpg", folder / "syn001.jpg"), "faces: changed since syn001"),
        (lambda folder: (folder / "syn001.jpg").unlink(), "faces: missing syn001"),
        (lambda folder: shutil.copy(folder / "syn002.jpg", folder / "zoe.jpg"), "faces: new zoe"),
        (lambda folder: (folder / "syn001.jpg").rename(folder / "zoe.jpg"), "faces: missing syn001, new zoe"),
    ],
)
def test_changed_faces_are_refused(faces, copied, tmp_path, change, told):
    folder = shutil.copytree(faces, tmp_path / "changed")
    change(folder)
    before = contents(copied)
    with pytest.raises(PlanError, match=told):
        make(folder, copied)
    assert contents(copied) == before


def test_a_face_that_changes_during_the_run_is_refused(faces, tmp_path):
    folder = shutil.copytree(faces, tmp_path / "faces")
    inputs = scan_faces(folder, 64)
    plan, _ = plan_dataset(inputs, **SMALL)
    shutil.copy(folder / "syn001.jpg", folder / "syn002.jpg")
    with pytest.raises(InputError, match=r"syn002\.jpg: the file changed since the plan was made"):
        build_dataset(plan, inputs, tmp_path / "out")
    (folder / "syn002.jpg").unlink()
    with pytest.raises(InputError, match=r"syn002\.jpg"):
        build_dataset(plan, inputs, tmp_path / "out")
    assert not list((tmp_path / "out").glob(".tmp-*"))
    shutil.copy(faces / "syn002.jpg", folder)
    build_dataset(plan, inputs, tmp_path / "out")


def test_two_runs_at_once_are_refused(faces, copied):
    before = contents(copied)
    with open_folder(copied), pytest.raises(EnvironmentProblem, match="another run is writing there"):
        make(faces, copied)
    assert contents(copied) == before
    make(faces, copied)  # the lock went with its holder


@pytest.mark.parametrize("name", ["README.md", "preview.png", "dataset.json", "000000.tar", "000012.parquet"])
def test_files_of_others_are_not_replaced(faces, tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(PlanError, match=rf"{name}: a dataset would replace this file") as caught:
        make(faces, tmp_path / "out")
    assert "choose an empty folder" in str(caught.value)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]
    assert (tmp_path / "out" / name).read_text() == "mine"


def test_a_lock_that_is_a_link_is_not_followed(faces, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "out" / ".lock").symlink_to(tmp_path / "mine")
    with pytest.raises(EnvironmentProblem, match="out: "):
        make(faces, tmp_path / "out")
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"workers": 0}, RangeError, "workers is 0, allowed is 1 to"),
        ({"workers": -1}, RangeError, "workers is -1"),
        ({"workers": limits.MAX_WORKERS + 1}, RangeError, "workers"),
        ({"backend": "magic"}, UsageError, "'magic', allowed are auto"),
        ({"backend": "cuda"}, BackendError, "cannot run here"),
        ({"simd": "neon9"}, UsageError, "'neon9', allowed are auto, scalar"),
        ({"simd": "scalar", "backend": "ref"}, UsageError, "backend cpu"),
        ({"simd": "scalar", "content": "features", "frames": 2}, UsageError, "use auto"),
        ({"csv_scale": 5.0}, UsageError, "give both or neither"),
        ({"size": 31}, RangeError, "size"),
        ({"clips": 0}, RangeError, r"Plan\.clips is 0"),
    ],
)
def test_options_are_refused_before_anything_is_written(faces, tmp_path, options, error, told):
    if options.get("backend") == "cuda" and "cuda" in kernels.backends("render"):
        pytest.skip("a missing backend was NOT tested: this machine has a CUDA device")
    with pytest.raises(error, match=told):
        make(faces, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_table_that_lacks_a_class_is_refused_before_anything_is_written(faces, tmp_path):
    table = tmp_path / "aus.csv"
    table.write_text("AU12,emotion\n0.5,happiness\n0.5,surprise\n")
    with pytest.raises(InputError, match=r"aus\.csv: no row of label3 0"):
        make(faces, tmp_path / "out", csv=table)
    assert not (tmp_path / "out").exists()


# ---- what is in it


def test_png_is_the_rendered_pixels(faces, reference):
    plan, found = plan_of(reference("clip png")), members(reference("clip png"))
    rows = plan.rows(0, plan.clips)
    for face in sorted(faces.iterdir()):
        of_face = np.flatnonzero([plan.identities[i].name == face.stem for i in rows.identity])
        for shard in np.unique(of_face // plan.shard_clips):  # grids are built for the clips of a face within a shard
            part = rows.of(slice(*(of_face[of_face // plan.shard_clips == shard][[0, -1]] + [0, 1])))
            curves = timeline.intensity(part, plan.frames)
            rig = Rig.of(Face.load(face, plan.size), curves.max((0, 1)))
            pose = rig.pose_px(timeline.pose(part, plan.frames))
            for i in range(len(part)):
                coefficients = rig.coefficients(curves[i], pose[i])
                key = (int(plan.hash[:8], 16), int(part.index[i]))
                wanted = kernels.render(rig.source, coefficients, noise_sigma=plan.noise_sigma, key=key, backend="ref")
                for t in range(plan.frames):
                    with Image.open(io.BytesIO(found[f"{part.key[i]}.{t:03d}.png"])) as image:
                        assert np.array_equal(np.asarray(image), wanted[t]), f"clip {part.key[i]}, frame {t}"


def test_jpeg_is_the_rendered_pixels_to_its_quality(faces, tmp_path):
    """As near as Pillow's quality 95 of the same pixels; without noise, which is keyed by the plan and so by the encoder."""
    for encoder in ("jpeg", "png"):
        make(faces, tmp_path / encoder, encoder=encoder, noise_sigma=0.0, clips=6)
    lossy, exact = members(tmp_path / "jpeg"), members(tmp_path / "png")
    assert len(lossy) == len(exact) == 6 * 4
    for name in [name for name in lossy if name.endswith(".jpg")]:
        decoded = Image.open(io.BytesIO(lossy[name]))
        assert (decoded.mode, [layer[1:3] for layer in decoded.layer]) == ("RGB", [(2, 2), (1, 1), (1, 1)])  # 4:2:0
        wanted, peer = Image.open(io.BytesIO(exact[name.replace(".jpg", ".png")])), io.BytesIO()
        wanted.save(peer, "JPEG", quality=95, subsampling="4:2:0")
        mine, theirs = (np.asarray(image, float) - np.asarray(wanted, float) for image in (decoded, Image.open(peer)))
        assert np.square(mine).mean() <= 1.15 * np.square(theirs).mean(), name  # our chroma is rendered at half the size, not averaged
        assert np.abs(mine).max() <= np.abs(theirs).max() + 8, name


@pytest.mark.parametrize("kind", KINDS)
def test_the_index_points_at_the_bytes(reference, kind):
    out, plan = reference(kind), plan_of(reference(kind))
    rows, found = index_of(out), members(out)
    assert [row["key"] for row in rows] == [f"{i:09d}" for i in range(plan.clips)]
    drawn = plan.rows(0, plan.clips)
    names = iter(found)
    for i, row in enumerate(rows):
        assert row["tar"] == f"{i // plan.shard_clips:06d}.tar"
        data = (out / row["tar"]).read_bytes()
        for offset, size in zip(row["offsets"], row["sizes"], strict=True):
            name = next(names)
            assert name.startswith(row["key"] + ".")
            assert data[offset : offset + size] == found[name], name
        told = json.loads(data[row["offsets"][-1] :][: row["sizes"][-1]])
        assert list(told["au_apex"]) == sorted(UNITS)
        assert [told["au_apex"][unit] for unit in UNITS] == drawn.apex[i].round(6).tolist()
        assert np.allclose(row["au_apex"], drawn.apex[i], atol=1e-6)
        assert np.allclose(row["au_onset"], [told["au_onset"][unit] for unit in UNITS], atol=1e-6)
        for name in ("key", "identity", "label3", "label7", "emotion", "source", "one_sided", "apex_frame", "duration_s"):
            assert told[name] == row[name], name
        assert row["identity"] == plan.identities[i * 3 // plan.clips].name
        assert (row["label3"], row["label7"], row["source"]) == (drawn.label3[i], drawn.label7[i], drawn.source[i])
        assert row["seed"] == plan.seed
    with pytest.raises(StopIteration):
        next(names)


def test_members_carry_no_time_and_no_owner(reference):
    for shard in reference("clip jpeg").glob("*.tar"):
        with tarfile.open(shard) as tar:
            assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode, m.type) for m in tar} == {(0, 0, 0, "", "", 0o644, b"0")}


def test_classes_and_sources_are_balanced(faces, tmp_path, monkeypatch):
    monkeypatch.setattr(card, "preview", lambda *_: b"")
    make(faces, tmp_path / "out", clips=54, frames=2, size=32, shard_clips=20, content="pair")
    rows = index_of(tmp_path / "out")
    cells = [(row["identity"], row["label3"], row["source"]) for row in rows]
    assert {cells.count(cell) for cell in cells} == {2}
    assert len(set(cells)) == 3 * 3 * 3
    assert all(row["label7"] in range(7) for row in rows)


def test_features_have_their_ranges(reference):
    found, rows = members(reference("features")), index_of(reference("features"))
    for row in rows:
        maps = np.load(io.BytesIO(found[f"{row['key']}.npy"]), allow_pickle=False)
        assert (maps.dtype, maps.shape) == (np.uint8, (28, 28, 3))
        assert (maps.min(), maps.max()) == (0, 255)
        low, high = np.array(row["ranges"]).reshape(3, 2).T
        assert (low < high).all()
        assert low[2] >= 0  # strain


def test_dataset_json_and_card(reference):
    out = reference("clip jpeg")
    facts, plan = json.loads((out / "dataset.json").read_text("utf-8")), plan_of(out)
    assert facts["plan"] == json.loads(plan.to_json())
    assert (facts["plan_hash"], facts["clips"], facts["shards"], facts["skipped"]) == (plan.hash, 24, 4, [])
    assert facts["bytes"] == sum(path.stat().st_size for path in out.glob("*.tar"))
    assert facts["engine"].startswith("mie_engine ")
    text = (out / "README.md").read_text("utf-8")
    for words in ("24 labelled samples of 3 faces", "| negative | 8 |", plan.hash, "{000000..000003}.tar", plan.encoder.library, "seed 5"):
        assert words in text, words
    assert text.startswith("---\npretty_name: ")
    with Image.open(out / "preview.png") as sheet:
        assert sheet.mode == "RGB"
        assert sheet.height > 9 * 224
    for written in (text, (out / "dataset.json").read_text("utf-8")):
        assert str(out.parent) not in written  # neither the machine nor the time is told
        assert time.strftime("%Y-%m-%d") not in written


def test_skipped_files_are_named(faces, tmp_path):
    folder = shutil.copytree(faces, tmp_path / "faces")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "torn.jpg").write_bytes((folder / "syn000.jpg").read_bytes()[:2000])
    (folder / "gone.jpg").symlink_to("nowhere.jpg")
    Image.new("RGB", (200, 200), "grey").save(folder / "wall.png")
    Image.new("RGB", (200, 200), "grey").save(folder / "caf\udce9\x1b[31m.png")  # Latin-1 and a terminal's colour, as names can be
    (folder / "notes.txt").write_text("no image")
    seen = []
    report = make(folder, tmp_path / "out", workers=2, progress=lambda clips, size: seen.append(clips))
    reasons = {file.rsplit("/", 1)[-1]: reason for file, reason in report.skipped}
    odd = r"caf\udce9\x1b[31m.png"
    assert set(reasons) == {"empty.jpg", "torn.jpg", "gone.jpg", "wall.png", odd}
    assert "empty" in reasons["empty.jpg"]
    assert "no face" in reasons["wall.png"]
    assert "rename the file" in reasons[odd]
    assert report.faces == 3
    assert sum(seen) == 24
    told = json.loads((tmp_path / "out" / "dataset.json").read_text("utf-8"))["skipped"]
    assert [skip["file"] for skip in told] == sorted(reasons)
    assert str(tmp_path) not in str(told)
    with pytest.raises(InputError, match=r"none of 1 images shows a usable face: .*wall\.png: no face"):
        make(folder / "wall.png", tmp_path / "none")
    assert not (tmp_path / "none").exists()


# ---- the encoder, the cache


def test_another_encoder_cannot_finish_a_dataset(faces, reference, monkeypatch):
    native = reference("clip jpeg")
    before = contents(native)
    plan = plan_of(native)
    assert plan.encoder.library == f"mie jpeg {_core.JPEG_VERSION}"
    assert plan.encoder.library in (native / "README.md").read_text("utf-8")
    monkeypatch.setattr(_core, "JPEG_VERSION", 999)
    with pytest.raises(PlanError, match=r"encoder\.library: mie jpeg \d+ there, mie jpeg 999"):
        make(faces, native)
    assert contents(native) == before


def test_crops_are_kept_while_a_run_needs_them_only(faces, tmp_path, monkeypatch):
    loads = []
    load = Face.load
    monkeypatch.setattr(Face, "load", lambda path, size=256: loads.append(path) or load(path, size))
    monkeypatch.setattr(card, "preview", lambda *_: b"")
    out = tmp_path / "out"
    make(faces, out)
    assert len(loads) == 3  # detection runs once per face, though shards and scan both need it
    assert not (out / ".cache").exists()


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 torn", b"\x93NUMPY"])
def test_a_torn_crop_is_made_again(faces, tmp_path, damage):
    face = Face.load(faces / "syn000.jpg", 64)
    facestore.write_crop(tmp_path, face)
    (kept,) = tmp_path.iterdir()
    again = facestore.read_crop(tmp_path, face.source_sha256, 64)
    assert np.array_equal(again.pixels, face.pixels)
    assert np.array_equal(again.landmarks_px, face.landmarks_px)
    data = kept.read_bytes()
    kept.write_bytes(damage or data[: len(data) // 2])
    assert facestore.read_crop(tmp_path, face.source_sha256, 64) is None
