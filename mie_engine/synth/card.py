"""card: what a person sees of a dataset first: the README of the folder and the contact sheet."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from .. import kernels
from ..models.generator import Generator
from ..types import CLASSES
from . import timeline
from .action_units import UNITS
from .au_csv import AuTable
from .describe import describe
from .encode import suffix
from .facestore import FaceStore
from .generate import Generated
from .plan import Plan
from .preview import PreviewSample, contact_sheet
from .rig import Rig

PREVIEW_CLIPS = 9

_MEMBERS = {
    "clip": "`KEY.000.{suffix}` ... one image per frame, onset to offset; `KEY.json`",
    "pair": "`KEY.onset.{suffix}`, `KEY.apex.{suffix}`, `KEY.json`",
    "features": "`KEY.npy` uint8 [28, 28, 3]: u, v, strain of onset to apex, each min-max scaled; `KEY.json`",
}


def card(plan: Plan, facts: dict[str, Any]) -> str:
    """The dataset card in Markdown, with the front matter that dataset hubs read."""
    told: dict[str, Any] = describe(plan, 0) if plan.au_csv is None else {"classes": {}, "sources": {}, "identities": len(plan.identities)}
    members = _MEMBERS[plan.content].format(suffix=suffix(plan.encoder))
    counts = "\n".join(f"| {name} | {count:,} |" for name, count in told["classes"].items())
    sources = ", ".join(f"{name} {count:,}" for name, count in told["sources"].items()) or ", ".join(plan.sources)
    network, generator = plan.generator, ""
    if network is not None:
        generator = f" Expressions: {network.name}, weights sha256 `{network.sha256}`, run by {network.library}."
    size = "n<1K" if plan.clips < 1000 else "1K<n<10K" if plan.clips < 10_000 else "10K<n<100K" if plan.clips < 100_000 else "n>100K"
    return f"""---
pretty_name: Synthetic micro-expressions
task_categories: [video-classification, image-classification]
tags: [micro-expression, action-units, synthetic, webdataset]
size_categories: [{size}]
---
# Synthetic micro-expressions

{plan.clips:,} labelled samples of {told["identities"]:,} faces, made by {facts["engine"]} after the MiE-X protocol (arXiv 2112.01730):
neutral faces x action-unit sets. Content `{plan.content}`, {plan.size} px, {plan.frames} frames a sample, seed {plan.seed}.

![preview](preview.png)

| class | samples |
|---|---|
{counts}

AU sources: {sources}. Encoder: {plan.encoder.library}, {plan.encoder.format} quality {plan.encoder.quality}.{generator}

## Layout
WebDataset shards `000000.tar` ..., and beside each a Parquet index (key, identity, label3, label7, action units, timing, byte offsets).
A sample: {members}. `label3`: {", ".join(f"{i} {name}" for i, name in enumerate(CLASSES))};
`label7`: happiness, surprise, disgust, sadness, fear, anger, contempt (-1: none of them). `dataset.json` holds the whole plan;
its hash is `{plan.hash}`.

```python
import webdataset
samples = webdataset.WebDataset("{{000000..{facts["shards"] - 1:06d}}}.tar", shardshuffle=False).decode("rgb8")
```

## Limits
The faces are the given images, displaced and shaded; no person showed these expressions. Labels say what was asked of the renderer,
not what anybody felt. Emotion inference is evidence, not truth; in the EU it is forbidden at work and in education (AI Act,
Art. 5(1)(f)). The licence of the face images governs the frames.
"""


def preview(plan: Plan, faces: FaceStore, table: AuTable | None, generator: Generator | None = None) -> bytes:
    """The contact sheet as PNG: clips spread over the dataset, rendered again from the plan without sensor noise.

    The flow of a generator's frames is estimated, that of the warp exact.
    """
    chosen = np.unique(np.linspace(0, plan.clips - 1, min(PREVIEW_CLIPS, plan.clips)).round().astype(int))
    samples = [_sample(plan, faces, int(index), table, generator) for index in chosen]
    file = io.BytesIO()
    title = f"{plan.clips:,} synthetic micro-expressions of {len(plan.identities):,} faces"
    contact_sheet(samples, title=title, plan_hash=plan.hash).save(file, "PNG", compress_level=3)
    return file.getvalue()


def _sample(plan: Plan, faces: FaceStore, index: int, table: AuTable | None, generator: Generator | None) -> PreviewSample:
    rows = plan.rows(index, index + 1, table)
    frames = plan.frames if plan.content == "clip" else 16  # a pair is shown on its whole curve
    curves = timeline.intensity(rows, frames)[0]
    apex_frame = int(timeline.apex_frames(rows.onset_to_apex_s, rows.duration_s, frames)[0])
    face = faces.load(int(rows.identity[0]))
    if generator is None:
        rig = Rig.of(face, curves.max(0))
        coefficients = rig.coefficients(curves[[0, apex_frame]])
        shown = kernels.render_with_motion(rig.source, coefficients, onset=coefficients[0], strain=False)
        assert shown.flow is not None
        (onset, apex), flow = shown.frames, shown.flow[1]
    else:
        onset, apex = Generated(generator, face).pixels(curves[[0, apex_frame]])
        grey = [frame.mean(2).round().astype(np.uint8)[None] for frame in (onset, apex)]
        flow = np.moveaxis(kernels.flow(grey[0], grey[1])[0], 0, -1)
    return PreviewSample(
        name=str(rows.key[0]),
        label=f"{CLASSES[int(rows.label3[0])]}: {rows.emotion[0]}",
        source=str(rows.source[0]),
        onset=onset,
        apex=apex,
        flow=flow,
        curves=curves,
        units=UNITS,
        apex_frame=apex_frame,
        duration_s=float(rows.duration_s[0]),
    )
