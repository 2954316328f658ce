"""mie_engine: make, see and embed micro-expressions.

Names are loaded on first use, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .recog.frames import Frame as Frame
    from .recog.recognizer import Recognizer as Recognizer
    from .synth import synthesize as synthesize
    from .synth.faces import Face as Face
    from .synth.plan import Plan as Plan
    from .synth.render import Clip as Clip
    from .synth.render import render as render
    from .types import Event as Event

__version__ = "0.1.0"

_PUBLIC = {
    "Clip": ".synth.render",
    "Event": ".types",
    "Face": ".synth.faces",
    "Frame": ".recog.frames",
    "Plan": ".synth.plan",
    "Recognizer": ".recog.recognizer",
    "render": ".synth.render",
    "synthesize": ".synth",
}

__all__ = ["Clip", "Event", "Face", "Frame", "Plan", "Recognizer", "__version__", "render", "synthesize"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'mie_engine' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name], __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
