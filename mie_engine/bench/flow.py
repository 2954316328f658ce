"""Accuracy and speed of the flow beside OpenCV's: one thread, process CPU time, medians of rounds in shuffled order.

End-point errors in px on frame pairs whose motion is known; a speed counts only with the errors that the same run shows beside it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import kernels
from .motion_pairs import CASES, Case, Pair, endpoint_errors, pairs
from .report import Row, goal, measured, medians_ms, peer_package, print_rows, show

Grey = NDArray[np.uint8]
Method = Callable[[Grey, Grey], Any]  # two frames -> flow [2, H, W]

SIZES = ((224, 224), (480, 640))  # height, width
LARGE_CASES = ("0.7 px", "1.5 px", "lip edge")
SPEED_CASE = Case("1.5 px", 1.5)
CLIP = 16  # later frames of one onset
SIDE = 28
DIS_PRESETS = {"DIS ULTRAFAST": 0, "DIS FAST": 1, "DIS MEDIUM": 2}
TVL1 = "TV-L1, lambda .3"  # of all peers the most accurate
BEFORE_TVL1 = ("0.3 px", "0.7 px", "1.5 px", "3 px")


def levels() -> list[str]:
    """Instruction sets of this processor, the widest first."""
    return list(reversed(importlib.import_module("mie_engine._core").simd_levels()))


def peers(cv2: Any) -> dict[str, Method]:
    """OpenCV's methods; they give [H, W, 2]."""
    farneback = partial(
        cv2.calcOpticalFlowFarneback, flow=None, pyr_scale=0.5, levels=3, winsize=15, iterations=3, poly_n=5, poly_sigma=1.2, flags=0
    )
    tvl1 = cv2.optflow.DualTVL1OpticalFlow_create()
    tvl1.setLambda(0.3)
    methods: dict[str, Method] = {"Farneback": farneback}
    methods |= {name: partial(cv2.DISOpticalFlow_create(preset).calc, flow=None) for name, preset in DIS_PRESETS.items()}
    return methods | {TVL1: partial(tvl1.calc, flow=None)}


def ours(level: str) -> Method:
    """One pair through the public function."""
    return lambda onset, later: kernels.flow(onset[None], later[None], simd=level, threads=1)[0]


# ---- accuracy


def planes_first(method: Method, onset: Grey, later: Grey) -> Any:
    """A peer's flow as ours: [2, H, W]."""
    return np.moveaxis(method(onset, later), -1, 0)


def accuracy(cv2: Any, height: int, width: int, cases: list[Case], count: int, with_tvl1: bool) -> list[Row]:
    """Rows of errors per method, a table over moving and one over all pixels."""
    methods: dict[str, Method] = {"zero flow": lambda onset, later: np.zeros((2, *onset.shape), np.float32)}
    methods |= {name: partial(planes_first, method) for name, method in peers(cv2).items() if with_tvl1 or name != TVL1}
    methods |= {f"ours, {level}": ours(level) for level in levels()}
    errors: dict[str, list[Any]] = {name: [] for name in methods}
    for case in cases:
        data = list(pairs(case, height, width, count))
        for name, method in methods.items():
            errors[name].append(np.mean([endpoint_errors(method(onset, later), truth) for onset, later, truth in data], 0))
    names = [case.name for case in cases]
    return [
        {"table": table, table: name} | dict(zip(names, np.array(rows)[:, i].tolist(), strict=True))
        for i, table in enumerate(f"error, {height} x {width}, {pixels} pixels" for pixels in ("moving", "all"))
        for name, rows in errors.items()
    ]


# ---- speed


