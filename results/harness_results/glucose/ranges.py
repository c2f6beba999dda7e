"""Time in range and the indices of a glucose trace, of references and of predictions, from sums that add up over blocks and patients.

mg/dL; axes N windows, then any; P groups. The ranges are those of the international consensus (Battelino et al. 2019, Diabetes Care
42:1593):

    TBR2 below 54 | TBR1 54 to below 70 | TIR 70 to 180 | TAR1 above 180 to 250 | TAR2 above 250

Points without a reference are left out of both, so that the two are over the same times. What is compared is the share of forecast points,
each horizon step among them, not a trace of days: the consensus asks for 14 days of readings, windows that overlap count a time more than
once.

>>> seen = range_scores(range_sums([50.0, 100.0, 190.0, 300.0]))
>>> ahead = range_scores(range_sums([72.0, 100.0, 190.0, 260.0], reference=[50.0, 100.0, 190.0, 300.0]))
>>> [float(seen[name][0]) for name in RANGES], float(ahead["TIR"][0])
([25.0, 0.0, 25.0, 25.0, 25.0], 50.0)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from harness.arithmetic import divide
from harness.forecast import F64
from harness_results.glucose.arrays import Sums, complete, grouped, pair

__all__ = ["RANGES", "range_scores", "range_sums", "risk"]

RANGES = ("TBR2", "TBR1", "TIR", "TAR1", "TAR2")

CENTRE = 120.0  # squares are summed of what differs from it, so that little is lost when the mean is taken off again


def range_sums(values: ArrayLike, reference: ArrayLike | None = None, group: ArrayLike | None = None, groups: int | None = None) -> Sums:
    """The sums [P] that all scores of this module need.

    Args:
        values: glucose [N, ...], references or predictions.
        reference: the same shape; points where it is NaN are left out. None = those where `values` is NaN.
        group: int [N], the patient of each window (`arrays.grouped`).
        groups: P.

    Raises:
        ValueError: two shapes; a value that is NaN where there is a reference.
    """
    _, g, seen = pair(values if reference is None else reference, values)
    complete(seen, g, "time in range")
    low = risk(np.where(seen, g, 100.0))
    off = np.where(seen, g - CENTRE, 0.0)
    terms = {
        "TBR2": g < 54,
        "TBR1": (g >= 54) & (g < 70),
        "TIR": (g >= 70) & (g <= 180),
        "TAR1": (g > 180) & (g <= 250),
        "TAR2": g > 250,
        "low": np.where(low < 0, 10 * low**2, 0.0),
        "high": np.where(low > 0, 10 * low**2, 0.0),
        "off": off,
        "square": off**2,
    }
    return {"n": grouped(seen, group, groups), **{name: grouped(np.where(seen, term, 0.0), group, groups) for name, term in terms.items()}}


def range_scores(sums: Mapping[str, F64]) -> Sums:
    """All scores [P]; NaN for a patient without points, CV for one with fewer than two.

    * TBR2, TBR1, TIR, TAR1, TAR2: percent of points; 100 in all.
    * LBGI, HBGI: mean of 10·f² over points, f below 0 or above it, else 0 (`risk`). [0, inf), lower is better; above 5 and above 9 are high
      risks. Source: Kovatchev et al. 2006, Diabetes Care 29:2433.
    * GMI: 3.31 + 0.02392 · mean, an estimate of HbA1c in percent. Source: Bergenstal et al. 2018, Diabetes Care 41:2275.
    * mean: mg/dL; CV: 100 · standard deviation (by n − 1) / mean, percent; above 36 glucose is called unstable.

    >>> found = range_scores(range_sums([100.0, 200.0]))
    >>> [round(float(found[name][0]), 3) for name in ("LBGI", "HBGI", "GMI", "mean", "CV")]
    [0.241, 5.802, 6.898, 150.0, 47.14]
    """
    n = sums["n"]
    mean = CENTRE + divide(sums["off"], n)
    spread = np.maximum(sums["square"] - divide(sums["off"] ** 2, n), 0.0)
    found = {name: 100.0 * divide(sums[name], n) for name in RANGES}
    found |= {"LBGI": divide(sums["low"], n), "HBGI": divide(sums["high"], n), "GMI": 3.31 + 0.02392 * mean, "mean": mean}
    return found | {"CV": 100.0 * divide(np.sqrt(divide(spread, np.where(n > 1, n - 1, np.nan))), mean)}


def risk(glucose: ArrayLike) -> F64:
    """Kovatchev's symmetric scale f = 1.509 · ((ln g)^1.084 − 5.381), any shape: −3.16 at 20 mg/dL, 0 at 112.5, 3.16 at 600.

    The logarithm has no power below 1 mg/dL, where only a model goes: such values count as 1.

    >>> risk([20.0, 113.0, 600.0]).round(2).tolist()
    [-3.16, 0.01, 3.16]
    """
    scale: F64 = 1.509 * (np.log(np.maximum(np.asarray(glucose, np.float64), 1.0)) ** 1.084 - 5.381)
    return scale
