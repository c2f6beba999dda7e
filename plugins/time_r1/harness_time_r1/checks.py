"""Rules that a draft of a forecast is held against before a critic reads it. They see the context alone, never a label.

Axes: T context, H horizon. Missing values of a context count nowhere.
"""

from __future__ import annotations

import numpy as np

from harness_time_r1.parser import Parsed

__all__ = ["findings"]

BEYOND = 1.5
"""Widths of the context's range by which a forecast may leave it."""
JUMP = 2.0
"""Largest steps of the context that the first step of a forecast may have."""
SEASONAL = 0.5
"""Autocorrelation at the season's lag from which on a context is called seasonal."""
SHORTEST = 4
"""Values that say something of a shape."""


def findings(parsed: Parsed, usable: bool, context: np.ndarray, horizon: int, season_length: int) -> list[str]:
    """What is to be said against a draft, a sentence each; [] = nothing.

    Args:
        parsed: the draft as it was read.
        usable: whether it counts as a forecast, by its first H values.
        context: [T], NaN where missing.
        season_length: m, steps.

    - not a forecast: the answer cannot be read as `horizon` numbers;
    - range: a value lies more than `BEYOND` ranges of the context outside of it;
    - flat: one value throughout, where the context moves;
    - jump: the first step is more than `JUMP` times the largest of the context;
    - season: the context repeats itself (`SEASONAL`), and the draft moves against its last season.
    """
    if not usable:
        return [f"The answer cannot be used: {parsed.detail or parsed.kind}. Exactly {horizon} values are wanted, one a line."]
    values = np.asarray(parsed.values[:horizon], np.float64)
    seen = np.asarray(context, np.float64)
    known = seen[np.isfinite(seen)]
    said: list[str] = []
    if len(known) < SHORTEST:
        return said
    low, high = float(known.min()), float(known.max())
    width = high - low
    outside = (values < low - BEYOND * width) | (values > high + BEYOND * width)
    if outside.any():
        first = int(np.argmax(outside))
        said.append(
            f"{int(outside.sum())} of {horizon} values lie far outside of what was observed ({low:.6g} to {high:.6g}), "
            f"value {first + 1} first: {values[first]:.6g}."
        )
    if width > 0 and horizon >= SHORTEST and np.ptp(values) == 0:
        said.append("All values are the same, though the series moves.")
    steps = np.abs(np.diff(seen))
    steps = steps[np.isfinite(steps)]
    if len(steps) and np.isfinite(seen[-1]) and steps.max() > 0 and abs(values[0] - seen[-1]) > JUMP * steps.max():
        said.append(f"The first value, {values[0]:.6g}, is a jump from the last observed one, {seen[-1]:.6g}; no step was so large before.")
    if 1 < season_length <= horizon and 2 * season_length < len(seen):
        strength = _correlation(seen[season_length:], seen[:-season_length])
        if strength >= SEASONAL and _correlation(values[:season_length], seen[-season_length:]) < 0:
            said.append(f"The series repeats itself every {season_length} steps, and the forecast runs against the last of them.")
    return said


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's, over the places where both are there; 0 where that is undefined."""
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < SHORTEST:
        return 0.0
    a, b = a[both] - a[both].mean(), b[both] - b[both].mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0
