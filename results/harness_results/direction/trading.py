"""What a rule made of probabilities would have earned, beside holding: returns after costs, Sharpe ratios and how sure they are.

Axis: N periods in order of time. A period's position is taken at the close at which the forecast is made and earns the simple
return to the close that the forecast is about. Periods must follow each other: of windows of horizon h that begin a session apart take
every h-th (`every`), or one return would be earned h times.

    long-flat     1 where p > threshold, else 0         long-short    1 where p > threshold, else −1
    net return    position · return − |position − position before| · cost, before the first and after the last period being flat

The position is set anew at each period (its drift within one is left out), cash earns nothing, Sharpe ratios are of net returns without a
risk-free rate, selling short costs what buying does. So this is no statement about money that could have been made; it says whether a
score of probabilities is worth anything at all beside holding.

Sharpe ratios and their intervals, and what is left of one after many trials, are in `harness_results.direction.sharpe`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from harness.forecast import F64
from harness_results.direction.resampling import Interval
from harness_results.direction.sharpe import SESSIONS, lo_interval

__all__ = ["COST", "Account", "account", "every", "hold", "max_drawdown", "net_returns", "positions"]

COST = 2.0
"""Basis points of what is traded, per side."""


@dataclass(frozen=True)
class Account:
    """What a rule did over N periods.

    Attributes:
        net_return: the whole time's, compounded: 0.1 is 10 %.
        sharpe: mean over standard deviation of net returns, a year's, with Lo's interval; NaN where net returns never vary.
        max_drawdown: largest loss from a peak, the beginning included, as a share: [0, 1].
        turnover: of the whole capital, one way, a year: the sum of |changes of position|, first and last included, over years.
        exposure: mean |position|.
        periods: N.
    """

    net_return: float
    sharpe: Interval
    max_drawdown: float
    turnover: float
    exposure: float
    periods: int


def every(values: ArrayLike, horizon: int) -> F64:
    """Every h-th of windows [N] that begin a session apart, from the first on: those follow each other without overlap.

    >>> every([1, 2, 3, 4, 5], 2).tolist()
    [1.0, 3.0, 5.0]
    """
    if horizon < 1:
        raise ValueError(f"horizon is {horizon}; wanted at least 1")
    return np.asarray(values, np.float64)[::horizon]


def positions(probability: ArrayLike, threshold: ArrayLike = 0.5, *, short: bool = False) -> F64:
    """1 where the probability exceeds the threshold (a number or [N]), else 0, or with `short` −1: float64 [N].

    >>> positions([0.6, 0.5, 0.4]).tolist(), positions([0.6, 0.5, 0.4], short=True).tolist()
    ([1.0, 0.0, 0.0], [1.0, -1.0, -1.0])
    """
    p = np.asarray(probability, np.float64)
    if np.isnan(p).any():
        raise ValueError(f"the probability of window {int(np.flatnonzero(np.isnan(p))[0])} is NaN; wanted a number for each")
    return np.where(p > np.asarray(threshold, np.float64), 1.0, -1.0 if short else 0.0)


def net_returns(position: ArrayLike, realised: ArrayLike, cost: float = COST) -> F64:
    """Net returns, float64 [n]; periods whose return is NaN are left out before changes of position are counted.

    Args:
        position: [N], in shares of the capital.
        realised: [N] simple returns of the periods.
        cost: basis points of what is traded, per side.

    Raises:
        ValueError: shapes differ, a cost is negative, or a return is infinite or below −1.

    >>> net_returns([1, 1, 0], [0.01, -0.02, 0.03], cost=10).round(6).tolist()  # bought for 0.001, sold for 0.001
    [0.009, -0.02, -0.001]
    """
    held, returns = _kept(position, realised)
    if not cost >= 0:
        raise ValueError(f"cost is {cost}; wanted basis points, 0 or more")
    changes = np.abs(np.diff(held, prepend=0.0))
    if len(held):
        changes[-1] += abs(held[-1])
    return held * returns - changes * cost * 1e-4


def account(
    position: ArrayLike,
    realised: ArrayLike,
    *,
    cost: float = COST,
    per_year: float = SESSIONS,
    level: float = 0.95,
) -> Account:
    """Sum up a rule; `per_year` is the number of periods of a year, 252/h for every h-th window. All NaN without a period.

    Of periods of which a year has nobody knows how many (`per_year` NaN) there is no Sharpe ratio and no turnover.

    >>> found = account([1, 1, 1, 1], [0.1, -0.5, 0.2, 0.1], cost=0, per_year=4)
    >>> round(found.net_return, 4), round(found.max_drawdown, 4), found.turnover, found.exposure
    (-0.274, 0.5, 2.0, 1.0)
    """
    held, returns = _kept(position, realised)
    net = net_returns(held, returns, cost)
    n = len(net)
    if not n:
        none = Interval(np.nan, np.nan, np.nan)
        return Account(np.nan, none, np.nan, np.nan, np.nan, 0)
    if per_year <= 0:
        raise ValueError(f"{per_year} periods of a year; wanted more than 0")
    whole = float(np.prod(np.maximum(1 + net, 0.0)))
    traded = np.abs(np.diff(held, prepend=0.0, append=0.0)).sum()
    return Account(
        net_return=whole - 1,
        sharpe=lo_interval(net, per_year, level),
        max_drawdown=max_drawdown(net),
        turnover=float(traded) * per_year / n,
        exposure=float(np.abs(held).mean()),
        periods=n,
    )


def hold(realised: ArrayLike, **options: Any) -> Account:
    """Buy before the first period, sell after the last: `account` with a position of 1 throughout and its options."""
    return account(np.ones(np.shape(realised)), realised, **options)


def max_drawdown(net: F64) -> float:
    """Largest share lost from a peak of 1, ∏(1 + net): [0, 1].

    >>> max_drawdown(np.array([-0.1, 0.2, -0.5])), max_drawdown(np.array([0.1, 0.1]))
    (0.5, 0.0)
    """
    worth = np.cumprod(np.concatenate([[1.0], np.maximum(1 + net, 0.0)]))
    return float((1 - worth / np.maximum.accumulate(worth)).max())


def _kept(position: ArrayLike, realised: ArrayLike) -> tuple[F64, F64]:
    held, returns = np.asarray(position, np.float64), np.asarray(realised, np.float64)
    if held.ndim != 1 or held.shape != returns.shape:
        raise ValueError(f"positions of shape {held.shape} and returns of shape {returns.shape}; wanted [N] of both")
    keep = ~np.isnan(returns)
    held, returns = held[keep], returns[keep]
    if not np.isfinite(held).all():
        raise ValueError("a position is NaN or infinite; wanted a number for each period")
    if not (np.isfinite(returns) & (returns >= -1)).all():
        raise ValueError("a return is infinite or below −1; wanted simple returns, such as 0.01 for 1 %")
    return held, returns
