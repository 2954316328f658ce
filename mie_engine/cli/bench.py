"""`mie bench`: our figure beside the best peer's, from the same run."""

from __future__ import annotations

import importlib
from typing import Annotated

import typer

app = typer.Typer(help="Measure against the best existing tools: one thread, process CPU time, medians.", no_args_is_help=True)


def _add(name: str, usual: int, about: str) -> None:
    @app.command(name, help=about)
    def measure(
        rounds: Annotated[int, typer.Option(help="Interleaved rounds; medians are shown.")] = usual,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    ) -> None:
        raise typer.Exit(importlib.import_module(f"mie_engine.bench.{name}").main(json=as_json, rounds=rounds))


_add("render", 15, "The AU-warp renderer against cv2.remap and what people script around it.")
_add("synth", 7, "Clips to JPEG tar, to pixels and to feature maps against the best composition of existing tools.")
_add("recog", 9, "STSTNet against ONNX Runtime on the same weights, the shipped recogniser, and a frame's way to events.")
_add("flow", 15, "Optical flow against OpenCV's: errors on known motion, speed, and speed with strain and 28x28 maps.")
