"""Frame pairs whose motion is known: action units on the shipped faces, drawn with an order-5 spline, then noise and rounding to 8 bits.

A pair is (onset, later, truth): uint8 grey [H, W] twice and float32 [2, H, W] px with later(x + truth(x)) = onset(x).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..synth.faces import LEFT_IRIS, RIGHT_IRIS, Face
from .report import peer_package

Floats = NDArray[np.floating[Any]]
Pair = tuple[NDArray[np.uint8], NDArray[np.uint8], Floats]

# Where units pull: landmarks at the right and the left, direction at the right (mirrored at the left), width in sides of the face crop
UNITS = (
    (55, 285, 0.0, -1.0, 0.07),  # AU1 inner brow up
    (107, 336, 0.6, 0.7, 0.08),  # AU4 brows together and down
    (159, 386, 0.0, -1.0, 0.04),  # AU5 upper lid up
    (117, 346, 0.1, -1.0, 0.09),  # AU6 cheek up
    (48, 278, 0.1, -1.0, 0.06),  # AU9 nose wrinkle
    (61, 291, -0.7, -0.6, 0.07),  # AU12 lip corner up and out
    (61, 291, -0.3, 0.9, 0.07),  # AU15 lip corner down
    (17, 200, 0.0, -1.0, 0.06),  # AU17 chin up
)
LIPS, MOUTH_CORNERS = (13, 14), (61, 291)
MAX_UPSCALING = 1.1  # larger crops hold no sub-pixel detail
BORDER_PX = 8  # left out of errors


@dataclass(frozen=True)
class Case:
    """A kind of pair: largest motion of three random units, or lips that part; what disturbs it."""

    name: str
    motion_px: float = 0.7
    noise_levels: float = 1.5  # standard deviation in both frames
    gain: float = 1.0  # of the later frame
    rigid_px: float = 0.0  # in a random direction, on top
    lips_px: float = 0.0  # instead of units: skin above the lip line goes up, below it down


CASES = (
    Case("0.3 px", 0.3),
    Case("0.7 px"),
    Case("1.5 px", 1.5),
    Case("3 px", 3.0),
    Case("noise .5", noise_levels=0.5),
    Case("noise 4", noise_levels=4.0),
    Case("gain 1.05", gain=1.05),
    Case("rigid 2", rigid_px=2.0),
    Case("rigid 6", rigid_px=6.0),
    Case("0.1 px", 0.1),
    Case("6 px", 6.0),
    Case("lip edge", lips_px=1.0),
)


def faces(height: int, width: int, count: int, skip: int = 0) -> list[tuple[NDArray[np.float64], Floats]]:
    """Grey frames [height, width] with a shipped face in the middle, mirrored at its sides, and the landmarks [478, 2] px in them."""
    found: list[tuple[NDArray[np.float64], Floats]] = []
    for path in sorted((Path(__file__).parents[1] / "assets" / "faces").glob("*.jpg"))[skip:]:
        face = Face.load(path, min(height, width))
        between_eyes = np.linalg.norm(face.landmarks_px[LEFT_IRIS, :2] - face.landmarks_px[RIGHT_IRIS, :2])
        if between_eyes > MAX_UPSCALING * face.interocular_px:
            continue
        top, left = (height - face.size) // 2, (width - face.size) // 2
        around = (top, height - face.size - top), (left, width - face.size - left)
        found.append((np.pad(face.pixels @ np.array([0.299, 0.587, 0.114]), around, "reflect"), face.landmarks_px[:, :2] + [left, top]))
        if len(found) == count:
            break
    return found


def unit_motion(marks: Floats, height: int, width: int, case: Case, rng: np.random.Generator) -> Floats:
    """Three random units together, scaled to the case's largest vector, [2, height, width]."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    field = np.zeros((2, height, width))
    for unit in rng.choice(len(UNITS), 3, replace=False):
        *points, to_x, to_y, sigma = UNITS[unit]
        weight = rng.uniform(0.5, 1)
        for (px, py), mirror in zip(marks[np.array(points, int)], (1, -1), strict=True):
            bump = weight * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * (sigma * min(height, width)) ** 2))
            field += bump * np.array([mirror * to_x, to_y])[:, None, None]
    field *= case.motion_px / np.hypot(*field).max()
    angle = rng.uniform(0, 2 * np.pi)
    return field + case.rigid_px * np.array([np.cos(angle), np.sin(angle)])[:, None, None]


def parting_lips(marks: Floats, height: int, width: int, step_px: float) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """The motions of the upper and the lower skin, each continued beyond the lip line, and where the upper one holds.

    Skin moves step_px within 12 px of the line (in a crop of 224 px) and nothing beyond 26 px; sideways it ends with the mouth.
    """
    unit = min(height, width) / 224
    y, x = np.mgrid[:height, :width].astype(np.float64)
    middle_x, line_y = marks[list(LIPS)].mean(0)
    half = max(18 * unit, abs(np.diff(marks[list(MOUTH_CORNERS), 0])[0]) / 2)
    across = np.clip((half + 6 * unit - np.abs(x - middle_x)) / (8 * unit), 0, 1)

    def fading(beyond: Floats) -> Floats:
        faded: Floats = step_px * across * np.clip((26 * unit - np.maximum(beyond, 0)) / (14 * unit), 0, 1)
        return faded

    upper, lower = -fading(line_y - y), fading(y - line_y)
    return np.stack([0 * upper, upper]), np.stack([0 * lower, lower]), y < line_y


def displaced(image: NDArray[np.float64], field: Floats) -> NDArray[np.float64]:
    """The image with every pixel x moved to x + field(x): the field is inverted by fixed-point iteration."""
    cv2, ndimage = peer_package(), peer_package("scipy.ndimage")
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    planes = np.ascontiguousarray(field, np.float32)
    back = np.zeros_like(planes)
    for _ in range(12):
        back = -np.stack([cv2.remap(p, x + back[0], y + back[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE) for p in planes])
    moved: NDArray[np.float64] = ndimage.map_coordinates(image, [y + back[1], x + back[0]], order=5, mode="nearest")
    return moved


def pairs(case: Case, height: int, width: int, count: int = 8, seed: int = 0, skip: int = 0) -> Iterator[Pair]:
    """Pairs of a case, one per face; the same faces and motions whatever disturbs them."""
    for index, (image, marks) in enumerate(faces(height, width, count, skip)):
        motion, sensor = (np.random.default_rng((seed, index, stream)) for stream in (0, 1))
        if case.lips_px:
            upper, lower, above = parting_lips(marks, height, width, case.lips_px)
            truth, later = np.where(above, upper, lower), np.where(above, displaced(image, upper), displaced(image, lower))
        else:
            truth = unit_motion(marks, height, width, case, motion)
            later = displaced(image, truth)
        noisy = [frame + sensor.normal(0, case.noise_levels, frame.shape) for frame in (image, case.gain * later)]
        onset, last = (np.clip(np.rint(frame), 0, 255).astype(np.uint8) for frame in noisy)
        yield onset, last, truth.astype(np.float32)


def endpoint_errors(flow: Floats, truth: Floats) -> tuple[float, float]:
    """Mean end-point error in px over moving pixels (above a tenth of the largest motion) and over all, a border left out."""
    inner = np.s_[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX]
    error, speed = np.hypot(*(flow - truth))[inner], np.hypot(*truth)[inner]
    return float(error[speed > 0.1 * speed.max()].mean()), float(error.mean())
