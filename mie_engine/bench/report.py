"""What all benchmarks share: a fresh single-threaded process to measure in, and one way to show rows."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from typing import Any

from ..errors import EnvironmentProblem

Row = dict[str, Any]
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")


def peer_package(name: str = "cv2") -> Any:
    """A peer's package, OpenCV on one thread.

    Raises:
        EnvironmentProblem: it is not installed.
    """
    try:
        package = importlib.import_module(name)
    except ImportError as error:
        raise EnvironmentProblem(
            f"the benchmark compares with {name}, which is missing ({error}); pip install mie-engine[bench]"
        ) from error
    if name == "cv2":
        package.setNumThreads(1)
    return package


def measured(module: str, rounds: int) -> list[Row]:
    """Rows that `python -m module rounds` prints, measured in a fresh process with one BLAS thread, so that products count as one thread's.

    Raises:
        EnvironmentProblem: the measuring process failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, str(rounds)], env=os.environ | ONE_THREAD, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise EnvironmentProblem(f"{module}: the measuring process ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    rows: list[Row] = json.loads(done.stdout)
    return rows


def print_rows(rows: list[Row]) -> None:
    """The answer of a measuring process."""
    print(json.dumps(rows))


def show(rows: list[Row], title: str, as_json: bool) -> int:
    """Print rows by their "table", as Markdown or JSON; returns 0, or 5 when a row of table "goal" does not hold."""
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        print(title)
        for table in dict.fromkeys(row["table"] for row in rows):
            picked = [{key: value for key, value in row.items() if key != "table"} for row in rows if row["table"] == table]
            print("\n| " + " | ".join(picked[0]) + " |\n" + "|---" * len(picked[0]) + "|")
            for row in picked:
                print("| " + " | ".join(_cell(value) for value in row.values()) + " |")
    return 0 if all(row["holds"] for row in rows if row["table"] == "goal") else 5


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
