"""rig: one face made ready for the renderer: its basis grids, prepared pixels, and the way from intensities to coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import RangeError
from ..kernels import RenderSource
from ..limits import MAX_DISPLACEMENT_PX
from .action_units import UNITS
from .faces import Face
from .geometry import RIGID, face_mesh

Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Rig:
    """A face and its grids.

    face: the aligned crop. basis: one channel per unit and level (see csrc/src/geometry.h). source: what the render op takes.
    """

    face: Face
    basis: _core.FaceBasis
    source: RenderSource

    @classmethod
    def of(cls, face: Face, ceiling: Floats) -> Rig:
        """Build the grids of a face.

        Args:
            face: an aligned face.
            ceiling: float64 [U] over action_units.UNITS, the highest intensity that will be asked of each unit; 0 = not needed.
        """
        basis = _core.FaceBasis(face_mesh(), face.landmarks_px, face.size, face.size, ceiling.tolist())
        return cls(face, basis, RenderSource(face.pixels, basis.grids))

    @cached_property
    def peaks_px(self) -> Floats:
        """float64 [K]: the largest displacement of each channel at coefficient 1."""
        return np.array([peak for *_, peak in self.basis.channels])

    def channel(self, unit: str) -> int:
        """Index of the lowest channel of a unit or rigid motion."""
        return next(k for k, (name, *_) in enumerate(self.basis.channels) if name == unit)

    def coefficients(self, intensity: Floats, rigid_px: Floats | None = None) -> Words:
        """Renderer coefficients of frames.

        Args:
            intensity: float64 [M, U], 0 to the ceiling of each unit.
            rigid_px: float64 [M, 6] in the order of geometry.RIGID, px; none = the head rests.

        Returns:
            int16 [M, K], Q12.

        Raises:
            RangeError: motions that add up to more than the renderer carries.
        """
        rigid = np.zeros((len(intensity), len(RIGID))) if rigid_px is None else rigid_px
        try:
            coefficients: Words = self.basis.coefficients(face_mesh(), intensity, rigid)
        except ValueError as error:
            raise RangeError(f"{self.face.name}: {error}") from error
        row, peak_px = self.basis.beyond_reach(coefficients)
        if row >= 0:
            strongest = UNITS[int(np.argmax(intensity[row]))]
            raise RangeError(
                f"{self.face.name}: the motion reaches {peak_px:.1f} px at size {self.face.size} ({strongest} is the strongest unit), "
                f"the renderer carries {MAX_DISPLACEMENT_PX:g}: lower the intensities or the size."
            )
        return coefficients

    def pose_px(self, pose: Floats) -> Floats:
        """Head pose float64 [..., 4] (x px, y px, roll rad, log scale) as rigid motions float64 [..., 6], px at the image corner."""
        corner_px = np.hypot(self.face.size - 1, self.face.size - 1) / 2
        rigid = np.zeros((*pose.shape[:-1], len(RIGID)))
        rigid[..., :2] = pose[..., :2]
        rigid[..., 2] = pose[..., 2] * corner_px
        rigid[..., 3] = np.expm1(pose[..., 3]) * corner_px
        return rigid
