"""`mie doctor`: what this machine can do, and why not."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
from typing import Annotated, Any

import typer

PACKAGES = ("numpy", "onnxruntime", "simplejpeg", "pyarrow", "typer", "rich", "pillow", "av")
EXTRAS = {"bench": ("cv2", "scipy", "skimage"), "train": ("torch",), "gpu": ("triton",), "cluster": ("ray",)}


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Show versions, processor, encoder and which backend of every op runs here."""
    facts = examine()
    if as_json:
        print(json.dumps(facts))
        return
    for title, section in facts.items():
        print(title)
        for name, value in section.items():
            print(f"  {name:<18} {value}")


def examine() -> dict[str, Any]:
    """Facts about this installation: {"engine", "processor", "packages", "encoder", "op NAME": {backend: "available" or why not}}."""
    from .. import __version__, _core, kernels
    from ..kernels.registry import OPS
    from ..synth.encode import encoder_of

    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    extras = {extra: _extra(modules) for extra, modules in EXTRAS.items()}
    return {
        "engine": {
            "mie_engine": __version__,
            "runtime": _core.__version__,
            "python": platform.python_version(),
            "system": platform.platform(),
        },
        "processor": {"cores": os.cpu_count(), "simd": f"{_core.simd_levels()[-1]} (of {', '.join(_core.simd_levels())})"},
        "packages": found,
        "extras": extras,
        "encoder": {name: encoder_of(name).library for name in ("jpeg", "png")},
        **{f"op {name}": kernels.explain(name) for name in sorted(OPS)},
    }


def _extra(modules: tuple[str, ...]) -> str:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return f"not installed ({', '.join(missing)})" if missing else "installed"
