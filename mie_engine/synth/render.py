"""render: one clip of one face, in memory: frames, the exact flow and strain behind them, and the action-unit curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .. import kernels
from . import timeline
from .action_units import UNITS, parse
from .faces import Face
from .plan import Drift, Identity, make_plan
from .rig import Floats, Rig, Words


@dataclass(frozen=True, eq=False)
class Clip:
    """A rendered clip.

    frames: uint8 [T, S, S, 3] RGB. au: float64 [T, U], intensities over action_units.UNITS. time_s: float64 [T]. apex_frame: where the
    motion peaks. rig, coefficients: what it was rendered from (int16 [T, K] Q12).
    """

    frames: npt.NDArray[np.uint8]
    au: Floats
    time_s: Floats
    apex_frame: int
    rig: Rig
    coefficients: Words
    backend: str = "auto"

    @cached_property
    def _motion(self) -> kernels.Rendered:
        return kernels.render_with_motion(self.rig.source, self.coefficients, onset=self.coefficients[0], backend=self.backend)

    @property
    def flow(self) -> npt.NDArray[np.float32]:
        """float32 [T, S, S, 2] px: frames[t](x + flow[t](x)) = frames[0](x), exact for the motion shown; noise and shading excluded."""
        assert self._motion.flow is not None
        return self._motion.flow

    @property
    def strain(self) -> npt.NDArray[np.float32]:
        """float32 [T, S, S]: sqrt(u_x^2 + v_y^2 + (u_y + v_x)^2 / 2) of the flow."""
        assert self._motion.strain is not None
        return self._motion.strain


def render(
    face: Face,
    action_units: Mapping[str, float],
    *,
    onset: Mapping[str, float] | None = None,
    frames: int = 16,
    seed: int = 0,
    noise_sigma: float = 1.0,
    drift: bool = True,
    backend: str = "auto",
    threads: int = 1,
) -> Clip:
    """Render a micro-expression: onset to apex to offset, with published timing, per-unit phase, slight head drift and sensor noise.

    Args:
        face: an aligned face, see Face.load.
        action_units: intensities at the apex in [0, 1], such as {"AU12": .25, "AU6L": .1}; a name without a side sets both.
        onset: intensities at the onset; none = the face as it is.
        frames: 2 (onset and apex) to limits.MAX_FRAMES.
        seed: 0 to limits.MAX_SEED; decides timing, phase, drift and noise.
        noise_sigma: sensor noise, grey levels, 0 to 84.
        drift: False holds the head still.
        backend, threads: see kernels.render.

    Returns:
        The clip.

    Raises:
        UsageError, RangeError: unknown units, values outside their range, motion beyond the renderer's reach.

    Source: MiE-X (arXiv 2112.01730) for the protocol; the renderer is kernels/render.
    """
    apex, start = parse(action_units), parse(onset or {})
    identity = Identity(face.name, face.source_sha256, face.face_count)
    still = {} if drift else {"drift": Drift(0.0, 0.0, 0.0)}
    content = "pair" if frames == 2 else "clip"
    plan = make_plan(
        clips=1, seed=seed, identities=(identity,), content=content, frames=frames, size=face.size, noise_sigma=noise_sigma, **still
    )
    rows = replace(plan.rows(0, 1), onset=start[None], apex=apex[None])
    curves, pose = timeline.intensity(rows, frames)[0], timeline.pose(rows, frames)[0]
    rig = Rig.of(face, curves.max(0))
    coefficients = rig.coefficients(curves, rig.pose_px(pose))
    key = (plan.noise_key, 0)
    pixels = kernels.render(rig.source, coefficients, noise_sigma=noise_sigma, key=key, backend=backend, threads=threads)
    last_s = float(rows.duration_s[0] if frames > 2 else rows.onset_to_apex_s[0])
    time_s = np.linspace(0, last_s, frames)
    assert curves.shape[1] == len(UNITS)
    return Clip(pixels, curves, time_s, int(rows.apex_frame[0]), rig, coefficients, backend)
