"""The checks of `harness.testing.check_dialect`: what `harness score` relies on. Each raises AssertionError with what is wrong.

Axes: N windows, n windows of a block, Q quantile levels, H horizon, M models, R tasks.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.conformance.kit import fail
from harness.dialects.contract import Board, Dialect, Forecasts
from harness.dialects.scoring import aggregate
from harness.errors import PluginError, Unsupported
from harness.forecast import F32, F64, I64
from harness.specimens import make_data

__all__ = ["DIALECT_CHECKS", "DialectBench"]

SAME = 1e-9
"""Relative difference up to which two scores are one: sums are added in another order."""


@dataclass(frozen=True)
class DialectBench:
    """A dialect and the made forecasts that it is to score: quantiles around a naive forecast, of hourly series of different lengths."""

    dialect: Dialect
    levels: tuple[float, ...]  # such as it can score

    def forecasts(
        self,
        *,
        items: int = 5,
        windows: int = 3,
        variates: int = 1,
        horizon: int = 6,
        freq: str = "H",
        season_length: int = 4,
        levels: Sequence[float] = (),
        change: Callable[[F32], None] | None = None,
    ) -> Forecasts:
        """N = items · variates · windows windows; `change` may spoil a series [T] in place, whose last windows · horizon are labels."""
        data = make_data(max(items, 1), horizon, windows=windows, variates=variates, season_length=season_length)
        series = [np.array(data.series.target[c], np.float32) for c in range(max(items, 1) * variates)]
        if change is not None:
            for values in series:
                change(values)
        count = items * variates * windows
        taken = np.asarray(levels or self.levels, np.float64)
        owner, cut = data.channel[:count], data.cut[:count]
        rng = np.random.default_rng(0)
        seen = [values[np.isfinite(values)] for values in series]
        last = np.array([seen[c][0] if len(seen[c]) else 1.0 for c in owner], np.float64)
        middle = last[:, None] + rng.normal(0, 1, (count, horizon))  # [N, H]
        quantiles = middle[:, None] + (taken - 0.5)[:, None] * 4  # [N, Q, H]
        mean = middle + 0.1
        return Forecasts.from_arrays(
            series, owner, cut, quantiles.reshape(count, len(taken), horizon), taken, mean,
            season_length=season_length, freq=freq, variates=variates,
        )  # fmt: skip

    def score(self, forecasts: Forecasts, what: str) -> dict[str, float]:
        """The scores; what is raised, warned of or not declared fails the check.

        Raises:
            Unsupported: the dialect says that it cannot score such.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                return self.dialect.score(forecasts)
        except PluginError as error:
            if isinstance(error.__cause__, Unsupported):
                raise error.__cause__ from None
            raise AssertionError(f"{what}: {error}") from error


def check_declared(bench: DialectBench) -> None:
    """All metrics that the info declares are given, as numbers, and no others; of ordinary forecasts not all are undefined."""
    found = bench.score(bench.forecasts(), "ordinary forecasts")
    if not np.isfinite(list(found.values())).any():
        fail(f"all scores of ordinary forecasts are NaN or infinite: {found}")


def check_blocks(bench: DialectBench) -> None:
    """The windows come in blocks of any size and in any order: the scores are the same."""
    whole = bench.forecasts(variates=2)
    wanted = bench.score(whole, "one block")
    order = np.random.default_rng(1).permutation(len(whole))
    for size, rows in ((1, np.arange(len(whole))), (7, np.arange(len(whole))), (4, order)):
        found = bench.score(_cut(whole, rows, size), f"blocks of {size} windows")
        _same(found, wanted, f"in {'shuffled ' if rows is order else ''}blocks of {size} windows instead of one block of {len(whole)}")


def check_repeated(bench: DialectBench) -> None:
    """A cell's score is its own: nothing is kept from one cell to the next."""
    one, other = bench.forecasts(), bench.forecasts(items=2, season_length=3)
    wanted = bench.score(one, "ordinary forecasts")
    bench.score(other, "forecasts of another cell")
    _same(bench.score(one, "the same forecasts again"), wanted, "when another cell was scored in between")


def check_inputs(bench: DialectBench) -> None:
    """What a dialect is given stays as it is: all dialects see the same arrays."""
    made = bench.forecasts(variates=2)
    before = _copies(made)
    bench.score(made, "ordinary forecasts")
    for name, values in _copies(made).items():
        if not np.array_equal(values, before[name], equal_nan=True):
            fail(f"{name} is not what it was before scoring; copy what you change")


