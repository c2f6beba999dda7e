"""What a run tells while it works, on stderr: live bars in a terminal, a line now and then elsewhere, nothing with --progress none."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections import Counter
from typing import Any, TextIO

from harness.cells import Cell, Outcome
from harness.errors import UsageError

__all__ = ["Progress", "describe", "likeness", "make_progress", "progress_kind"]


def describe(cell: Cell, outcome: Outcome) -> str:
    """One line on how a cell ended; what a model said in it can neither break the line nor steer the terminal."""
    reason = "".join(c if c.isprintable() else " " for c in outcome.reason[:1000])
    return f"{outcome.status}: {cell.model} on {cell.task.suite}:{cell.task.name}: {reason}"


def likeness(cell: Cell, outcome: Outcome) -> tuple[str, str, str]:
    """What cells share that ended alike: status, model with its mode, and the reason, whichever task it names."""
    model = cell.model if cell.mode == "zero-shot" else f"{cell.model} ({cell.mode})"
    return outcome.status, model, re.sub(rf"(?<![\w/]){re.escape(cell.task.name)}(?![\w/])", "*", outcome.reason)


class Progress:
    """Silence, and the interface of the others. Called from several threads.

    `told` has the ids of cells whose failure was shown with its reason: who sums up need not say it again. Of cells that ended alike only
    the first is shown.
    """

    def __init__(self) -> None:
        self.told: set[str] = set()
        self._seen: set[tuple[str, str, str]] = set()

    def _is_new(self, cell: Cell, outcome: Outcome) -> bool:
        """Whether no cell that ended like this one was shown; it is to be shown then."""
        alike = likeness(cell, outcome)
        new = alike not in self._seen
        self._seen.add(alike)
        if new:
            self.told.add(cell.id)
        return new

    def begin(self, cells: int, windows: int) -> None:
        """A run starts with so many cells and windows to do."""

    def cell_started(self, worker: int, cell: Cell, windows: int) -> None:
        """A worker takes a cell."""

    def advance(self, worker: int, windows: int) -> None:
        """A worker has forecast and scored so many windows more."""

    def cell_finished(self, worker: int, cell: Cell, outcome: Outcome) -> None:
        """A cell ended."""

    def message(self, text: str) -> None:
        """Something the user should read now."""

    def close(self) -> None:
        """The run ended."""


class PlainProgress(Progress):
    """A line every few seconds, and one for each kind of failure: for logs."""

    def __init__(self, stream: TextIO, every: float = 5.0) -> None:
        super().__init__()
        self.stream, self.every = stream, every
        self._lock = threading.Lock()
        self._total = self._done = self._windows = 0
        self._bad: Counter[str] = Counter()
        self._start = self._last = time.monotonic()

    def begin(self, cells: int, windows: int) -> None:
        del windows
        self._total, self._start, self._last = cells, time.monotonic(), time.monotonic()

    def advance(self, worker: int, windows: int) -> None:
        del worker
        with self._lock:
            self._windows += windows
            self._tell()

    def cell_finished(self, worker: int, cell: Cell, outcome: Outcome) -> None:
        del worker
        with self._lock:
            self._done += 1
            if outcome.status != "ok":
                self._bad[outcome.status] += 1
                if self._is_new(cell, outcome):
                    self._print(describe(cell, outcome))
            self._tell()

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._last >= self.every:
            self._last = now
            rate = self._windows / max(now - self._start, 1e-9)
            bad = "".join(f", {n} {status}" for status, n in self._bad.items())
            self._print(f"{self._done}/{self._total} cells{bad}, {self._windows:,} windows, {rate:,.0f} windows/s")

    def message(self, text: str) -> None:
        self._print(text)

    def _print(self, text: str) -> None:
        print(text, file=self.stream, flush=True)


class RichProgress(Progress):
    """A bar for the run and one for each worker."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        super().__init__()
        self._console = Console(file=stream)
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._lock = threading.Lock()
        self._rows: dict[int, Any] = {}
        self._windows = self._failed = 0
        self._start = time.monotonic()
        self._all: Any = None

    def begin(self, cells: int, windows: int) -> None:
        del windows
        self._start = time.monotonic()
        self._all = self._bars.add_task("all cells", total=cells, rate="")
        self._bars.start()

    def cell_started(self, worker: int, cell: Cell, windows: int) -> None:
        with self._lock:
            if worker not in self._rows:
                self._rows[worker] = self._bars.add_task("", total=windows, rate="")
            text = f"{cell.model}  {cell.task.name}"
            self._bars.reset(self._rows[worker], total=windows, description=text[:60], rate="windows")

    def advance(self, worker: int, windows: int) -> None:
        with self._lock:
            self._windows += windows
            rate = self._windows / max(time.monotonic() - self._start, 1e-9)
            self._bars.update(self._rows[worker], advance=windows)
            self._bars.update(self._all, rate=f"cells  {rate:,.0f} windows/s" + (f"  {self._failed} failed" if self._failed else ""))

    def cell_finished(self, worker: int, cell: Cell, outcome: Outcome) -> None:
        del worker
        with self._lock:
            self._bars.update(self._all, advance=1)
            if outcome.status == "failed":
                self._failed += 1
                if self._is_new(cell, outcome):
                    self._console.print(describe(cell, outcome), markup=False, style="red")

    def message(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self._bars.stop()


def progress_kind(kind: str, stream: TextIO) -> str:
    """rich, plain or none; "auto" is rich in a terminal and plain elsewhere.

    Raises:
        UsageError: another word.
    """
    if kind not in ("auto", "rich", "plain", "none"):
        raise UsageError(f"got --progress {kind}; wanted auto, rich, plain or none")
    return kind if kind != "auto" else "rich" if stream.isatty() else "plain"


def make_progress(kind: str, stream: TextIO | None = None) -> Progress:
    """What tells of a run, of a kind that `progress_kind` knows."""
    stream = stream or sys.stderr
    match progress_kind(kind, stream):
        case "rich":
            return RichProgress(stream)
        case "plain":
            return PlainProgress(stream)
    return Progress()
