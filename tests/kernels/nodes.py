"""Exact flow and strain of displacement nodes, rendered by a source whose channels are those nodes."""

from __future__ import annotations

import numpy as np

from mie_engine import kernels


def motion(later: np.ndarray, onset: np.ndarray | None = None, *, size: tuple[int, int], **options):
    """flow [N, H, W, 2] and strain [N, H, W] of later nodes int16 [N, 2, GH, GW] and onset nodes [2, GH, GW], Q7 px within +-3584."""
    nodes = later if onset is None else np.concatenate([later, onset[None]])
    source = kernels.RenderSource(np.zeros((*size, 3), np.uint8), 4 * nodes)  # Q9
    one = 4096 * np.eye(len(nodes), dtype=np.int16)
    start = None if onset is None else one[-1]
    _, flow, strain = kernels.render_with_motion(source, one[: len(later)], onset=start, **options)
    return flow, strain
