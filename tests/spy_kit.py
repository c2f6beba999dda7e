"""Daily prices that could be, for tests of the suite `spy` and of its dialect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from harness_tasks.spy.prices import Prices

__all__ = ["between", "made", "write"]


def made(n: int, seed: int = 0) -> Prices:
    """Weekdays from January 2000 on."""
    rng = np.random.default_rng(seed)
    days = np.arange("2000-01-03", "2100-01-01", dtype="datetime64[D]")
    days = days[(days.astype(np.int64) + 3) % 7 < 5][:n]
    close = 100 * np.exp(rng.normal(0.0003, 0.012, n).cumsum())
    opened = close * np.exp(rng.normal(0, 0.005, n))
    high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0, 0.004, n)))
    low = np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0, 0.004, n)))
    return Prices(days, opened, high, low, close, rng.integers(1, 10**6, n).astype(np.float64))


def between(prices: Prices, first: str, last: str) -> Prices:
    """The sessions from one date to another, both included."""
    keep = (prices.date >= np.datetime64(first)) & (prices.date <= np.datetime64(last))
    return replace(prices, **{name: getattr(prices, name)[keep] for name in ("date", "open", "high", "low", "close", "volume")})


def write(prices: Prices, path: Path) -> Path:
    """As a CSV file whose numbers are read back to the bit."""
    columns = (prices.date.astype(str), prices.open, prices.high, prices.low, prices.close, prices.volume)
    lines = [",".join(map(str, row)) for row in zip(*(column.tolist() for column in columns), strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["date,open,high,low,close,volume", *lines]) + "\n")
    return path