def check_missing(bench: DialectBench) -> None:
    """Labels and histories may be missing (NaN), some or all, or infinite; such forecasts have scores, NaN where undefined."""

    def some(values: F32) -> None:
        values[::3] = np.nan

    def every(values: F32) -> None:
        values[:] = np.nan

    def infinite(values: F32) -> None:
        values[-2] = np.inf

    def constant(values: F32) -> None:
        values[:] = 3

    def zeros(values: F32) -> None:
        values[:] = 0

    for change in (some, every, infinite, constant, zeros):
        bench.score(bench.forecasts(change=change), f"series and labels: {change.__name__}")


def check_few(bench: DialectBench) -> None:
    """No window, one window, one step."""
    bench.score(bench.forecasts(items=0), "no window")
    bench.score(bench.forecasts(items=1, windows=1), "one window")
    bench.score(bench.forecasts(items=1, windows=1, horizon=1), "one window of one step")


def check_kinds(bench: DialectBench) -> None:
    """Other frequencies, levels and numbers of variates are scored, or refused with `Unsupported`."""
    for freq, season in (("D", 7), ("W", 1), ("M", 12), ("Q", 4), ("A", 1), ("15T", 96), ("10S", 1)):
        _or_unsupported(bench, bench.forecasts(freq=freq, season_length=season), f"frequency {freq}")
    for levels in ((0.5,), (0.1, 0.9), (0.025, 0.5, 0.975)):
        _or_unsupported(bench, bench.forecasts(levels=levels), f"the levels {levels}")
    _or_unsupported(bench, bench.forecasts(variates=3), "three variates")


def check_aggregate(bench: DialectBench) -> None:
    """Numbers over tasks are made of any board: scores missing, a model without any, no baseline, one model, no task."""
    rng = np.random.default_rng(2)
    scores = {metric: rng.uniform(0.5, 2, (4, 3)) for metric in bench.dialect.metrics}  # [M, R]
    for values in scores.values():
        values[1, 0], values[3] = np.nan, np.nan
    names, tasks = ["a", "b", "c", "d"], ["x", "y", "z"]
    boards = {
        "a board with a baseline": Board(names, tasks, scores, 0),
        "a board without one": Board(names, tasks, scores, None),
        "a board of one model": Board(names[:1], tasks, {k: v[:1] for k, v in scores.items()}, 0),
        "a board of no task": Board(names, [], {k: v[:, :0] for k, v in scores.items()}, 0),
    }
    before = {metric: values.copy() for metric, values in scores.items()}
    for what, board in boards.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                aggregate(bench.dialect, board)
        except PluginError as error:
            raise AssertionError(f"{what}: {error}") from error
    if not all(np.array_equal(values, before[metric], equal_nan=True) for metric, values in scores.items()):
        fail("aggregate() changed Board.scores; copy what you change")


DIALECT_CHECKS: Mapping[str, Callable[[DialectBench], None]] = {
    "declared": check_declared,
    "blocks": check_blocks,
    "repeated": check_repeated,
    "inputs": check_inputs,
    "missing": check_missing,
    "few": check_few,
    "kinds": check_kinds,
    "aggregate": check_aggregate,
}


def _or_unsupported(bench: DialectBench, forecasts: Forecasts, what: str) -> None:
    try:
        bench.score(forecasts, what)
    except Unsupported:
        return


def _cut(whole: Forecasts, order: I64, size: int) -> Forecasts:
    """The same forecasts, read in this order of windows and in blocks of this size."""
    ((_, quantiles, mean, _),) = whole.parts()

    def parts() -> Iterator[tuple[I64, F32, F32, F64 | None]]:
        for a in range(0, len(order), size):
            rows = order[a : a + size]
            yield rows, quantiles[rows], mean[rows], None

    return replace(whole, parts=parts)


def _copies(made: Forecasts) -> dict[str, Any]:
    ((_, quantiles, mean, _),) = made.parts()
    channels = {f"series {c}": np.array(made.series[c]) for c in range(len(made.series))}
    arrays = {"channel": made.channel, "cut": made.cut, "slot": made.slot, "levels": made.levels, "quantiles": quantiles, "mean": mean}
    return channels | {name: np.array(values) for name, values in arrays.items()}


def _same(found: Mapping[str, float], wanted: Mapping[str, float], how: str) -> None:
    for metric, value in wanted.items():
        both: F64 = np.array([found[metric], value])
        if not np.isclose(both[0], both[1], rtol=SAME, atol=0, equal_nan=True):
            fail(f"{metric} is {found[metric]:.12g} {how}, {value:.12g} otherwise")
