"""What all benchmarks share: a fresh single-threaded process to measure in, one way to time calls and one to show rows."""

from __future__ import annotations

import importlib
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import EnvironmentProblem

Row = dict[str, Any]
WARM_MS, TIMED_MS, SLOW_MS = 10.0, 20.0, 100.0
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


def medians_ms(calls: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """CPU time of each call in ms, median of rounds in shuffled order; calls of 100 ms and more take part in three rounds at most."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    slow = {name for name, call in calls.items() if _run_for(call, 0) > SLOW_MS}
    names, order = list(calls), random.Random(1)
    for turn in range(rounds):
        order.shuffle(names)  # what a case leaves behind in the caches must not always fall on the same neighbour
        for name in names:
            if name not in slow:
                _run_for(calls[name], WARM_MS)
            if name not in slow or turn < 3:
                spent[name].append(_run_for(calls[name], TIMED_MS))
    return {name: statistics.median(values) for name, values in spent.items()}


def _run_for(call: Callable[[], Any], least_ms: float) -> float:
    """Calls at least once and until `least_ms` of CPU time have passed; returns ms per call."""
    start, calls, ms = time.process_time_ns(), 0, 0.0
    while calls == 0 or ms < least_ms:
        call()
        calls, ms = calls + 1, (time.process_time_ns() - start) / 1e6
    return ms / calls


def goal(case: str, reached: float, limit: float, at_most: bool = False) -> Row:
    """The row of an aim, the figure reached and whether it holds."""
    holds = reached <= limit if at_most else reached >= limit
    return {"table": "goal", "case": case, "goal": f"{'<=' if at_most else '>='} {limit:g}", "reached": reached, "holds": holds}


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
