"""Running one cell: windows out to a worker in batches, forecasts back, scored in blocks, written to a sink.

Scores do not depend on batches: forecasts are collected into blocks of a fixed number of windows, and sums run over the blocks in order.
Axes: N windows, Q quantile levels, H horizon.
"""

from __future__ import annotations

import collections
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from harness import scoring
from harness.batches import cut_batch, edges, ranges, thresholds, training_batch
from harness.cells import Cell, Outcome
from harness.dialects import Dialect
from harness.dialects.scoring import TaskTally
from harness.errors import HarnessError, PluginError
from harness.events import happened
from harness.forecast import F32, F64, Forecast
from harness.quantiles import INTERVAL, to_quantiles
from harness.rows import window_batch
from harness.seasonal import seasonal_error
from harness.selection import learns
from harness.series import TaskData
from harness.stored import Stored
from harness.types import Metric, ModelInfo
from harness.workers import Worker, WorkerFailed

Queue = collections.deque[tuple[int, int]]

__all__ = ["Facts", "Later", "Sink", "forecast_cell"]


class Sink(Protocol):
    """Where a cell's window rows (and its forecasts, if they are kept) go while it runs."""

    def write(self, rows: pa.RecordBatch) -> None: ...
    def forecasts(self, index: np.ndarray[Any, Any], quantiles: F32, mean: F32, probability: F64 | None = None) -> None: ...


@dataclass
class Facts:
    """What is learnt of a cell while it runs."""

    fit_s: float = 0.0
    predict_s: float = 0.0
    score_s: float = 0.0
    peak_rss_mb: float = 0.0
    batch_size: int = 0
    crossings: int = 0
    fallback: float = 0.0  # sum over the scored windows of the shares that are not the model's own
    output: str = ""
    notes: dict[str, str] = field(default_factory=dict)

    def add(self, answer: Mapping[str, Any], rows: int) -> None:
        """Take in the facts of one batch."""
        self.predict_s += answer["predict_s"]
        self.peak_rss_mb = max(self.peak_rss_mb, answer["peak_rss_mb"])
        self.batch_size = max(self.batch_size, rows)
        self.crossings += int(answer["crossings"].sum())
        self.output = answer["output"]
        self.notes = dict(answer["notes"])


Later = Callable[[Callable[[], None]], None]
"""Does a job now, or later in the order given."""


def at_once(job: Callable[[], None]) -> None:
    """The plain `Later`."""
    job()


class Filling:
    """A block of forecasts while its batches come in; `missing` windows are still to come."""

    def __init__(self, n: int, count: int, horizon: int) -> None:
        self.quantiles: F32 = np.empty((n, count, horizon), np.float32)
        self.mean: F32 = np.empty((n, horizon), np.float32)
        self.crossings: NDArray[np.int32] = np.empty(n, np.int32)
        self.missing = n
        self._interval: F64 | None = None  # [n, 2, H], NaN where a batch brought none
        self.probability: F64 | None = None  # [n], of the task's event
        self.fallback: F64 = np.zeros(n)  # [n], 0 where a batch said nothing of it

    def put(self, to: slice, of: slice, quantiles: F32, mean: F32, facts: Mapping[str, Any]) -> None:
        """Copy the windows `of` a batch to the windows `to` of the block."""
        self.quantiles[to] = quantiles[of]
        self.mean[to] = mean[of]
        self.crossings[to] = facts["crossings"][of]
        if facts["interval"] is not None:
            if self._interval is None:
                self._interval = np.full((len(self.mean), 2, self.mean.shape[1]), np.nan)
            self._interval[to] = facts["interval"][of]
        if facts.get("probability") is not None:
            if self.probability is None:
                self.probability = np.full(len(self.mean), np.nan)
            self.probability[to] = facts["probability"][of]
        if facts.get("fallback") is not None:
            self.fallback[to] = facts["fallback"][of]
        self.missing -= to.stop - to.start

    def bounds(self, levels: F64) -> F64 | None:
        """The interval [n, 2, H] of the whole block, or None where no batch brought one."""
        if self._interval is not None:
            for row in np.flatnonzero(np.isnan(self._interval[:, 0, 0])):  # a model that answers now in this way, now in that
                forecast = Forecast.from_quantiles(self.quantiles[row : row + 1], levels)
                self._interval[row] = to_quantiles(forecast, INTERVAL)[0][0]
        return self._interval


