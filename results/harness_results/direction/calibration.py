"""Are probabilities of an event what they say? Brier score and skill, log-loss, calibration error, and whether a model says anything.

Axes: N windows. Probabilities lie in [0, 1]; outcomes are 0, 1 or NaN (not counted). All are NaN where no window counts.

Sources: Brier 1950; Murphy 1973 (reliability); Naeini, Cooper and Hauskrecht 2015 (ECE); Wilson 1927 (intervals of shares).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from harness.arithmetic import divide
from harness.forecast import F64, I64
from harness.statistics import normal_quantile
from harness_results.direction.discrimination import midranks
from harness_results.direction.inputs import counted_rows, level_of, probabilities

__all__ = ["BINS", "CLIP", "Collapse", "Reliability", "brier", "brier_skill", "collapse", "ece", "log_loss", "log_losses", "reliability"]

BINS = 10
CLIP = 1e-6
"""Log-loss takes probabilities for at least this and at most 1 less this: one certain and wrong forecast costs 13.8."""
COLLAPSED = 1e-3


class Reliability(NamedTuple):
    """Of each bin, rising: windows, mean forecast, share in which the event happened, and Wilson's interval of that share; all [bins]."""

    windows: I64
    forecast: F64
    observed: F64
    low: F64
    high: F64


class Collapse(NamedTuple):
    """How much a model's probabilities differ from each other.

    `spread` is the 95th less the 5th percentile, `std` their standard deviation (of all of them, not of a sample), `unique` how many
    values there are, `share` that of the commoner of the two calls at the threshold. `collapsed` if spread or std is below 0.001: the
    model says one thing whatever it is shown.
    """

    spread: float
    std: float
    unique: int
    share: float
    collapsed: bool


def brier(probability: ArrayLike, outcome: ArrayLike) -> float:
    """Mean (p − y)², [0, 1], best 0. Saying 0.5 has 0.25; saying the base rate b has b(1 − b).

    >>> round(brier([0.8, 0.4], [1, 0]), 12)  # (0.04 + 0.16) / 2
    0.1
    """
    p, y = probabilities(probability, outcome)
    return float(((p - y) ** 2).mean()) if len(p) else float("nan")


def brier_skill(probability: ArrayLike, outcome: ArrayLike, base_rate: ArrayLike) -> float:
    """1 − Brier / Brier of the base rate, (−inf, 1], best 1, 0 for the base rate itself.

    Args:
        base_rate: a number or [N], of each window the share of events in the part that was learnt from. The share in the windows
            themselves would be a forecast that knew the future.

    NaN where the base rate makes no error.

    >>> round(brier_skill([0.8, 0.4], [1, 0], 0.5), 12)  # 1 − 0.1 / 0.25
    0.6
    """
    p, y = probabilities(probability, outcome)
    b, _ = probabilities(np.broadcast_to(np.asarray(base_rate, np.float64), np.shape(outcome)), outcome)
    reference = ((b - y) ** 2).sum()
    return float(1 - ((p - y) ** 2).sum() / reference) if reference > 0 else float("nan")


def log_losses(probability: ArrayLike, outcome: ArrayLike) -> F64:
    """−log of the probability given to what happened, of each of the N windows; NaN where the outcome is.

    >>> log_losses([0.5, 0.0, 0.3], [1, 1, np.nan]).round(3).tolist()
    [0.693, 13.816, nan]
    """
    p, y = probabilities(probability, outcome)
    found = np.full(np.shape(outcome), np.nan)
    inside = np.clip(p, CLIP, 1 - CLIP)
    found[~np.isnan(np.asarray(outcome, np.float64))] = -np.log(np.where(y, inside, 1 - inside))
    return found


def log_loss(probability: ArrayLike, outcome: ArrayLike) -> float:
    """Mean −log p of what happened, with p clipped to [1e-6, 1 − 1e-6]; [0, 13.8], best 0. Saying 0.5 has log 2 = 0.693.

    >>> round(log_loss([0.8, 0.4], [1, 0]), 4)  # −(log 0.8 + log 0.6) / 2
    0.367
    """
    losses = log_losses(probability, outcome)
    there = losses[~np.isnan(losses)]
    return float(there.mean()) if len(there) else float("nan")


def reliability(probability: ArrayLike, outcome: ArrayLike, bins: int = BINS, level: float = 0.95) -> Reliability:
    """Forecasts in bins of as many windows each (equal mass), beside what happened.

    A window of mid-rank r goes to bin ⌊bins · (r − ½) / n⌋: equal probabilities are never parted, so that bins may be uneven or empty, and
    empty ones are left out. A constant has one bin.

    >>> table = reliability([0.1, 0.2, 0.7, 0.8], [0, 1, 1, 1], bins=2)
    >>> table.windows.tolist(), table.forecast.round(2).tolist(), table.observed.tolist()
    ([2, 2], [0.15, 0.75], [0.5, 1.0])
    """
    if bins < 1:
        raise ValueError(f"{bins} bins; wanted at least 1")
    z = normal_quantile((1 + level_of(level)) / 2)
    p, y = probabilities(probability, outcome)
    if not len(p):
        empty = np.empty(0)
        return Reliability(np.empty(0, np.int64), empty, empty, empty, empty)
    # Whole numbers, 2 · bins · (r − ½) // 2n, as r may be a half.
    which = bins * (np.rint(2 * midranks(p)).astype(np.int64) - 1) // (2 * len(p))
    count = np.bincount(which, minlength=bins)
    there = np.flatnonzero(count)
    n = count[there].astype(np.float64)
    forecast, observed = np.bincount(which, p, bins)[there] / n, np.bincount(which, y, bins)[there] / n
    middle = (observed + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * np.sqrt(observed * (1 - observed) / n + (z / (2 * n)) ** 2)
    return Reliability(count[there], forecast, observed, np.maximum(middle - reach, 0.0), np.minimum(middle + reach, 1.0))


def ece(probability: ArrayLike, outcome: ArrayLike, bins: int = BINS) -> float:
    """Expected calibration error: Σ n_b/n · |mean forecast − observed share| over bins of equal mass; [0, 1], best 0.

    Of a perfectly calibrated model it is above 0 by chance: about 0.8 · √(p(1 − p)/n_b).

    >>> round(ece([0.1, 0.2, 0.7, 0.8], [0, 1, 1, 1], bins=2), 12)  # (|0.15 − 0.5| + |0.75 − 1|) / 2
    0.3
    """
    table = reliability(probability, outcome, bins)
    return float(divide((table.windows * np.abs(table.forecast - table.observed)).sum(), table.windows.sum()))


def collapse(probability: ArrayLike, outcome: ArrayLike | None = None, threshold: float = 0.5) -> Collapse:
    """Whether a model says one thing whatever it is shown; over the windows that count, or all without `outcome`.

    >>> collapse([0.53, 0.53, 0.53]).collapsed, round(collapse([0.4, 0.6]).spread, 2)
    (True, 0.18)
    """
    p = np.asarray(probability, np.float64)
    rows, _, _ = counted_rows([p], np.zeros(p.shape) if outcome is None else outcome)
    seen = rows[0]
    if not len(seen):
        return Collapse(np.nan, np.nan, 0, np.nan, False)
    low, high = np.quantile(seen, [0.05, 0.95])
    spread, std, above = float(high - low), float(seen.std()), float((seen > threshold).mean())
    return Collapse(spread, std, len(np.unique(seen)), max(above, 1 - above), spread < COLLAPSED or std < COLLAPSED)
