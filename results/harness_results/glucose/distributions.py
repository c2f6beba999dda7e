"""Scores of whole distributions, given as quantiles: WQL, coverage and sharpness of central intervals, calibration; from sums that add up.

mg/dL; axes N windows, Q levels, H horizon; P groups. Points whose reference is NaN are left out of everything, the width of intervals too.
A quantile that is NaN where there is a reference makes the sums of its group NaN. Crossing quantiles are taken as they are, but for
intervals.

"WQL" has two meanings. The nocturnal protocol's is the mean pinball loss over levels and points, in mg/dL: it grows with glucose and
compares models on one dataset. GIFT-Eval's doubles it and divides by the mean of |reference|: no unit, and comparable between datasets.

>>> total = quantile_sums([[100.0]], [[[90.0], [110.0]]], [0.1, 0.9])
>>> {name: round(float(value[0]), 4) for name, value in quantile_scores(total, [0.1, 0.9]).items()}  # doctest: +NORMALIZE_WHITESPACE
{'n': 1.0, 'pinball': 1.0, 'WQL': 0.02, 'coverage[50]': 1.0, 'sharpness[50]': 12.5, 'coverage[80]': 1.0, 'sharpness[80]': 20.0, 'MACE': 0.1}
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from harness.arithmetic import divide
from harness.errors import ForecastError
from harness.forecast import F64
from harness.metrics import mean_coverage_error, wql
from harness.quantiles import rule
from harness_results.glucose.arrays import Sums, along, grouped

__all__ = ["INTERVALS", "interval", "quantile_scores", "quantile_sums"]

INTERVALS = (50, 80)
"""Central intervals in percent: 80 goes from level 0.1 to 0.9."""


def quantile_sums(
    reference: ArrayLike, quantiles: ArrayLike, levels: ArrayLike, group: ArrayLike | None = None, groups: int | None = None
) -> Sums:
    """The sums that all scores of this module need.

    n, abs_label: points and Σ|reference|, [P]; pinball, hits: Σ max(τ·(y − q), (τ − 1)·(y − q)) and points with y ≤ q, [P, Q]; inside50,
    width50 and the like: points within the interval, its edges included, and Σ of its width, [P].

    Args:
        reference: [N, H], NaN where missing.
        quantiles: [N, Q, H].
        levels: [Q], rising, between 0 and 1.
        group: int [N], the patient of each window (`arrays.grouped`).
        groups: P.

    Raises:
        ValueError: other shapes or groups, levels that do not rise.
    """
    y, q, at = np.asarray(reference, np.float64), np.asarray(quantiles, np.float64), np.asarray(levels, np.float64)
    if y.ndim != 2 or at.ndim != 1 or q.shape != (len(y), len(at), y.shape[1]) or not np.all(np.diff(at) > 0):
        raise ValueError(
            f"got a reference of shape {y.shape}, quantiles of shape {q.shape} and levels {at.tolist()}; "
            f"wanted [N, H], [N, Q, H] and Q rising levels"
        )
    seen = ~np.isnan(y)
    there = seen[:, None]  # [N, 1, H]
    gap = np.where(there, y[:, None] - q, 0.0)  # [N, Q, H]
    tau = at[:, None]
    found = {
        "n": grouped(seen, group, groups),
        "abs_label": grouped(np.where(seen, np.abs(y), 0.0), group, groups),
        "pinball": along(np.maximum(tau * gap, (tau - 1.0) * gap), group, groups),
        "hits": along(np.where(np.isnan(gap), np.nan, there & (gap <= 0)), group, groups),
    }
    for share in INTERVALS:
        low, high = interval(q, at, share / 100.0)
        width = np.where(seen, high - low, 0.0)
        within = np.where(np.isnan(width), np.nan, seen & (low <= y) & (y <= high))
        found |= {f"inside{share}": grouped(within, group, groups), f"width{share}": grouped(width, group, groups)}
    return found


def interval(quantiles: F64, levels: F64, share: float) -> tuple[F64, F64]:
    """Lower and upper edge [N, H] of the central interval that should hold a share of all values, from quantiles [N, Q, H] at levels [Q].

    Levels that were not given follow by the rule of `harness.quantiles`: straight lines between levels, exponential tails outside (the
    nocturnal protocol takes the outermost level there). NaN where one level is all there is. Edges that cross are put in order.

    >>> low, high = interval(np.array([[[90.0], [100.0], [110.0]]]), np.array([0.1, 0.5, 0.9]), 0.5)
    >>> low.round(9).tolist(), high.round(9).tolist()
    ([[93.75]], [[106.25]])
    """
    edges = []
    for level in ((1.0 - share) / 2, (1.0 + share) / 2):
        try:
            each = rule(levels.tolist(), level)
        except ForecastError:
            return (np.full(quantiles[:, 0].shape, np.nan),) * 2
        edges.append(quantiles[:, each.base] + each.weight * (quantiles[:, each.high] - quantiles[:, each.low]))
    return np.minimum(*edges), np.maximum(*edges)


def quantile_scores(sums: Mapping[str, F64], levels: ArrayLike) -> Sums:
    """All scores [P]; NaN for a patient without points.

    * pinball: mean over levels and points of the pinball loss, the nocturnal protocol's WQL. [0, inf), best 0, mg/dL.
    * WQL: mean over levels of 2·Σ pinball / Σ|reference|, GIFT-Eval's. [0, inf), best 0, no unit.
    * coverage[50], coverage[80]: share of references within the interval. [0, 1], best 0.5 and 0.8.
    * sharpness[50], sharpness[80]: mean width of the interval. [0, inf), mg/dL; narrow is good if the coverage is right.
    * MACE: mean over levels τ of |share of references at or below the quantile − τ|. [0, 1), best 0.
    """
    n, at = sums["n"], np.asarray(levels, np.float64)
    core = {"quantile_loss": 2.0 * sums["pinball"], "abs_label": sums["abs_label"], "hits": sums["hits"], "n": n, "levels": at}
    found = {"n": n, "pinball": divide(sums["pinball"].mean(axis=1), n), "WQL": wql(core)}
    for share in INTERVALS:
        found |= {f"coverage[{share}]": divide(sums[f"inside{share}"], n), f"sharpness[{share}]": divide(sums[f"width{share}"], n)}
    return found | {"MACE": mean_coverage_error(core)}
