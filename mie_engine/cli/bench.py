"""`mie bench`: our figure beside the best peer's, from the same run."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="Measure against the best existing tools: one thread, process CPU time, medians.", no_args_is_help=True)


@app.command()
def render(
    rounds: Annotated[int, typer.Option(help="Interleaved rounds; medians are shown.")] = 15,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """The AU-warp renderer against cv2.remap and what people script around it."""
    from ..bench.render import main

    raise typer.Exit(main(json=as_json, rounds=rounds))


@app.command()
def synth(
    rounds: Annotated[int, typer.Option(help="Interleaved rounds; medians are shown.")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Clips to JPEG tar, to pixels and to feature maps against the best composition of existing tools."""
    from ..bench.synth import main

    raise typer.Exit(main(json=as_json, rounds=rounds))


@app.command()
def recog(
    rounds: Annotated[int, typer.Option(help="Interleaved rounds; medians are shown.")] = 9,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """STSTNet against ONNX Runtime on the same weights, and the cost of the shipped recogniser."""
    from ..bench.recog import main

    raise typer.Exit(main(json=as_json, rounds=rounds))


@app.command()
def flow(
    rounds: Annotated[int, typer.Option(help="Interleaved rounds; medians are shown.")] = 15,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Optical flow against OpenCV's: errors on known motion, speed, and speed with strain and 28x28 maps."""
    from ..bench.flow import main

    raise typer.Exit(main(json=as_json, rounds=rounds))
