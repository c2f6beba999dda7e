"""The checks of `harness.testing.check_dialect`: what `harness score` relies on. Each raises AssertionError with what is wrong.

They are made on two specimens, and on whichever a dialect accepts: tasks of values, whose forecasts are quantiles and means; and tasks of
events in two folds, whose forecasts have a probability too. Both have their task's data beside them, as in a run: item ids, starts, and
groups of two items each.

Axes: N windows, n windows of a block, Q quantile levels, H horizon, M models, R tasks.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from harness.conformance.kit import fail
from harness.dialects.contract import Board, Dialect, Forecasts, Parts
from harness.dialects.scoring import aggregate
from harness.errors import PluginError, Unsupported
from harness.forecast import F32, F64, I64
from harness.series import SeriesSet, TaskData, Training
from harness.specimens import UP, make_data

__all__ = ["DIALECT_CHECKS", "DialectBench"]

SAME = 1e-9
"""Relative difference up to which two scores are one: sums are added in another order."""


@dataclass(frozen=True)
class DialectBench:
    """A dialect and the made forecasts that it is to score: quantiles around a naive forecast, of hourly series of different lengths."""

    dialect: Dialect
    levels: tuple[float, ...]  # such as it can score
    event: bool = False  # whether the tasks ask for an event, whose probabilities then stand beside the quantiles

    def accepts(self) -> Unsupported | None:
        """None where the dialect scores ordinary forecasts of such tasks, or raises what a check will find; else its refusal."""
        try:
            self.dialect.score(self.forecasts())
        except PluginError as error:
            return error.__cause__ if isinstance(error.__cause__, Unsupported) else None
        return None

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
        chances: Callable[[F64], F64] | None = None,
        by_hand: bool = False,
        alone: bool = False,
    ) -> Forecasts:
        """N = items · variates · windows windows.

        Args:
            change: may spoil a series [T] in place, whose last windows · horizon values are labels.
            chances: other probabilities [N] instead of those given.
            by_hand: without the task and its data.
            alone: probabilities without values: quantiles and means are NaN.
        """
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
        if alone:
            quantiles, mean = np.full_like(quantiles, np.nan), np.full_like(mean, np.nan)
        made = Forecasts.from_arrays(
            series, owner, cut, quantiles.reshape(count, len(taken), horizon), taken, mean,
            season_length=season_length, freq=freq, variates=variates,
        )  # fmt: skip
        task = replace(data.task, freq=freq, quantile_levels=tuple(taken.tolist()), dialect=self.dialect.name)
        whole = replace(data.take(np.arange(count)), task=task, series=_grouped(data.series, made))
        if not self.event:
            return made if by_hand else replace(made, data=whole)
        chance = rng.uniform(0.05, 0.95, count)
        given = replace(made, parts=_beside(made, chance if chances is None else chances(chance)))
        return given if by_hand else replace(given, data=_asked(whole, windows))

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
    _or_unsupported(bench, bench.forecasts(by_hand=True), "forecasts made by hand, without a task (Forecasts.data is None)")


def check_probabilities(bench: DialectBench) -> None:
    """Of an event: certain and constant ones, and windows of one class, have scores, NaN where undefined; those without values beside them
    are scored, or refused with `Unsupported`.
    """
    if not bench.event:
        return

    def always(values: F32) -> None:
        values[:] = np.arange(len(values))

    def never(values: F32) -> None:
        values[:] = -np.arange(len(values))

    kinds: dict[str, Callable[[F64], F64]] = {"0 and 1": np.round, "all ½": lambda p: np.full_like(p, 0.5), "all 1": np.ones_like}
    for what, chances in kinds.items():
        bench.score(bench.forecasts(chances=chances), f"probabilities: {what}")
    for change in (always, never):
        bench.score(bench.forecasts(change=change), f"the event happens {change.__name__}")
    _or_unsupported(bench, bench.forecasts(alone=True), "probabilities alone: quantiles and means are NaN")


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
    "probabilities": check_probabilities,
    "aggregate": check_aggregate,
}


def _grouped(series: SeriesSet, made: Forecasts) -> SeriesSet:
    """The series as they were spoilt, in groups of two items."""
    groups = pa.array([f"group {item // 2}" for item in range(series.items)])
    return replace(series, target=made.series, freq=made.freq, groups=groups)


def _asked(data: TaskData, windows: int) -> TaskData:
    """The windows asked for an event, in two folds where there are as many windows: each learns from what lies a horizon before it."""
    fold = np.minimum(2 * data.slot // max(windows, 1), 1).astype(np.int32)
    every = np.arange(len(data.series.target), dtype=np.int32)
    horizon, parts = data.task.horizon, []
    for begin in (0, -(-windows // 2)) if windows > 1 else (0, 0):  # the first window of a fold
        end = data.series.target.length - horizon * (windows - begin) - horizon
        parts.append(Training(every, np.zeros(len(every), np.int64), np.maximum(end, 1)))
    event = replace(UP, step=min(UP.step, horizon))
    return replace(data, task=replace(data.task, kind="event", event=event), training=tuple(parts), fold=fold)


def _beside(made: Forecasts, chance: F64) -> Parts:
    """The forecasts with a probability each."""

    def parts() -> Iterator[tuple[I64, F32, F32, F64 | None]]:
        for rows, quantiles, mean, _ in made.parts():
            yield rows, quantiles, mean, chance[rows]

    return parts


def _or_unsupported(bench: DialectBench, forecasts: Forecasts, what: str) -> None:
    try:
        bench.score(forecasts, what)
    except Unsupported:
        return


def _cut(whole: Forecasts, order: I64, size: int) -> Forecasts:
    """The same forecasts, read in this order of windows and in blocks of this size."""
    ((_, quantiles, mean, chance),) = whole.parts()

    def parts() -> Iterator[tuple[I64, F32, F32, F64 | None]]:
        for a in range(0, len(order), size):
            rows = order[a : a + size]
            yield rows, quantiles[rows], mean[rows], None if chance is None else chance[rows]

    return replace(whole, parts=parts)


def _copies(made: Forecasts) -> dict[str, Any]:
    ((_, quantiles, mean, chance),) = made.parts()
    channels = {f"series {c}": np.array(made.series[c]) for c in range(len(made.series))}
    arrays = {"channel": made.channel, "cut": made.cut, "slot": made.slot, "levels": made.levels, "quantiles": quantiles, "mean": mean}
    arrays |= {} if chance is None else {"probability": chance}
    arrays |= {} if made.data is None or made.data.fold is None else {"fold": made.data.fold}
    return channels | {name: np.array(values) for name, values in arrays.items()}


def _same(found: Mapping[str, float], wanted: Mapping[str, float], how: str) -> None:
    for metric, value in wanted.items():
        both: F64 = np.array([found[metric], value])
        if not np.isclose(both[0], both[1], rtol=SAME, atol=0, equal_nan=True):
            fail(f"{metric} is {found[metric]:.12g} {how}, {value:.12g} otherwise")
