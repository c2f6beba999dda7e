"""What a training tells while it works, on stderr: a live bar in a terminal, the rows of the curve everywhere, nothing with none."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from harness.progress import progress_kind

__all__ = ["PlainProgress", "Progress", "RichProgress", "make_progress", "spoken"]


class Progress:
    """Silence, and the interface of the others."""

    def begin(self, step: int, steps: int, batch: int) -> None:
        """A training goes on at a step, of so many, with so many windows a step."""

    def advance(self, step: int, loss: float) -> None:
        """A step is done."""

    def row(self, row: dict[str, float]) -> None:
        """A row was added to the curve."""

    def message(self, text: str) -> None:
        """Something the user should read now."""

    def close(self) -> None:
        """The training ended."""


def spoken(row: dict[str, float]) -> str:
    """A row on one line."""
    return "  ".join(
        f"{name} {int(value):,}" if name in ("step", "windows_per_s", "skipped") else f"{name} {value:.5g}" for name, value in row.items()
    )


def lasting(seconds: float) -> str:
    """A time as hours, minutes and seconds.

    >>> lasting(3725), lasting(59.7)
    ('1:02:05', '1:00')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class PlainProgress(Progress):
    """Each row as a line, with the time that is left: for logs."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._steps = self._first = self._now = 0
        self._start = time.monotonic()

    def begin(self, step: int, steps: int, batch: int) -> None:
        del batch
        self._steps, self._first, self._now, self._start = steps, step, step, time.monotonic()

    def advance(self, step: int, loss: float) -> None:
        del loss
        self._now = step

    def row(self, row: dict[str, float]) -> None:
        done = self._now - self._first
        left = (time.monotonic() - self._start) / done * (self._steps - self._now) if done else 0.0
        self.message(f"{spoken(row)}  left {lasting(left)}" if left else spoken(row))

    def message(self, text: str) -> None:
        print(text, file=self.stream, flush=True)


class RichProgress(Progress):
    """A bar over the steps, with loss, speed, time and time left; rows above it."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._console = Console(file=stream)
        self._bars = Bars(
            TextColumn("steps"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task: Any = None
        self._batch = self._first = 0
        self._start = time.monotonic()

    def begin(self, step: int, steps: int, batch: int) -> None:
        self._batch, self._first, self._start = batch, step, time.monotonic()
        self._task = self._bars.add_task("", total=steps, completed=step, said="")
        self._bars.start()

    def advance(self, step: int, loss: float) -> None:
        rate = (step - self._first) * self._batch / max(time.monotonic() - self._start, 1e-9)
        self._bars.update(self._task, completed=step, said=f"loss {loss:.4f}  {rate:,.0f} windows/s")

    def row(self, row: dict[str, float]) -> None:
        self.message(spoken(row))

    def message(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self._bars.stop()


def make_progress(kind: str, stream: TextIO | None = None) -> Progress:
    """What tells of a training, of a kind that `harness.progress.progress_kind` knows."""
    stream = stream or sys.stderr
    match progress_kind(kind, stream):
        case "rich":
            return RichProgress(stream)
        case "plain":
            return PlainProgress(stream)
    return Progress()
