"""The registry: an explicit backend runs or raises with its reason; auto takes the first that runs; contracts refuse with advice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mie_engine import kernels
from mie_engine.errors import BackendError, RangeError, ShapeError, UsageError
from mie_engine.kernels import registry, require


@pytest.fixture
def double() -> Iterator[registry.Op]:
    op = registry.Op("double")
    op.backend("ref")(lambda call: ("ref", 2 * call))
    op.backend("cuda", missing=lambda: "no CUDA device")(lambda call: ("cuda", 2 * call))
    yield op
    del registry.OPS["double"]


def test_explain_names_every_backend_in_order_of_preference(double):
    assert kernels.explain("double") == {
        "cuda": "no CUDA device",
        "triton": "double has no triton backend",
        "cpu": "double has no cpu backend",
        "ref": "available",
    }
    assert kernels.backends("double") == ["ref"]


def test_auto_takes_the_first_that_runs(double):
    assert double.run(21, "auto") == ("ref", 42)
    double.backend("cpu")(lambda call: ("cpu", 2 * call))
    assert double.choose("auto") == "cpu"
    assert double.run(21, "auto") == ("cpu", 42)


def test_explicit_backend_runs_or_raises_with_the_reason(double):
    assert double.run(1, "ref") == ("ref", 2)
    with pytest.raises(BackendError, match="'cuda' cannot run here: no CUDA device; available are ref"):
        double.run(1, "cuda")
    with pytest.raises(BackendError, match="double has no triton backend"):
        double.run(1, "triton")
    with pytest.raises(UsageError, match="backend is 'gpu', allowed are auto, cuda, triton, cpu, ref"):
        double.run(1, "gpu")


def test_unknown_names_are_refused(double):
    with pytest.raises(UsageError, match=r"op is 'sharpen', allowed are .*render"):
        kernels.backends("sharpen")
    with pytest.raises(UsageError, match="backend 'opencl' is unknown"):
        double.backend("opencl")


def test_render_runs_on_cpu_and_ref():
    assert kernels.backends("render")[-2:] == ["cpu", "ref"]


def test_readme_holds_the_table_of_ops():
    readme = Path(kernels.__file__).resolve().parent / "README.md"
    if not readme.exists():
        pytest.skip("installed without README.md: its op x backend table is NOT tested")
    assert registry.table() in readme.read_text(), f"kernels/README.md: replace the table by\n{registry.table()}"


def test_require_accepts():
    assert require.shape("a", np.zeros((2, 5, 3), np.uint8), "[H, W, 3]", dtype="uint8") == (2, 5, 3)
    assert require.between("s", np.float32(1.5), 0, 84) == 1.5
    assert require.integer("n", np.int64(7), 0, 9) == 7
    assert require.one_of("f", "rgb", ("rgb", "planar")) == "rgb"


@pytest.mark.parametrize(
    ("check", "error", "message"),
    [
        (lambda: require.shape("a", [1], "[N]", dtype="uint8", hint="pass frames"), ShapeError, "a is a list, expected .*; pass frames"),
        (lambda: require.shape("a", np.zeros(3), "[N]", dtype="uint8"), ShapeError, "a is float64, expected uint8"),
        (lambda: require.shape("a", np.zeros((2, 4), np.uint8), "[N, 3]", dtype="uint8"), ShapeError, r"\[2, 4\], expected \[N, 3\]"),
        (lambda: require.shape("a", np.zeros((0, 3), np.uint8), "[N, 3]", dtype="uint8"), ShapeError, r"\[0, 3\]"),
        (lambda: require.between("s", float("nan"), 0, 84), RangeError, r"s is nan, allowed is 0\.\.84"),
        (lambda: require.between("s", "1", 0, 84), RangeError, "expected a number"),
        (lambda: require.integer("n", 1.0, 0, 9), RangeError, "expected a whole number"),
        (lambda: require.integer("n", True, 0, 9), RangeError, "n is True"),
        (lambda: require.integer("n", 10, 0, 9, "use less"), RangeError, r"n is 10, allowed is 0\.\.9; use less"),
        (lambda: require.one_of("f", ["rgb"], ("rgb",)), UsageError, "allowed are rgb"),
    ],
)
def test_require_refuses(check, error, message):
    with pytest.raises(error, match=message):
        check()
