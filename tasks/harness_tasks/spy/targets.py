"""Series to forecast, made of daily prices so that an event is "the value at step h is above a threshold"; features known at the time.

Axis: T sessions. Each series is float32 [T] with NaN where it does not exist yet; its value at t uses sessions up to t and none after, so
that a window cut at c (the last known session is c − 1) has its label h steps on, at c − 1 + h:

    simple_return   C_t / C_{t−h} − 1                          above 0: the close is higher; above θ: higher by θ
    high_touch      max(High_{t−h+1} … High_t) / C_{t−h} − 1   at least θ: the price was θ higher at some time of h sessions
    price           C_t                                        with the last value of the context as threshold: the close is higher
    log_price       log C_t                                    the same

Only `simple_return` and the prices have a direction. `high_touch` is above 0 on most days, and how often it passes 1 % is a matter of how
much prices move: on the S&P 500, 1999 to 2018, the area under the ROC curve of ATR14/close alone is .746 for it and .489 for direction.

float32 and thresholds: a high of exactly 1 % above a close is 0.0099999998 as float32, below 0.01. `threshold(0.01)` is the float32
number nearest to 0.01, with which "at least 1 %" has it in; prices have too few digits for other values to round to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from harness.errors import suggest
from harness.forecast import F32, F64
from harness_tasks.spy.prices import Prices

__all__ = ["COVARIATES", "covariates", "high_touch", "log_price", "price", "simple_return", "threshold"]

YEAR = 252
"""Sessions of a year, for the momentum of twelve months and for volatilities a year."""
ATR, VOLATILITY = 14, 20


def threshold(theta: float) -> float:
    """A threshold as the series have it: the nearest float32.

    >>> float(np.float32(101 / 100 - 1)) >= threshold(0.01), float(np.float32(101 / 100 - 1)) >= 0.01
    (True, False)
    """
    return float(np.float32(theta))


def simple_return(prices: Prices, h: int = 1) -> F32:
    """C_t / C_{t−h} − 1, float32 [T]; the first h are NaN."""
    return _ratio(prices.close, prices.close, h)


def high_touch(prices: Prices, h: int = 1) -> F32:
    """The highest high of h sessions over the close before them, less 1: float32 [T]; the first h are NaN."""
    highest = np.full(len(prices), np.nan)
    if 1 <= h <= len(prices):
        highest[h - 1 :] = sliding_window_view(prices.high, h).max(axis=1)
    return _ratio(highest, prices.close, h)


def price(prices: Prices) -> F32:
    """C_t, float32 [T]."""
    return prices.close.astype(np.float32)


def log_price(prices: Prices) -> F32:
    """log C_t, float32 [T]."""
    return np.log(prices.close).astype(np.float32)


def covariates(prices: Prices, names: Sequence[str] | None = None) -> F32:
    """Features known at the end of session t, float32 [P, T], in the order of `names`; None = all of `COVARIATES`.

    Raises:
        ValueError: a name is none of them.
    """
    chosen = list(COVARIATES) if names is None else list(names)
    for name in chosen:
        if name not in COVARIATES:
            raise ValueError(f"covariate {name!r}; wanted some of {', '.join(COVARIATES)}.{suggest(name, COVARIATES)}")
    rows = [COVARIATES[name](prices).astype(np.float32) for name in chosen]
    return np.stack(rows) if rows else np.empty((0, len(prices)), np.float32)  # [P, T]


def _ratio(values: F64, base: F64, h: int) -> F32:
    """values_t / base_{t−h} − 1 as float32 [T]."""
    if h < 1:
        raise ValueError(f"h is {h}; wanted a number of sessions of at least 1")
    found = np.full(len(values), np.nan, np.float32)
    found[h:] = values[h:] / base[:-h] - 1.0
    return found


def _mean(values: F64, length: int) -> F64:
    """Mean of the last `length` values at each t, float64 [T]; NaN while one of them is."""
    found = np.full(len(values), np.nan)
    if len(values) >= length:
        found[length - 1 :] = sliding_window_view(values, length).mean(axis=1)
    return found


def _against_last_close(name: str) -> Callable[[Prices], F64]:
    """Of a price of session t: its ratio to the close before, less 1."""

    def feature(prices: Prices) -> F64:
        return _ratio(getattr(prices, name), prices.close, 1).astype(np.float64)

    return feature


def _atr(prices: Prices) -> F64:
    """Mean true range of 14 sessions over C_t; true range = max(High, C_{t−1}) − min(Low, C_{t−1}). The plain mean, not Wilder's."""
    span = np.full(len(prices), np.nan)
    before = prices.close[:-1]
    span[1:] = np.maximum(prices.high[1:], before) - np.minimum(prices.low[1:], before)
    found: F64 = _mean(span, ATR) / prices.close
    return found


def _volatility(prices: Prices) -> F64:
    """Standard deviation (n − 1) of the last 20 log returns, √252 times it: a year's."""
    moves = np.full(len(prices), np.nan)
    moves[1:] = np.diff(np.log(prices.close))
    found = np.full(len(moves), np.nan)
    if len(moves) >= VOLATILITY:
        found[VOLATILITY - 1 :] = sliding_window_view(moves, VOLATILITY).std(axis=1, ddof=1)
    a_year: F64 = found * YEAR**0.5
    return a_year


def _momentum(prices: Prices) -> F64:
    """C_t / C_{t−252} − 1: a year, the last month included."""
    return _ratio(prices.close, prices.close, YEAR).astype(np.float64)


def _volume_change(prices: Prices) -> F64:
    """log(V_t / V_{t−1}); NaN where a volume is unknown or 0."""
    found = np.full(len(prices), np.nan)
    logs = np.log(prices.volume, out=np.full(len(prices), np.nan), where=prices.volume > 0)
    found[1:] = np.diff(logs)
    return found


COVARIATES: dict[str, Callable[[Prices], F64]] = {
    "open_return": _against_last_close("open"),
    "high_return": _against_last_close("high"),
    "low_return": _against_last_close("low"),
    "close_return": _against_last_close("close"),
    "atr14": _atr,
    "volatility20": _volatility,
    "momentum252": _momentum,
    "volume_change": _volume_change,
}
"""{name: feature}; each is float64 [T] with NaN until it exists: from session 1, 1, 1, 1, 14, 20, 252, 1 on."""
