"""Speed of scoring beside gluonts, in one process on the same forecasts: `python benchmarks/scoring.py [--windows N]`.

Ours runs the checks of a forecast (shape, finite, crossings), all statistics per window and per step, and the eleven metrics; gluonts runs
`evaluate_forecasts` with the same eleven metrics, on a slice, as it takes minutes on all. The two take turns and the best turn counts.
A pass is one `np.sum` over the bytes of the quantiles: the least that any scoring must do.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from harness.forecast import F32, F64, Forecast
from harness.metrics import METRICS, evaluate
from harness.quantiles import check, sort_crossings, to_quantiles
from harness.scoring import BLOCK, Block, Totals, score
from harness.types import DECILES

HORIZON = 48
CONTEXT = 96
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


def gluonts_data(labels: F32, quantiles: F32, contexts: F32) -> tuple[list[Any], Any, list[Any]]:
    """The same forecasts as gluonts objects, made before the clock starts: (forecasts, test data, metrics)."""
    import pandas as pd
    from gluonts.ev import metrics as gm
    from gluonts.model.forecast import QuantileForecast

    start = pd.Period("2020-01-01", "h")
    keys = [str(level) for level in DECILES]
    forecasts = [QuantileForecast(values, start + CONTEXT, keys) for values in quantiles]
    data = SimpleNamespace(
        input=[{"start": start, "target": values} for values in contexts],
        label=[{"start": start + CONTEXT, "target": values} for values in labels],
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
    n, few = options.windows, min(options.gluonts_windows, options.windows)
    contexts = rng.normal(100, 10, (n, CONTEXT)).astype(np.float32)
    labels = rng.normal(100, 10, (n, HORIZON)).astype(np.float32)
    quantiles = np.sort(rng.normal(100, 10, (n, len(DECILES), HORIZON)), axis=1).astype(np.float32)
    scale = (
        np.abs(np.diff(contexts.astype(np.float64), n=1)).mean(axis=1)
        if SEASON == 1
        else np.abs(contexts[:, SEASON:].astype(np.float64) - contexts[:, :-SEASON]).mean(axis=1)
    )

    mine, theirs, bytes_ = [], [], []
    try:
        from gluonts.model.evaluation import evaluate_forecasts
    except ImportError:
        print("gluonts is not installed (pip install 'ts-harness[test]'); only ours is measured")
        evaluate_forecasts = None
    for _ in range(options.turns):
        mine.append(seconds(lambda: ours(labels, quantiles, scale)))
        bytes_.append(seconds(lambda: np.sum(quantiles)))
        if evaluate_forecasts is not None:
            forecasts, data, metrics = gluonts_data(labels[:few], quantiles[:few], contexts[:few])
            theirs.append(seconds(lambda f=forecasts, d=data, m=metrics: evaluate_forecasts(f, test_data=d, metrics=m, seasonality=SEASON)))

    print(f"{n} windows, {len(DECILES)} levels, {HORIZON} steps; best of {options.turns}")
    print(
        f"{'ours':10s} {n / min(mine):12,.0f} windows/s   {min(mine) * 1e3:8.1f} ms   {min(mine) / min(bytes_):6.1f} passes over the bytes"
    )
    if theirs:
        speed = few / min(theirs)
        print(f"{'gluonts':10s} {speed:12,.0f} windows/s   {min(theirs) * 1e3:8.1f} ms for {few} windows")
        print(f"{'ratio':10s} {n / min(mine) / speed:12,.0f}")
    if options.growth:
        many = options.growth
        big = np.tile(labels, (many, 1)), np.tile(quantiles, (many, 1, 1)), np.tile(scale, many)
        took = min(seconds(lambda: ours(*big)) for _ in range(2))
        print(f"{'growth':10s} {many} times the windows take {took / min(mine):.2f} times as long")


if __name__ == "__main__":
    main()
