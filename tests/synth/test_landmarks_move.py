"""Closed loop: landmarks that the detector finds on rendered apex frames move as the action unit asked."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from mesh_oracle import asked_px

import mie_engine as mie
from mie_engine.errors import MieError
from mie_engine.models.face_mesh import FaceMesh
from mie_engine.synth.action_units import parse

SHIPPED = Path(str(resources.files("mie_engine") / "assets" / "faces"))
LEAST = {12: 0.9, 26: 0.9, 9: 0.9, 10: 0.8, 2: 0.8, 15: 0.8, 17: 0.8, 1: 0.8, 4: 0.7, 6: 0.7}  # the promise, over the real faces
SHIPPED_NAMES = ("syn000", "syn010", "syn040", "syn064", "syn088", "syn104")
LEAST_OF_SIX = {12: 0.92, 26: 0.92, 9: 0.85, 10: 0.85, 2: 0.85, 15: 0.8, 17: 0.8, 1: 0.8, 4: 0.7, 6: 0.7}  # measured .97 to .78


def detected(pixels: np.ndarray) -> np.ndarray | None:
    """The mesh's landmarks [468, 2] px of the largest face."""
    found = FaceMesh.shared().find(np.ascontiguousarray(pixels), 1)
    return found[0].landmarks[:468, :2] if found else None


def displacements(face: mie.Face, number: int) -> tuple[np.ndarray, np.ndarray] | None:
    """What the unit asks of the landmarks at full intensity and what the detector sees, [468, 2] px each; None where it sees no face."""
    clip = mie.render(face, {f"AU{number}": 1.0}, frames=2, noise_sigma=0, drift=False)
    before, after = (detected(frame) for frame in clip.frames)
    if before is None or after is None:
        return None
    return asked_px(face, parse({f"AU{number}": 1.0}))[:, :2], after - before


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def measure(faces: list[mie.Face]) -> dict[int, float]:
    """Correlation of the mean fields per action unit; prints it beside the plainer and harsher figures."""
    result = {}
    print(f"\n{len(faces)} faces: correlation of asked and detected displacement of 468 landmarks at full intensity")
    print("  AU   mean field   all landmarks of all faces   those that move (a third of the face's peak)   detected / asked   faces")
    for number in LEAST:
        pairs = [pair for pair in (displacements(face, number) for face in faces) if pair is not None]
        assert len(pairs) >= 0.95 * len(faces), f"AU{number}: the detector found {len(pairs)} of {len(faces)} faces"
        asked, seen = (np.stack(fields) for fields in zip(*pairs, strict=True))
        size = np.linalg.norm(asked, axis=2)
        moving = size >= size.max(1, keepdims=True) / 3
        result[number] = correlation(asked.mean(0), seen.mean(0))
        gain = float((asked * seen)[moving].sum() / (asked**2)[moving].sum())
        plain, harsh = correlation(asked, seen), correlation(asked[moving], seen[moving])
        print(f"  {number:2}   {result[number]:10.2f}   {plain:26.2f}   {harsh:44.2f}   {gain:16.2f}   {len(pairs):5}")
    return result


@pytest.mark.slow
def test_landmarks_on_real_faces_move_as_asked(shared):
    faces = []
    for path in sorted((shared / "assets" / "faces_real").glob("*.jpg")):
        try:
            faces.append(mie.Face.load(path, 256))
        except MieError as error:
            print(f"left out: {error}")
    assert len(faces) >= 30
    got = measure(faces)
    short = {f"AU{n}": round(got[n], 3) for n in LEAST if got[n] < LEAST[n]}
    assert not short, f"below the promise: {short}"


def test_landmarks_on_shipped_faces_move_as_asked():
    got = measure([mie.Face.load(SHIPPED / f"{name}.jpg", 256) for name in SHIPPED_NAMES])
    short = {f"AU{n}": round(got[n], 3) for n in LEAST_OF_SIX if got[n] < LEAST_OF_SIX[n]}
    assert not short, f"below the bounds: {short}"


def test_a_resting_face_moves_nothing():
    face = mie.Face.load(SHIPPED / "syn010.jpg", 256)
    clip = mie.render(face, {}, frames=2, noise_sigma=0, drift=False)
    assert np.array_equal(detected(clip.frames[0]), detected(clip.frames[1]))
