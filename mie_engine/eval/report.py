"""A result as Markdown, and both as files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import EnvironmentProblem
from ..runtime.files import write_file


def write(result: dict[str, Any], page: str, out: Path) -> tuple[Path, Path]:
    """Write report.md (`page`) and report.json (`result`), each as a whole.

    Raises:
        EnvironmentProblem: the folder cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentProblem(f"{out}: {error.strerror}. Choose a folder you may write to.") from error
    write_file(out / "report.md", page.encode())
    write_file(out / "report.json", (json.dumps(result, indent=1, allow_nan=False) + "\n").encode())
    return out / "report.md", out / "report.json"


def markdown(result: dict[str, Any], folds: bool = True) -> str:
    """The report as text; without the table of folds for a terminal."""
    lines = [
        f"# {result['protocol']}: {result['about']}",
        "",
        f"- model: {result['model']}",
        f"- data: {result['data']}",
        f"- seeds: {', '.join(map(str, result['seeds']))}",
        f"- split: {result['split_hash']}",
        "",
    ]
    f1 = "F1" if "aus" in result else "UF1"
    names = {"f1": f1, "uar": "UAR", "accuracy": "accuracy", "macro_f1": "macro F1"}
    kinds = [name for name in names if name in result["scores"]]
    rows = [("all", result["scores"])] + list(result["corpora"].items())
    lines += _table(["", *(names[kind] for kind in kinds)], ([who, *(_score(row, kind) for kind in kinds)] for who, row in rows))
    if "aus" in result:
        lines += _table(
            ["action unit", "clips", "F1", "macro F1", "AUC"],
            (
                [name, row["clips"], f"{100 * row['f1']:.2f}", f"{100 * row['macro_f1']:.2f}", f"{row['auc']:.3f}"]
                for name, row in result["aus"].items()
            ),
        )
    else:
        head = ["true \\ predicted", *result["classes"], "F1", "recall"]
        lines += _table(
            head,
            (
                [name, *counts, f"{row['f1']:.4f}", f"{row['recall']:.4f}"]
                for (name, row), counts in zip(result["per_class"].items(), result["confusion"], strict=True)
            ),
        )
    if folds:
        kinds = [kind for kind in ("accuracy", "f1") if kind in result["folds"][0]]
        lines += _table(
            ["left out", "clips", *kinds], ([fold["name"], fold["clips"], *(f"{fold[kind]:.4f}" for kind in kinds)] for fold in result["folds"])
        )
    lines += _table(
        ["audit", "", "result", ""], ([check["name"], check["what"], check["status"], check["reason"]] for check in result["audit"])
    )
    lines += [f"- {note}" for note in result["notes"]]
    return "\n".join(lines).rstrip() + "\n"


def _score(row: dict[str, Any], kind: str) -> str:
    scale, digits = (100, 2) if "macro_f1" in row else (1, 4)  # the field prints action units in per cent
    spread = f" ± {scale * row[f'{kind}_std']:.{digits}f}" if f"{kind}_std" in row else ""
    return f"{scale * row[kind]:.{digits}f}{spread}"


def _table(head: list[str], rows: Iterable[list[Any]]) -> list[str]:
    """Markdown that is also aligned as plain text."""
    cells = [head, *([str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows)]
    width = [max(len(row[k]) for row in cells) for k in range(len(head))]
    lines = ["| " + " | ".join(text.ljust(width[k]) for k, text in enumerate(row)) + " |" for row in cells]
    return [lines[0], "|" + "|".join("-" * (w + 2) for w in width) + "|", *lines[1:], ""]
