"""Session: runs what was checked, refuses the rest."""

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import resources

import numpy as np
import pytest

from mie_engine.errors import BackendError, InputError, RangeError, ShapeError, UsageError
from mie_engine.runtime.session import Session

DETECTOR = (resources.files("mie_engine") / "assets" / "models" / "face_detector.onnx").read_bytes()


def _load(data, **options):
    return Session(data, sha256=hashlib.sha256(data).hexdigest(), **options)


def _message(field, content):
    """One length-delimited protobuf field (contents under 128 bytes)."""
    key = field << 3 | 2
    return (bytes([key]) if key < 128 else bytes([key & 127 | 128, key >> 7])) + bytes([len(content)]) + content


def test_describes_and_runs_the_shipped_networks():
    for name, side in (("face_detector.onnx", 128), ("face_landmarks_detector.onnx", 256)):
        session = Session.shipped(name)
        assert session.provider == "cpu"
        assert [(spec.dtype, spec.shape[1:]) for spec in session.inputs] == [("float32", (side, side, 3))]
        outputs = session.run({session.inputs[0].name: np.zeros((1, side, side, 3), np.float32)})
        assert list(outputs) == [spec.name for spec in session.outputs]
        assert all(np.isfinite(array).all() for array in outputs.values())


def test_threads_may_share_a_session(rng):
    session = Session.shipped("face_detector.onnx")
    images = rng.uniform(-1, 1, (8, 1, 128, 128, 3)).astype(np.float32)
    alone = [session.run({"input": image})["regressors"] for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image: session.run({"input": image})["regressors"], images))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_refuses_changed_bytes():
    changed = bytearray(DETECTOR)
    changed[5000] ^= 1
    with pytest.raises(InputError, match="SHA-256"):
        Session(bytes(changed), sha256=hashlib.sha256(DETECTOR).hexdigest())


@pytest.mark.parametrize(
    "data",
    [
        _message(7, _message(5, _message(13, b"location"))),  # graph.initializer.external_data
        _message(7, _message(5, b"\x70\x01")),  # graph.initializer.data_location = EXTERNAL
        _message(7, _message(1, _message(5, _message(5, b"\x70\x01")))),  # graph.node.attribute.t
        _message(7, _message(1, _message(5, _message(6, _message(5, b"\x70\x01"))))),  # ... attribute.g.initializer
        _message(7, _message(15, _message(1, b"\x70\x01"))),  # graph.sparse_initializer.values
        _message(25, _message(7, _message(5, _message(10, b"\x70\x01")))),  # functions.node.attribute.tensors
    ],
)
def test_refuses_external_data(data):
    with pytest.raises(InputError, match="outside its file"):
        _load(data)


@pytest.mark.parametrize("data", [b"", b"\xff" * 40, b"PK\x03\x04 zip", DETECTOR[: len(DETECTOR) // 2], b"\x3a\x7f", bytes(100)])
def test_refuses_what_is_no_network(data):
    with pytest.raises(InputError):
        _load(data)


def test_refuses_bottomless_nesting():
    deep = b""
    for _ in range(11):
        deep = _message(1, _message(5, _message(6, deep)))
    with pytest.raises(InputError, match="too deep"):
        _load(_message(7, deep))


def test_explicit_provider_runs_or_raises():
    with pytest.raises(UsageError, match="choose one of cpu, cuda"):
        _load(DETECTOR, provider="gpu")
    with pytest.raises(RangeError, match="threads is 0"):
        _load(DETECTOR, threads=0)
    with pytest.raises(UsageError, match=r"face_detector\.onnx"):
        Session.shipped("nothing.onnx")
    try:
        assert Session.shipped("face_detector.onnx", provider="cuda").provider == "cuda"
    except BackendError as error:
        assert "onnxruntime" in str(error)  # noqa: PT017


def test_refuses_unfitting_inputs():
    session = _load(DETECTOR)
    for feeds in (
        {},
        {"other": np.zeros(1, np.float32)},
        {"input": np.zeros((1, 128, 128, 3))},
        {"input": np.zeros((1, 64, 128, 3), np.float32)},
    ):
        with pytest.raises(ShapeError, match="input"):
            session.run(feeds)


def test_import_is_light(tmp_path):
    code = "import sys, mie_engine; print([m for m in ('onnxruntime', 'PIL', 'simplejpeg', 'torch') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
