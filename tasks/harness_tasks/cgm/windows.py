"""Where the windows of a kind of task begin: at every reading, at midnight, after a recorded meal.

Axes: G series, N windows. Whether a window may be tested is the hold-out's affair (`harness_tasks.cgm.splits`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.forecast import I64
from harness_tasks.cgm.grid import Gridded

__all__ = ["HISTORY", "LABELLED", "place_windows"]

DAY = 24 * 60
HISTORY = 60  # minutes of a series before its first window
LABELLED = 0.7  # the part of a night's labels that must be there: the consensus' least share of readings


def place_windows(gridded: Gridded, what: str, horizon: int, stride: int = 1) -> tuple[NDArray[np.int64], I64]:
    """All windows of a kind: (series int64 [N], position of the first label int64 [N]), ordered by both.

    A window has `HISTORY` before it in its series, a reading at the last step of its context, H steps of the series after it and, of these
    labels, one that is there (of a night the share `LABELLED`).

    Args:
        gridded: the series; for "meal-…" they must have meals.
        what: "night-…" for a window whose first label is that of midnight; "meal-…" for one whose last step of context is the point that
            holds a meal; anything else for windows everywhere.
        horizon: H, steps.
        stride: steps from one window to the next, of those everywhere.
    """
    values, offsets = gridded.glucose.values, gridded.glucose.offsets
    lengths, least = gridded.glucose.lengths, max(1, HISTORY // gridded.step)
    if what.startswith("meal"):
        assert gridded.meals is not None
        pairs = np.unique(np.stack([gridded.meals.series.astype(np.int64), gridded.meals.position + 1], axis=1), axis=0)
        rows, cut = pairs[:, 0], pairs[:, 1]
    else:
        rows = np.repeat(np.arange(len(gridded)), lengths)
        cut = np.arange(len(values)) - offsets[rows]
        if what.startswith("night"):
            minute = (gridded.starts.astype("datetime64[m]").astype(np.int64)[rows] + cut * gridded.step) % DAY
            keep = minute == 0
        else:
            keep = cut % stride == 0
        rows, cut = rows[keep], cut[keep]
    there = (cut >= least) & (cut + horizon <= lengths[rows])
    rows, cut = rows[there], cut[there]
    known = np.concatenate([[0], np.cumsum(~np.isnan(values))])  # readings before each place
    at = offsets[rows] + cut
    labels = known[at + horizon] - known[at]
    enough = labels >= (LABELLED * horizon - 1e-9 if what.startswith("night") else 1)
    enough &= ~np.isnan(values[at - 1])
    return rows[enough], cut[enough]
