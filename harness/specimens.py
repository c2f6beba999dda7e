"""Made data for checks and tests, and a model on the bench: loaded, fed and read as a run does it.

Axes: N windows, Q quantile levels, H horizon, V variates. Values are float32, NaN where missing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from harness.batches import cut_batch, training_batch
from harness.errors import ForecastError, Unsupported
from harness.forecast import F32, Batch, Forecast, Ragged
from harness.plugins import Plugins, load
from harness.quantiles import NO_EVENT, check, to_quantiles
from harness.series import Channels, SeriesSet, TaskData, Training, rolling
from harness.types import DECILES, Event, ModelInfo, Task
from harness.worker import Session

__all__ = ["PAST_NAMES", "UP", "Bench", "at_horizon", "data_of", "make_batch", "make_data", "make_events", "rows_of"]

LONGEST = 8192
"""Contexts are made longer than a model's `max_context` up to this many steps: beyond it a check would take too long."""
PAST_NAMES = tuple(f"past{k}" for k in range(1, 5))
"""What the past covariates of a task of events are called, besides those that a model says it looks for."""
UP = Event("up", 2, 0.0, "difference")
"""The event of such a task: the value is higher in two steps."""


def make_batch(n: int = 12, horizon: int = 6, season_length: int = 4, seed: int = 0, levels: Sequence[float] | None = None) -> Batch:
    """N ordinary windows of different lengths: level, trend, season and noise, some values missing."""
    rows = _rows(n, 24, season_length, seed)
    return Batch.from_contexts(rows, horizon, freq="H", season_length=season_length, quantile_levels=levels, seed=seed)


def make_data(
    items: int = 6,
    horizon: int = 6,
    *,
    windows: int = 2,
    variates: int = 1,
    season_length: int = 4,
    seed: int = 0,
    levels: Sequence[float] | None = None,
    longest: int = 0,
) -> TaskData:
    """A task with ordinary hourly series of different lengths and starts, two past covariates, and two that are known beforehand.

    Args:
        windows: W, windows per series.
        variates: V, series per item; they follow each other with a lag.
        longest: the last item is at least so many steps longer than its windows.
    """
    rows = []
    for item, row in enumerate(_rows(items, 24 + horizon * windows, season_length, seed)):
        short = longest + horizon * windows - len(row) if item == items - 1 else 0
        whole = np.concatenate([np.resize(row, short), row]) if short > 0 else row
        rows += [np.roll(whole, variate) + variate for variate in range(variates)]
    return data_of(rows, horizon, windows=windows, variates=variates, season_length=season_length, levels=levels)


def make_events(
    items: int = 6, horizon: int = 6, *, windows: int = 2, variates: int = 1, past_names: Sequence[str] = (), **options: Any
) -> TaskData:
    """The series of `make_data` with a question: will the value be higher in two steps (in one, where the horizon is 1)?

    There is one fold, which learns from each series up to a horizon before its first cutoff. The past covariates have names.

    Args:
        past_names: what they are called beside `PAST_NAMES`.
        options: as those of `make_data`.
    """
    data = make_data(items, horizon, windows=windows, variates=variates, **options)
    return asking(data, dict.fromkeys([*PAST_NAMES, *past_names]))


def asking(data: TaskData, past_names: Iterable[str]) -> TaskData:
    """The same windows, asked for an event; past covariates of these names are made of each item's first series, with gaps at the start."""
    names, series = tuple(past_names), data.series
    past: list[ArrayLike] = []
    for c in range(0, len(series.target), series.variates):
        row = series.target[c].astype(np.float64)
        changes = np.diff(row, prepend=np.nan)
        for k in range(len(names)):
            lagged = np.full(len(row), np.nan)
            lagged[k:] = changes[: max(len(row) - k, 0)]
            past.append(np.abs(lagged) if k % 2 else lagged)
    first = np.flatnonzero(data.slot == 0)
    channel, end = data.channel[first], np.maximum(data.cut[first] - data.task.horizon, 1)
    event = replace(UP, step=min(UP.step, data.task.horizon))
    return replace(
        data,
        task=replace(data.task, name=f"{data.task.name}/{event.name}", kind="event", event=event),
        series=replace(series, past=Channels.from_ragged(Ragged.from_rows(past)), past_names=names),
        training=(Training(channel, np.zeros_like(end), end),),
        fold=np.zeros(len(data), np.int32),
    )


