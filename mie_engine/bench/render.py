"""Speed and quality of the renderer beside OpenCV on the same field: one thread, process CPU time, medians of rounds in shuffled order.

256 x 256 x 3, twelve smooth AU-like grids, all active, peak 3 px. Speed and closeness to exact bilinear come from the same run.
"""

from __future__ import annotations

import importlib
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from .. import kernels
from .report import Row, goal, measured, medians_ms, peer_package, print_rows, show

Floats = NDArray[np.floating[Any]]

SIZE_PX = 256
NODES = SIZE_PX // 4 + 1
FRAMES = 16  # of one call; the curves rise and fall over them
PEAK_PX = 3.0
NOISE_LEVELS = 1.5
UNIT_PX = 8.0  # displacement of a grid at coefficient 1
UNIT_GAIN = 0.15

# Where action units pull: x, y from the centre of the face and the direction there (mirrored to the other side), width; in face sizes
ACTION_UNITS = (
    (0.12, -0.22, 0.0, -1.0, 0.07),  # AU1 inner brow up
    (0.08, -0.20, -0.6, 0.7, 0.08),  # AU4 brows together and down
    (0.16, -0.10, 0.0, -1.0, 0.04),  # AU5 upper lid up
    (0.20, 0.02, 0.1, -1.0, 0.09),  # AU6 cheek up
    (0.05, 0.02, 0.1, -1.0, 0.06),  # AU9 nose wrinkle
    (0.13, 0.20, 0.7, -0.6, 0.07),  # AU12 lip corner up and out
    (0.13, 0.20, 0.3, 0.9, 0.07),  # AU15 lip corner down
    (0.03, 0.32, 0.0, -1.0, 0.06),  # AU17 chin up
    (0.20, -0.22, 0.0, -1.0, 0.05),  # AU2 outer brow up
    (0.16, -0.06, 0.0, -1.0, 0.05),  # AU7 lid tight
    (0.15, 0.21, 1.0, 0.0, 0.06),  # AU20 lips stretched
    (0.02, 0.24, 0.0, 1.0, 0.05),  # AU25 lips apart
)
PEERS = ("cv2.remap, fixed maps", "cv2.remap, float maps", "GEMM + remap", "GEMM + remap + gain + randn + I420")


def faces(cv2: Any, count: int) -> list[NDArray[np.uint8]]:
    """The first shipped faces of enough pixels, uint8 [256, 256, 3] RGB."""
    found: list[NDArray[np.uint8]] = []
    for path in sorted((Path(__file__).parents[1] / "assets" / "faces").glob("*.jpg")):
        image = simplejpeg.decode_jpeg(path.read_bytes(), colorspace="RGB")
        if min(image.shape[:2]) >= SIZE_PX and len(found) < count:
            found.append(cv2.resize(image, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA))
    return found


def basis_at(x: Floats, y: Floats) -> NDArray[np.float64]:
    """[K, 3, ...]: displacement in px and gain of every action unit at the points, with compact support (3 widths)."""
    grids = []
    for at_x, at_y, to_x, to_y, width in ACTION_UNITS:
        grid = np.zeros((3, *x.shape))
        for side in (-1, 1):
            r2 = ((x / SIZE_PX - 0.5 - side * at_x) ** 2 + (y / SIZE_PX - 0.5 - at_y) ** 2) / width**2
            bump = np.maximum(np.exp(-r2 / 2) - np.exp(-4.5), 0)
            grid -= bump * np.array([side * to_x * UNIT_PX, to_y * UNIT_PX, UNIT_GAIN])[:, None, None]
        grids.append(grid)
    return np.stack(grids)


@dataclass
class Field:
    """One clip's worth of motion: the quantised grids and curves that we take, and the same at every pixel for the peers."""

    basis: NDArray[np.int16]  # [K, 3, nodes, nodes]
    coefficients: NDArray[np.int16]  # [FRAMES, K]
    dense: NDArray[np.float64]  # [K, 3, 256, 256]

    def displacement(self, frame: int) -> NDArray[np.float64]:
        """Exact bilinear interpolation of the node sums, [2, 256, 256] px: what no rounding anywhere would give."""
        nodes = np.tensordot(self.coefficients[frame] / 4096, self.basis[:, :2] / 512, 1)
        at = (np.arange(SIZE_PX) + 0.5) / 4
        cell, part = at.astype(int), at % 1
        rows = nodes[:, cell] * (1 - part[:, None]) + nodes[:, cell + 1] * part[:, None]
        exact: NDArray[np.float64] = rows[..., cell] * (1 - part) + rows[..., cell + 1] * part
        return exact


