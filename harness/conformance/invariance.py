"""Checks that a window's forecast follows from the window alone: not from its neighbours, its place, the time, or the future."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.batches import cut_batch, ranges
from harness.conformance.kit import REMEDY, arrays_of, fail, members, same
from harness.forecast import F32, Forecast, Ragged
from harness.series import Channels
from harness.specimens import Bench, rows_of

__all__ = [
    "check_batch_invariance",
    "check_determinism",
    "check_leaves_batch_alone",
    "check_multivariate",
    "check_no_future",
    "check_order_invariance",
]


def check_batch_invariance(bench: Bench) -> None:
    """A window's forecast, and how much of it is the model's own, does not depend on the windows that it travels with, bit for bit."""
    batch = bench.batch()
    forecast = bench.forecast(batch)
    whole, means = bench.convert(forecast, batch)
    shares = _fallback(forecast)
    count = len(np.unique(batch.group))
    for groups in ([0], [5, 3], list(range(count // 2, count))):
        part = members(batch, groups)
        rows = rows_of(batch, part)
        forecast = bench.forecast(rows)
        quantiles, mean = bench.convert(forecast, rows)
        same(quantiles, whole[part], f"windows {part} alone and in a batch of {len(batch)}", REMEDY)
        same(mean, means[part], f"the means of windows {part} alone and in a batch of {len(batch)}", REMEDY)
        if not np.array_equal(_fallback(forecast), shares[part]):
            fail(
                f"Forecast.fallback is {_fallback(forecast).tolist()} of windows {part} alone and {shares[part].tolist()} in a batch of "
                f"{len(batch)}; wanted the same: {REMEDY}"
            )


def _fallback(forecast: Forecast) -> F32:
    """[N] the shares that are not the model's own, 0 where it says nothing of them."""
    return np.zeros(len(forecast), np.float32) if forecast.fallback is None else forecast.fallback


def check_order_invariance(bench: Bench) -> None:
    """A window's forecast does not depend on its place in the batch, bit for bit."""
    batch = bench.batch()
    order = members(batch, range(len(np.unique(batch.group)))[::-1])
    same(bench.predict(rows_of(batch, order))[0], bench.predict(batch)[0][order], "the same batch forwards and backwards", REMEDY)


def check_determinism(bench: Bench) -> None:
    """The same batch and seed give the same forecast, from this model and from another one made alike."""
    batch = bench.batch()
    bench.begin()
    first, _ = bench.predict(batch)
    bench.begin()
    again, _ = bench.predict(batch)
    other, _ = replace(bench).predict(batch)
    same(again, first, "two cells with one batch and one seed")
    same(other, first, "two models made alike")


def check_leaves_batch_alone(bench: Bench) -> None:
    """Predicting does not change the batch."""
    batch = bench.batch()
    before = {name: array.copy() for name, array in arrays_of(batch).items()}
    bench.predict(batch)
    for name, array in arrays_of(batch).items():
        if not np.array_equal(array, before[name], equal_nan=array.dtype.kind == "f"):
            fail(f"predict() changed {name} of the batch that it was given; work on a copy")


def check_no_future(bench: Bench) -> None:
    """No value at or after the cutoff is used: other values there, and more of them, change no forecast.

    Covariates that are known beforehand are given to the end of the horizon; what lies beyond must not matter.
    """
    data = bench.data(windows=1)
    series = data.series

    def longer(channels: Channels, ahead: int = 0) -> Channels:
        cut = data.cut if channels is series.target else data.cut[:: series.variates]
        cut = np.repeat(cut, len(channels) // len(cut)) + ahead
        rows = [np.concatenate([channels[c][: cut[c]], np.full(40 - ahead, 1e6 + c)]) for c in range(len(channels))]
        return Channels.from_ragged(Ragged.from_rows(rows))

    past = None if series.past is None else longer(series.past)
    known = None if series.known is None else longer(series.known, data.task.horizon)
    other = replace(data, series=replace(series, target=longer(series.target), past=past, known=known))
    first, _ = bench.predict(bench.cut(data))
    bench.begin()
    same(bench.predict(bench.cut(other))[0], first, "series that differ only after the cutoff")


def check_multivariate(bench: Bench) -> None:
    """The windows of an item arrive together, and an item's forecast does not depend on the other items."""
    data = bench.data()
    whole, _ = bench.predict(bench.cut(data))
    for low, high in ranges(data, bench.info, 1):
        batch = cut_batch(data, low, high, bench.info, 0)
        if len(batch) % data.task.variates:
            fail(f"{len(batch)} windows of items with {data.task.variates} variates arrived together; this is a defect of the harness")
        same(bench.predict(batch)[0], whole[low:high], f"windows {low} to {high - 1}, one item, alone and in a batch of {len(data)}")
