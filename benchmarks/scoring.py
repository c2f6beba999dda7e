"""Speed of scoring beside gluonts, in one process on the same forecasts: `python benchmarks/scoring.py [--windows N]`.

Ours does what a run does with each block of windows: the checks of a forecast (shape, finite, crossings), the seasonal errors, all
statistics per window and per step; at the end the eleven metrics. gluonts runs `evaluate_forecasts` with the same eleven metrics, on the
first windows only. Each series has 20 windows, as in GIFT-Eval; contexts are short (from 960 steps) or long (from 10,000, as hourly and
15-minute data have). The two take turns and the best turn counts. A pass is one `np.sum` over the quantiles: the least any scoring does.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from harness.forecast import F32, F64, I64, Forecast, Ragged
from harness.metrics import METRICS, evaluate
from harness.quantiles import check, sort_crossings, to_quantiles
from harness.scoring import BLOCK, Block, Totals, score, seasonal_error
from harness.series import Channels
from harness.types import DECILES

HORIZON = 48
CONTEXTS = (960, 10_000)  # steps before the first window
WINDOWS = 20
SEASON = 24
METRIC_COUNT = 11
LEVELS = np.array(DECILES)


@dataclass
class Data:
    """Labels [N, H], quantiles [N, Q, H], and the series [C, T] with each window's owner and cutoff [N]."""

    labels: F32
    quantiles: F32
    series: F32
    channels: Channels
    owner: I64
    cut: I64

    @classmethod
    def make(cls, windows: int, context: int) -> Data:
        rng = np.random.default_rng(0)
        count = -(-windows // WINDOWS)  # series
        series = rng.normal(100, 10, (count, context + WINDOWS * HORIZON)).astype(np.float32)
        quantiles = rng.normal(100, 10, (count * WINDOWS, len(LEVELS), HORIZON)).astype(np.float32)
        quantiles.sort(axis=1)
        return cls(
            labels=series[:, context:].reshape(-1, HORIZON),  # [C, W·H] -> [N, H]
            quantiles=quantiles,
            series=series,
            channels=Channels.from_ragged(Ragged(series.reshape(-1), np.arange(count + 1) * series.shape[1])),
            owner=np.repeat(np.arange(count), WINDOWS),
            cut=context + HORIZON * np.tile(np.arange(WINDOWS), count),
        )


def scale(data: Data, part: slice) -> F64:
    """Seasonal errors of a block."""
    return seasonal_error(data.channels, data.owner[part], data.cut[part], SEASON)


def blocks(data: Data) -> list[slice]:
    return [slice(a, a + BLOCK) for a in range(0, len(data.labels), BLOCK)]


def ours(data: Data, times: int = 1) -> dict[str, float]:
    """Check and score all forecasts, block by block; `times` over, as if there were so many more."""
    totals = Totals(LEVELS)
    for _ in range(times):
        for part in blocks(data):
            labels = data.labels[part]
            forecast = check(Forecast("quantiles", data.quantiles[part], LEVELS), len(labels), HORIZON)
            values, mean = to_quantiles(forecast, LEVELS)
            values, _ = sort_crossings(values)
            totals.add(score(Block(labels, values, mean, LEVELS, scale(data, part))))
    return evaluate(totals.sums, METRICS[:METRIC_COUNT])


def gluonts_data(data: Data, few: int) -> tuple[list[Any], Any, list[Any]]:
    """The first forecasts as gluonts objects, made before the clock starts: (forecasts, test data, metrics)."""
    import pandas as pd
    from gluonts.ev import metrics as gm
    from gluonts.model.forecast import QuantileForecast

    start = pd.Period("2020-01-01", "h")
    keys = [str(level) for level in DECILES]
    forecasts = [QuantileForecast(values, start, keys) for values in data.quantiles[:few]]
    pairs = SimpleNamespace(
        input=[{"start": start, "target": data.series[data.owner[k], : data.cut[k]]} for k in range(few)],
        label=[{"start": start, "target": values} for values in data.labels[:few]],
    )
    metrics = [
        gm.MSE("mean"), gm.MSE("0.5"), gm.MAE("0.5"), gm.MASE("0.5"), gm.MAPE("0.5"), gm.SMAPE("0.5"), gm.MSIS(), gm.RMSE("mean"),
        gm.NRMSE("mean"), gm.ND("0.5"), gm.MeanWeightedSumQuantileLoss(list(DECILES)),
    ]  # fmt: skip
    return forecasts, pairs, metrics


def theirs(data: Data, few: int) -> Callable[[], object]:
    """gluonts' scoring of the first forecasts, ready to be timed."""
    from gluonts.model.evaluation import evaluate_forecasts

    forecasts, pairs, metrics = gluonts_data(data, few)
    return partial(evaluate_forecasts, forecasts, test_data=pairs, metrics=metrics, seasonality=SEASON)


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(data: Data, few: int, turns: int) -> None:
    """Print both speeds for one length of contexts."""
    times: dict[str, list[float]] = {"all": [], "scale": [], "gluonts": [], "pass": []}
    for _ in range(turns):
        times["all"].append(seconds(lambda: ours(data)))
        times["scale"].append(seconds(lambda: [scale(data, part) for part in blocks(data)]))
        times["pass"].append(seconds(lambda: np.sum(data.quantiles)))
        if few:
            times["gluonts"].append(seconds(theirs(data, few)))
    best = {name: min(values) for name, values in times.items() if values}
    n, rest = len(data.labels), best["all"] - best["scale"]
    print(
        f"{n} windows of {len(data.series)} series, {len(LEVELS)} levels, {HORIZON} steps, contexts from {data.cut.min()}; best of {turns}"
    )
    for name, took in (("ours", best["all"]), ("  scores", rest), ("  seasonal error", best["scale"]), ("  one pass", best["pass"])):
        print(f"{name:16s} {n / took:12,.0f} windows/s  {took * 1e3:8.1f} ms  {took / best['pass']:6.1f} passes")
    if few:
        print(f"{'gluonts':16s} {few / best['gluonts']:12,.0f} windows/s  {best['gluonts'] * 1e3:8.1f} ms for {few} windows")
        print(f"{'ratio':16s} {n / best['all'] / (few / best['gluonts']):12,.0f}")


def grow(data: Data, times: int) -> None:
    """Print what many times as many windows cost; the same blocks are scored again and again, so that nothing but scoring can grow."""
    base = min(seconds(lambda: ours(data)) for _ in range(10))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    took = min(seconds(lambda: ours(data, times)) for _ in range(2))
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    n, each = len(data.labels), took / base / times
    print(f"{'growth':16s} {n * times} windows in {took:.2f} s: {each:.2f} times as long for each as {n}; peak memory {more:+.1f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=10_000)
    parser.add_argument("--gluonts-windows", type=int, default=500, help="how many of them gluonts scores; 0 = leave it out")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--growth", type=int, default=100, help="also score this many times as many windows; 0 = no")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    few = min(options.gluonts_windows, options.windows)
    if few and importlib.util.find_spec("gluonts") is None:
        print("gluonts is not installed (pip install 'ts-harness[test]'); only ours is measured")
        few = 0
    for context in CONTEXTS:
        compare(Data.make(options.windows, context), few, options.turns)
    if options.growth:
        grow(Data.make(options.windows, CONTEXTS[0]), options.growth)


if __name__ == "__main__":
    main()
