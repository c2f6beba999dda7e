"""What a logger is started with, and what it does: the part that each of them needs to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

__all__ = ["Number", "Sink", "Start", "Status"]

Number = int | float
Status = Literal["done", "interrupted", "failed"]


class Start(NamedTuple):
    """What a logger is opened with."""

    project: str
    run_name: str
    params: Mapping[str, str]  # flat, without secrets
    folder: Path
    notes: str
    step: int  # the last one that is done: 0, unless a training goes on


class Sink(Protocol):
    """One logger. Whatever its methods raise costs this logger, and nothing else."""

    def log(self, step: int, values: Mapping[str, Number]) -> None:
        """Numbers of a step; a step may come twice, with other names."""

    def finish(self, status: Status, metrics: Mapping[str, Number], artifacts: Sequence[Path]) -> None:
        """The end: last numbers, small files to keep."""
