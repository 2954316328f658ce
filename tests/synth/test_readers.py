"""Stock readers see every sample as it was written: webdataset, datasets (offline) and pyarrow."""

import io
import json
import tarfile

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset
import pytest
from PIL import Image
from road import copy_faces, make

CONTENTS = {
    "clip": ["000.jpg", "001.jpg", "002.jpg", "json"],
    "clip png": ["000.png", "001.png", "002.png", "json"],
    "pair": ["apex.jpg", "onset.jpg", "json"],
    "features": ["npy", "json"],
}
# More action units occur than in the first samples, from which some readers infer the columns; two shards, a short one last.
LARGE = {"clips": 100, "size": 32, "shard_clips": 70, "noise_sigma": 0.0}


@pytest.fixture(scope="module", params=CONTENTS)
def made(request, tmp_path_factory):
    """(parts of a sample, folder)."""
    folder = tmp_path_factory.mktemp("readers")
    content, _, encoder = request.param.partition(" ")
    out = folder / "out"
    make(copy_faces(folder / "faces"), out, content=content, frames=3 if content == "clip" else 2, encoder=encoder or "jpeg", **LARGE)
    return CONTENTS[request.param], out


def written(out):
    """Every sample with the standard library alone: {key: {part: bytes}}."""
    samples = {}
    for shard in sorted(out.glob("*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar:
                key, part = member.name.split(".", 1)
                samples.setdefault(key, {})[part] = tar.extractfile(member).read()
    return samples


def pixels(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def value(part, data):
    return json.loads(data) if part == "json" else np.load(io.BytesIO(data)) if part == "npy" else pixels(data)


def test_webdataset(made):
    webdataset = pytest.importorskip("webdataset", reason="reading with webdataset was NOT tested: it is not installed")
    parts, out = made
    shards = [str(path) for path in sorted(out.glob("*.tar"))]
    samples = list(webdataset.WebDataset(shards, shardshuffle=False).decode("rgb8"))
    wanted = written(out)
    assert [sample["__key__"] for sample in samples] == list(wanted) == [f"{i:09d}" for i in range(100)]
    for sample in samples:
        assert {name for name in sample if not name.startswith("__")} == set(parts)
        for part in parts:
            expected = value(part, wanted[sample["__key__"]][part])
            assert np.array_equal(sample[part], expected) if part != "json" else sample[part] == expected, (sample["__key__"], part)


def test_the_command_of_the_card(made, monkeypatch):
    """The lines that the card shows run in the dataset's folder."""
    webdataset = pytest.importorskip("webdataset", reason="the card's example was NOT tested: webdataset is not installed")
    _, out = made
    text = (out / "README.md").read_text("utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(out)
    names = {"webdataset": webdataset}
    exec(code, names)
    assert len(list(names["samples"])) == 100


def test_datasets(made, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason="reading with datasets was NOT tested: it is not installed")
    datasets.disable_progress_bars()
    parts, out = made
    files = [str(path) for path in sorted(out.glob("*.tar"))]
    read = datasets.load_dataset("webdataset", data_files={"train": files}, split="train", cache_dir=str(tmp_path))
    wanted = written(out)
    assert read["__key__"][:] == list(wanted)
    for sample in read:
        for part in parts:
            expected = value(part, wanted[sample["__key__"]][part])
            if part == "json":
                assert sample[part] == expected, sample["__key__"]
            else:
                assert np.array_equal(np.asarray(sample[part]), expected), (sample["__key__"], part)


def test_pyarrow(made):
    parts, out = made
    table = pyarrow.dataset.dataset(sorted(str(path) for path in out.glob("*.parquet"))).to_table()
    wanted = written(out)
    assert table["key"].to_pylist() == list(wanted)
    assert pc.value_counts(table["label3"]).to_pylist() == [{"values": v, "counts": n} for v, n in ((0, 34), (1, 33), (2, 33))]
    assert {len(row) for row in table["offsets"].to_pylist()} == {len(parts)}
    units = table.schema.metadata[b"units"].decode().split(",")
    for row in table.to_pylist():
        told = json.loads(wanted[row["key"]]["json"])
        assert np.allclose(row["au_apex"], [told["au_apex"][unit] for unit in units], atol=1e-6)
        assert {name: row[name] for name in ("identity", "label3", "label7", "source")} == {
            name: told[name] for name in ("identity", "label3", "label7", "source")
        }
