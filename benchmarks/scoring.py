"""Speed of scoring beside gluonts, in one process on the same forecasts: `python benchmarks/scoring.py [--windows N]`.

Ours runs the checks of a forecast (shape, finite, crossings), the seasonal errors, all statistics per window and per step, and the eleven
metrics; gluonts runs `evaluate_forecasts` with the same eleven metrics, on the first windows only. Each series has 20 windows, as in
GIFT-Eval. The two take turns and the best turn counts. A pass is one `np.sum` over the bytes of the quantiles: the least any scoring does.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
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
CONTEXT = 960  # steps before the first window
WINDOWS = 20
SEASON = 24


def ours(labels: F32, quantiles: F32, scale: F64) -> dict[str, float]:
    """Check and score forecasts [N, Q, H] against labels [N, H] in blocks."""
    levels = np.array(DECILES)
    totals = Totals(levels)
    for a in range(0, len(labels), BLOCK):
        part = slice(a, a + BLOCK)
        forecast = check(Forecast("quantiles", quantiles[part], levels), len(labels[part]), HORIZON)
        values, mean = to_quantiles(forecast, levels)
        values, _ = sort_crossings(values)
        totals.add(score(Block(labels[part], values, mean, levels, scale[part])))
    return evaluate(totals.sums, METRICS[:11])


def gluonts_data(labels: F32, quantiles: F32, series: F32, cut: I64) -> tuple[list[Any], Any, list[Any]]:
    """The same forecasts as gluonts objects, made before the clock starts: (forecasts, test data, metrics)."""
    import pandas as pd
    from gluonts.ev import metrics as gm
    from gluonts.model.forecast import QuantileForecast

    start = pd.Period("2020-01-01", "h")
    keys = [str(level) for level in DECILES]
    forecasts = [QuantileForecast(values, start, keys) for values in quantiles]
    data = SimpleNamespace(
        input=[{"start": start, "target": series[k // WINDOWS, : cut[k]]} for k in range(len(labels))],
        label=[{"start": start, "target": values} for values in labels],
    )
    metrics = [
        gm.MSE("mean"), gm.MSE("0.5"), gm.MAE("0.5"), gm.MASE("0.5"), gm.MAPE("0.5"), gm.SMAPE("0.5"), gm.MSIS(), gm.RMSE("mean"),
        gm.NRMSE("mean"), gm.ND("0.5"), gm.MeanWeightedSumQuantileLoss(list(DECILES)),
    ]  # fmt: skip
    return forecasts, data, metrics


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=10_000)
    parser.add_argument("--gluonts-windows", type=int, default=500)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--growth", type=int, default=10, help="also score this many times as many windows; 0 = no")
    options = parser.parse_args()
    warnings.simplefilter("ignore")

    rng = np.random.default_rng(0)
    count = -(-options.windows // WINDOWS)  # series
    n, few = count * WINDOWS, min(options.gluonts_windows, options.windows)
    series = rng.normal(100, 10, (count, CONTEXT + WINDOWS * HORIZON)).astype(np.float32)
    cut = CONTEXT + HORIZON * np.tile(np.arange(WINDOWS), count)
    labels = series[:, CONTEXT:].reshape(n, HORIZON)  # [series, W·H] -> [N, H]
    quantiles = np.sort(rng.normal(100, 10, (n, len(DECILES), HORIZON)), axis=1).astype(np.float32)
    channels = Channels.from_ragged(Ragged(series.reshape(-1), np.arange(count + 1) * series.shape[1]))
    owner = np.repeat(np.arange(count), WINDOWS)
    scale = seasonal_error(channels, owner, cut, SEASON)

    try:
        from gluonts.model.evaluation import evaluate_forecasts
    except ImportError:
        print("gluonts is not installed (pip install 'ts-harness[test]'); only ours is measured")
        evaluate_forecasts = None
    times: dict[str, list[float]] = {"score": [], "scale": [], "gluonts": [], "pass": []}
    for _ in range(options.turns):
        times["score"].append(seconds(lambda: ours(labels, quantiles, scale)))
        times["scale"].append(seconds(lambda: seasonal_error(channels, owner, cut, SEASON)))
        times["pass"].append(seconds(lambda: np.sum(quantiles)))
        if evaluate_forecasts is not None:
            forecasts, data, metrics = gluonts_data(labels[:few], quantiles[:few], series, cut)
            run = partial(evaluate_forecasts, forecasts, test_data=data, metrics=metrics, seasonality=SEASON)
            times["gluonts"].append(seconds(run))

    best = {name: min(values) for name, values in times.items() if values}
    both = best["score"] + best["scale"]
    print(f"{n} windows of {count} series, {len(DECILES)} levels, {HORIZON} steps, contexts from {cut.min()}; best of {options.turns}")
    print(f"{'ours':16s} {n / both:12,.0f} windows/s  {both * 1e3:8.1f} ms")
    print(
        f"{'  scores':16s} {n / best['score']:12,.0f} windows/s  {best['score'] * 1e3:8.1f} ms  {best['score'] / best['pass']:5.1f} passes"
    )
    print(f"{'  seasonal error':16s} {n / best['scale']:12,.0f} windows/s  {best['scale'] * 1e3:8.1f} ms")
    if "gluonts" in best:
        print(f"{'gluonts':16s} {few / best['gluonts']:12,.0f} windows/s  {best['gluonts'] * 1e3:8.1f} ms for {few} windows")
        print(f"{'ratio':16s} {n / both / (few / best['gluonts']):12,.0f}")
    if options.growth:
        many = options.growth
        big = np.tile(labels, (many, 1)), np.tile(quantiles, (many, 1, 1)), np.tile(scale, many)
        took = min(seconds(lambda: ours(*big)) for _ in range(2))
        print(f"{'growth':16s} {many} times the windows take {took / best['score']:.2f} times as long to score")


if __name__ == "__main__":
    main()
