"""`mie models`: what ships, what can be imported, and what a file is."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import EnvironmentProblem

app = typer.Typer(help="The networks: what ships, where weights are published, what a file is.")


@app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """List the shipped networks, and the published checkpoints that can be imported."""
    if context.invoked_subcommand is not None:
        return
    from ..models.published import NO_WEIGHTS, PUBLISHED, shipped

    ours = shipped()
    if as_json:
        print(json.dumps({"shipped": ours, "published": [asdict(entry) for entry in PUBLISHED], "no_weights": NO_WEIGHTS}))
        return
    print("shipped")
    for name, entry in ours.items():
        print(
            f"  {name}: {entry['content']}, {entry['licence']}, sha256 {entry['sha256']}{'' if entry['found'] else ' MISSING OR CHANGED'}"
        )
    print("published elsewhere; they do not ship")
    for found in PUBLISHED:
        print(f"  {found.model}: {found.where}; licence: {found.licence}; sha256: {found.sha256 or 'unknown'}{'...' * bool(found.sha256)}")
    print(f"no published weights known: {', '.join(NO_WEIGHTS)}; train them with mie train")


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="An .onnx, .safetensors or .pth file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what a model file is, by its sha256 and by loading it; a file that is none of ours or broken is an error."""
    from ..models.published import verify

    facts = verify(file)
    print(json.dumps(facts) if as_json else "\n".join(f"{name}: {value or 'unknown'}" for name, value in facts.items()))


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A generator's checkpoint as published (.pth); nothing in it is executed.")],
    out: Annotated[Path, typer.Option(help="The .onnx file to write, for mie synth --generator ganimation --weights.")],
    side: Annotated[int, typer.Option(help="Of the images, px, a multiple of 4; published weights were trained on 128.")] = 128,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Turn a published GANimation generator into a file that mie synth runs; refused where the graph differs from the network."""
    try:
        from ..models.checkpoint import import_published
        from ..models.ganimation_export import export_onnx
    except ImportError as error:
        raise EnvironmentProblem(f"checkpoints are read with torch, which is missing ({error}); pip install mie-engine[train]") from error
    from ..models.generator import Generator

    net: Any = import_published(file, "ganimation")
    difference = export_onnx(net, out, side)
    facts = {"out": str(out), "side": side, "difference": difference, "sha256": Generator.load(out).sha256}
    print(json.dumps(facts) if as_json else f"{out}: {side} px, differs from the network by {difference:.2g}, sha256 {facts['sha256']}")
