"""The two units of glucose, and telling from readings which one they are in.

One mmol/L is a thousandth of a mole of glucose, C₆H₁₂O₆, in a litre. With 180.156 g/mol that is 18.0156 mg/dL; software for meters and
sensors has 18.0182 (about 1 / 0.0555), many libraries 18. This package multiplies by 18.0182: the three differ by at most 0.11 %, 0.3
mg/dL at 300. What matters more is that thresholds are not equal: 3.9 mmol/L is 70.2 or 70.3 mg/dL, so "below 70 mg/dL" and "below 3.9
mmol/L" are two labels.

A guess of the wrong unit is wrong by a factor of 18 and shows only in the scores, so `detect_unit` refuses whatever could be either.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from harness.errors import DataError
from harness.forecast import F64, I64
from harness_tasks.cgm.advice import UNIT

__all__ = ["MGDL_PER_MMOL", "UNITS", "detect_unit", "of_other_unit"]

MGDL_PER_MMOL = 18.0182

UNITS = ("mg/dL", "mmol/L")

BULK = {"mg/dL": (20.0, 600.0), "mmol/L": (1.1, 33.4)}
"""Where all but the lowest and highest hundredth of readings lie: what meters can show. Sensors show less, 40 to 500 mg/dL."""

MIDDLE = {"mg/dL": 45.0, "mmol/L": 2.5}
"""No recording of a person has a lower median; without this, readings in g/L (0.7 to 2.5) would pass for mmol/L."""


def detect_unit(values: ArrayLike) -> str:
    """The unit of glucose readings of any shape, "mg/dL" or "mmol/L"; NaN and infinite values are left out.

    A unit fits if the 1st and 99th percentile (readings themselves, no values between them) lie in the range of meters and the median is
    one that a person can have. Exactly one must fit. Up to 1 % of wild values change nothing; 0 for a missing reading does, if there are
    more.

    >>> detect_unit([93.0, 110.0, float("nan"), 180.0]), detect_unit([5.2, 6.1, 10.0])
    ('mg/dL', 'mmol/L')

    Raises:
        DataError: no finite reading; both units fit (all between 20 and 33.4); none does (g/L, mixed units, 0 for missing, scaled data).
            It has the percentiles, and says what to pass.
    """
    readings = np.asarray(values, np.float64).reshape(-1)
    readings = readings[np.isfinite(readings)]
    if not len(readings):
        raise DataError(f"the unit of glucose cannot be told from no readings; {UNIT}")
    fits, both, (low, middle, high) = _fitting(readings)
    if len(fits) == 1:
        return fits[0]
    ranges = " and ".join(f"{unit} within {BULK[unit][0]:g} to {BULK[unit][1]:g}, median from {MIDDLE[unit]:g}" for unit in UNITS)
    why = "which could be either unit" if both else "which is neither unit"
    raise DataError(
        f"the 1st, 50th and 99th percentile of {len(readings)} glucose readings are {low:g}, {middle:g} and {high:g}, {why} (wanted "
        f"{ranges}); {UNIT}"
        + ("" if both else ", after a look whether 0 stands for a missing reading, two units are mixed, or the values are scaled")
    )


def of_other_unit(subject: I64, values: F64, unit: str) -> list[int]:
    """The subjects whose readings fit the other unit alone, by the rule of `detect_unit`: in a source of `unit`, a mistake of it.

    Whose readings fit both units or neither goes with the source: a person who is low throughout, one whose unit changes in between.
    Readings of 0 or less are left out, as they are dropped later.

    Args:
        subject: whose each reading is, int64 [R].
        values: float64 [R].
        unit: what the source is in.

    >>> of_other_unit(np.array([0, 0, 1, 1]), np.array([93.0, 110.0, 5.2, 6.1]), "mg/dL")
    [1]
    """
    there = np.isfinite(values) & (values > 0)
    low, high = BULK[unit]
    odd = np.unique(subject[there & ((values < low) | (values > high))])  # all others fit `unit`, or both
    if not len(odd):
        return []
    kept = np.flatnonzero(there & np.isin(subject, odd))
    order = kept[np.argsort(subject[kept], kind="stable")]
    who, first = np.unique(subject[order], return_index=True)
    fitting = (_fitting(values[rows])[0] for rows in np.split(order, first[1:]))
    return [int(one) for one, fits in zip(who, fitting, strict=True) if fits and fits != [unit]]


def _fitting(readings: F64) -> tuple[list[str], bool, tuple[float, float, float]]:
    """The one unit that readings fit, if there is one; whether they lie in the range of both; their 1st, 50th and 99th percentile."""
    low, middle, high = (float(v) for v in np.percentile(readings, [1, 50, 99], method="inverted_cdf"))
    ranged = [u for u in UNITS if BULK[u][0] <= low and high <= BULK[u][1]]
    # A median of 25 is plainer as 450 mg/dL than as 25 mg/dL, but neither is plain: what lies in both ranges is not told by the median.
    both = len(ranged) == len(UNITS)
    return [u for u in ranged if middle >= MIDDLE[u] and not both], both, (low, middle, high)
