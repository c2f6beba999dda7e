"""Chronos-Bolt: patches in, quantiles of 64 steps out. Imports chronos and torch.

Axes: N windows, Q quantile levels, H horizon, T context.

The nine trained levels are returned as they are, so they may cross; the library would repeat 0.1 and 0.9 for levels beyond them. Beyond 64
steps the library goes on from each of the nine quantiles and takes quantiles of the eighty-one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from harness import Batch, Forecast
from harness.threads import one_thread
from harness_chronos.contexts import chunks, count, filled, rows_of, unscaled
from harness_chronos.settings import beyond

__all__ = ["ChronosBolt"]


class ChronosBolt:
    """Quantiles of a Bolt network.

    Args:
        pipeline: the library's `ChronosBoltPipeline`.
        context: steps of history that are looked at.
        rows: windows at a time; 0 is by their width.
    """

    def __init__(self, pipeline: Any, context: int, rows: int = 0) -> None:
        self.pipeline, self.context, self.rows = pipeline, context, rows
        self.notes: dict[str, object] = {}

    @one_thread()
    def predict(self, batch: Batch) -> Forecast:
        """Quantiles [N, Q, H] at the trained levels; zeros for a context without a value."""
        rows = rows_of(batch.contexts, self.context)
        count(rows, self.notes)
        levels = self.pipeline.quantiles
        values = np.zeros((len(batch), len(levels), batch.horizon), np.float32)
        observed = np.flatnonzero(rows.lengths)
        for index, width, together in chunks(rows.lengths[observed], self.rows, self.pipeline.model.device.type):
            some = observed[index]
            x = torch.from_numpy(filled(rows.cut(some, width), together))  # [r, T]
            with beyond(self.notes, batch.horizon, self.pipeline.model_prediction_length):
                q = self.pipeline.predict(x, batch.horizon)  # [r, Q, H]
            values[some] = unscaled(q[: len(some)].numpy(), rows.exponent[some])
        return Forecast.from_quantiles(values, levels)
