"""The ops: one folder each, one file per backend. `backends(op)` lists what runs here, `explain(op)` says why the rest does not."""

from .registry import backends, choose, explain
from .render.op import FORMATS, RenderSource, noise_word, render

__all__ = ["FORMATS", "RenderSource", "backends", "choose", "explain", "noise_word", "render"]
