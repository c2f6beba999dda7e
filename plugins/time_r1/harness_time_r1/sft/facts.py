"""A short text of what can be measured in a context, for samples without a teacher: level, trend and season. Needs numpy alone.

It is a rule's text and not reasoning: the same words for every window, numbers of the context alone. What it says of the forecast is how a
naive one would be made, not how the true values came about.

Axes: T context.
"""

from __future__ import annotations

import numpy as np

from harness.forecast import F32, F64

__all__ = ["facts"]

STRONG = 0.3
"""The share of variance from which on a trend or a season is spoken of as one."""


def facts(context: F32, season: int, horizon: int) -> str:
    """The text of a context [T]; missing values are left out."""
    context = np.where(np.isfinite(context), context, np.float32(np.nan))
    known = np.flatnonzero(np.isfinite(context))
    values = context[known].astype(np.float64)
    if not len(values):
        return "No value is known."
    missing = len(context) - len(values)
    gaps = f", {missing} of them missing" if missing else ""
    said = [
        f"Level: {len(context)} values{gaps}, from {_text(values.min())} to {_text(values.max())}, mean {_text(values.mean())}, "
        f"last {_text(values[-1])}.",
        _trend(known.astype(np.float64), values),
        _season(context, season),
        f"The next {horizon} values continue from the last ones.",
    ]
    return " ".join(filter(None, said))


def _trend(at: F64, values: F64) -> str:
    """The least-squares line, where there are values enough."""
    if len(values) < 4 or np.ptp(values) == 0:
        return "Trend: none." if len(values) > 1 else ""
    slope = float(np.polynomial.polynomial.polyfit(at, values, 1)[1])
    share = float(np.corrcoef(at, values)[0, 1] ** 2)
    if share < STRONG:
        return f"Trend: weak, a line explains {share:.0%} of the variance."
    way = "up" if slope > 0 else "down"
    return f"Trend: {way} by {_text(abs(slope))} a step, which explains {share:.0%} of the variance."


def _season(context: F32, season: int) -> str:
    """Means by place in the season, counted back from the end: of two whole seasons or more."""
    whole = len(context) // season if season > 1 else 0
    if whole < 2:
        return ""
    table = context[-whole * season :].reshape(whole, season).astype(np.float64)  # [seasons, m], the last one ends the context
    count = np.isfinite(table).sum(axis=0)
    if not count.all():
        return ""
    means = np.nansum(table, axis=0) / count  # [m]
    rest, spread = np.nanvar(table - means), np.nanvar(table)
    strength = 1 - float(rest / spread) if spread > 0 else 0.0
    if strength < STRONG:
        return f"Season of {season} steps: weak, it explains {strength:.0%} of the variance."
    high, low = int(means.argmax()) + 1, int(means.argmin()) + 1
    return (
        f"Season of {season} steps: it explains {strength:.0%} of the variance; counted from the first step ahead, it is highest in step "
        f"{high} with a mean of {_text(float(means.max()))}, lowest in step {low} with {_text(float(means.min()))}."
    )


def _text(value: float) -> str:
    return f"{value:.4g}"
