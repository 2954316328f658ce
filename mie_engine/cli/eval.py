"""`mie eval`: a protocol, data, a model -> a table and a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError
from .progress import Stages


def evaluate(
    protocol: Annotated[str, typer.Argument(help="megc2019, mie-x, emotion, fivefold, au, cd6me or spot.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder of a corpus, of several, or of <subject>/u_test maps; spot: true events.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="default, a recogniser's file, a network to train in every fold, constant or majority.")
    ] = "default",
    weights: Annotated[Path | None, typer.Option(help="Folder of a checkpoint per left-out subject; --model names their network.")] = None,
    events: Annotated[Path | None, typer.Option(help="spot: the CSV that `mie recognize` wrote.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for report.md and report.json.")] = None,
    seeds: Annotated[str, typer.Option(help="Of training, comma separated.")] = "0",
    epochs: Annotated[int, typer.Option(help="Of training in every fold; the last one counts.")] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, no progress.")] = False,
) -> None:
    """Evaluate a recogniser by a protocol of the field, with an audit against leaks."""
    from ..eval import evaluate as work
    from ..eval import events as spotted
    from ..eval import report
    from ..runtime.files import check_folder

    if out is not None:
        check_folder(out)
    if protocol == "spot":
        if data is None or events is None:
            raise UsageError("spot compares two tables: give --data TRUTH.csv and --events EVENTS.csv.")
        result = spotted.score(data, events)
        text = page = spotted.markdown(result)
    else:
        try:
            numbers = [int(seed) for seed in seeds.split(",")]
        except ValueError:
            raise UsageError(f"--seeds is {seeds!r}: give whole numbers, comma separated.") from None
        with Stages(quiet=as_json) as stages:
            result = work.evaluate(protocol, data, model, weights=weights, seeds=numbers, epochs=epochs, progress=stages.add)
        text, page = report.markdown(result, folds=False), report.markdown(result)
    if out is not None:
        paths = report.write(result, page, out)
        result = {**result, "report": [str(path) for path in paths]}
    print(json.dumps(result) if as_json else text, end="\n" if as_json else "")
    if out is not None and not as_json:
        print(f"\nreport: {paths[0]}")
