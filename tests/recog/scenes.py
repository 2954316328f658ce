"""Long scenes with known events, out of the product's renderer: micro-expressions among blinks, talk, head drift, flicker and noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from mie_engine import kernels
from mie_engine.synth import timeline
from mie_engine.synth.action_units import AU_NUMBERS, AU_OF_UNIT, UNIT_INDEX, UNITS
from mie_engine.synth.plan import Identity, make_plan
from mie_engine.synth.rig import Rig
from mie_engine.types import CLASSES

CHUNK_FRAMES = 64
TALKING = ("AU25", "AU26", "AU18", "AU22", "AU17", "AU12L", "AU12R", "AU20L", "AU20R")


class Truth(NamedTuple):
    """When one event happens and what it is."""

    onset_s: float
    apex_s: float
    offset_s: float
    label: str
    au: dict[str, float]


@dataclass
class Scene:
    """A face, filmed.

    face: mie.Face. events: clips per scene, drawn as `mie synth` draws them and spread over the scene. blinks: seconds between them, 0 =
    none. drift: 1 = small head drift (about 2 px of 256, 1 degree). talking: share of the time. flicker: relative gain of the lamp's
    beat. noise: grey levels. canvas: 640 x 480 with the face in it instead of the bare crop.
    """

    face: object
    fps: float = 30.0
    seconds: float = 10.0
    events: int = 0
    blinks: float = 3.5
    drift: float = 1.0
    talking: float = 0.0
    flicker: float = 0.0
    noise: float = 1.0
    seed: int = 0
    canvas: bool = False
    sources: tuple[str, ...] = ("expert", "micro", "macro")
    rng: np.random.Generator = field(init=False, repr=False)

    @property
    def frames(self) -> int:
        return round(self.seconds * self.fps)

    @cached_property
    def script(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[Truth]]:
        """Intensities [T, U], rigid motion [T, 6] px, gain [T] and the events."""
        rng = np.random.default_rng([self.seed, 20260])
        time_s = np.arange(self.frames) / self.fps
        units = np.zeros((self.frames, len(UNITS)))
        truths = self._events(rng, time_s, units)
        self._blinks(rng, time_s, units)
        self._talk(rng, time_s, units)
        # translation, roll, scale, yaw, pitch: slow, and a tremor of the muscles that hold the head
        rigid = np.stack([_wander(rng, time_s, 0.25) for _ in range(6)], 1) * [2.0, 2.0, 1.5, 1.0, 1.2, 1.2]
        rigid[:, :2] += np.stack([_wander(rng, time_s, 6.0) for _ in range(2)], 1) * 0.04
        beat_hz = rng.uniform(0.5, 8)
        gain = 1 + self.flicker * np.sin(2 * np.pi * (beat_hz * time_s + rng.uniform()))
        return np.clip(units, 0, 1), rigid * self.drift, gain, truths

    @property
    def truth(self) -> list[Truth]:
        return self.script[3]

    def _events(self, rng: np.random.Generator, time_s: np.ndarray, units: np.ndarray) -> list[Truth]:
        if not self.events:
            return []
        identity = Identity(self.face.name, self.face.source_sha256, 1)
        plan = make_plan(clips=max(self.events, 9), seed=int(rng.integers(2**31)), identities=(identity,), sources=self.sources)
        rows = plan.rows(0, plan.clips)
        order = rng.permutation(plan.clips)[: self.events]
        slot_s = (self.seconds - 1.6) / self.events
        truths = []
        for k, row in enumerate(order):
            one = rows.of(slice(row, row + 1))
            one = replace(one, residual=np.zeros(1))
            frames = round(float(one.duration_s[0]) * 1000) + 1
            curves = timeline.intensity(one, frames)[0]
            begin = 0.8 + slot_s * k + rng.uniform(0, max(slot_s - 0.9, 0))
            own = np.arange(frames) / 1000
            for u in np.flatnonzero(curves.max(0) > 0):
                units[:, u] += np.interp(time_s - begin, own, curves[:, u], left=0, right=0)
            peak = curves.max(0)
            au = {f"AU{n}": float(peak[i == AU_OF_UNIT].max()) for i, n in enumerate(AU_NUMBERS) if peak[i == AU_OF_UNIT].max() > 0}
            apex_s = begin + float(timeline.apex_frames(one.onset_to_apex_s, one.duration_s, frames)[0]) / 1000
            truths.append(Truth(begin, apex_s, begin + own[-1], CLASSES[int(one.label3[0])], au))
        return truths

    def _blinks(self, rng: np.random.Generator, time_s: np.ndarray, units: np.ndarray) -> None:
        at = rng.uniform(0.3, 3) if self.blinks else np.inf
        while at < time_s[-1]:
            closing, closed, opening = rng.uniform(0.06, 0.1), rng.uniform(0, 0.04), rng.uniform(0.09, 0.16)
            depth = rng.uniform(0.75, 1)
            knots = np.cumsum([at, closing, closed, opening])
            level = np.interp(time_s, knots, [0, 1, 1, 0], left=0, right=0)
            level = depth * level * level * (3 - 2 * level)
            for side in "LR":
                unit = UNIT_INDEX[f"AU45{side}"]
                units[:, unit] = np.maximum(units[:, unit], level * rng.uniform(0.93, 1))
            at += rng.uniform(0.4, 1.6) * self.blinks

    def _talk(self, rng: np.random.Generator, time_s: np.ndarray, units: np.ndarray) -> None:
        at = rng.uniform(0.2, 2.0) if self.talking else np.inf
        while at < time_s[-1]:
            length = rng.uniform(1.2, 4.0)
            envelope = np.clip(np.minimum(time_s - at, at + length - time_s) / 0.15, 0, 1)
            for name in TALKING:
                chance, top = {"AU25": (1, 0.8), "AU26": (1, 0.6)}.get(name, (0.5, 0.35))
                if rng.uniform() < chance:
                    wave = 0.5 + 0.5 * np.sin(2 * np.pi * (np.cumsum(2 + 4 * _unit(rng, time_s)) / self.fps + rng.uniform()))
                    units[:, UNIT_INDEX[name]] += envelope * top * wave * (0.3 + 0.7 * _unit(rng, time_s))
            at += length + rng.uniform(0.3, 1.7) * length * (1 - self.talking) / max(self.talking, 0.05)

    def chunks(self) -> Iterator[np.ndarray]:
        """uint8 [up to CHUNK_FRAMES, H, W, 3] one after another."""
        units, rigid, gain, _ = self.script
        rig = Rig.of(self.face, units.max(0))
        for first in range(0, self.frames, CHUNK_FRAMES):
            part = slice(first, min(first + CHUNK_FRAMES, self.frames))
            coefficients = rig.coefficients(units[part], rigid[part])
            pixels = kernels.render(rig.source, coefficients, noise_sigma=self.noise, key=(self.seed, first), threads=1)
            if self.canvas:
                pixels = _on_canvas(pixels, self.seed)
            if self.flicker:
                pixels = np.clip(np.rint(pixels * gain[part, None, None, None]), 0, 255).astype(np.uint8)
            yield pixels

    def __iter__(self) -> Iterator[np.ndarray]:
        for pixels in self.chunks():
            yield from pixels


def _wander(rng: np.random.Generator, time_s: np.ndarray, cutoff_hz: float) -> np.ndarray:
    """A smooth random path of about unit deviation: sines below the cutoff."""
    hz = rng.uniform(0.2, 1, 6) * cutoff_hz
    phase, weight = rng.uniform(0, 2 * np.pi, 6), rng.normal(0, 1, 6)
    path = (weight[:, None] * np.sin(2 * np.pi * hz[:, None] * time_s + phase[:, None])).sum(0) / np.sqrt(3)
    return path - path[0]


def _unit(rng: np.random.Generator, time_s: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(_wander(rng, time_s, 1.5))


def _on_canvas(pixels: np.ndarray, seed: int) -> np.ndarray:
    """The crop in the middle of a textured 640 x 480 picture, its edge faded in."""
    frames, side = len(pixels), pixels.shape[1]
    rng = np.random.default_rng([seed, 7])
    coarse = rng.uniform(60, 190, (9, 12, 3))
    rows, columns = np.linspace(0, 8, 480), np.linspace(0, 11, 640)
    background = np.stack([[np.interp(columns, np.arange(12), line) for line in _between_rows(coarse[..., c], rows)] for c in range(3)], -1)
    ramp = np.clip(np.minimum(np.arange(side) + 1, side - np.arange(side)) / 12, 0, 1)
    weight = np.minimum(ramp[:, None], ramp[None])[..., None]
    top, left = (480 - side) // 2, (640 - side) // 2
    canvas = np.repeat(np.rint(background).astype(np.uint8)[None], frames, 0)
    window = canvas[:, top : top + side, left : left + side]
    window[:] = np.rint(pixels * weight + window * (1 - weight)).astype(np.uint8)
    return canvas


def _between_rows(plane: np.ndarray, rows: np.ndarray) -> np.ndarray:
    low = np.minimum(rows.astype(int), len(plane) - 2)
    part = (rows - low)[:, None]
    return plane[low] * (1 - part) + plane[low + 1] * part


def overlap(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Intersection over union of two intervals."""
    both = min(a[1], b[1]) - max(a[0], b[0])
    return both / (max(a[1], b[1]) - min(a[0], b[0])) if both > 0 else 0.0


def matched(found: list[tuple[float, float]], truth: list[Truth]) -> int:
    """True positives: one-to-one pairs with IoU >= .5."""
    left, hits = list(found), 0
    for event in truth:
        best = max(left, key=lambda f: overlap(f, (event.onset_s, event.offset_s)), default=None)
        if best is not None and overlap(best, (event.onset_s, event.offset_s)) >= 0.5:
            left.remove(best)
            hits += 1
    return hits