def data_of(
    rows: Sequence[ArrayLike],
    horizon: int,
    *,
    windows: int = 1,
    variates: int = 1,
    season_length: int = 4,
    levels: Sequence[float] | None = None,
) -> TaskData:
    """A task whose items · V series are these rows, each holding the labels of its windows at its end.

    Two past covariates of each item are made from its first series: its changes, and a saw-tooth with gaps. Two are known beforehand: the
    season as a wave, and a day off now and then, with gaps.
    """
    target = Ragged.from_rows(rows)
    past: list[ArrayLike] = []
    known: list[ArrayLike] = []
    for row in list(target)[::variates]:
        t = np.arange(len(row))
        past += [np.diff(np.nan_to_num(row), prepend=0), t % 5 + np.where(t % 11 == 3, np.nan, 0)]
        known += [np.cos(2 * np.pi * t / season_length), np.where(t % 13 == 5, np.nan, t % 7 == 0)]
    items = len(target) // variates
    starts = np.datetime64("2000-01-01", "s") + (np.arange(items) * 86_400 * 30).astype("timedelta64[s]")
    task = Task(
        suite="made",
        name=f"made/H/{horizon}",
        dataset="made",
        family="made",
        domain="made",
        freq="H",
        term="",
        horizon=horizon,
        season_length=season_length,
        variates=variates,
        quantile_levels=tuple(DECILES if levels is None else levels),
        protocol="made/1",
    )
    names = pa.array([f"item {i}" for i in range(items)])
    values, before, plans = (Channels.from_ragged(rows) for rows in (target, Ragged.from_rows(past), Ragged.from_rows(known)))
    return rolling(task, SeriesSet(names, starts, "H", variates, values, past=before, known=plans), windows)


def at_horizon(batch: Batch, horizon: int) -> Batch:
    """The same windows, fewer steps ahead."""
    known = []
    for covariate in batch.known_covariates:
        keep = batch.contexts.lengths + horizon
        known.append(Ragged.from_rows([row[:n] for row, n in zip(covariate, keep.tolist(), strict=True)]))
    return replace(batch, horizon=horizon, known_covariates=tuple(known))


def rows_of(batch: Batch, rows: Sequence[int]) -> Batch:
    """Some windows of a batch, in this order."""
    index = np.asarray(rows, dtype=np.int64)
    return replace(
        batch,
        contexts=_take(batch.contexts, rows),
        starts=batch.starts[index],
        group=batch.group[index],
        window_ids=batch.window_ids[index],
        seeds=batch.seeds[index],
        past_covariates=tuple(_take(past, rows) for past in batch.past_covariates),
        known_covariates=tuple(_take(known, rows) for known in batch.known_covariates),
        thresholds=None if batch.thresholds is None else batch.thresholds[index],
    )


def _take(ragged: Ragged, rows: Sequence[int]) -> Ragged:
    return Ragged.from_rows([ragged[int(row)] for row in rows])


def _rows(n: int, length: int, season_length: int, seed: int) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        t = np.arange(length + 7 * i)
        y = 50 + 10 * i + 0.1 * t + 5 * np.sin(2 * np.pi * t / season_length) + rng.normal(0, 1, len(t))
        y[rng.random(len(t)) < 0.03] = np.nan
        y[-1] = 50.0 + i
        rows.append(y)
    return rows


