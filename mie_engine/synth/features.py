"""features: one 28x28 (u, v, strain) map per sample, without a pixel in between: the exact flow under the nuisances of real recordings.

The layout of the map is that of the crop which the recogniser sees, csrc/src/layout_crop.h.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .. import _core, kernels
from .action_units import UNIT_INDEX
from .faces import Face
from .nuisance import RELATIVE, Nuisances, nuisance
from .plan import Plan
from .rig import Rig, Words
from .rows import Rows

LATTICE = 56  # samples a side; 2x2 of them make one pixel of the map


def feature_maps(plan: Plan, face: Face, rows: Rows, backend: str = "auto") -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """The maps of samples that share one face.

    Args:
        plan: content "features".
        face: their identity's face.
        rows: N samples.
        backend: of the op features.

    Returns:
        uint8 [N, 28, 28, 3] (u, v, strain, each min-max scaled), float32 [N, 3, 2] (minimum and maximum before scaling).
    """
    drawn = nuisance(plan, rows)
    lattice, turn = lattice_of(face, drawn)
    rig, relative_q12, peaks_q7 = moved(face, drawn, lattice)
    keys = np.stack([np.full(len(rows), plan.noise_key), rows.index & 0xFFFFFFFF], 1).astype(np.uint32)
    maps, ranges = kernels.features(
        rig.basis.grids,
        rig.coefficients(drawn.apex),
        relative=relative_q12,
        channel_peak_q7=peaks_q7,
        lattice=lattice,
        turn=turn,
        patch_sigma=drawn.patch_sigma_px,
        patch_strength=plan.nuisance.patch_strength,
        noise_sigma=drawn.noise_sigma_px,
        noise_level=drawn.noise_level,
        keys=keys,
        backend=backend,
    )
    return maps, ranges


def moved(face: Face, drawn: Nuisances, lattice: npt.NDArray[np.int32]) -> tuple[Rig, Words, npt.NDArray[np.int32]]:
    """The face ready to move, the relative part of its coefficients (Q12, [N, K]), and the peaks of its channels (Q7 px, [K])."""
    ceiling = drawn.apex.max(0)
    blinks = [UNIT_INDEX["AU45L"], UNIT_INDEX["AU45R"]]
    ceiling[blinks] = np.maximum(ceiling[blinks], 1e-9)  # the blink is scaled by the motion's peak: any level of its grid serves
    rig = Rig.of(face, ceiling)
    relative = np.zeros((len(drawn.relative), len(rig.peaks_px)))
    # Roll and scale are said at the edge of the map; their channels reach their peak in the corner of the face's image.
    step_px = np.sqrt((lattice[:, 2] / 65536) * (lattice[:, 5] / 65536))
    to_edge = np.sqrt(0.5) * (face.size - 1) / (step_px * LATTICE / 2)
    for k, unit in enumerate(RELATIVE):
        relative[:, rig.channel(unit)] = drawn.relative[:, k] * (to_edge if unit in ("roll", "scale") else 1)
    return rig, np.rint(relative * 4096).astype(np.int16), np.maximum(np.rint(rig.peaks_px * 128), 1).astype(np.int32)


def lattice_of(face: Face, drawn: Nuisances) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int16]]:
    """Where the lattice lies in the face's pixels (Q16, [N, 6]) and what turns px into lattice px (Q12, [N, 4])."""
    crop = _core.layout_crop(face.landmarks_px, LATTICE)  # lattice px -> source px; the face's own crop is level already
    centre, step_px = crop @ [(LATTICE - 1) / 2, (LATTICE - 1) / 2, 1], crop.diagonal()
    scale, shift = drawn.geometry[:, :2], 2 * drawn.geometry[:, 2:]  # the shift is given at 28x28
    step = step_px / scale
    origin = centre + step * (0.5 - LATTICE / 2 - shift)
    zero = np.zeros(len(scale))
    lattice = np.stack([origin[:, 0], origin[:, 1], step[:, 0], zero, zero, step[:, 1]], 1)
    turn = np.stack([1 / step[:, 0], zero, zero, 1 / step[:, 1]], 1)
    return np.rint(lattice * 65536).astype(np.int32), np.rint(turn * 4096).astype(np.int16)