class Scorer:
    """Collects forecasts into blocks and has each block scored when it is whole and its turn has come.

    What goes wrong in scoring is kept in `error`, since it may happen in another thread; nothing is scored after it.
    The task's own dialect, if it has another than the metrics here, is shown each block too.
    """

    def __init__(
        self, data: TaskData, metrics: Sequence[Metric], sink: Sink, facts: Facts, later: Later, dialect: Dialect | None = None
    ) -> None:
        self.data, self.sink, self.facts, self.later = data, sink, facts, later
        self.tally = None if dialect is None else TaskTally(dialect, data)
        self.error: BaseException | None = None
        self.totals = scoring.Totals(data.task.quantile_levels)
        self.outcomes = 0  # windows of which it is known whether the task's event happened
        self._own = [m for m in metrics if m.statistics is not None]
        self._open: dict[int, Filling] = {}  # by number of the block
        self._next = 0

    def _bounds(self, block: int) -> tuple[int, int]:
        low = block * scoring.BLOCK
        return low, min(low + scoring.BLOCK, len(self.data))

    def add(self, low: int, quantiles: F32, mean: F32, facts: Mapping[str, Any]) -> None:
        """Take forecasts [n, Q, H] and means [n, H] of the windows from `low` on, "crossings" [n] and "interval" [n, 2, H] or None.

        "probability" and "fallback", [n] or None, may be missing.
        """
        high = low + len(quantiles)
        for block in range(low // scoring.BLOCK, (high - 1) // scoring.BLOCK + 1):
            start, stop = self._bounds(block)
            if block not in self._open:
                self._open[block] = Filling(stop - start, quantiles.shape[1], quantiles.shape[2])
            a, b = max(low, start), min(high, stop)
            self._open[block].put(slice(a - start, b - start), slice(a - low, b - low), quantiles, mean, facts)
        while self._next in self._open and self._open[self._next].missing == 0:
            whole = self._open.pop(self._next)
            self.later(functools.partial(self._try, *self._bounds(self._next), whole))
            self._next += 1

    def check(self) -> None:
        """Raise what went wrong."""
        if self.error is not None:
            raise self.error

    def _try(self, low: int, high: int, whole: Filling) -> None:
        if self.error is None:
            try:
                self._score(low, high, whole)
            except BaseException as error:  # whatever it is, the thread must go on
                self.error = error

    def _score(self, low: int, high: int, whole: Filling) -> None:
        start = time.perf_counter()
        data, task, series = self.data, self.data.task, self.data.series
        channel, cut = data.channel[low:high], data.cut[low:high]
        error = seasonal_error(series.target, channel, cut, task.season_length)
        levels, labels = self.totals.levels, series.target.gather(channel, cut, task.horizon)
        block = scoring.Block(labels, whole.quantiles, whole.mean, levels, error, whole.bounds(levels))
        scores = self._statistics(block)
        self.totals.add(scores)
        self.facts.fallback += float(whole.fallback.sum())  # block by block, so that it does not depend on batches
        if task.event is not None:
            limit = thresholds(task.event, series.target, channel, cut)
            self.outcomes += int(np.isfinite(happened(task.event, labels, limit)).sum())
        if self.tally is not None:
            self.tally.add(np.arange(low, high), labels, whole.quantiles, whole.mean, whole.probability)
        item = channel // series.variates
        self.sink.write(
            window_batch(
                scores,
                window=data.index[low:high],
                item=item,
                item_ids=series.item_ids,
                variate=channel % series.variates,
                slot=data.slot[low:high],
                cutoff=series.when(item, cut),
                context_length=cut,
                seasonal_error=error,
                crossings=whole.crossings,
                fallback=whole.fallback,
                extra=bool(self._own),
            )
        )
        self.facts.score_s += time.perf_counter() - start
        self.sink.forecasts(data.index[low:high], whole.quantiles, whole.mean, whole.probability)

    def _statistics(self, block: scoring.Block) -> scoring.Scores:
        try:
            return scoring.score(block, self._own)
        except HarnessError:
            raise
        except (Exception, SystemExit) as error:
            if not self._own:
                raise
            names = ", ".join(f"'{m.name}'" for m in self._own)
            raise PluginError(
                f"the statistics of a plugin's metric ({names}) raised {type(error).__name__}: {error}. "
                f"Mend or uninstall the plugin that registers it: harness ls metrics"
            ) from error


def forecast_cell(
    cell: Cell,
    data: TaskData,
    info: ModelInfo,
    worker: Worker,
    sink: Sink,
    metrics: Sequence[Metric],
    *,
    batch_size: int | None = None,
    timeout: float | None = None,
    advance: Callable[[int], None] = lambda _: None,
    later: Later = at_once,
    save: Callable[[int], str] = lambda _: "",
    trained: Callable[[Mapping[str, Any], int], None] = lambda _begun, _fold: None,
    stored: Stored | None = None,
    dialect: Dialect | None = None,
) -> Callable[[], tuple[Outcome, Facts, scoring.Totals]]:
    """Forecast every window of a cell, hand blocks of forecasts to `later` for scoring, and return what gives the result after that.

    The worker is free when this returns. What is returned raises StoreError and PluginError as below.

    Args:
        save: gives the folder for the weights of the model that is trained for a fold; "" = they are not kept.
        trained: gets what `harness.worker.Session.begin` answered, and for which fold, once a model was trained on the task's own data.
        stored: what other models forecast, for a model that is made of it.
        dialect: the task's own, where that is another than the metrics.

    Raises:
        StoreError: the sink could not be written.
        WorkerFailed: the cell ends as failed, or skipped for kind "unsupported"; a worker that is `lost` must be replaced.
        PluginError: a metric's own statistics are of no use.
        DataError: the data has changed since it was opened.
    """
    data.series.check()
    facts = Facts()
    scorer = Scorer(data, metrics, sink, facts, later, dialect)
    deadline = None if timeout is None else time.monotonic() + timeout
    learnt = learns(cell.mode)
    for fold in data.folds.tolist() if learnt and data.training else [None]:
        train = None if cell.mode == "zero-shot" else training_batch(data, info, cell.mode, cell.seed, fold or 0)
        begun = worker.begin(cell.budget, cell.seed, train, deadline, cell.mode, save(fold or 0) if learnt else "", stored)
        facts.fit_s += begun["fit_s"]
        if learnt:
            trained(begun, fold or 0)
        queue = collections.deque(ranges(data, info, batch_size, fold))
        _forecast(data, info, worker, queue, cell.seed, deadline, scorer, advance)
    return functools.partial(_result, cell, data, metrics, scorer)


def _forecast(
    data: TaskData,
    info: ModelInfo,
    worker: Worker,
    queue: Queue,
    seed: int,
    deadline: float | None,
    scorer: Scorer,
    advance: Callable[[int], None],
) -> None:
    """Send these ranges of windows to the worker and hand on what comes back. Raises as `forecast_cell` does."""
    flying: Queue = collections.deque()
    while queue or flying:
        while queue and worker.pending < worker.depth:
            low, high = queue.popleft()
            worker.submit(cut_batch(data, low, high, info, seed))
            flying.append((low, high))
        low, high = flying.popleft()
        try:
            quantiles, mean, answer = worker.collect(deadline)
        except WorkerFailed as error:
            if error.kind != "memory" or error.lost or info.batch_dependent or high - low == 1:
                raise
            queue = _halved(data, info, low, high, queue)
            continue
        scorer.facts.add(answer, high - low)
        scorer.add(low, quantiles, mean, answer)
        scorer.check()
        advance(high - low)


def _result(cell: Cell, data: TaskData, metrics: Sequence[Metric], scorer: Scorer) -> tuple[Outcome, Facts, scoring.Totals]:
    scorer.check()
    data.series.check()
    facts = scorer.facts
    if not scorer.totals.windows or not scorer.totals.sums["n"]:
        reason = f"none of the {len(data)} windows of {cell.task.suite}:{cell.task.name} has a finite label: there is nothing to score"
        return Outcome("failed", reason, "data"), facts, scorer.totals
    event = data.task.event
    if event is not None and not scorer.outcomes:
        reason = (
            f"none of the {len(data)} windows of {cell.task.suite}:{cell.task.name} has an outcome of the event '{event.name}': no label "
            f"at step {event.step} and threshold ({event.above:g}{f', {event.relative}' if event.relative else ''}) are both finite"
        )
        return Outcome("failed", reason, "data"), facts, scorer.totals
    own = {} if scorer.tally is None else scorer.tally.scores()
    return Outcome("ok", scores={**_scores(scorer.totals.sums, metrics), **own}), facts, scorer.totals


def _scores(sums: Mapping[str, Any], metrics: Sequence[Metric]) -> dict[str, float]:
    """{metric: score, NaN where undefined}."""
    scores = {}
    for metric in metrics:
        try:
            scores[metric.name] = float(metric.value(sums))
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"metric '{metric.name}' raised {type(error).__name__}: {error}; wanted a number. "
                f"Mend or uninstall the plugin that registers it: harness ls metrics"
            ) from error
    return scores


def _halved(
    data: TaskData, info: ModelInfo, low: int, high: int, rest: collections.deque[tuple[int, int]]
) -> collections.deque[tuple[int, int]]:
    """The failed range and all that follow, in pieces of at most half its size."""
    ends, size = edges(data, info), (high - low + 1) // 2
    pieces: Queue = collections.deque()
    for a, b in [(low, high), *rest]:
        while a < b:
            c = max(int(ends[np.searchsorted(ends, min(a + size, b), side="right") - 1]), int(ends[np.searchsorted(ends, a, side="right")]))
            if c - a >= high - low:
                raise WorkerFailed(
                    "memory", f"one item of {c - a} windows does not fit the memory: use --limit, or a model with less context"
                )
            pieces.append((a, c))
            a = c
    return pieces
