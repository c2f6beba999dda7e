"""Does a feature know the future? What it is at session t must stay as it is when all prices after t are others, or are not there at all.

Centred windows, scaling by the whole series, a shift in the wrong direction and a vendor's revised numbers all fail this. It asks a feature
that can be computed again; of one that comes as a column, the suite's option `lag` says more: `spy[lag=1]` gives models everything one
session late, and an area under the ROC curve that was made by one day's look-ahead is gone with it.

Axis: T sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness_tasks.spy.prices import Prices

__all__ = ["Feature", "altered", "peeking"]

Feature = Callable[[Prices], NDArray[np.floating[Any]]]
"""Prices of T sessions -> values [T]."""
CHECKS = 8
COLUMNS = ("open", "high", "low", "close", "volume")


def altered(prices: Prices, at: int) -> Prices:
    """The same up to session `at`; all later prices and volumes are thrice those of the mirrored session, so none is what it was."""
    turned = {name: getattr(prices, name).copy() for name in COLUMNS}
    for values in turned.values():
        values[at + 1 :] = 3 * values[at + 1 :][::-1] + 1
    return replace(prices, **turned)


def peeking(features: Mapping[str, Feature], prices: Prices, sessions: Iterable[int] | None = None) -> dict[str, str]:
    """{feature that uses later prices: the date of the first session whose value changed with them}; empty = none does.

    Args:
        features: by name, such as `harness_tasks.spy.targets.COVARIATES`.
        prices: some hundred sessions at least, more than the longest feature looks back.
        sessions: positions t after which the prices are altered, and then cut off; None = eight, evenly apart.

    Raises:
        ValueError: a feature has another length than the prices, or a session is none of them.

    >>> day = np.arange("2020-01-01", "2020-03-01", dtype="datetime64[D]")
    >>> close = 100 + np.sin(np.arange(60.0))
    >>> prices = Prices(day, close, close + 1, close - 1, close, np.full(60, 5.0))
    >>> peeking({"yesterday": lambda p: np.roll(p.close, 1)}, prices)  # the first value is that of the last day
    {'yesterday': '2020-01-01'}
    >>> peeking({"change": lambda p: np.diff(p.close, prepend=np.nan)}, prices)
    {}
    """
    n = len(prices)
    chosen = np.linspace(0, n - 2, CHECKS + 2)[1:-1].astype(int).tolist() if sessions is None else list(sessions)
    if not chosen or min(chosen) < 0 or max(chosen) >= n - 1:
        raise ValueError(f"sessions {chosen} of {n}; wanted positions from 0 to {n - 2}, which have a session after them")
    found = {}
    for name, feature in features.items():
        whole = _values(name, feature, prices)
        first = min((_changed(name, feature, prices, whole, at) for at in chosen), default=n)
        if first < n:
            found[name] = str(prices.date[first])
    return found


def _changed(name: str, feature: Feature, prices: Prices, whole: NDArray[Any], at: int) -> int:
    """The first session up to `at` whose value changes with later prices; T = none."""
    columns = {column: getattr(prices, column)[: at + 1] for column in ("date", *COLUMNS)}
    for other in (altered(prices, at), replace(prices, **columns)):
        now = _values(name, feature, other)[: at + 1]
        differs = np.flatnonzero(~((now == whole[: at + 1]) | (np.isnan(now) & np.isnan(whole[: at + 1]))))
        if len(differs):
            return int(differs[0])
    return len(prices)


def _values(name: str, feature: Feature, prices: Prices) -> NDArray[Any]:
    values = np.asarray(feature(prices))
    if values.shape != (len(prices),):
        raise ValueError(f"feature '{name}' has shape {values.shape}; wanted ({len(prices)},), a value for each session")
    return values
