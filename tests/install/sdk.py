"""mie.h as ctypes sees it, and the SDK built and installed for tests."""

import ctypes as c
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "mie_engine" / "assets"
Run = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.POINTER(c.c_float), c.POINTER(c.c_float), c.POINTER(c.c_float))


def record(name, *fields, sized=True):
    head = [("size", c.c_size_t)] if sized else []
    return type(name, (c.Structure,), {"_fields_": head + list(fields)})


Network = record("Network", ("session", c.c_uint64), ("run", Run), ("user", c.c_void_p), sized=False)
SessionOptions = record(
    "SessionOptions", ("path", c.c_char_p), ("sha256", c.c_char_p), ("engine", c.c_char_p), ("device", c.c_char_p), ("threads", c.c_int32)
)
Tensor = record("Tensor", ("name", c.c_char_p), ("rank", c.c_int32), ("shape", c.c_int64 * 8))
Networks = record("Networks", ("detector", Network), ("landmarks", Network))
Frame = record(
    "Frame",
    ("format", c.c_int32),
    ("width", c.c_int32),
    ("height", c.c_int32),
    ("plane", c.c_void_p * 3),
    ("stride", c.c_int64 * 3),
    ("full_range", c.c_int32),
)
RecognizerOptions = record(
    "RecognizerOptions", ("networks", c.POINTER(Networks)), ("recogniser", Network), ("info", c.c_void_p), ("max_faces", c.c_int32)
)
Event = record(
    "Event",
    *[(name, c.c_int32) for name in ("face", "best")],
    *[(name, c.c_int64) for name in ("onset_frame", "apex_frame", "offset_frame")],
    *[(name, c.c_double) for name in ("onset_s", "apex_s", "offset_s", "motion_px", "threshold_px", "score")],
    *[(name, c.c_int32) for name in ("classes", "aus")],
    ("scores", c.c_float * 64),
    ("au", c.c_float * 64),
)
RigOptions = record(
    "RigOptions",
    ("mesh_path", c.c_char_p),
    ("image", c.POINTER(Frame)),
    ("landmarks", c.c_void_p),
    ("side_px", c.c_int32),
    ("ceiling", c.c_void_p),
)
Clip = record(
    "Clip",
    ("frames", c.c_int32),
    ("intensity", c.c_void_p),
    ("rigid_px", c.c_void_p),
    ("noise_sigma", c.c_double),
    ("key", c.c_uint32 * 2),
)
Face = record("Face", ("score", c.c_double), ("presence", c.c_double), ("box", c.c_double * 4), ("xyz", c.c_double * 1434), sized=False)
RGB, GREY, YUV420, NV12 = range(4)
EMPTY = 1


def new(kind, *values):
    return kind(c.sizeof(kind), *values)


def frame(planes, kind, full_range=True):
    """A frame over arrays, copied into rows that are longer than the picture. Keep the second result while it is used."""
    padded = []
    for plane in planes:
        wide = np.full((plane.shape[0], plane.shape[1] * (plane[0, 0].size) + 13), 77, np.uint8)
        wide[:, :-13] = plane.reshape(len(plane), -1)
        padded.append(wide)
    height, width = planes[0].shape[:2]
    pointers = [p.ctypes.data for p in padded] + [None] * (3 - len(padded))
    strides = [p.strides[0] for p in padded] + [0] * (3 - len(padded))
    return new(Frame, kind, width, height, (c.c_void_p * 3)(*pointers), (c.c_int64 * 3)(*strides), full_range), padded


def network(run, shape, first, second):
    """A caller's network: run takes float32 `shape` and returns two arrays of these sizes, or a number that says why not."""

    def called(_, image, one, two):
        outputs = run(np.ctypeslib.as_array(image, shape).copy())
        if isinstance(outputs, int):
            return outputs
        for target, output, count in zip((one, two), outputs, (first, second), strict=True):
            np.ctypeslib.as_array(target, (count,))[:] = output.ravel()
        return 0

    return Network(0, Run(called), None)


def open_vino():
    """The folder of OpenVINO's CMake files, or None."""
    if given := os.environ.get("OpenVINO_DIR"):  # noqa: SIM112 (CMake's own name for it)
        return given
    found = importlib.util.find_spec("openvino")
    return found and str(Path(found.origin).parent / "cmake")


def build(folder, *options):
    """Configure, build and install the SDK below `folder`. Returns the prefix."""
    ccache = shutil.which("ccache")
    launcher = [f"-DCMAKE_CXX_COMPILER_LAUNCHER={ccache}"] if ccache else []
    tree, prefix = folder / "build", folder / "prefix"
    run("cmake", "-S", ROOT, "-B", tree, "-DMIE_SDK=ON", "-DMIE_PYTHON=OFF", *launcher, *options)
    run("cmake", "--build", tree, "--parallel", "2")
    run("cmake", "--install", tree, "--component", "sdk", "--prefix", prefix)
    return prefix


def run(*command, **options):
    """Run to the end, or fail with what was said. Returns stdout."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout
