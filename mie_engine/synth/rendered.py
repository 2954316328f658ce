"""rendered: the maps of `features`, seen instead of computed: every sample is rendered and its flow estimated, as of a recording.

The estimator brings its own patchy gain and noise, from the face's texture and the sensor; all other nuisances are those of the recipe.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .. import _core, kernels
from ..kernels.render.ref_features import displacement_nodes, with_relative
from .faces import Face
from .features import LATTICE, lattice_of, moved
from .nuisance import nuisance
from .plan import Plan
from .rows import Rows

NOISE_LEVELS = 15.0  # grey levels of sensor noise where the recipe's flow noise is 1: it draws 0.05 to 0.2


def rendered_maps(plan: Plan, face: Face, rows: Rows) -> npt.NDArray[np.uint8]:
    """The maps of samples that share one face.

    Args:
        plan: content "features". face: their identity's face. rows: N samples.

    Returns:
        uint8 [N, 28, 28, 3] (u, v, strain, each min-max scaled).
    """
    drawn = nuisance(plan, rows)
    lattice, _ = lattice_of(face, drawn)
    rig, relative_q12, peaks_q7 = moved(face, drawn, lattice)
    coefficients = rig.coefficients(drawn.apex).astype(np.int64)
    pairs = np.empty((2, len(rows), _core.CROP_SIDE_PX, _core.CROP_SIDE_PX), np.uint8)
    for i, index in enumerate(rows.index.tolist()):
        nodes = displacement_nodes(coefficients[i], rig.basis.grids)
        apex = with_relative(coefficients[i], relative_q12[i], peaks_q7, nodes)
        frames = kernels.render(
            rig.source,
            np.stack([np.zeros_like(apex), apex]).astype(np.int16),
            noise_sigma=NOISE_LEVELS * float(drawn.noise_level[i]),
            key=(plan.noise_key, index & 0xFFFFFFFF),
        )
        x, y, step_x, _, _, step_y = lattice[i] / 65536  # of lattice points; finer pixels begin before the first point's centre
        finer = _core.CROP_SIDE_PX // LATTICE
        before = 0.5 / finer - 0.5
        crop = np.array([[step_x / finer, 0, x + before * step_x], [0, step_y / finer, y + before * step_y]])
        pairs[:, i] = [kernels.align(frame, crop, _core.CROP_SIDE_PX) for frame in frames]
    maps, _ = kernels.flow_maps(pairs[0], pairs[1], side=LATTICE // 2)
    return maps
