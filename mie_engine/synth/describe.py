"""What a plan will make, in counts, before anything is rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..types import CLASSES
from .action_units import named
from .sources import EMOTIONS

if TYPE_CHECKING:
    from .au_csv import AuTable
    from .plan import Plan

SCAN_CLIPS = 20_000  # beyond this, drawn quantities (emotions; sources of features) are counted over the first so many


def describe(plan: Plan, limit: int = 10, table: AuTable | None = None) -> dict[str, Any]:
    """Counts and first rows of a plan, ready for JSON.

    Args:
        plan: any plan.
        limit: how many first rows to show, 0 or more.
        table: as for Plan.rows.

    Returns:
        hash, clips, shards, content, size, frames; `classes` (exact), `sources` and `emotions` (exact up to `counted_clips` clips),
        `clips_per_identity` (min, max, exact), `rows` (the first ones).
    """
    counted = min(plan.clips, SCAN_CLIPS)
    scan = plan.rows(0, counted, table)
    emotions = {name: int(np.sum(scan.emotion == name)) for name in (*EMOTIONS, "") if np.any(scan.emotion == name)}
    if plan.content == "features":
        classes = _cycle(plan.clips, plan.balance)
        sources = {name: int(np.sum(scan.source == name)) for name in plan.sources}
    else:
        cells = np.array(_cycle(plan.clips, plan.balance * len(plan.sources))).reshape(len(plan.sources), plan.balance)
        classes = cells.sum(axis=0).tolist()
        sources = dict(zip(plan.sources, cells.sum(axis=1).tolist(), strict=True))
    faces = len(plan.identities)
    return {
        "hash": plan.hash,
        "clips": plan.clips,
        "shards": plan.shard_count,
        "content": plan.content,
        "size": plan.size,
        "frames": plan.frames,
        "identities": faces,
        "classes": dict(zip(CLASSES if plan.balance == 3 else EMOTIONS[:7], classes, strict=True)),
        "sources": sources,
        "emotions": emotions,
        "counted_clips": counted,
        "clips_per_identity": {"min": plan.clips // faces, "max": -(-plan.clips // faces)},
        "rows": _first_rows(plan, min(limit, plan.clips), table),
    }


def _cycle(clips: int, cells: int) -> list[int]:
    return [clips // cells + (cell < clips % cells) for cell in range(cells)]


def _first_rows(plan: Plan, count: int, table: AuTable | None) -> list[dict[str, Any]]:
    rows = plan.rows(0, count, table)
    return [
        {
            "key": str(rows.key[i]),
            "identity": plan.identities[int(rows.identity[i])].name,
            "label3": int(rows.label3[i]),
            "label7": int(rows.label7[i]) if rows.label7[i] >= 0 else None,
            "emotion": str(rows.emotion[i]),
            "source": str(rows.source[i]),
            "one_sided": str(rows.one_sided[i]),
            "onset": _rounded(rows.onset[i]),
            "apex": _rounded(rows.apex[i]),
            "apex_frame": int(rows.apex_frame[i]),
            "duration_s": round(float(rows.duration_s[i]), 4),
        }
        for i in range(len(rows))
    ]


def _rounded(vector: Any) -> dict[str, float]:
    return {name: round(value, 4) for name, value in named(vector).items()}
