"""What goes to a model and what comes back.

Axes: N windows, Q quantile levels, S samples, H horizon, T context. Values are float32, NaN means missing, all times are UTC-naive
seconds. A `Batch` never holds a value at or after a window's cutoff.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.errors import ForecastError, UsageError

if TYPE_CHECKING:
    from harness.types import Event

__all__ = ["F32", "F64", "I64", "U64", "Batch", "Forecast", "Ragged"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Ragged:
    """N float32 vectors of different lengths in one buffer: row i is `values[offsets[i]:offsets[i + 1]]`.

    `values` float32 [total], `offsets` int64 [N + 1], first 0, never falling. Iteration yields views, oldest value first.
    """

    values: F32
    offsets: I64

    @classmethod
    def from_rows(cls, rows: Sequence[ArrayLike]) -> Ragged:
        """Copy a sequence of 1-d arrays into one buffer."""
        arrays = [np.asarray(row, dtype=np.float32).reshape(-1) for row in rows]
        offsets = np.zeros(len(arrays) + 1, dtype=np.int64)
        np.cumsum([len(a) for a in arrays], out=offsets[1:])
        return cls(np.concatenate(arrays) if arrays else np.empty(0, np.float32), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[F32]:
        bounds = self.offsets.tolist()
        return (self.values[a:b] for a, b in zip(bounds[:-1], bounds[1:], strict=True))

    def __getitem__(self, row: int) -> F32:
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        row %= len(self)
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> I64:
        """int64 [N]."""
        return np.diff(self.offsets)

    def padded(self, length: int | None = None, fill: float = np.nan) -> tuple[F32, NDArray[np.bool_]]:
        """Return the newest `length` steps of each row, right-aligned, as (values [N, T], mask [N, T]).

        `length` None is the longest row. Steps before a row's start hold `fill`; missing values inside a row hold `fill` too.
        The mask is True where a value was observed.
        """
        lengths = self.lengths
        width = int(lengths.max(initial=0)) if length is None else int(length)
        if width < 0:
            raise ValueError(f"padded() got length {length}; wanted a number of steps of at least 0")
        back = np.arange(width, 0, -1, dtype=np.int64)  # [T] steps before the row's end
        inside = back[None, :] <= lengths[:, None]  # [N, T]
        index = np.where(inside, self.offsets[1:, None] - back[None, :], 0)  # [N, T]
        values = self.values[index] if self.values.size else np.zeros(index.shape, np.float32)  # [N, T]
        mask = inside & ~np.isnan(values)
        return np.where(mask, values, np.float32(fill)), mask


@dataclass(frozen=True, eq=False)
class Batch:
    """What a model sees of N windows.

    Attributes:
        contexts: the history of each window up to its cutoff, NaN where missing, cut to the model's `max_context`. A context
            may be all missing; it is never empty.
        starts: datetime64[s] [N], the time of each context's first value.
        freq: the step, in pandas' old alias ("H", "15T", "W-WED").
        horizon: H, steps to forecast.
        quantile_levels: float64 [Q], rising.
        season_length: m, the season that the protocol scales errors by.
        group: int64 [N], equal for windows of one multivariate item at one cutoff.
        window_ids: uint64 [N], stable over runs, batches and orders.
        seeds: uint64 [N], derived from the run's seed and the window id: draw from these to be independent of the batch.
        past_covariates: one Ragged of N rows for each covariate known up to the cutoff; empty unless the model declares "past".
        past_names: what the past covariates are called, in their order; () where the data does not say.
        known_covariates: one Ragged of N rows for each covariate known beforehand, each row H steps longer than its context: what a
            calendar or a plan says of the horizon too; empty unless the model declares "known".
        event: what is asked for the probability of, on a task of events; None elsewhere. Forecasts of values are turned into it by the
            rule of `harness.events`; a model made for events returns `Forecast.from_probabilities`.
        thresholds: float64 [N], what the value at the event's step must exceed; NaN where no context has a value. None without an event.
        context_limit: steps of context that the task allows at most, 0 = all there are: a model that learns is given whole series, and
            should learn from windows like those that it is to forecast.
        dataset: what the task calls its data, `Task.dataset`: "m4_hourly"; "" = not said. For models that are told in words what it is.
        domain: the field that the data is of, `Task.domain`: "Energy"; likewise.
    """

    contexts: Ragged
    starts: NDArray[np.datetime64]
    freq: str
    horizon: int
    quantile_levels: F64
    season_length: int
    group: I64
    window_ids: U64
    seeds: U64
    past_covariates: tuple[Ragged, ...] = ()
    known_covariates: tuple[Ragged, ...] = ()
    past_names: tuple[str, ...] = ()
    event: Event | None = None
    thresholds: F64 | None = None
    context_limit: int = 0
    dataset: str = ""
    domain: str = ""

    def __len__(self) -> int:
        return len(self.contexts)

    def __iter__(self) -> Iterator[F32]:
        return iter(self.contexts)

    def padded(self, length: int | None = None, fill: float = np.nan) -> tuple[F32, NDArray[np.bool_]]:
        """Contexts as (values [N, T], mask [N, T]); see `Ragged.padded`."""
        return self.contexts.padded(length, fill)

    @classmethod
    def from_contexts(
        cls,
        contexts: Sequence[ArrayLike],
        horizon: int,
        *,
        freq: str = "D",
        season_length: int = 1,
        quantile_levels: Sequence[float] | None = None,
        start: str = "2000-01-01",
        seed: int = 0,
        dataset: str = "",
        domain: str = "",
    ) -> Batch:
        """Make a batch by hand, for notebooks and tests.

        Raises:
            UsageError: a horizon or season length that is no whole number of at least 1.
        """
        from harness.types import DECILES

        for name, value in (("horizon", horizon), ("season_length", season_length)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value < 2**31:
                raise UsageError(f"got {name} {value!r}; wanted a whole number of at least 1")
        n = len(contexts)
        ids = np.arange(n, dtype=np.uint64)
        return cls(
            contexts=Ragged.from_rows(contexts),
            starts=np.full(n, np.datetime64(start, "s")),
            freq=freq,
            horizon=horizon,
            quantile_levels=np.asarray(DECILES if quantile_levels is None else quantile_levels, np.float64),
            season_length=season_length,
            group=np.arange(n, dtype=np.int64),
            window_ids=ids,
            seeds=ids + np.uint64(seed),
            dataset=dataset,
            domain=domain,
        )


@dataclass(frozen=True, eq=False)
class Forecast:
    """A forecast for N windows in one of four kinds.

    `values` is float32 [N, Q, H] for kind "quantiles" (with `levels` float64 [Q], rising), [N, S, H] for "samples",
    [N, 1, H] for "points", [N, 1, 1] for "probabilities", which only a task of events asks for. `mean` float32 [N, H] is optional; metrics
    on the mean use it, else the samples' mean or the median.

    `fallback` float32 [N], from 0 to 1, is the share of each window's forecast that is not the model's own, because a simple forecast
    stands in for an answer of no use: 1 where it is all of it, 0.25 where one of four sampled answers was replaced. None = all is the
    model's own. It changes no score; results and leaderboards show it.
    """

    kind: str
    values: F32
    levels: F64 | None = None
    mean: F32 | None = None
    fallback: F32 | None = None

    @classmethod
    def from_quantiles(
        cls, values: ArrayLike, levels: ArrayLike, mean: ArrayLike | None = None, fallback: ArrayLike | None = None
    ) -> Forecast:
        """Quantiles [N, Q, H] at `levels` [Q]; the levels are put in rising order, the values with them."""
        array = _float32(values, 3, "from_quantiles", "[N, Q, H]")
        level = np.asarray(levels, dtype=np.float64).reshape(-1)
        if array.shape[1] != len(level):
            raise ForecastError(f"from_quantiles got values of shape {array.shape} and {len(level)} levels; axis 1 must be the levels")
        if len(level) == 0 or not np.all((level > 0) & (level < 1)) or len(np.unique(level)) != len(level):
            raise ForecastError(f"from_quantiles got levels {level.tolist()}; wanted distinct numbers between 0 and 1")
        order = np.argsort(level, kind="stable")
        if not np.array_equal(order, np.arange(len(level))):
            array, level = array[:, order], level[order]
        return cls("quantiles", array, level, _mean(mean, array, "from_quantiles"), _fallback(fallback, len(array), "from_quantiles"))

    @classmethod
    def from_samples(cls, samples: ArrayLike, mean: ArrayLike | None = None, fallback: ArrayLike | None = None) -> Forecast:
        """Sample paths [N, S, H]."""
        array = _float32(samples, 3, "from_samples", "[N, S, H]")
        if array.shape[1] == 0:
            raise ForecastError("from_samples got no sample path; wanted at least one")
        return cls("samples", array, None, _mean(mean, array, "from_samples"), _fallback(fallback, len(array), "from_samples"))

    @classmethod
    def from_points(cls, points: ArrayLike, fallback: ArrayLike | None = None) -> Forecast:
        """Point forecasts [N, H]; every quantile level becomes the point."""
        array = _float32(points, 2, "from_points", "[N, H]")
        return cls("points", array[:, None, :], None, array, _fallback(fallback, len(array), "from_points"))

    @classmethod
    def from_probabilities(cls, probabilities: ArrayLike, fallback: ArrayLike | None = None) -> Forecast:
        """The probability of `Batch.event` in each window, [N] between 0 and 1; nothing is said of values."""
        array = _float32(probabilities, 1, "from_probabilities", "[N]")
        if not np.all((array >= 0) & (array <= 1)):
            wrong = array[~((array >= 0) & (array <= 1))]
            first = "NaN" if np.isnan(wrong[0]) else f"{wrong[0]:g}"
            raise ForecastError(f"from_probabilities got {first} ({len(wrong)} of {len(array)} like it); wanted numbers from 0 to 1")
        return cls("probabilities", array[:, None, None], fallback=_fallback(fallback, len(array), "from_probabilities"))

    def __len__(self) -> int:
        return len(self.values)


def _float32(values: ArrayLike, ndim: int, where: str, axes: str) -> F32:
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"dtype {array.dtype}")
        array = np.ascontiguousarray(array, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ForecastError(f"{where} could not read {type(values).__name__} as numbers ({error}); wanted an array {axes}") from None
    if array.ndim != ndim:
        raise ForecastError(f"{where} got an array of shape {array.shape}; wanted {axes}")
    return array


def _mean(mean: ArrayLike | None, values: F32, where: str) -> F32 | None:
    if mean is None:
        return None
    array = _float32(mean, 2, where, "[N, H] for mean")
    if array.shape != (values.shape[0], values.shape[2]):
        raise ForecastError(f"{where} got a mean of shape {array.shape}; wanted {(values.shape[0], values.shape[2])}")
    return array


def _fallback(fallback: ArrayLike | None, n: int, where: str) -> F32 | None:
    if fallback is None:
        return None
    array = _float32(fallback, 1, where, "[N] for fallback")
    if len(array) != n:
        raise ForecastError(f"{where} got a fallback of shape {array.shape}; wanted {(n,)}: one share for each window")
    inside = (array >= 0) & (array <= 1)
    if not inside.all():
        first = array[~inside][0]
        said = "NaN" if np.isnan(first) else f"{first:g}"
        raise ForecastError(f"{where} got a fallback of {said} ({int((~inside).sum())} of {n} like it); wanted shares from 0 to 1")
    return array