def dis_features(cv2: Any, dis: Any, onset: Grey, later: Grey) -> Any:
    """Flow, strain, 28 x 28 maps: what scripts do."""
    flow = dis.calc(onset, later, None)
    (uy, ux), (vy, vx) = np.gradient(flow[..., 0]), np.gradient(flow[..., 1])
    planes = [flow[..., 0], flow[..., 1], np.sqrt(ux * ux + vy * vy + 0.5 * (uy + vx) ** 2)]
    small = [cv2.resize(plane, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for plane in planes]
    return np.stack([cv2.normalize(plane, None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U) for plane in small], -1)


def flow_calls(cv2: Any, pair: Pair) -> dict[str, tuple[Callable[[], Any], int]]:
    """Name -> (call, pairs it does)."""
    onset, later, _ = pair
    calls: dict[str, tuple[Callable[[], Any], int]] = {name: (partial(method, onset, later), 1) for name, method in peers(cv2).items()}
    clip = np.repeat(later[None], CLIP, 0)
    for level in levels():
        calls[f"ours, {level}"] = partial(ours(level), onset, later), 1
        calls[f"ours, {level}, {CLIP} frames of one onset"] = partial(kernels.flow, onset[None], clip, simd=level, threads=1), CLIP
    return calls


def feature_calls(cv2: Any, pair: Pair) -> dict[str, tuple[Callable[[], Any], int]]:
    """The same with strain and maps."""
    onset, later, _ = pair
    calls: dict[str, tuple[Callable[[], Any], int]] = {
        name: (partial(dis_features, cv2, cv2.DISOpticalFlow_create(preset), onset, later), 1) for name, preset in DIS_PRESETS.items()
    }
    clip = np.repeat(later[None], CLIP, 0)
    for level in levels():
        run = partial(kernels.flow_maps, side=SIDE, simd=level, threads=1)
        calls[f"ours, {level}"] = partial(run, onset[None], later[None]), 1
        calls[f"ours, {level}, {CLIP} frames of one onset"] = partial(run, onset[None], clip), CLIP
    return calls


def speed(table: str, calls: dict[str, tuple[Callable[[], Any], int]], rounds: int) -> list[Row]:
    """Rows of ms per pair and how many times as long DIS takes."""
    times = medians_ms({name: call for name, (call, _) in calls.items()}, rounds)
    median = {name: ms / calls[name][1] for name, ms in times.items()}
    return [
        {"table": table, table: name, "ms": ms} | {f"x {peer}": median[peer] / ms for peer in ("DIS MEDIUM", "DIS ULTRAFAST")}
        for name, ms in median.items()
    ]


# ---- report


def targets(rows: list[Row]) -> list[Row]:
    """The goals, the figure reached and whether it holds; goals of absent instruction sets are left out."""
    tables: dict[str, dict[str, Row]] = {}
    for row in rows:
        values = {key: value for key, value in row.items() if isinstance(value, float)}
        tables.setdefault(row["table"], {})[row[row["table"]]] = values
    results: list[Row] = []

    for level in levels():
        for table, methods in tables.items():
            if not table.startswith("error"):
                continue
            our = methods[f"ours, {level}"]
            worst = max(our[case] / methods["DIS MEDIUM"][case] for case in our)
            results.append(goal(f"{level}: / DIS MEDIUM in the worst column, {table}", worst, 0.65, at_most=True))
            if TVL1 in methods and "moving" in table:
                edge = our["lip edge"] / methods[TVL1]["lip edge"]
                worst = max(our[case] / methods[TVL1][case] for case in BEFORE_TVL1)
                results.append(goal(f"{level}: / TV-L1 in the worst column of 0.3 to 3 px, {table}", worst, 1, at_most=True))
                results.append(goal(f"{level}: / TV-L1 at the lip edge, {table}", edge, 1.2, at_most=True))
    for level, features, medium, ultrafast in (("avx512", False, 25, 0), ("avx2", False, 8, 0), ("avx512", True, 25, 3)):
        for table, calls in tables.items():
            if f"ours, {level}" in calls and table.startswith("features" if features else "speed"):
                results.append(goal(f"{level}: x DIS MEDIUM, {table}", calls[f"ours, {level}"]["x DIS MEDIUM"], medium))
                if ultrafast:
                    results.append(goal(f"{level}: x DIS ULTRAFAST, {table}", calls[f"ours, {level}"]["x DIS ULTRAFAST"], ultrafast))
    return results


def measure(rounds: int) -> list[Row]:
    """Measure in this process; its BLAS must have been started with one thread."""
    cv2 = peer_package()
    (height, width), (large_height, large_width) = SIZES
    rows = accuracy(cv2, height, width, list(CASES), 8, True)
    rows += accuracy(cv2, large_height, large_width, [case for case in CASES if case.name in LARGE_CASES], 3, False)
    for rows_px, columns_px in SIZES:
        pair = next(pairs(SPEED_CASE, rows_px, columns_px, 1))
        rows += speed(f"speed, {rows_px} x {columns_px}", flow_calls(cv2, pair), rounds)
        rows += speed(f"features {SIDE} x {SIDE} of {rows_px} x {columns_px}", feature_calls(cv2, pair), rounds)
    return rows + targets(rows)


def main(json: bool = False, rounds: int = 15) -> int:
    """Print the report, as tables or as JSON; returns 0, or 5 when a goal is missed."""
    peer_package()
    return show(measured("mie_engine.bench.flow", rounds), "flow, end-point error in px and CPU time of one thread per pair", json)


if __name__ == "__main__":
    print_rows(measure(int(sys.argv[1])))