@dataclass
class Bench:
    """A model with everything a check needs; it is made when it is first asked for something.

    A model whose output is "probabilities" is given tasks of events throughout, and its probabilities stand where quantiles do, as
    [N, 1, 1]; `past_names` are past covariates that it looks for by name, besides those that its info names ("past_names" of
    `ModelInfo.extra`, with spaces between).
    """

    name: str
    params: Mapping[str, Any]
    plugins: Plugins = field(default_factory=load)
    past_names: Sequence[str] = ()
    load_s: float = field(default=0.0, init=False)  # seconds that making the model took

    @property
    def info(self) -> ModelInfo:
        return self.plugins.model(self.name).info

    @property
    def named(self) -> list[str]:
        """What the past covariates of a task of events are called."""
        return list(dict.fromkeys([*PAST_NAMES, *self.info.extra.get("past_names", "").split(), *self.past_names]))

    @functools.cached_property
    def session(self) -> Session:
        """The session in which a worker would hold the model, ready for a cell."""
        session = Session(self.plugins)
        self.load_s = session.load(self.name, dict(self.params))["load_s"]
        _begin(session, self.info, self.mode, self.data())
        return session

    @property
    def of_events(self) -> bool:
        """Whether the model tells events, and no values."""
        return self.info.output == "probabilities"

    @property
    def mode(self) -> str:
        """How the model forecasts here: zero-shot where it can, else as it is trained."""
        return "zero-shot" if "zero-shot" in self.info.modes or not self.trained_modes else self.trained_modes[0]

    @property
    def trained_modes(self) -> list[str]:
        """The modes with training, "few-shot" with a share."""
        return ["few-shot:0.5" if mode == "few-shot" else mode for mode in self.info.modes if mode != "zero-shot"]

    def begin(self, mode: str | None = None, seed: int = 0, data: TaskData | None = None) -> None:
        """Start a cell: seed what draws from global state, train where the mode says so, on `data()` or the data given."""
        _begin(self.session, self.info, self.mode if mode is None else mode, self.data() if data is None else data, seed)

    def data(self, **options: Any) -> TaskData:
        """`make_data` within the limits of the model: its horizon, more context than it takes, items of three variates if it wants them."""
        info = self.info
        beyond = info.max_context + 5 if info.max_context is not None and info.max_context <= LONGEST else 0
        options = {"horizon": min(6, info.max_horizon or 6), "variates": 3 if info.multivariate else 1, "longest": beyond, **options}
        return self.asked(make_data(**options))

    def asked(self, data: TaskData) -> TaskData:
        """These windows as the model is to be asked: for an event, where that is what it tells."""
        return asking(data, self.named) if self.of_events else data

    def batch(self, **options: Any) -> Batch:
        """All windows of `data(**options)` as a run would send them."""
        return self.cut(self.data(**options))

    def cut(self, data: TaskData) -> Batch:
        """All windows of a task as a run would send them: contexts cut to the model's limit, only the covariates that it declares."""
        return cut_batch(data, 0, len(data), self.info, 0)

    def forecast(self, batch: Batch) -> Forecast:
        """What the model itself returns, through the hooks and with a run's checks, before levels are converted or sorted."""
        hook = self.session.plugins.pm.hook
        try:
            return check(hook.predict(model=self.session.model, batch=batch), len(batch), batch.horizon)
        except ForecastError as error:
            raise AssertionError(f"{self.name}: {error}") from error

    def convert(self, forecast: Forecast, batch: Batch) -> tuple[F32, F32]:
        """Quantiles [N, Q, H] at the asked levels, as they come, and means [N, H]; probabilities of an event as [N, 1, 1] and [N, 1]."""
        if forecast.kind == "probabilities":
            if batch.event is None:
                raise AssertionError(f"{self.name}: {NO_EVENT}")
            return forecast.values, forecast.values[:, 0]
        try:
            return to_quantiles(forecast, batch.quantile_levels)
        except ForecastError as error:
            raise AssertionError(f"{self.name}: {error}") from error

    def predict(self, batch: Batch) -> tuple[F32, F32]:
        """`forecast`, then `convert`."""
        return self.convert(self.forecast(batch), batch)

    def anew(self, batch: Batch) -> F32:
        """Quantiles [N, Q, H] of the batch as the first one of a cell, so that a model may draw from global state."""
        if self.mode == "zero-shot":
            self.begin()
        return self.predict(batch)[0]


def _begin(session: Session, info: ModelInfo, mode: str, data: TaskData, seed: int = 0) -> None:
    train = None if mode == "zero-shot" else training_batch(data, info, mode, seed)
    try:
        session.begin("", seed, train, mode)
    except Unsupported as error:
        if data.task.event is not None or info.output == "probabilities":  # it may need past covariates that this data does not have
            raise
        raise AssertionError(f"{info.name} declares the mode {mode!r} and cannot be trained on ordinary series: {error}") from error
