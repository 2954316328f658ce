"""The C and C++ library as its users have it: installed, found by CMake and pkg-config, and giving what Python gives."""

import csv
import ctypes as c
import hashlib
import io
import itertools
import os
import re
import shutil

import numpy as np
import pytest
import sdk

import mie_engine as mie
from mie_engine import _core, kernels
from mie_engine.models.face_mesh import FaceMesh
from mie_engine.models.recogniser import Recogniser
from mie_engine.recog.frames import Frame
from mie_engine.runtime.image import load_rgb
from mie_engine.synth.action_units import UNITS, parse
from mie_engine.synth.faces import Face
from mie_engine.synth.geometry import MESH_FILE, face_mesh
from mie_engine.synth.rig import Rig

pytestmark = pytest.mark.slow
FPS = 30
WARNINGS = [f"-DCMAKE_{language}_FLAGS=-Wall -Wextra -Werror" for language in ("C", "CXX")]


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """The SDK with OpenVINO where there is one, else without."""
    found = sdk.open_vino()
    option = f"-DOpenVINO_DIR={found}" if found else "-DCMAKE_DISABLE_FIND_PACKAGE_OpenVINO=ON"
    return sdk.build(tmp_path_factory.mktemp("sdk"), option)


@pytest.fixture(scope="module")
def library(prefix):
    return open_library(prefix)


def open_library(prefix):
    library = c.CDLL(str(next(prefix.glob("lib*/libmie.so"))))
    library.mie_last_error.restype = library.mie_unit_name.restype = c.c_char_p
    for name in re.findall(r"^    (mie_\w+);", (sdk.ROOT / "csrc" / "mie.symbols").read_text(), re.M):
        getattr(library, name)
    return library


@pytest.fixture(scope="module")
def openvino():
    if not sdk.open_vino():
        pytest.skip("no OpenVINO here: the built-in engine and the examples are NOT run; pip install openvino, or set OpenVINO_DIR")


@pytest.fixture(scope="module")
def examples(prefix, tmp_path_factory):
    tree = tmp_path_factory.mktemp("examples")
    sdk.run("cmake", "-S", sdk.ROOT / "examples", "-B", tree, f"-DCMAKE_PREFIX_PATH={prefix}", *WARNINGS)
    sdk.run("cmake", "--build", tree)
    return tree


def check(library, status):
    assert status >= 0, library.mie_last_error().decode()
    return status


# ---- what is exported


def test_exactly_the_listed_symbols_are_exported(prefix):
    listed = set(re.findall(r"^    (mie_\w+);", (sdk.ROOT / "csrc" / "mie.symbols").read_text(), re.M))
    declared = set(re.findall(r"MIE_API [^;]*?\b(mie_\w+)\(", (sdk.ROOT / "csrc/include/mie/mie.h").read_text()))
    lines = sdk.run("nm", "-D", "--defined-only", next(prefix.glob("lib*/libmie.so"))).splitlines()
    exported = {line.split()[2].split("@")[0] for line in lines} - {"MIE_1"}
    assert exported == listed == declared


def test_units_are_pythons(library):
    assert tuple(library.mie_unit_name(i).decode() for i in range(len(UNITS))) == UNITS == tuple(face_mesh().units)
    assert library.mie_unit_name(len(UNITS)) is None


# ---- recognise


@pytest.fixture(scope="module")
def video():
    """Two pulses of one face, as the renderer's YUV 4:2:0 planes: uint8 [T, S * S * 3 / 2]."""
    face = Face.load(sdk.ASSETS / "faces" / "syn010.jpg")
    time_s = np.arange(4 * FPS) / FPS

    def pulse(at_s):
        return np.clip(1 - np.abs(time_s - at_s) / 0.2, 0, 1) ** 2

    curves = np.outer(pulse(1.3), parse({"AU12": 0.35, "AU6": 0.3})) + np.outer(pulse(2.6), parse({"AU1": 0.4, "AU2": 0.4}))
    rig = Rig.of(face, curves.max(0))
    return kernels.render(rig.source, rig.coefficients(curves), format="yuv420", noise_sigma=1, key=(3, 4)), face.size


