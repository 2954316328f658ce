"""pairs: onset and apex images -> the layout crop, frozen at the onset -> what a recogniser takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt

from mie_engine import _core, kernels

from .face_mesh import FaceMesh

BATCH = 32  # pairs whose flow is worked out at once

Pixels = npt.NDArray[np.uint8]


def prepared(pairs: Iterable[tuple[Pixels, Pixels]], inputs: str, side: int) -> Iterator[Pixels | None]:
    """Turn pairs into samples, one by one and in order.

    Args:
        pairs: onset and apex, uint8 [H, W, 3] RGB of one size.
        inputs: "maps" (of the flow between them) or "frames" (the crops themselves).
        side: of maps or crops, px.

    Yields:
        uint8 [side, side, 3], or for frames [2, side, side, 3]; None where the onset shows no face.
    """
    source = iter(pairs)
    while block := [_crops(onset, apex, inputs, side) for onset, apex in islice(source, BATCH)]:
        seen = [crops for crops in block if crops is not None]
        if inputs == "maps" and seen:
            stacked = np.stack(seen)
            maps, _ = kernels.flow_maps(np.ascontiguousarray(stacked[:, 0]), np.ascontiguousarray(stacked[:, 1]), side=side)
            seen = list(maps)
        rest = iter(seen)
        yield from (None if crops is None else next(rest) for crops in block)


def _crops(onset: Pixels, apex: Pixels, inputs: str, side: int) -> Pixels | None:
    faces = FaceMesh.shared().find(onset, 1)
    if not faces or onset.shape != apex.shape:
        return None
    size, output = (_core.CROP_SIDE_PX, "grey") if inputs == "maps" else (side, "rgb")
    crop = _core.layout_crop(faces[0].landmarks, size)
    return np.stack([kernels.align(image, crop, size, output=output) for image in (onset, apex)])
