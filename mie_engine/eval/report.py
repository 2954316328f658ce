"""A result as Markdown, and both as files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..runtime.files import make_folder, write_file


def write(result: dict[str, Any], page: str, out: Path) -> tuple[Path, Path]:
    """Write report.md (`page`) and report.json (`result`), each as a whole.

    Raises:
        EnvironmentProblem: the folder cannot be written.
    """
    make_folder(out)
    write_file(out / "report.md", page.encode())
    write_file(out / "report.json", (json.dumps(result, indent=1, allow_nan=False) + "\n").encode())
    return out / "report.md", out / "report.json"


def markdown(result: dict[str, Any], folds: bool = True) -> str:
    """The report as text; without the table of folds for a terminal."""
    facts = {"model": result["model"], "data": result["data"], "seeds": ", ".join(map(str, result["seeds"])), "split": result["split_hash"]}
    lines = [f"# {result['protocol']}: {result['about']}", "", *(f"- {name}: {fact}" for name, fact in facts.items()), ""]
    multi = "aus" in result
    names = {"f1": "F1", "macro_f1": "macro F1"} if multi else {"f1": "UF1", "uar": "UAR", "accuracy": "accuracy"}

    def row(scores: dict[str, Any]) -> list[str]:
        scale, digits = (100, 2) if multi else (1, 4)  # the field prints action units in per cent
        spread = {name: f" ± {scale * scores[f'{name}_std']:.{digits}f}" if f"{name}_std" in scores else "" for name in names}
        return [f"{scale * scores[name]:.{digits}f}{spread[name]}" for name in names]

    pooled = [["all", "", *row(result["scores"])], *([who, part["clips"], *row(part)] for who, part in result["corpora"].items())]
    lines += _table(["", "clips", *names.values()], pooled)
    if multi:
        lines += _table(
            ["", "clips", *names.values(), "AUC"],
            [[au, unit["clips"], *row(unit), f"{unit['auc']:.3f}"] for au, unit in result["aus"].items()],
        )
    else:
        classes = zip(result["per_class"].items(), result["confusion"], strict=True)
        lines += _table(
            ["true, predicted:", *result["per_class"], "F1", "recall"],
            [[name, *counts, f"{part['f1']:.4f}", f"{part['recall']:.4f}"] for (name, part), counts in classes],
        )
    if folds:
        lines += _table(["left out", "clips", *names.values()], [[fold["name"], fold["clips"], *row(fold)] for fold in result["folds"]])
    lines += _table(["audit", "", "", ""], [list(check.values()) for check in result["audit"]])
    return "\n".join([*lines, *(f"- {note}" for note in result["notes"])]).rstrip() + "\n"


def _table(head: list[str], rows: Iterable[list[Any]]) -> list[str]:
    """Markdown that is aligned as plain text, too."""
    cells = [head, *([str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows)]
    width = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(text.ljust(w) for text, w in zip(row, width, strict=True)) + " |" for row in cells]
    return [lines[0], "|" + "|".join("-" * (w + 2) for w in width) + "|", *lines[1:], ""]
