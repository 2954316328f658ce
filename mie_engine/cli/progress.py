"""Progress of long work: a bar with rate and time left on a terminal, a plain line now and then elsewhere, nothing with --json."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import ExitStack
from typing import Any

PLAIN_EVERY_S = 5.0


class Progress:
    """Counts items and bytes from any thread.

    Args:
        label: what is going on. total: items. unit: their name. quiet: show nothing.
    """

    def __init__(self, label: str, total: int, unit: str, quiet: bool = False) -> None:
        self.label, self.total, self.unit, self.quiet = label, total, unit, quiet
        self.done = self.bytes = self.fresh = 0
        self._lock = threading.Lock()
        self._start = self._last = time.monotonic()
        self._bar: Any = None
        self._task: Any = None
        if not quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
            )
            self._bar = Bar(*columns, console=Console(stderr=True))

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(self.label, total=self.total, rate="")
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif not self.quiet and self.done and error is None:
            self._print()

    def add(self, items: int, size: int) -> None:
        """Count items; size 0 = they were there already and do not count for the rate."""
        with self._lock:
            self.done, self.bytes = self.done + items, self.bytes + size
            self.fresh += items if size else 0
            now = time.monotonic()
            if self._bar is not None:
                if now - self._last > 0.1 or self.done == self.total:
                    self._last = now
                    self._bar.update(self._task, completed=self.done, rate=self.rate())
            elif not self.quiet and now - self._last > PLAIN_EVERY_S:
                self._last = now
                self._print()

    def rate(self) -> str:
        """Items and megabytes per second, of what was made in this run."""
        seconds = max(time.monotonic() - self._start, 1e-9)
        text = f"{self.fresh / seconds:,.0f} {self.unit}/s"
        return text + (f", {self.bytes / seconds / 1e6:,.0f} MB/s" if self.bytes > self.fresh else "")

    def _print(self) -> None:
        seconds = time.monotonic() - self._start
        left = (self.total - self.done) * seconds / self.fresh if self.fresh else 0
        print(f"{self.label}: {self.done:,} of {self.total:,}, {self.rate()}, about {left:.0f} s left", file=sys.stderr, flush=True)


class Stages(ExitStack):
    """One bar after the other for work that names its stages as it comes to them."""

    def __init__(self, quiet: bool = False) -> None:
        super().__init__()
        self._quiet, self._bars = quiet, dict[str, Progress]()

    def add(self, stage: str, total: int, done: int) -> None:
        """Count `done` items of a stage, named after its items."""
        if stage not in self._bars:
            self.close()  # the bar of what came before
            self._bars[stage] = self.enter_context(Progress(stage, total, stage, quiet=self._quiet))
        self._bars[stage].add(done, 1)
