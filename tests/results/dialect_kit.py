"""Forecasts of every awkward kind for the tests of dialects: plain arrays, from which a test makes `Forecasts` and its own reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.dialects import Forecasts, dialect
from harness_results.dialects.infos import BUILT_IN, CGM, SPY

DIALECTS = {info.name: dialect(info.name) for info in BUILT_IN.values() if info not in (CGM, SPY)}
"""The built-in dialects of values, as the plugins of this environment have them; cgm and spy have tests of their own."""
DECILES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
KINDS = ("plain", "missing", "zeros", "constant", "short", "infinite", "one length", "huge", "tiny", "all missing")


@dataclass
class Case:
    """Items × V variates (channels), each with W windows of H labels at its end; windows by channel, then by slot."""

    series: list[np.ndarray[Any, Any]]
    channel: np.ndarray[Any, Any]
    cut: np.ndarray[Any, Any]
    slot: np.ndarray[Any, Any]
    quantiles: np.ndarray[Any, Any]  # [N, Q, H]
    mean: np.ndarray[Any, Any]  # [N, H]
    variates: int
    horizon: int
    levels: list[float]

    def forecasts(self, season: int = 1, freq: str = "D", block: int = 512) -> Forecasts:
        return Forecasts.from_arrays(
            self.series, self.channel, self.cut, self.quantiles, self.levels, self.mean,
            season_length=season, freq=freq, variates=self.variates, block=block,
        )  # fmt: skip

    def labels(self, n: int) -> np.ndarray[Any, Any]:
        """[H] as float64."""
        return self.series[self.channel[n]][self.cut[n] : self.cut[n] + self.horizon].astype(np.float64)

    def context(self, n: int) -> np.ndarray[Any, Any]:
        """[T] as float64."""
        return self.series[self.channel[n]][: self.cut[n]].astype(np.float64)

    def median(self, n: int) -> np.ndarray[Any, Any]:
        return self.quantiles[n, self.levels.index(0.5)].astype(np.float64)


def case(kind: str, seed: int = 0, items: int = 11, variates: int = 1, windows: int = 3, horizon: int = 5) -> Case:
    rng = np.random.default_rng([seed, KINDS.index(kind), items, variates, windows])
    size = {"huge": 1e15, "tiny": 1e-15}.get(kind, 1.0)
    series = []
    for item in range(items):
        longest = 6 if kind == "short" else 40
        length = 25 if kind == "one length" else int(rng.integers(1, longest))
        for _ in range(variates):
            values = (rng.normal(5, 3, length + windows * horizon) * size).astype(np.float32)
            if kind == "missing":
                values[rng.random(len(values)) < 0.3] = np.nan
                values[:length][rng.random(length) < 0.1] = np.nan
            elif kind == "zeros":
                values[rng.random(len(values)) < 0.5] = 0.0
                if item % 3 == 0:
                    values[length:] = 0.0
            elif kind == "constant" and item % 2:
                values[:length] = 4.0
            elif kind == "infinite":
                values[rng.random(len(values)) < 0.05] = np.inf
                values[rng.random(len(values)) < 0.05] = np.nan
            elif kind == "all missing" and item % 2:
                values[: length if item % 4 == 1 else None] = np.nan
            series.append(values)
    count = len(series)
    channel = np.repeat(np.arange(count), windows)
    slot = np.tile(np.arange(windows), count)
    cut = np.array([len(series[c]) for c in channel]) - horizon * (windows - slot)
    n = len(channel)
    quantiles = (np.sort(rng.normal(5, 3, (n, len(DECILES), horizon)), axis=1) * size).astype(np.float32)
    mean = (rng.normal(5, 3, (n, horizon)) * size).astype(np.float32)
    if kind == "zeros":
        quantiles[rng.random(n) < 0.5] = 0.0
    return Case(series, channel, cut, slot, quantiles, mean, variates, horizon, list(DECILES))
