"""The contract of scoring dialects: what one is, and what it is given, all forecasts of one cell, as arrays, a block of windows at a time.

Axes: N windows, n windows of a block, Q quantile levels, H horizon, C channels, M models, R tasks. Values are float32, labels may be NaN
(missing) or infinite; what that means is each dialect's own affair.

Notable choices:

* A dialect adds up blocks and never sees all forecasts at once: a million windows of 48 steps at nine levels are 1.7 GB.
* Blocks cannot be written to: all dialects that are asked for see the same ones.
* In-sample scales come from the series themselves, which stay where their reader mapped them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.errors import ForecastError
from harness.forecast import F32, F64, I64, Ragged
from harness.quantiles import rule
from harness.series import Channels, TaskData
from harness.types import DialectInfo

__all__ = ["Aggregate", "Block", "Board", "Dialect", "Draw", "Finding", "Forecasts", "Parts", "Tally"]

ROWS = 512


@dataclass(frozen=True, eq=False)
class Block:
    """n windows: `rows` int64 [n], their positions in the cell's arrays, labels [n, H], quantiles [n, Q, H], mean [n, H], float32.

    `probability` float64 [n] is that of the task's event, None where it has none; of a model that says nothing else, quantiles and mean
    are NaN.
    """

    rows: I64
    labels: F32
    quantiles: F32
    mean: F32
    levels: F64
    probability: F64 | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def median(self) -> F64:
        """The quantile at 0.5, float64 [n, H]: the given one, else by the rule of `harness.quantiles`; NaN where one level is all."""
        try:
            each = rule(self.levels.tolist(), 0.5)
        except ForecastError:
            return np.full(self.labels.shape, np.nan)
        middle: F64 = self.quantiles[:, each.base].astype(np.float64)
        if each.weight:
            middle += each.weight * (self.quantiles[:, each.high].astype(np.float64) - self.quantiles[:, each.low])
        return middle


Parts = Callable[[], Iterator[tuple[I64, F32, F32, F64 | None]]]
"""Begins to read: yields positions [n], quantiles [n, Q, H], means [n, H] and, of an event, probabilities [n], each of N windows once."""


@dataclass(frozen=True, eq=False)
class Forecasts:
    """All forecasts of a cell, and what belongs to them.

    Attributes:
        series: the C channels; a window's context is its channel before `cut`, its labels are the H values from there.
        channel: int [N], item-major: channel c is variate c % V of item c // V.
        cut: int64 [N], the length of the context.
        slot: int [N], which of its series' windows this is, 0 the earliest.
        levels: float64 [Q], rising.
        season_length: m, as the task declares it.
        freq: pandas' old alias: "H", "15T", "W".
        variates: V.
        parts: begins to read the forecasts.
        data: the task with its windows (those above, in this order), what its items are called and when they begin; None for forecasts
            made by hand.
    """

    series: Channels
    channel: NDArray[np.integer[Any]]
    cut: I64
    slot: NDArray[np.integer[Any]]
    levels: F64
    horizon: int
    season_length: int
    freq: str
    variates: int
    parts: Parts = field(repr=False)
    data: TaskData | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.cut)

    def blocks(self) -> Iterator[Block]:
        """Read the forecasts, each block with its labels."""
        for rows, quantiles, mean, probability in self.parts():
            labels = self.series.gather(self.channel[rows], self.cut[rows], self.horizon)
            yield self.block(rows, labels, quantiles, mean, probability)

    def block(self, rows: I64, labels: F32, quantiles: F32, mean: F32, probability: F64 | None = None) -> Block:
        """These forecasts beside their labels, not to be written to."""
        chance = None if probability is None else _locked(probability)
        return Block(rows, _locked(labels), _locked(quantiles), _locked(mean), self.levels, chance)

    @classmethod
    def of(cls, data: TaskData, levels: F64, parts: Parts) -> Forecasts:
        """The forecasts of all windows of a task's data."""
        task, series = data.task, data.series
        shape = (task.horizon, task.season_length, task.freq, series.variates)
        return cls(series.target, data.channel, data.cut, data.slot, levels, *shape, parts, data)

    @classmethod
    def from_arrays(
        cls,
        series: Sequence[ArrayLike],
        channel: ArrayLike,
        cut: ArrayLike,
        quantiles: ArrayLike,
        levels: ArrayLike,
        mean: ArrayLike | None = None,
        *,
        season_length: int = 1,
        freq: str = "D",
        variates: int = 1,
        block: int = ROWS,
    ) -> Forecasts:
        """Forecasts made by hand: whole series, for each window its series and cut, quantiles [N, Q, H]; mean None = the median."""
        values, given = np.asarray(quantiles, np.float32), np.asarray(levels, np.float64)
        owner, end = np.asarray(channel, np.int64), np.asarray(cut, np.int64)
        slot = np.array([int(((owner == c) & (end < e)).sum()) for c, e in zip(owner, end, strict=True)], np.int64)
        if mean is None:
            middle = Block(owner, values[:, 0], values, values[:, 0], given).median().astype(np.float32)
        else:
            middle = np.asarray(mean, np.float32)

        def parts() -> Iterator[tuple[I64, F32, F32, F64 | None]]:
            for a in range(0, len(owner), block):
                yield np.arange(a, min(a + block, len(owner))), values[a : a + block], middle[a : a + block], None

        channels = Channels.from_ragged(Ragged.from_rows(list(series)))
        return cls(channels, owner, end, slot, given, values.shape[2], season_length, freq, variates, parts)


