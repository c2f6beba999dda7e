"""Scoring one cell in several dialects at once: its forecasts are read once, and each block is shown to each dialect in turn.

A dialect may be a stranger's: what it raises, or returns that it did not declare, costs its own scores and no other's.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from harness.dialects.contract import Board, Dialect, Finding, Forecasts, Tally
from harness.errors import HarnessError, PluginError, describe, suggest
from harness.forecast import F32, F64, I64
from harness.series import TaskData
from harness.types import DialectInfo

__all__ = ["TaskTally", "aggregate", "blame", "score", "score_each"]


def score(dialects: Sequence[Dialect], forecasts: Forecasts) -> dict[str, dict[str, float]]:
    """{dialect: {metric: score}} of one cell; its forecasts are read once.

    Raises:
        PluginError: a dialect raised something, or gave other metrics than it declares.
    """
    found, broken = score_each(dialects, forecasts)
    for error in broken.values():
        raise error
    return found


def score_each(dialects: Sequence[Dialect], forecasts: Forecasts) -> tuple[dict[str, dict[str, float]], dict[str, PluginError]]:
    """As `score`, and {dialect: what is wrong with it} of those that are broken."""
    found: dict[str, dict[str, float]] = {}
    broken: dict[str, PluginError] = {}
    tallies: dict[str, Tally] = {}
    working = list(dialects)

    @contextlib.contextmanager
    def costs_only(dialect: Dialect) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            broken[dialect.name] = blame(dialect.name, "scoring", error)
            working.remove(dialect)

    with np.errstate(all="ignore"):  # each dialect says what a division by zero is
        for dialect in dialects:
            with costs_only(dialect):
                tallies[dialect.name] = dialect.tally(forecasts)
        for block in forecasts.blocks() if working else ():
            for dialect in tuple(working):
                with costs_only(dialect):
                    tallies[dialect.name].add(block)
        for dialect in tuple(working):
            with costs_only(dialect):
                found[dialect.name] = _declared(dialect.info, tallies[dialect.name].metrics())
    return found, broken


class TaskTally:
    """What a run adds up of a cell in its task's own dialect, while its forecasts come in.

    Raises:
        PluginError: the dialect raised something.
    """

    def __init__(self, dialect: Dialect, data: TaskData) -> None:
        self._dialect = dialect
        self._of = Forecasts.of(data, np.asarray(data.task.quantile_levels, np.float64), lambda: iter(()))
        self._tally: Tally = self._try(lambda: dialect.tally(self._of))

    def add(self, rows: I64, labels: F32, quantiles: F32, mean: F32, probability: F64 | None) -> None:
        """Take in the windows at these positions."""
        self._try(lambda: self._tally.add(self._of.block(rows, labels, quantiles, mean, probability)))

    def scores(self) -> dict[str, float]:
        """{"dialect:metric": score, NaN where undefined}; raises as `Dialect.score` does."""
        found = self._try(lambda: _declared(self._dialect.info, self._tally.metrics()))
        return {f"{self._dialect.name}:{metric}": value for metric, value in found.items()}

    def _try(self, call: Callable[[], Any]) -> Any:
        try:
            with np.errstate(all="ignore"):
                return call()
        except Exception as error:
            raise blame(self._dialect.name, "scoring", error) from error


def _declared(info: DialectInfo, given: Any) -> dict[str, float]:
    """The scores that a dialect gave; raises PluginError where they are not what it declares."""
    if not isinstance(given, Mapping):
        raise PluginError(f"metrics() gave a {type(given).__name__}; wanted a dictionary of {', '.join(info.metrics)}")
    for metric in info.metrics:
        if metric not in given:
            hint = suggest(metric, [key for key in given if isinstance(key, str)])
            raise PluginError(
                f"metrics() gave no {metric!r}, which its DialectInfo declares; it gave: {', '.join(map(str, given)) or 'none'}.{hint}"
            )
    for key, value in given.items():
        if key not in info.metrics:
            raise PluginError(f"metrics() gave {key!r}, which its DialectInfo does not declare; add it to metrics=(...)")
        if np.ndim(value) or not isinstance(value, float | int | np.number | np.ndarray) or isinstance(value, complex):
            raise PluginError(f"metrics() gave {value!r} for {key!r}; wanted a number, NaN where undefined")
    return {metric: float(given[metric]) for metric in info.metrics}


def aggregate(dialect: Dialect, board: Board) -> tuple[list[dict[str, Any]], list[Finding]]:
    """A dialect's rows and findings of a board, ([], []) where it has no numbers over tasks; divisions by zero warn of nothing.

    Raises:
        PluginError: it raised something, or gave something else.
    """
    if dialect.aggregate is None:
        return [], []
    try:
        with np.errstate(all="ignore"):
            return _rows(dialect.aggregate(board), board)
    except Exception as error:
        raise blame(dialect.name, "aggregating", error) from error


def _rows(given: Any, board: Board) -> tuple[list[dict[str, Any]], list[Finding]]:
    """Rows and findings as a dialect gave them; raises PluginError where they are something else."""
    if not isinstance(given, tuple) or len(given) != 2:
        raise PluginError(f"aggregate() gave a {type(given).__name__}; wanted rows and findings: return rows, []")
    rows, findings = list(given[0]), [Finding(each) if isinstance(each, str) else each for each in given[1]]
    for row in rows:
        if not isinstance(row, dict) or row.get("model") not in board.models:
            raise PluginError(f"aggregate() gave the row {row!r}; wanted a dictionary with 'model', one of Board.models")
    for finding in findings:
        if not isinstance(finding, Finding) or finding.task not in ("", *board.tasks):
            raise PluginError(
                f"aggregate() gave the finding {finding!r}; wanted a harness.dialects.Finding, its task one of Board.tasks or ''"
            )
    return rows, findings


def blame(name: str, doing: str, error: Exception) -> PluginError:
    """What to say of a dialect that raised this while `doing` something, and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    said = f", while {doing}: {error}" if isinstance(error, HarnessError) else f" raised, while {doing}, {describe(error)}{place}"
    made = PluginError(f"dialect '{name}'{said}")
    made.__cause__ = error
    return made
