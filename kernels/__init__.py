"""The ops: one folder each, one file per backend. `backends(op)` lists what runs here, `explain(op)` says why the rest does not."""

from .align.op import align
from .blend_pack.op import blend_pack
from .flow.maps import flow_maps, strain
from .flow.op import flow
from .jpeg.op import encode_jpeg
from .registry import SIMD, backends, choose, explain, simd_level
from .render.features import features
from .render.op import FORMATS, Rendered, RenderSource, noise_word, render, render_with_motion
from .ststnet.op import StstnetWeights, ststnet

__all__ = [
    "FORMATS",
    "SIMD",
    "RenderSource",
    "Rendered",
    "StstnetWeights",
    "align",
    "backends",
    "blend_pack",
    "choose",
    "encode_jpeg",
    "explain",
    "features",
    "flow",
    "flow_maps",
    "noise_word",
    "render",
    "render_with_motion",
    "simd_level",
    "strain",
    "ststnet",
]