def planes_of(packed, side):
    half, luma = side // 2, side * side
    u, v = packed[luma : luma + half * half].reshape(half, half), packed[luma + half * half :].reshape(half, half)
    return packed[:luma].reshape(side, side), u, v


FORMATS = {
    sdk.YUV420: lambda y, u, v: (y, u, v),
    sdk.NV12: lambda y, u, v: (y, np.stack([u, v], -1)),
    sdk.GREY: lambda y, u, v: (y,),
    sdk.RGB: lambda y, u, v: (np.stack([y, y // 2 + 50, 255 - y // 3], -1),),
}


def from_c(library, frames, kind, fails_at=None):
    """Events; fails_at: the label whose network run fails, counted from 0."""
    mesh, network, failed = FaceMesh.shared(), Recogniser.load(), []
    detector = sdk.network(mesh.run_detector, (1, 128, 128, 3), 896 * 16, 896)
    landmarks = sdk.network(mesh.run_landmarks, (1, 256, 256, 3), 1434, 1)
    turn = itertools.count()

    def label(maps):
        return 5 if next(turn) == fails_at else network.run([maps])

    labels = sdk.network(label, (1, 3, network.side, network.side), len(network.classes), len(network.aus))
    networks = sdk.new(sdk.Networks, detector, landmarks)
    options = sdk.new(sdk.RecognizerOptions, c.pointer(networks), labels, None, 2)
    handle = c.c_uint64()
    check(library, library.mie_recognizer_create(c.byref(options), c.byref(handle)))
    found = []

    def poll():
        while check(library, library.mie_recognizer_poll(handle, c.byref(event := sdk.new(sdk.Event)))) != sdk.EMPTY:
            found.append(event)

    for index, planes in enumerate(frames):
        view, kept = sdk.frame(planes, kind)
        status = library.mie_recognizer_push(handle, c.byref(view), c.c_int64(index), c.c_double(index / FPS))
        if fails_at is not None and status == -7:
            failed.append(library.mie_last_error())
        else:
            check(library, status)
        del kept
        poll()
    check(library, library.mie_recognizer_finish(handle))
    poll()
    check(library, library.mie_recognizer_destroy(handle))
    assert failed == ([] if fails_at is None else [b"recogniser: the function returned 5"])
    return found


def from_python(frames):
    one = mie.Recognizer()
    found = []
    for index, planes in enumerate(frames):
        found += one.push(Frame(index, index / FPS, planes, True))
    return found + one.finish()


@pytest.mark.parametrize("kind", FORMATS)
def test_the_callers_engine_gives_pythons_events(library, video, kind):
    packed, side = video
    frames = [FORMATS[kind](*planes_of(one, side)) for one in packed]
    expected, found = from_python(frames), from_c(library, frames, kind)
    assert len(expected) == 2
    assert len(found) == 2
    classes = Recogniser.load().classes
    for python, own in zip(expected, found, strict=True):
        for name in ("face", "onset_frame", "apex_frame", "offset_frame", "onset_s", "apex_s", "offset_s", "motion_px", "threshold_px"):
            assert getattr(own, name) == getattr(python, name), name
        assert ("uncertain" if own.best < 0 else classes[own.best]) == ("uncertain" if python.label not in classes else python.label)
        assert own.score == python.score
        assert list(own.scores)[: own.classes] == list(python.scores.values())
        assert list(own.au)[: own.aus] == list(python.au.values())


def test_a_failing_network_costs_its_event_only(library, video):
    packed, side = video
    frames = [planes_of(one, side) for one in packed]
    (found,), (_, expected) = from_c(library, frames, sdk.YUV420, fails_at=0), from_python(frames)
    assert (found.onset_frame, found.score) == (expected.onset_frame, expected.score)


def test_recognize_video_gives_pythons_events_through_openvino(openvino, examples, prefix, video, tmp_path):
    packed, side = video
    file = tmp_path / "video.y4m"
    head = f"YUV4MPEG2 W{side} H{side} F{FPS}:1 Ip C420jpeg XCOLORRANGE=FULL\n".encode()
    file.write_bytes(head + b"".join(b"FRAME\n" + one.tobytes() for one in packed))
    with file.open() as stream:
        text = sdk.run(examples / "recognize_video", prefix / "share" / "mie", stdin=stream)
    found, expected = list(csv.DictReader(io.StringIO(text))), list(mie.Recognizer().recognize(file))
    assert len(found) == len(expected) == 2
    for own, python in zip(found, expected, strict=True):
        assert [int(own[n]) for n in ("onset_frame", "apex_frame", "offset_frame")] == [
            python.onset_frame,
            python.apex_frame,
            python.offset_frame,
        ]
        assert own["label"] == python.label
        assert all(abs(float(own[name]) - value) < 1e-3 for name, value in python.scores.items())
        # Landmarks that differ by 1e-3 px turn some hundred pixels of the crop by one grey level: up to 4e-3 measured
        assert all(abs(float(own[name]) - value) < 1e-2 for name, value in python.au.items())


def test_a_session_describes_and_runs_as_onnxruntime_does(openvino, library, rng):
    path = sdk.ASSETS / "models" / "recogniser.onnx"
    options = sdk.new(sdk.SessionOptions, str(path).encode(), None, b"openvino", b"CPU", 1)
    session = c.c_uint64()
    check(library, library.mie_session_open(c.byref(options), c.byref(session)))

    def tensors(describe):
        index = 0
        while describe(session, index, c.byref(tensor := sdk.new(sdk.Tensor))) == 0:
            yield tensor.name.decode(), list(tensor.shape)[: tensor.rank]
            index += 1

    assert list(tensors(library.mie_session_input)) == [("maps", [1, 3, 28, 28])]
    assert list(tensors(library.mie_session_output)) == [("logits", [1, 3]), ("au_logits", [1, 12])]
    maps = rng.uniform(0, 255, (1, 3, 28, 28)).astype(np.float32)
    own = np.zeros((1, 3), np.float32), np.zeros((1, 12), np.float32)
    pointers = (c.c_void_p * 1)(maps.ctypes.data), (c.c_void_p * 2)(*(array.ctypes.data for array in own))
    check(library, library.mie_session_run(session, *pointers))
    for found, expected in zip(own, Recogniser.load().run([maps]), strict=True):
        assert np.abs(found - expected).max() < 1e-4
    check(library, library.mie_session_destroy(session))
    assert library.mie_session_run(session, *pointers) == -3
    for device in (b"AUTO", b"GPU.7", b"HETERO:CPU"):
        options.device = device
        assert library.mie_session_open(c.byref(options), c.byref(session)) == -8
    options.device, options.engine = b"CPU", b"onnxruntime"
    assert library.mie_session_open(c.byref(options), c.byref(session)) == -8


def test_broken_networks_are_refused(openvino, library, tmp_path):
    whole = (sdk.ASSETS / "models" / "recogniser.onnx").read_bytes()
    for name, data in {"empty": b"", "truncated": whole[: len(whole) // 2], "noise": bytes(range(256)) * 40}.items():
        file = tmp_path / f"{name}.onnx"
        file.write_bytes(data)
        options = sdk.new(sdk.SessionOptions, str(file).encode(), None, b"openvino", b"CPU", 1)
        assert library.mie_session_open(c.byref(options), c.byref(c.c_uint64())) == -9, name
        options.sha256 = hashlib.sha256(data).hexdigest().encode()  # the caller vouches for it: then OpenVINO has to refuse
        assert library.mie_session_open(c.byref(options), c.byref(c.c_uint64())) == -9, name
        assert library.mie_last_error().startswith(str(file).encode())


# ---- synthesise


@pytest.fixture(scope="module")
def drawn():
    """A picture, the landmarks in it, and what its face does: image, landmarks, ceiling [U], intensity [T, U], rigid [T, 6]."""
    image = load_rgb(sdk.ASSETS / "faces" / "syn036.jpg")
    landmarks = FaceMesh.shared().find(image)[0].landmarks
    rise = np.sin(np.linspace(0, np.pi, 7))[:, None]
    intensity = rise * parse({"AU4": 0.5, "AU12L": 0.3, "AU25": 0.15, "AU17": 0.7})
    return image, landmarks, intensity.max(0), intensity, rise * [1.5, -0.5, 0.4, 0.2, 0.3, -0.2]


@pytest.fixture(scope="module")
def rig(library, drawn):
    image, landmarks, ceiling, *_ = drawn
    view, kept = sdk.frame((image,), sdk.RGB)
    options = sdk.new(sdk.RigOptions, str(MESH_FILE).encode(), c.pointer(view), landmarks.ctypes.data, 128, ceiling.ctypes.data)
    handle = c.c_uint64()
    check(library, library.mie_rig_create(c.byref(options), c.byref(handle)))
    del kept
    yield handle
    check(library, library.mie_rig_destroy(handle))


@pytest.fixture(scope="module")
def clip(drawn):
    *_, intensity, rigid = drawn
    return sdk.new(sdk.Clip, len(intensity), intensity.ctypes.data, rigid.ctypes.data, 1.5, (c.c_uint32 * 2)(11, 12))


@pytest.fixture(scope="module")
def python_rig(drawn):
    image, landmarks, ceiling, intensity, rigid = drawn
    own = Rig.of(Face.from_landmarks(image, landmarks, 128), ceiling)
    return own, own.coefficients(intensity, rigid)


@pytest.mark.parametrize(("name", "kind"), [("rgb", sdk.RGB), ("yuv420", sdk.YUV420)])
def test_rendered_bytes_are_pythons(library, rig, clip, python_rig, name, kind):
    own, coefficients = python_rig
    expected = kernels.render(own.source, coefficients, format=name, noise_sigma=1.5, key=(11, 12))
    target = np.zeros_like(expected)
    check(library, library.mie_rig_render(rig, c.byref(clip), kind, 2, c.c_void_p(target.ctypes.data), c.c_size_t(target.nbytes)))
    assert np.array_equal(target, expected)


def test_jpeg_and_shard_are_pythons(library, rig, clip, python_rig, tmp_path):
    own, coefficients = python_rig
    shard = c.c_uint64()
    check(library, library.mie_shard_create(str(tmp_path / "c.tar").encode(), c.byref(shard)))
    check(library, library.mie_shard_add_clip(shard, rig, c.byref(clip), b"clip", 90))
    check(library, library.mie_shard_add(shard, b"clip.json", b"{}", c.c_size_t(2)))
    assert not (tmp_path / "c.tar").exists()
    check(library, library.mie_shard_finish(shard))
    check(library, library.mie_shard_destroy(shard))

    tar, names = _core.TarWriter(str(tmp_path / "python.tar")), [f"clip.{t:03d}.jpg" for t in range(len(coefficients))]
    encoder = _core.jpeg_encoder(90, kernels.simd_level("encode_jpeg", "auto"))
    entries = tar.add_clip(own.source.native, coefficients, names, kernels.noise_word(1.5), 11, 12, encoder, "scalar")
    tar.add("clip.json", b"{}")
    tar.finish()
    expected = (tmp_path / "python.tar").read_bytes()
    assert (tmp_path / "c.tar").read_bytes() == expected
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.tar", "python.tar"]

    frame = kernels.render(own.source, coefficients[:1], format="yuv420", noise_sigma=1.5, key=(11, 12))
    file, size = np.zeros(1 << 16, np.uint8), c.c_size_t(1 << 16)
    check(library, library.mie_encode_jpeg(c.c_void_p(frame.ctypes.data), 128, 90, c.c_void_p(file.ctypes.data), c.byref(size)))
    offset, length = entries[0]
    assert file[: size.value].tobytes() == expected[offset : offset + length]


def test_found_faces_are_pythons(library, drawn):
    mesh, image = FaceMesh.shared(), drawn[0]
    networks = sdk.new(
        sdk.Networks,
        sdk.network(mesh.run_detector, (1, 128, 128, 3), 896 * 16, 896),
        sdk.network(mesh.run_landmarks, (1, 256, 256, 3), 1434, 1),
    )
    view, _kept = sdk.frame((image,), sdk.RGB)
    faces, count = (sdk.Face * 4)(), c.c_int32()
    check(library, library.mie_find_faces(c.byref(networks), c.byref(view), faces, 4, c.byref(count)))
    assert count.value == 1
    assert np.array_equal(np.array(faces[0].xyz).reshape(-1, 3), mesh.find(image)[0].landmarks)


# ---- consumers


def test_examples_run(openvino, examples, prefix, drawn, tmp_path):
    data, image = prefix / "share" / "mie", drawn[0]
    ppm = tmp_path / "face.ppm"
    ppm.write_bytes(f"P6\n{image.shape[1]} {image.shape[0]}\n255\n".encode() + image.tobytes())
    for name in ("synthesize", "synthesize_static"):
        sdk.run(examples / name, data, ppm, tmp_path / f"{name}.tar")
    assert (tmp_path / "synthesize.tar").read_bytes() == (tmp_path / "synthesize_static.tar").read_bytes()


def run_apex(program, prefix, drawn, folder):
    image, landmarks, *_ = drawn
    (folder / "image.rgb").write_bytes(image.tobytes())
    (folder / "landmarks.f64").write_bytes(landmarks.tobytes())
    mesh = prefix / "share" / "mie" / MESH_FILE.name
    sdk.run(program, mesh, "image.rgb", image.shape[1], image.shape[0], "landmarks.f64", "apex.jpg", cwd=folder)
    return load_rgb(folder / "apex.jpg")


def test_plain_c_consumer(examples, prefix, drawn, tmp_path):
    assert run_apex(examples / "apex", prefix, drawn, tmp_path).shape == (256, 256, 3)


def test_pkg_config_consumer(prefix, drawn, tmp_path):
    if not shutil.which("pkg-config"):
        pytest.skip("no pkg-config here: its file is NOT tested")
    environment = os.environ | {"PKG_CONFIG_PATH": str(next(prefix.glob("lib*/pkgconfig")))}
    flags = sdk.run("pkg-config", "--cflags", "--libs", "mie", env=environment).split()
    library = next(prefix.glob("lib*/libmie.so")).parent
    sdk.run("cc", sdk.ROOT / "examples/c/apex.c", "-o", tmp_path / "apex", *flags, f"-Wl,-rpath,{library}")
    assert run_apex(tmp_path / "apex", prefix, drawn, tmp_path).shape == (256, 256, 3)
    assert sdk.run("pkg-config", "--variable=datadir", "mie", env=environment).strip().endswith("share/mie")


# ---- misuse


def misuse(prefix, folder, *flags):
    library = next(prefix.glob("lib*/libmie.so")).parent
    source = sdk.ROOT / "tests" / "install" / "misuse.c"
    command = ["cc", "-g", *flags, source, "-o", folder / "misuse", f"-I{prefix}/include", f"-L{library}", "-lmie", "-lpthread"]
    sdk.run(*command, f"-Wl,-rpath,{library}")
    (folder / "shards").mkdir()
    said = sdk.run(folder / "misuse", MESH_FILE, folder / "shards", env=os.environ | {"UBSAN_OPTIONS": "halt_on_error=1"})
    assert sorted(p.name for p in (folder / "shards").iterdir()) == ["a.tar"]
    return said.split("\n")


def test_misuse_gives_a_status(prefix, tmp_path):
    assert "all refused" in misuse(prefix, tmp_path)


def test_misuse_under_sanitizers_and_without_openvino(tmp_path):
    prefix = sdk.build(tmp_path / "asan", "-DMIE_SANITIZE=ON", "-DCMAKE_DISABLE_FIND_PACKAGE_OpenVINO=ON")
    said = misuse(prefix, tmp_path, "-fsanitize=address,undefined")
    assert "sanitized" in said
    assert "all refused" in said
