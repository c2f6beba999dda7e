"""The metrics of the dialect `gift-eval`, and a few more from the same sums.

Each takes the sums of a slice (numbers or arrays of any shape, keyed by the names in `harness.scoring.STATISTICS`; lists have the levels
as their last axis) and gives its score: x/0 is inf, 0/0 is NaN, as numpy has it, and no warning. Missing labels are in no sum.
Importing this module costs no numpy.

The definitions are those of gluonts (`gluonts.ev.metrics`, evaluated with `axis=None, mask_invalid_label=True`); H, N and M below run
over all valid points of all windows of the slice, so a window counts by its number of valid points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from harness.hookspecs import hookimpl
from harness.types import Metric

__all__ = ["METRICS", "evaluate", "register_metrics"]

Sums = Mapping[str, Any]


def _divide(a: Any, b: Any) -> Any:
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(a, b, dtype=np.float64)


def mse_mean(sums: Sums) -> Any:
    """Mean squared error of the mean: Σ(y − mean)² / n. Range [0, inf), best 0, unit target². Zeros count; no valid label: NaN.

    Source: gluonts `MSE("mean")`. Labels 1, 3 and mean 2, 2: (1 + 1) / 2.

    >>> float(mse_mean({"sq_error_mean": 2.0, "n": 2}))
    1.0
    """
    return _divide(sums["sq_error_mean"], sums["n"])


def mse_median(sums: Sums) -> Any:
    """Mean squared error of the median: Σ(y − q₀.₅)² / n. Range [0, inf), best 0, unit target². Zeros count; no valid label: NaN.

    Source: gluonts `MSE("0.5")`. Labels 1, 3 and median 1, 1: (0 + 4) / 2.

    >>> float(mse_median({"sq_error": 4.0, "n": 2}))
    2.0
    """
    return _divide(sums["sq_error"], sums["n"])


def mae_median(sums: Sums) -> Any:
    """Mean absolute error of the median: Σ|y − q₀.₅| / n. Range [0, inf), best 0, unit target. Zeros count; no valid label: NaN.

    Source: gluonts `MAE("0.5")`. Labels 1, 3 and median 1, 1: (0 + 2) / 2.

    >>> float(mae_median({"abs_error": 2.0, "n": 2}))
    1.0
    """
    return _divide(sums["abs_error"], sums["n"])


def mase(sums: Sums) -> Any:
    """Mean absolute scaled error: Σ(|y − q₀.₅| / seasonal error of the window) / number of such points. Range [0, inf), best 0, no unit.

    Windows whose seasonal error is 0 (constant, too short or all missing contexts) are left out; if all are: NaN.
    Source: gluonts `MASE("0.5")`; Hyndman and Koehler 2006. Errors 1, 3 with seasonal error 2: (0.5 + 1.5) / 2.

    >>> float(mase({"scaled_error": 2.0, "n_scaled": 2}))
    1.0
    """
    return _divide(sums["scaled_error"], sums["n_scaled"])


def mape(sums: Sums) -> Any:
    """Mean absolute percentage error: Σ(|y − q₀.₅| / |y|) / number of labels that are not 0. Range [0, inf), best 0, no unit (1 is 100 %).

    Zero labels are left out; if all are zero or missing: NaN. Explodes on tiny labels. Source: gluonts `MAPE("0.5")`.
    Labels 2, 4, 0 and median 1, 5, 9: (1/2 + 1/4) / 2.

    >>> float(mape({"ape": 0.75, "n_ape": 2}))
    0.375
    """
    return _divide(sums["ape"], sums["n_ape"])


def smape(sums: Sums) -> Any:
    """Symmetric mean absolute percentage error: Σ(2|y − q₀.₅| / (|y| + |q₀.₅|)) / number of points. Range [0, 2], best 0, no unit.

    Points where label and median are both 0 are left out; if all are: NaN. Source: gluonts `SMAPE("0.5")`.
    Labels 1, 0 and median 3, 0: 2·2 / 4, and the second does not count.

    >>> float(smape({"sape": 1.0, "n_sape": 1}))
    1.0
    """
    return _divide(sums["sape"], sums["n_sape"])


def msis(sums: Sums) -> Any:
    """Mean scaled interval score of the 95 % interval [l, u]: Σ(((u − l) + 40·max(l − y, 0) + 40·max(y − u, 0)) / seasonal error) / points.

    Range [0, inf) for quantiles that do not cross, best 0, no unit. l and u are the quantiles at 0.025 and 0.975, from the tails where they
    were not given (see `harness.quantiles`). Windows whose seasonal error is 0 are left out; if all are, or one level is all there is: NaN.
    Source: gluonts `MSIS(alpha=0.05)`; M4 competition. Interval [0, 4], label 5, seasonal error 2: (4 + 40) / 2.

    >>> float(msis({"scaled_interval": 22.0, "n_scaled": 1}))
    22.0
    """
    return _divide(sums["scaled_interval"], sums["n_scaled"])


def rmse_mean(sums: Sums) -> Any:
    """Root mean squared error of the mean: √MSE[mean]. Range [0, inf), best 0, unit target. Zeros count; no valid label: NaN.

    Source: gluonts `RMSE("mean")`. Errors 1, 7, 5, 5: √((1 + 49 + 25 + 25) / 4).

    >>> float(rmse_mean({"sq_error_mean": 100.0, "n": 4}))
    5.0
    """
    return mse_mean(sums) ** 0.5


def nrmse_mean(sums: Sums) -> Any:
    """RMSE[mean] / mean |y|. Range [0, inf), best 0, no unit. All labels 0: inf (NaN if all errors are 0 too); no valid label: NaN.

    Source: gluonts `NRMSE("mean")`. RMSE 5 over labels whose mean size is 10.

    >>> float(nrmse_mean({"sq_error_mean": 100.0, "n": 4, "abs_label": 40.0}))
    0.5
    """
    return _divide(rmse_mean(sums), _divide(sums["abs_label"], sums["n"]))


def nd(sums: Sums) -> Any:
    """Normalised deviation: Σ|y − q₀.₅| / Σ|y|, pooled over the slice. Range [0, inf), best 0, no unit.

    All labels 0: inf (NaN if all errors are 0 too); no valid label: NaN. Source: gluonts `ND("0.5")`. Errors 1, 1 on labels 3, 5.

    >>> float(nd({"abs_error": 2.0, "abs_label": 8.0}))
    0.25
    """
    return _divide(sums["abs_error"], sums["abs_label"])


def wql(sums: Sums) -> Any:
    """Mean weighted sum quantile loss, "CRPS" in GIFT-Eval: mean over levels τ of Σ 2·|(y − q_τ)·(1{y ≤ q_τ} − τ)| / Σ|y|.

    Pooled over the slice: large series weigh more. Range [0, inf), best 0, no unit. All labels 0: inf or NaN; no valid label: NaN.
    Source: gluonts `MeanWeightedSumQuantileLoss`. Losses 2 and 4 at two levels over Σ|y| = 10: (0.2 + 0.4) / 2.

    >>> round(float(wql({"quantile_loss": [2.0, 4.0], "abs_label": 10.0})), 12)
    0.3
    """
    import numpy as np

    return _divide(np.mean(np.asarray(sums["quantile_loss"], np.float64), axis=-1), sums["abs_label"])


def bias(sums: Sums) -> Any:
    """Σ(q₀.₅ − y) / Σ|y|: above 0 where the median is too high. Range (−inf, inf), best 0, no unit.

    All labels 0: ±inf or NaN; no valid label: NaN. Source: the forecast bias of demand planning, on the median.
    Labels 3, 5 and median 4, 6: (1 + 1) / 8.

    >>> float(bias({"error": -2.0, "abs_label": 8.0}))
    0.25
    """
    import numpy as np

    return _divide(np.negative(sums["error"]), sums["abs_label"])


def coverage(sums: Sums, level: float) -> Any:
    """Share of labels at or below the quantile at `level`. Range [0, 1], best `level`, no unit. Zeros count; no valid label: NaN.

    NaN where the level was not asked for. Needs `levels` [Q] among the sums. Source: gluonts `Coverage(q)`. 3 of 4 labels.

    >>> float(coverage({"hits": [3, 4], "n": 4, "levels": [0.1, 0.9]}, 0.1))
    0.75
    """
    import numpy as np

    hits = np.asarray(sums["hits"], np.float64)
    at = np.flatnonzero(np.isclose(np.asarray(sums["levels"], np.float64), level, rtol=0, atol=1e-9))
    return _divide(hits[..., at[0]] if len(at) else np.full(hits.shape[:-1], np.nan), sums["n"])


def mean_coverage_error(sums: Sums) -> Any:
    """Mean over levels τ of |share of labels at or below q_τ − τ|. Range [0, 1), best 0, no unit. Zeros count; no valid label: NaN.

    Needs `levels` [Q] among the sums. Source: average calibration, Kuleshov et al. 2018 (absolute instead of squared).
    Shares 0.3 and 0.9 at 0.1 and 0.9: (0.2 + 0) / 2.

    >>> round(float(mean_coverage_error({"hits": [3, 9], "n": 10, "levels": [0.1, 0.9]})), 12)
    0.1
    """
    import numpy as np

    share = _divide(sums["hits"], np.asarray(sums["n"], np.float64)[..., None])  # [..., Q]
    return np.mean(np.abs(share - np.asarray(sums["levels"], np.float64)), axis=-1)


def _metric(name: str, value: Callable[[Sums], Any], formula: str, **fields: Any) -> Metric:
    function = value.func if isinstance(value, partial) else value
    doc = (function.__doc__ or "").splitlines()[0]
    return Metric(name, value, summary=doc, formula=formula, **fields)


METRICS: tuple[Metric, ...] = (
    _metric("MSE[mean]", mse_mean, "Σ(y − mean)² / n", unit="target²", source="gluonts MSE"),
    _metric("MSE[0.5]", mse_median, "Σ(y − q0.5)² / n", unit="target²", source="gluonts MSE"),
    _metric("MAE[0.5]", mae_median, "Σ|y − q0.5| / n", unit="target", source="gluonts MAE"),
    _metric("MASE[0.5]", mase, "Σ(|y − q0.5| / seasonal error) / n", source="gluonts MASE"),
    _metric("MAPE[0.5]", mape, "Σ(|y − q0.5| / |y|) / n", source="gluonts MAPE"),
    _metric("sMAPE[0.5]", smape, "Σ(2|y − q0.5| / (|y| + |q0.5|)) / n", range="[0, 2]", source="gluonts SMAPE"),
    _metric("MSIS", msis, "Σ(interval score at alpha 0.05 / seasonal error) / n", source="gluonts MSIS"),
    _metric("RMSE[mean]", rmse_mean, "√(Σ(y − mean)² / n)", unit="target", source="gluonts RMSE"),
    _metric("NRMSE[mean]", nrmse_mean, "RMSE[mean] / mean |y|", source="gluonts NRMSE"),
    _metric("ND[0.5]", nd, "Σ|y − q0.5| / Σ|y|", source="gluonts ND"),
    _metric("mean_weighted_sum_quantile_loss", wql, "mean over τ of Σ 2·pinball_τ / Σ|y|", source="gluonts MeanWeightedSumQuantileLoss"),
    _metric("bias[0.5]", bias, "Σ(q0.5 − y) / Σ|y|", direction="none", range="(-inf, inf)", source="demand planning"),
    *(
        _metric(
            f"coverage[{t}]", partial(coverage, level=t), f"share of y ≤ q{t}", direction="none", range="[0, 1]", source="gluonts Coverage"
        )
        for t in (0.1, 0.5, 0.9)
    ),
    _metric(
        "mean_coverage_error", mean_coverage_error, "mean over τ of |share of y ≤ q_τ − τ|", range="[0, 1)", source="Kuleshov et al. 2018"
    ),
)
"""The built-in metrics; the first eleven are GIFT-Eval's, in the order of its result files."""


@hookimpl
def register_metrics(register: Callable[[Metric], None]) -> None:
    """Register the built-in metrics."""
    for metric in METRICS:
        register(metric)


def evaluate(totals: Sums, metrics: Iterable[Metric] = METRICS) -> dict[str, float]:
    """Score one slice, given as `Totals.sums` or the like: {metric: number, NaN where undefined}."""
    return {metric.name: float(metric.value(totals)) for metric in metrics}
