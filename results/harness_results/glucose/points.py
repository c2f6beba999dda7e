"""Errors of points: RMSE, MAE, MAPE, MARD, bias and the glucose-specific gRMSE, from sums that add up over blocks and patients.

mg/dL; e = prediction − reference; axes N windows, then any; P groups. A reference that is NaN is left out; a prediction that is NaN where
there is a reference makes the sums of its group NaN, as it must not pass unseen. A score of no points is NaN. The metric at one step of the
horizon is that of the columns [:, h − 1], the cumulative one that of [:, :h].

>>> total = point_sums([100.0, 200.0, np.nan], [110.0, 180.0, 90.0])
>>> {name: round(float(value[0]), 4) for name, value in point_scores(total).items()}
{'n': 2.0, 'RMSE': 15.8114, 'MAE': 15.0, 'MAPE': 0.1, 'MARD': 10.0, 'bias': -5.0, 'gRMSE': 18.1711}
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from harness.arithmetic import divide
from harness.forecast import F64
from harness_results.glucose.arrays import Sums, grouped, pair

__all__ = ["bias", "grmse", "mae", "mape", "mard", "penalty", "point_scores", "point_sums", "rmse"]


def point_sums(reference: ArrayLike, prediction: ArrayLike, group: ArrayLike | None = None, groups: int | None = None) -> Sums:
    """The sums [P] that all scores of this module need, of arrays of one shape [N, ...]; group int [N], groups P (`arrays.grouped`).

    n: points; error: Σe; abs: Σ|e|; square: Σe²; penalised: Σ Pen·e²; relative: Σ|e|/reference, over n_relative points whose reference is
    above 0.

    Raises:
        ValueError: other shapes or groups.
    """
    r, p, seen = pair(reference, prediction)
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.where(seen, p - r, 0.0)
        square = error**2
        terms = {
            "n": seen,
            "error": error,
            "abs": np.abs(error),
            "square": square,
            "penalised": np.where(seen, penalty(r, p), 1.0) * square,
            "relative": np.abs(error) / np.where(r > 0, r, np.inf),
            "n_relative": seen & (r > 0),
        }
        return {name: grouped(values, group, groups) for name, values in terms.items()}


def point_scores(sums: Mapping[str, F64]) -> Sums:
    """All scores [P] of this module, and n, the points that they are over."""
    found = {"RMSE": rmse, "MAE": mae, "MAPE": mape, "MARD": mard, "bias": bias, "gRMSE": grmse}
    return {"n": sums["n"], **{name: score(sums) for name, score in found.items()}}


def rmse(sums: Mapping[str, F64]) -> F64:
    """√(Σe² / n). Range [0, inf), best 0, mg/dL.

    >>> rmse(point_sums([100, 100], [103, 104])).round(4).tolist()
    [3.5355]
    """
    root: F64 = np.sqrt(divide(sums["square"], sums["n"]))
    return root


def mae(sums: Mapping[str, F64]) -> F64:
    """Σ|e| / n. Range [0, inf), best 0, mg/dL.

    >>> mae(point_sums([100, 100], [103, 96])).tolist()
    [3.5]
    """
    mean: F64 = divide(sums["abs"], sums["n"])
    return mean


def mape(sums: Mapping[str, F64]) -> F64:
    """Σ(|e| / reference) / points whose reference is above 0. Range [0, inf), best 0, no unit: 1 is 100 %, as in the core's MAPE.

    >>> mape(point_sums([100, 200, 0], [110, 160, 5])).round(12).tolist()
    [0.15]
    """
    mean: F64 = divide(sums["relative"], sums["n_relative"])
    return mean


def mard(sums: Mapping[str, F64]) -> F64:
    """Mean absolute relative difference, the field's name for 100 · MAPE. Range [0, inf), best 0, percent.

    Sensors are sold by the MARD of their readings against blood; that of a forecast is against later readings of the sensor.

    >>> mard(point_sums([100, 200], [110, 160])).round(12).tolist()
    [15.0]
    """
    return 100.0 * mape(sums)


def bias(sums: Mapping[str, F64]) -> F64:
    """Σe / n: above 0 where the prediction is too high. Range (−inf, inf), best 0, mg/dL.

    The core's `bias[0.5]` divides by Σ|reference| instead.

    >>> bias(point_sums([100, 100], [110, 96])).tolist()
    [3.0]
    """
    mean: F64 = divide(sums["error"], sums["n"])
    return mean


def grmse(sums: Mapping[str, F64]) -> F64:
    """Glucose-specific RMSE: √(Σ Pen·e² / n), with `penalty`. Range [RMSE, √2.5·RMSE], best 0, mg/dL.

    Source: Del Favero, Facchinetti, Cobelli 2012, IEEE Transactions on Biomedical Engineering 59(5):1281. A hypoglycaemia of 50 taken for
    60 weighs 2.5: √(2.5 · 10²).

    >>> grmse(point_sums([50], [60])).round(4).tolist()
    [15.8114]
    """
    root: F64 = np.sqrt(divide(sums["penalised"], sums["n"]))
    return root


def penalty(reference: ArrayLike, prediction: ArrayLike) -> F64:
    """Del Favero's weight of a squared error: 1 to 2.5 where low glucose is overestimated, to 2 where high glucose is underestimated.

    Pen = 1 + 1.5 · fall(g; 85, 30) · rise(ĝ; g, 10) + 1.0 · rise(g; 155, 100) · fall(ĝ; g, 20), g the reference and ĝ the prediction,
    where rise(x; a, w) goes smoothly from 0 at x = a to 1 at a + w, and fall from 0 at a to 1 at a − w. So it is whole below 55 and above
    255 mg/dL, and for errors of 10 upwards or 20 downwards. Arrays of one shape; NaN where either is NaN.

    >>> penalty([50, 70, 85, 120, 200, 260, 100], [60, 90, 100, 120, 150, 180, 60]).round(5).tolist()
    [2.5, 1.75, 1.0, 1.0, 1.40095, 2.0, 1.0]
    """
    g, ahead, _ = pair(reference, prediction)
    low = 1.5 * _rise(-g, -85.0, 30.0) * _rise(ahead, g, 10.0)
    high = _rise(g, 155.0, 100.0) * _rise(-ahead, -g, 20.0)
    return 1.0 + low + high


def _rise(x: F64, a: F64 | float, width: float) -> F64:
    """0 up to a, 1 from a + width, between them two quartics that meet at ½ with equal slopes."""
    with np.errstate(invalid="ignore"):
        part = np.clip(2.0 / width * (x - a) - 1.0, -1.0, 1.0)
    square = part * part  # numpy's ** 3 and ** 4 take ten times as long
    curve: F64 = 0.5 * square * part * np.abs(part) - square * part + part + 0.5
    return curve