def make_field(peak_px: float) -> Field:
    """All twelve units active, scaled so that the largest vector of the clip is `peak_px`."""
    node_y, node_x = np.mgrid[0:NODES, 0:NODES] * 4 - 0.5
    y, x = np.mgrid[0:SIZE_PX, 0:SIZE_PX].astype(np.float64)
    basis, dense = basis_at(node_x, node_y), basis_at(x, y)
    weights = np.random.default_rng(3).uniform(0.6, 1, len(ACTION_UNITS))
    weights *= peak_px / np.hypot(*np.tensordot(weights, dense[:, :2], 1)).max()
    curve = np.sin(np.linspace(0.5, 2.6, FRAMES))[:, None] * weights
    scale = np.array([512, 512, 16384])[:, None, None]  # Q9 px, Q14
    return Field(np.rint(basis * scale).astype(np.int16), np.rint(curve * 4096).astype(np.int16), dense)


# ---- speed


def our_cases(image: NDArray[np.uint8], field: Field) -> dict[str, Callable[[], Any]]:
    """Calls of FRAMES frames through the public function, into an earlier result."""
    plain = kernels.RenderSource(image, field.basis[:, :2])
    shaded = kernels.RenderSource(image, field.basis)
    cases: dict[str, Callable[[], Any]] = {}
    for level in reversed(importlib.import_module("mie_engine._core").simd_levels()):
        for name, source, format, sigma in [
            ("rgb", plain, "rgb", 0.0),
            ("planar", plain, "planar", 0.0),
            ("yuv420", plain, "yuv420", 0.0),
            ("yuv420 + shading", shaded, "yuv420", 0.0),
            ("yuv420 + shading + noise", shaded, "yuv420", NOISE_LEVELS),
        ]:
            draw = partial(kernels.render, source, field.coefficients, format=format, simd=level, noise_sigma=sigma, key=(1, 2))
            cases[f"{level} {name}"] = partial(draw, out=draw())
    cases["rgb, a new array every call"] = partial(kernels.render, plain, field.coefficients, backend="cpu")
    return cases


def peer_cases(cv2: Any, image: NDArray[np.uint8], field: Field) -> dict[str, Callable[[], Any]]:
    """The same frame the usual ways, into arrays made beforehand; calls of one frame each, those named 16 of one clip."""
    channels, middle = len(ACTION_UNITS), FRAMES // 2
    shape = (SIZE_PX, SIZE_PX, 2)
    pixels = np.stack(np.meshgrid(*[np.arange(SIZE_PX, dtype=np.float32)] * 2), -1)
    planes = np.ascontiguousarray(field.dense[:, :2].transpose(0, 2, 3, 1).reshape(channels, -1), np.float32)
    gains = np.ascontiguousarray(field.dense[:, 2].reshape(channels, -1), np.float32)
    curves = (field.coefficients / 4096).astype(np.float32)
    c = curves[middle]
    maps = (c @ planes).reshape(shape) + pixels
    map_x, map_y = np.ascontiguousarray(maps[..., 0]), np.ascontiguousarray(maps[..., 1])
    fixed = cv2.convertMaps(map_x, map_y, cv2.CV_16SC2)
    warped, noise = np.zeros_like(image), np.zeros(image.shape, np.int16)
    clip = np.zeros((FRAMES, planes.shape[1]), np.float32)

    def remap(one: Any, two: Any) -> Any:
        return cv2.remap(image, one, two, cv2.INTER_LINEAR, dst=warped, borderMode=cv2.BORDER_REPLICATE)

    def gemm() -> Any:
        np.matmul(c, planes, out=clip[0])
        np.add(clip[0].reshape(shape), pixels, out=maps)
        return remap(maps, None)

    def gemm_clip() -> None:
        np.matmul(curves, planes, out=clip)
        for displacement in clip:
            np.add(displacement.reshape(shape), pixels, out=maps)
            remap(maps, None)

    def scripted() -> Any:
        gain = (1 + c @ gains).reshape(SIZE_PX, SIZE_PX, 1)
        shaded = cv2.multiply(gemm(), np.repeat(gain, 3, 2), dtype=cv2.CV_8U)
        cv2.randn(noise, 0, NOISE_LEVELS)
        return cv2.cvtColor(cv2.add(shaded, noise, dtype=cv2.CV_8U), cv2.COLOR_RGB2YUV_I420)

    calls: list[Callable[[], Any]] = [partial(remap, *fixed), partial(remap, map_x, map_y), gemm, scripted]
    return dict(zip(PEERS, calls, strict=True)) | {"GEMM of 16 frames at once + remap": gemm_clip}


def speed(cv2: Any, image: NDArray[np.uint8], field: Field, rounds: int) -> list[Row]:
    """Rows of ms per frame and how many times as long each peer takes."""
    ours, peers = our_cases(image, field), peer_cases(cv2, image, field)
    calls = {name: (call, FRAMES) for name, call in ours.items()}
    calls |= {name: (call, FRAMES if "16" in name else 1) for name, call in peers.items()}
    times = medians_ms({name: call for name, (call, _) in calls.items()}, rounds)
    median = {name: ms / calls[name][1] for name, ms in times.items()}
    return [{"table": "speed", "case": name, "ms": ms} | {peer: median[peer] / ms for peer in PEERS} for name, ms in median.items()]


