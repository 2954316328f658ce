"""generate: frames of a neural generator: it gives the expressions, the renderer moves the head and adds the sensor's noise.

Every frame is a run of the network, in-betweens too: a warp between its key frames would have to open lips and eyes that they closed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import kernels
from ..errors import PlanError, UsageError
from ..models.generator import AUS, Generator
from .action_units import units_of
from .faces import Face
from .plan import Network, Plan
from .rig import Floats, Rig, Words

Bytes = npt.NDArray[np.uint8]
RELATIVES = {23: 24, 26: 27, 45: 43}  # units it lacks, by one of the same muscle or movement: a sample without motion would lie
KEPT = 64  # expressions of a face that are kept: onsets that its samples share


def network_inputs(intensity: Floats) -> Floats:
    """Units of the engine as a generator takes them: [N, U] -> [N, 17]; of two sides and of relatives the stronger, others are left out."""
    units = [units_of(f"AU{n}") + (units_of(f"AU{RELATIVES[n]}") if n in RELATIVES else ()) for n in AUS]
    return np.stack([intensity[:, positions].max(1) for positions in units], 1)


class Generated:
    """Expressions of one face; those that begin a sample are made once."""

    def __init__(self, generator: Generator, face: Face) -> None:
        self.generator, self.face = generator, face
        self._kept: dict[bytes, Bytes] = {}

    def pixels(self, intensity: Floats) -> list[Bytes]:
        """The face with the action units of each frame of a sample: float64 [T, U] -> T x uint8 [S, S, 3]."""
        vectors = network_inputs(intensity).astype(np.float32)
        made: dict[bytes, Bytes] = {}
        for t, vector in enumerate(vectors):
            name = vector.tobytes()
            if name in made or name in self._kept:
                continue
            made[name] = self.generator.frames(self.face.pixels, vector[None])[0]
            if t == 0 and len(self._kept) < KEPT:
                self._kept[name] = made[name]
        found = self._kept | made
        return [found[vector.tobytes()] for vector in vectors]

    def render(self, rig: Rig, intensity: Floats, coefficients: Words, **options: Any) -> Bytes:
        """Frames of one sample.

        Args:
            rig: the face's, for the motion of the head. intensity: float64 [T, U]. coefficients: int16 [T, K], the head's motion.
            **options: see kernels.render.

        Returns:
            uint8, as kernels.render gives them.
        """
        frames = [
            kernels.render(kernels.RenderSource(pixels, rig.basis.grids), coefficients[t : t + 1], first_frame=t, **options)
            for t, pixels in enumerate(self.pixels(intensity))
        ]
        return np.concatenate(frames)


def load_generator(name: str, weights: str | Path | None) -> Generator | None:
    """The generator of a call: None for "warp", the renderer.

    Raises:
        UsageError: an unknown name, or weights missing or not asked for. InputError: the file is not such a generator.
    """
    if name not in ("warp", "ganimation"):
        raise UsageError(f"generator is {name!r}, allowed are warp, ganimation.")
    if name == "warp":
        if weights is not None:
            raise UsageError(f"weights {weights} belong to generator ganimation, asked is warp: leave them out or name the generator.")
        return None
    if weights is None:
        raise UsageError("generator ganimation ships no weights: give --weights FILE.onnx; `mie models` says where they are published.")
    found = Generator.load(weights)
    if found.name != name:
        raise UsageError(f"{weights} holds {found.name}, asked is {name}: give its own file.")
    return found


def network_of(generator: Generator) -> Network:
    """What a plan says of a generator."""
    return Network(generator.name, generator.sha256, generator.library)


def require_generator(plan: Plan, generator: Generator | None) -> None:
    """Refuse a run with another generator than the plan's, or of another size.

    Raises:
        PlanError, UsageError.
    """
    here = None if generator is None else network_of(generator)
    if here != plan.generator:
        raise PlanError(f"the plan is made with generator {plan.generator}, given is {here}: give the same file and library.")
    if generator is not None and generator.side != plan.size:
        raise UsageError(f"the generator's images have {generator.side} px, the dataset {plan.size} px: add --size {generator.side}.")
