"""Datasets beside the best composition of existing tools, on the same face and the same motion: one thread, process CPU time, medians.

The composition: the displacement field once per clip (given to it for nothing), per frame scale + cv2.remap, then libjpeg-turbo
(simplejpeg) to a file; or DIS MEDIUM + strain + resize for features. Two workers are measured in wall time, memory as the peak of a
whole run.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import kernels
from ..synth import plan_dataset
from ..synth.action_units import parse
from ..synth.dataset import Inputs, build_dataset
from ..synth.faces import Face
from ..synth.facestore import FaceStore
from ..synth.features import LATTICE
from ..synth.plan import Drift, Identity
from ..synth.rig import Rig
from ..synth.shard import ShardJob, build_shard
from .render import exact_bilinear, psnr_db
from .report import Row, goal, measured, medians_ms, peer_package, print_rows, show

FACES = Path(__file__).parents[1] / "assets" / "faces"
SIZE_PX, FRAMES, CLIPS = 256, 16, 128
MOTION = {"AU12": 0.3, "AU6": 0.25, "AU25": 0.2}
QUALITY = 95
STILL = Drift(0.0, 0.0, 0.0)


class Scene:
    """One face and one clip, ready for us and for the peers: coefficients and the dense field they mean."""

    def __init__(self) -> None:
        self.face = Face.load(FACES / "syn000.jpg", SIZE_PX)
        apex = parse(MOTION)
        self.rig = Rig.of(self.face, apex)
        self.envelope = np.sin(np.pi * np.arange(FRAMES) / (FRAMES - 1)) ** 1.5
        full = self.rig.coefficients(apex[None])[0]
        self.coefficients = np.rint(self.envelope[:, None] * full).astype(np.int16)
        nodes = np.tensordot(full / 4096, self.rig.basis.grids[:, :2] / 512, 1)
        at = (np.arange(SIZE_PX) + 0.5) / 4
        cell, part = at.astype(int), at % 1
        rows = nodes[:, cell] * (1 - part[:, None]) + nodes[:, cell + 1] * part[:, None]
        field = rows[..., cell] * (1 - part) + rows[..., cell + 1] * part
        self.field = np.ascontiguousarray(field.transpose(1, 2, 0), np.float32)  # backward displacement at the apex, px
        plain = self.rig.basis.grids.copy()
        plain[:, 2] = 0  # the composition does not shade
        self.source = kernels.RenderSource(self.face.pixels, np.ascontiguousarray(plain[:, :2]))

    def inputs(self, count: int = 1) -> Inputs:
        names = tuple(Identity(f"{self.face.name}-{i}", f"{i:064x}") for i in range(count))
        return Inputs(names, (self.face,) * count)


def peers(cv2: Any, scene: Scene, folder: Path) -> dict[str, Callable[[], Any]]:
    """What people script, and the strongest chain of existing tools; one call = one clip."""
    import simplejpeg

    transforms: Any = peer_package("skimage.transform")

    image = np.ascontiguousarray(scene.face.pixels[..., ::-1])
    grid = np.stack(np.meshgrid(*[np.arange(SIZE_PX, dtype=np.float32)] * 2), -1)
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    corners = [[0, 0], [SIZE_PX - 1, 0], [0, SIZE_PX - 1], [SIZE_PX - 1, SIZE_PX - 1]]
    points = np.array([*scene.face.landmarks_px[np.linspace(0, 467, 64).astype(int), :2], *corners], np.float32)
    at = np.clip(points.astype(int), 0, SIZE_PX - 1)
    moves = -scene.field[at[:, 1], at[:, 0]]

    def frames() -> list[Any]:
        return [
            cv2.remap(image, scene.field * np.float32(e) + grid, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
            for e in scene.envelope
        ]

    def to_files() -> None:
        for i, frame in enumerate(frames()):
            (folder / f"{i}.jpg").write_bytes(simplejpeg.encode_jpeg(frame, QUALITY, "BGR", "420"))

    def features() -> list[Any]:
        grey = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames()]
        maps = []
        for frame in grey:
            flow = dis.calc(grey[0], frame, None)
            (uy, ux), (vy, vx) = np.gradient(flow[..., 0]), np.gradient(flow[..., 1])
            planes = [flow[..., 0], flow[..., 1], np.sqrt(ux * ux + vy * vy + 0.5 * (uy + vx) ** 2)]
            small = [cv2.resize(plane, (28, 28), interpolation=cv2.INTER_AREA) for plane in planes]
            maps.append(np.stack([cv2.normalize(plane, None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U) for plane in small], -1))
        return maps

    def piecewise_affine() -> None:
        for i, e in enumerate(scene.envelope):
            transform = transforms.PiecewiseAffineTransform.from_estimate(points + e * moves, points)
            cv2.imwrite(
                str(folder / f"{i}.jpg"),
                (transforms.warp(image, transform, mode="edge") * 255).astype(np.uint8),
                [cv2.IMWRITE_JPEG_QUALITY, QUALITY],
            )

    def thin_plate() -> None:
        matches = [cv2.DMatch(i, i, 0) for i in range(len(points))]
        for i, e in enumerate(scene.envelope):
            transform = cv2.createThinPlateSplineShapeTransformer()
            transform.estimateTransformation((points + np.float32(e) * moves)[None], points[None], matches)
            cv2.imwrite(str(folder / f"{i}.jpg"), transform.warpImage(image), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])

    return {
        "composition to JPEG files": to_files,
        "composition to JPEG in memory": lambda: [simplejpeg.encode_jpeg(f, QUALITY, "BGR", "420") for f in frames()],
        "composition to pixels": frames,
        "composition + DIS MEDIUM + strain to 28x28": features,
        "thin-plate spline script": thin_plate,
        "piecewise-affine script": piecewise_affine,
    }


def ours(scene: Scene, folder: Path) -> dict[str, Callable[[], Any]]:
    """The same work by the engine; the tar case is a whole shard of CLIPS clips: plan, grids, JSON, tar, index and fsync included."""
    inputs = scene.inputs()
    still: dict[str, Any] = {"noise_sigma": 0.0, "drift": STILL}
    jobs: dict[str, ShardJob] = {}
    options: dict[str, dict[str, Any]] = {"clips to JPEG tar": still, "clips to JPEG tar, with noise and drift": {}}
    for name, more in options.items():
        plan, _ = plan_dataset(inputs, clips=CLIPS, seed=1, shard_clips=CLIPS, quality=QUALITY, **more)
        jobs[name] = ShardJob(plan, folder, FaceStore(plan.identities, inputs.origins, SIZE_PX, None))
    step = SIZE_PX / LATTICE
    lattice = np.tile(np.rint(np.array([step / 2 - 0.5, step / 2 - 0.5, step, 0, 0, step]) * 65536).astype(np.int32), (FRAMES, 1))
    turn = np.tile(np.rint(np.array([1 / step, 0, 0, 1 / step]) * 4096).astype(np.int16), (FRAMES, 1))
    grids = np.ascontiguousarray(scene.rig.basis.grids)
    cases: dict[str, Callable[[], Any]] = {name: partial(build_shard, job, 0) for name, job in jobs.items()}
    for layout in ("rgb", "planar"):
        cases[f"clips to pixels, {layout}"] = partial(kernels.render, scene.source, scene.coefficients, format=layout, backend="cpu")
    cases["clips to 28x28 features"] = lambda: kernels.features(grids, scene.coefficients, lattice=lattice, turn=turn, backend="cpu")
    return cases


GOALS = (
    ("clips to JPEG tar", "composition to JPEG files", 4.0),
    ("clips to pixels, rgb", "composition to pixels", 15.0),
    ("clips to pixels, planar", "composition to pixels", 15.0),
    ("clips to 28x28 features", "composition + DIS MEDIUM + strain to 28x28", 50.0),
    ("clips to JPEG tar", "thin-plate spline script", 200.0),
    ("clips to JPEG tar", "piecewise-affine script", 200.0),
)


def speed(cv2: Any, scene: Scene, rounds: int) -> list[Row]:
    """Rows of ms of CPU time per clip, interleaved."""
    with tempfile.TemporaryDirectory(prefix="mie-bench-") as name:
        folder = Path(name)
        calls = {**ours(scene, folder), **peers(cv2, scene, folder)}
        times = medians_ms(calls, rounds)
    return [{"table": "speed", "case": case, "ms_per_clip": ms / (CLIPS if "tar" in case else 1)} for case, ms in times.items()]


def quality(cv2: Any, scene: Scene) -> Row:
    """Mean PSNR of the pixels and of the decoded JPEG frames to exact bilinear sampling of the same field."""
    import simplejpeg

    from ..synth.encode import encoder_of, open_encoder

    image = scene.face.pixels
    grid = np.stack(np.meshgrid(*[np.arange(SIZE_PX, dtype=np.float32)] * 2), -1)
    rgb, yuv = (kernels.render(scene.source, scene.coefficients, format=f, backend="cpu") for f in ("rgb", "yuv420"))
    from .. import _core

    scores: dict[str, list[float]] = {name: [] for name in ("pixels, ours", "pixels, composition", "JPEG, ours", "JPEG, composition")}
    with tempfile.TemporaryDirectory() as folder:
        tar = _core.TarWriter(f"{folder}/t.tar")
        places = tar.add_frames(yuv, SIZE_PX, SIZE_PX, [f"{t}.jpg" for t in range(FRAMES)], open_encoder(encoder_of("jpeg", QUALITY)))
        tar.finish()
        data = Path(folder, "t.tar").read_bytes()
    for t, e in enumerate(scene.envelope):
        exact = exact_bilinear(image, scene.field.transpose(2, 0, 1).astype(np.float64) * e)
        theirs = cv2.remap(image, scene.field * np.float32(e) + grid, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        offset, size = places[t]
        files = (data[offset : offset + size], simplejpeg.encode_jpeg(theirs, QUALITY, "RGB", "420"))
        for name, pixels in zip(scores, (rgb[t], theirs, *(simplejpeg.decode_jpeg(file) for file in files)), strict=True):
            scores[name].append(min(psnr_db(pixels, exact), 99.0))
    return {"table": "quality", "case": "PSNR to exact bilinear, dB"} | {name: statistics.mean(values) for name, values in scores.items()}


def two_workers(scene: Scene) -> Row:
    """Wall seconds of the same dataset with one worker and with two, median of three."""
    inputs = scene.inputs(32)
    plan, _ = plan_dataset(inputs, clips=32 * 128, seed=1, shard_clips=128)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(3):
        for workers in seconds:
            with tempfile.TemporaryDirectory(prefix="mie-bench-") as name:
                start = time.perf_counter()
                build_dataset(plan, inputs, Path(name), workers=workers)
                seconds[workers].append(time.perf_counter() - start)
    one, two = (statistics.median(seconds[w]) for w in (1, 2))
    return {"table": "workers", "case": "1 -> 2 workers, wall time", "one_s": one, "two_s": two, "ratio": one / two}


def memory(clips: int, content: str) -> Row:
    """Peak resident memory of a whole process that makes a dataset (VmHWM: getrusage would inherit ours)."""
    with tempfile.TemporaryDirectory(prefix="mie-bench-") as name:
        program = (
            "import sys; from pathlib import Path; from mie_engine.synth import synthesize;"
            f"faces = [{str(FACES / 'syn000.jpg')!r}, {str(FACES / 'syn001.jpg')!r}];"
            f"synthesize(faces, sys.argv[1], clips={clips}, content={content!r}, size=64, workers=1);"
            "print(next(line for line in Path('/proc/self/status').read_text().splitlines() if line.startswith('VmHWM')).split()[1])"
        )
        done = subprocess.run([sys.executable, "-c", program, f"{name}/out"], capture_output=True, text=True, check=True)
    return {"table": "memory", "case": f"{clips:,} samples, {content}, 64 px", "peak_mb": int(done.stdout) / 1024}


def measure(rounds: int) -> list[Row]:
    """All rows."""
    cv2 = peer_package()
    scene = Scene()
    rows = [*speed(cv2, scene, rounds), quality(cv2, scene), two_workers(scene)]
    rows += [memory(clips, content) for content in ("pair", "features") for clips in (1_000, 100_000)]
    times = {row["case"]: row["ms_per_clip"] for row in rows if row["table"] == "speed"}
    ratio = next(row["ratio"] for row in rows if row["table"] == "workers")
    goals = [goal(f"{case} vs {peer}", times[peer] / times[case], least) for case, peer, least in GOALS]
    return [*rows, *goals, goal("two workers vs one", ratio, 1.8)]


def main(json: bool = False, rounds: int = 7) -> int:
    """Print the report, as tables or as JSON; returns 0, or 5 when a goal is missed."""
    peer_package()
    peer_package("skimage")
    title = f"synth, {FRAMES}-frame clips of {SIZE_PX} x {SIZE_PX} px, {', '.join(f'{au} {i:g}' for au, i in MOTION.items())}, one thread"
    return show(measured("mie_engine.bench.synth", rounds), title, json)


if __name__ == "__main__":
    print_rows(measure(int(sys.argv[1])))