# ---- quality


def exact_bilinear(image: NDArray[np.uint8], displacement: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 bilinear samples of [H, W, 3], the edge replicated."""
    height, width = image.shape[:2]
    x = np.clip(np.arange(width) + displacement[0], 0, width - 1)
    y = np.clip(np.arange(height)[:, None] + displacement[1], 0, height - 1)
    left, top = np.minimum(x.astype(int), width - 2), np.minimum(y.astype(int), height - 2)
    fx, fy = (x - left)[..., None], (y - top)[..., None]
    upper = image[top, left] * (1 - fx) + image[top, left + 1] * fx
    lower = image[top + 1, left] * (1 - fx) + image[top + 1, left + 1] * fx
    result: NDArray[np.float64] = upper * (1 - fy) + lower * fy
    return result


def psnr_db(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Peak signal to noise of two images with 255 levels."""
    return float(10 * np.log10(255**2 / max(np.mean((a.astype(np.float64) - b) ** 2), 1e-12)))


def quality(cv2: Any, images: list[NDArray[np.uint8]], peak_px: float) -> Row:
    """Mean PSNR to the exact bilinear image of the same unrounded node field."""
    field, middle = make_field(peak_px), FRAMES // 2
    displacement = field.displacement(middle)
    map_x, map_y = (np.float32(d + g) for d, g in zip(displacement, np.mgrid[0:SIZE_PX, 0:SIZE_PX][::-1], strict=True))
    fixed = cv2.convertMaps(map_x, map_y, cv2.CV_16SC2)
    scores: dict[str, list[float]] = {name: [] for name in ("ours", "cv2 float", "cv2 fixed", "exact, rounded")}
    for image in images:
        exact = exact_bilinear(image, displacement)
        remap = partial(cv2.remap, image, interpolation=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        source = kernels.RenderSource(image, field.basis[:, :2])
        scores["ours"].append(psnr_db(kernels.render(source, field.coefficients[middle : middle + 1])[0], exact))
        scores["cv2 float"].append(psnr_db(remap(map1=map_x, map2=map_y), exact))
        scores["cv2 fixed"].append(psnr_db(remap(map1=fixed[0], map2=fixed[1]), exact))
        scores["exact, rounded"].append(psnr_db(np.rint(exact), exact))
    return {"table": "quality", "case": f"peak {peak_px:g} px"} | {name: statistics.mean(values) for name, values in scores.items()}


# ---- report


def targets(rows: list[Row]) -> list[Row]:
    """The goals of the renderer, the figure reached and whether it holds; goals of absent instruction sets are left out."""
    times = {row["case"]: row for row in rows if row["table"] == "speed"}
    fixed, floating, gemm, scripted = PEERS
    goals = [(f"avx512 {format}", peer, least) for format in ("rgb", "planar") for peer, least in ((gemm, 18), (floating, 12), (fixed, 9))]
    goals += [("avx512 yuv420 + shading + noise", peer, 12) for peer in (gemm, scripted)]
    goals += [(f"avx2 {format}", gemm, 9) for format in ("rgb", "planar", "yuv420")]
    goals += [(f"scalar {format}", fixed, 1) for format in ("rgb", "planar", "yuv420")]  # any other machine
    results = [goal(f"{case}: x {peer}", times[case][peer], least) for case, peer, least in goals if case in times]
    for row in rows:
        if row["table"] == "quality":
            loss = row["exact, rounded"] - row["ours"]
            results.append(goal(f"{row['case']}: dB below exact, rounded", loss, 0.3, at_most=True))
    return results


def measure(rounds: int) -> list[Row]:
    """Measure in this process; its BLAS must have been started with one thread."""
    cv2 = peer_package()
    images = faces(cv2, 4)
    rows = speed(cv2, images[0], make_field(PEAK_PX), rounds)
    rows += [quality(cv2, images, peak_px) for peak_px in (1.0, PEAK_PX, 10.0)]
    return rows + targets(rows)


def main(json: bool = False, rounds: int = 15) -> int:
    """Print the report, as tables or as JSON; returns 0, or 5 when a goal is missed."""
    peer_package()
    title = f"render, {SIZE_PX} x {SIZE_PX} x 3, {len(ACTION_UNITS)} grids, peak {PEAK_PX:g} px, {FRAMES} frames per call, one thread"
    return show(measured("mie_engine.bench.render", rounds), title, json)


if __name__ == "__main__":
    print_rows(measure(int(sys.argv[1])))