class Tally(Protocol):
    """Adds up the blocks of one cell. Divisions by zero in it warn of nothing."""

    def add(self, block: Block) -> None:
        """Take a block in."""

    def metrics(self) -> dict[str, float]:
        """The scores of all that was added, all that `DialectInfo.metrics` names and no others; NaN where undefined."""


@dataclass(frozen=True, eq=False)
class Board:
    """Scores of M models on R tasks in one dialect: {metric: float64 [M, R]}, NaN where a model has none.

    `baseline` is the position of the model that ratios are relative to, None = the store has no forecasts of it.
    """

    models: Sequence[str]
    tasks: Sequence[str]
    scores: Mapping[str, F64]
    baseline: int | None


@dataclass(frozen=True)
class Finding:
    """What is to be said of the models of a board, in a sentence.

    Attributes:
        text: the sentence, with all its numbers.
        task: the one of `Board.tasks` that it is about; "" = all.
        short: the sentence without numbers, "" = as it is. A leaderboard tells tasks together of which the same is said.
    """

    text: str
    task: str = ""
    short: str = ""

    def __str__(self) -> str:
        return f"{self.task}: {self.text}" if self.task else self.text


Aggregate = Callable[[Board], tuple[list[dict[str, Any]], Sequence[Finding | str]]]
"""Rows with "model", and what is to be said of them; a text is a finding on all tasks."""

Draw = Callable[[str, Mapping[str, Forecasts], str], dict[str, Any]]
"""Draws the picture of a kind that `DialectInfo.plots` names, of models' forecasts of one task, {model: forecasts}, the best model first.

The third argument says which of several pictures of that kind is meant, "" = the usual one. Returned is a Vega-Lite specification with
"title" {"text", "subtitle"}, "description", and colours of no theme, which are added. Raises UsageError for what it cannot draw.
"""


@dataclass(frozen=True)
class Dialect:
    """A named, versioned way from stored forecasts to scores.

    Attributes:
        info: its name, version and metrics, as the plugin registers them.
        tally: starts the sums of one cell.
        aggregate: the benchmark's own numbers over tasks; None where it has none.
        relative: whether those are relative to the baseline.
        draw: draws the pictures that `info.plots` names; None where it names none.
    """

    info: DialectInfo
    tally: Callable[[Forecasts], Tally] = field(repr=False)
    aggregate: Aggregate | None = field(default=None, repr=False)
    relative: bool = True
    draw: Draw | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def version(self) -> str:
        return self.info.version

    @property
    def metrics(self) -> tuple[str, ...]:
        """In the order to be shown, the leading ones first."""
        return self.info.metrics

    def score(self, forecasts: Forecasts) -> dict[str, float]:
        """{metric: score of the cell, NaN where undefined}; raises as `harness.dialects.score` does."""
        from harness.dialects.scoring import score

        return score([self], forecasts)[self.name]


def _locked(values: NDArray[Any]) -> NDArray[Any]:
    """The same values, not to be written to: all dialects see them."""
    view = values.view()
    view.flags.writeable = False
    return view
