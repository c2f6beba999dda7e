"""The sentinels that know the labels. They stand in a worker's place in the process that has the labels anyway.

Labels are read from the series one by one, not by the code that scores.
"""

from __future__ import annotations

import collections
from typing import Any

import numpy as np

from harness.batches import window_ids
from harness.forecast import F32, Batch
from harness.series import TaskData

__all__ = ["Labels", "labels_of"]


def labels_of(data: TaskData) -> F32:
    """The values after each cutoff, NaN where missing: float32 [N, H]."""
    ahead = data.task.horizon
    pairs = zip(data.channel.tolist(), data.cut.tolist(), strict=True)
    return np.stack([np.array(data.series.target[channel][cut : cut + ahead], np.float32) for channel, cut in pairs])


class Labels:
    """A worker that forecasts the labels of the window that is so many windows further on: 0 is the oracle."""

    depth = 1

    def __init__(self, data: TaskData, shift: int = 0) -> None:
        ids = window_ids(data, 0, len(data)).tolist()
        labels = np.nan_to_num(np.roll(labels_of(data), -shift, axis=0), posinf=0.0, neginf=0.0)  # a missing label is no point
        self._labels = dict(zip(ids, labels, strict=True))
        self._batches: collections.deque[Batch] = collections.deque()

    @property
    def pending(self) -> int:
        return len(self._batches)

    def load(self, *_: Any) -> dict[str, Any]:
        """There is nothing to load."""
        return {"load_s": 0.0, "versions": {}}

    def begin(self, *_: Any, **__: Any) -> dict[str, Any]:
        """There is nothing to learn."""
        return {"fit_s": 0.0, "noted": {}, "unsaved": ""}

    def submit(self, batch: Batch) -> None:
        """Keep the batch until it is collected."""
        self._batches.append(batch)

    def collect(self, deadline: float | None) -> tuple[F32, F32, dict[str, Any]]:
        """The labels at every level: quantiles [N, Q, H], means [N, H], facts as of a worker."""
        del deadline
        batch = self._batches.popleft()
        points = np.stack([self._labels[window] for window in batch.window_ids.tolist()])  # [N, H]
        quantiles = np.repeat(points[:, None], len(batch.quantile_levels), axis=1)  # [N, Q, H]
        facts = {"predict_s": 0.0, "peak_rss_mb": 0.0, "output": "points", "notes": {}, "interval": None}
        return quantiles, points, {**facts, "crossings": np.zeros(len(batch), np.int32)}

    def stop(self) -> None:
        """Forget the batches."""
        self._batches.clear()
