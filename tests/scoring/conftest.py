"""Two other ways to the same numbers: a plain loop in Python floats, and gluonts."""

from __future__ import annotations

import math
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from harness.quantiles import rule


def plain_quantile(levels, values, level):
    """The quantile at `level` from one step's values, written out."""
    each = rule(levels, level)
    return values[each.base] + each.weight * (values[each.high] - values[each.low])


def plain_window(labels, quantiles, mean, levels, scale):
    """Statistics of one window from its definitions: one point at a time, float64, in order."""
    names = ["label", "abs_label", "error", "abs_error", "sq_error", "sq_error_mean", "ape", "sape", "scaled_error", "scaled_interval"]
    out = dict.fromkeys(["n", "n_ape", "n_sape", "n_scaled"], 0) | {name: [] for name in names}
    loss, hits = [[] for _ in levels], [0] * len(levels)
    for step, y in enumerate(float(v) for v in labels):
        if not math.isfinite(y):
            continue
        at = [float(v) for v in quantiles[:, step]]
        median, low, high = (plain_quantile(levels, at, x) for x in (0.5, 0.025, 0.975))
        out["n"] += 1
        out["label"].append(y)
        out["abs_label"].append(abs(y))
        out["error"].append(y - median)
        out["abs_error"].append(abs(y - median))
        out["sq_error"].append((y - median) ** 2)
        out["sq_error_mean"].append((y - float(mean[step])) ** 2)
        if y != 0:
            out["n_ape"] += 1
            out["ape"].append(abs(y - median) / abs(y))
        if abs(y) + abs(median) != 0:
            out["n_sape"] += 1
            out["sape"].append(2 * abs(y - median) / (abs(y) + abs(median)))
        if scale != 0 and not math.isnan(scale):
            out["n_scaled"] += 1
            out["scaled_error"].append(abs(y - median) / scale)
            interval = high - low
            if y < low:
                interval += 40 * (low - y)
            if y > high:
                interval += 40 * (y - high)
            out["scaled_interval"].append(interval / scale)
        for k, level in enumerate(levels):
            hit = y <= at[k]
            hits[k] += hit
            loss[k].append(2 * abs((y - at[k]) * (hit - level)))
    out |= {name: math.fsum(out[name]) for name in names}
    return out | {"quantile_loss": [math.fsum(v) for v in loss], "hits": hits}


@pytest.fixture(scope="session")
def plain():
    return plain_window


@pytest.fixture(scope="session")
def gluonts_scores():
    """(labels [N, H], quantiles [N, Q, H], mean [N, H] or None, levels, contexts, season) -> {metric: number}, the dialect's eleven."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gluonts warns about the json module it found
        pytest.importorskip("gluonts", reason="gluonts is not installed: pip install 'ts-harness[test]'")
        import pandas as pd
        from gluonts.ev import metrics as gm
        from gluonts.model.evaluation import evaluate_forecasts_raw
        from gluonts.model.forecast import QuantileForecast

    def scores(labels, quantiles, mean, levels, contexts, season):
        start = pd.Period("2020-01-01", "D")
        keys = [str(float(level)) for level in levels]
        metrics = [gm.MSE("mean"), gm.MSE("0.5"), gm.MAE("0.5"), gm.MASE("0.5"), gm.MAPE("0.5"), gm.SMAPE("0.5"), gm.RMSE("mean"),
                   gm.NRMSE("mean"), gm.ND("0.5"), gm.MeanWeightedSumQuantileLoss([float(level) for level in levels])]  # fmt: skip
        metrics += [gm.MSIS()] if len(levels) > 1 else []
        rows = []
        for index, values in enumerate(quantiles):
            arrays, names = values, keys
            if mean is not None:
                arrays, names = np.concatenate([values, mean[index][None]]), [*keys, "mean"]
            rows.append(QuantileForecast(arrays, start, names))
        data = SimpleNamespace(
            input=[{"start": start, "target": np.asarray(c, np.float32)} for c in contexts],
            label=[{"start": start, "target": row} for row in labels],
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # gluonts divides by zero aloud
            found = evaluate_forecasts_raw(rows, test_data=data, metrics=metrics, seasonality=season)
        return {name: float(value) for name, value in found.items()}

    return scores
