"""Weights of members from a back-test: how each of them did on the earlier windows of the same series.

The rule, for window i of a series, whose first label stands at cut c_i:

* Earlier windows are those k of the same series with c_k + H <= c_i: all their labels lie in the context of window i, which the model is
  given anyway. No label is used before its time, and none of another series.
* Loss of member m on window k: the mean over levels and steps of twice the pinball loss, 2·(y - q)·(level - [y < q]); a missing label
  counts nowhere, a window without any label gives 0 to all.
* The unit is that of the series, so losses are divided by the seasonal error s of window i's context: the mean |y_t - y_(t-season)|, as
  MASE is. Its lag falls to 1 where the context is shorter than a season.
* Weight of member m: exp(-eta · (sum over k of loss) / s), scaled so that the weights of all members sum to 1.

Why this one: it is the exponentially weighted average forecaster (Cesa-Bianchi and Lugosi, "Prediction, Learning, and Games", 2006,
chapter 2), whose weights need no constant for few windows. The losses are summed, not averaged: with no earlier window all weights are
equal, with one they are nearly so, and each window moves them further if it says the same. Inverse losses would give the full ratio after
one window, by the luck of that one, and have no answer where a loss is 0. Where s is 0 (a context that repeats itself, or holds no pair of
values) nothing says how large a loss is, and the weights are equal.

A worked number: two members, eta 1, s = 10, losses 4 and 6 on the one earlier window: weights exp(-0.4) : exp(-0.6), that is 0.55 and 0.45.

A weight depends on its own series alone: sums run over its windows in order, whatever stands beside them in the batch.

Axes: N windows of the batch, M members, K earlier windows, S series, Q levels, H horizon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness import Batch, ForecastError
from harness.forecast import F32, F64, I64
from harness.seasonal import seasonal_error
from harness.series import Channels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.stored import Stored

__all__ = ["mean_losses", "weights"]

VALUES = 1 << 20  # of forecasts whose losses are worked out at a time


def weights(stored: Stored, members: Sequence[str], places: I64, batch: Batch, eta: float) -> F64:
    """Weights [M, N] of the members for these windows, each column summing to 1.

    Raises:
        ForecastError: contexts that do not begin with their series.
        KeptError: the file of a member is gone or broken.
    """
    n, m, horizon = len(places), len(members), batch.horizon
    series, cut = stored.series[places], stored.cut[places]  # [N]
    if (batch.contexts.lengths != cut).any():
        raise ForecastError("a context does not hold its series from the beginning, so its earlier windows cannot be found in it")
    if not n:
        return np.full((m, 0), 1 / m)
    kinds, owner = np.unique(series, return_inverse=True)  # [S], [N]
    first = np.searchsorted(stored.series, kinds)  # [S], place of each series' first window
    # Whose labels are over by then: cuts rise within a series, so they are the first so many. One key for series and cut, rising.
    wide = int(stored.cut.max()) + 2
    until = series * wide + np.maximum(cut - horizon, -1)
    known = np.searchsorted(stored.series * wide + stored.cut, until, side="right") - first[owner]  # [N]
    order = np.lexsort((cut, owner))
    newest = order[np.searchsorted(owner[order], np.arange(len(kinds)), side="right") - 1]  # [S], the row with the longest context
    count = np.zeros(len(kinds), np.int64)  # [S], earlier windows that any window of the batch asks for
    np.maximum.at(count, owner, known)
    losses = _losses(stored, members, batch, first, count, newest)  # [M, K], series after series
    total = np.zeros((m, len(kinds), int(count.max()) + 1))  # [M, S, 1 + most], sums over the first so many
    row = np.repeat(np.arange(len(kinds)), count)  # [K]
    total[:, row, 1 + np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)] = losses
    np.cumsum(total, axis=2, out=total)
    summed = total[:, owner, known]  # [M, N]
    scale = seasonal_error(Channels.from_ragged(batch.contexts), np.arange(n), batch.contexts.lengths, batch.season_length)  # [N]
    behind = summed - summed.min(axis=0)
    # A member that is no worse than the best one keeps 1, whatever the scale.
    with np.errstate(over="ignore"):
        behind = np.divide(behind, scale, out=np.zeros_like(behind), where=(scale > 0) & np.isfinite(scale))
        weight = np.exp(-eta * behind)
    out: F64 = weight / weight.sum(axis=0)
    return out


def _losses(stored: Stored, members: Sequence[str], batch: Batch, first: I64, count: I64, newest: I64) -> F64:
    """Losses [M, K] on the first `count` [S] windows of each series; labels are read from the context of its window `newest` [S]."""
    total, horizon, q = int(count.sum()), batch.horizon, len(batch.quantile_levels)
    begin = np.repeat(first - (np.cumsum(count) - count), count)  # [K]
    places = begin + np.arange(total)  # [K]
    source = np.repeat(newest, count)  # [K], row of the batch
    out = np.empty((len(members), total))
    step = max(1, VALUES // max(1, q * horizon))
    for a in range(0, total, step):
        part = places[a : a + step]
        at = batch.contexts.offsets[source[a : a + step]] + stored.cut[part]  # [k]
        labels = batch.contexts.values[at[:, None] + np.arange(horizon)]  # [k, H]
        for row, name in enumerate(members):
            quantiles, _ = stored.forecasts(name, part, batch.quantile_levels, horizon)
            out[row, a : a + step] = mean_losses(labels, quantiles, batch.quantile_levels)
    return out


def mean_losses(labels: F32, quantiles: F32, levels: F64) -> F64:
    """The mean over levels and steps of twice the pinball loss: [K]; 0 for a window without a finite label.

    Args:
        labels: [K, H], NaN or infinite where missing.
        quantiles: [K, Q, H] at `levels` [Q].

    >>> mean_losses(np.array([[3.0, np.nan]]), np.array([[[1.0, 9.0], [4.0, 9.0]]]), np.array([0.5, 0.9])).round(6).tolist()
    [1.1]
    """
    good = np.isfinite(labels)  # [K, H]
    error = np.where(good, labels, 0).astype(np.float64)[:, None] - np.where(good[:, None], quantiles, 0)  # [K, Q, H]
    loss = np.maximum(levels[:, None] * error, (levels[:, None] - 1) * error)
    # One row a window, so that the order of a sum does not depend on how many windows there are.
    sums = 2 * loss.reshape(len(loss), -1).sum(axis=1)  # [K, Q·H] -> [K]
    count = good.sum(axis=1) * len(levels)
    out: F64 = np.divide(sums, count, out=np.zeros(len(loss)), where=count > 0)
    return out
