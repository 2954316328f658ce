"""Which backends an op has, which of them run here and why not: an explicit choice runs or raises, `auto` takes the first that runs."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

from ..errors import BackendError, UsageError
from . import require

ORDER = ("cuda", "triton", "cpu", "ref")  # what `auto` prefers
AVAILABLE = "available"
SIMD = ("auto", "scalar", "avx2", "avx512")  # levels of the cpu backends

Run = Callable[[Any], Any]

OPS: dict[str, Op] = {}


class Op:
    """One op of kernels/: its contract turns arguments into a checked call, its backends run that call.

    A backend is a function of the call, added with `op.backend(name)`. `missing` tells, when asked, why it cannot run on this machine
    ("no CUDA device", "not built"), or None when it can.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._run: dict[str, Run] = {}
        self._missing: dict[str, Callable[[], str | None]] = {}
        OPS[name] = self

    def backend(self, name: str, missing: Callable[[], str | None] = lambda: None) -> Callable[[Run], Run]:
        """Register the decorated function as a backend."""
        if name not in ORDER:
            raise UsageError(f"{self.name}: backend {name!r} is unknown, allowed are {', '.join(ORDER)}")

        def register(run: Run) -> Run:
            self._run[name] = run
            self._missing[name] = missing
            return run

        return register

    def explain(self) -> dict[str, str]:
        """Every backend in the order of preference, with "available" or the reason why it cannot run here."""
        return {name: self._reason(name) or AVAILABLE for name in ORDER}

    def choose(self, backend: str) -> str:
        """The backend that runs: the one asked for, or for "auto" the first available.

        Raises:
            UsageError: no backend has this name.
            BackendError: the one asked for cannot run here; the message says why.
        """
        if backend == "auto":
            return next(name for name in ORDER if self._reason(name) is None)  # ref always runs
        require.one_of(f"{self.name}: backend", backend, ("auto", *ORDER))
        reason = self._reason(backend)
        if reason is not None:
            others = ", ".join(name for name in ORDER if self._reason(name) is None)
            raise BackendError(f"{self.name}: backend {backend!r} cannot run here: {reason}; available are {others}")
        return backend

    def _reason(self, name: str) -> str | None:
        """Why a backend cannot run here, or None."""
        return self._missing[name]() if name in self._run else f"{self.name} has no {name} backend"

    def run(self, call: Any, backend: str) -> Any:
        """Run a checked call on the chosen backend."""
        return self._run[self.choose(backend)](call)


@functools.cache
def core() -> Any:
    """The C++ runtime, loaded when a kernel first needs it."""
    return importlib.import_module("mie_engine._core")


def core_missing() -> str | None:
    """Why the C++ runtime cannot be loaded, or None."""
    try:
        core()
    except ImportError as error:
        return f"the C++ runtime cannot be loaded ({error}); reinstall mie-engine"
    return None


def cpu_if_simd(name: str, backend: str, simd: str) -> str:
    """The backend that a choice of backend and instruction set means: a set belongs to cpu.

    Raises:
        UsageError: an unknown instruction set, or one asked of another backend.
    """
    require.one_of(f"{name}: simd", simd, SIMD)
    if simd == "auto":
        return backend
    if backend not in ("auto", "cpu"):
        raise UsageError(f"{name}: simd {simd!r} belongs to backend 'cpu', but backend is {backend!r}; leave one of them out")
    return "cpu"


@functools.cache
def simd_level(name: str, simd: str) -> str:
    """The instruction set that `simd` means here ("auto": the widest). Raises BackendError where the processor lacks it."""
    levels: list[str] = core().simd_levels()
    level = levels[-1] if simd == "auto" else simd
    if level not in levels:
        raise BackendError(f"{name}: simd {level!r} cannot run on this processor, which has {', '.join(levels)}")
    return level


def op(name: str) -> Op:
    """The op of a name. Raises UsageError."""
    return OPS[require.one_of("op", name, tuple(OPS))]


def backends(name: str) -> list[str]:
    """The backends of an op that run here, preferred first (`auto` takes the first). Raises UsageError for an unknown op."""
    return [backend for backend, reason in op(name).explain().items() if reason == AVAILABLE]


def choose(name: str, backend: str) -> str:
    """The backend of an op that `backend` means here ("auto": the first that runs). Raises UsageError, BackendError."""
    return op(name).choose(backend)


def explain(name: str) -> dict[str, str]:
    """Every backend of an op, preferred first, with "available" or why it cannot run here. Raises UsageError for an unknown op."""
    return op(name).explain()


def table() -> str:
    """The op x backend table of README.md: which implementations exist, whatever this machine can run."""
    lines = [f"| op | {' | '.join(ORDER)} |", f"|{'---|' * (len(ORDER) + 1)}"]
    for name, entry in sorted(OPS.items()):
        lines.append(f"| {name} | {' | '.join('yes' if backend in entry._run else '' for backend in ORDER)} |")
    return "\n".join(lines)
