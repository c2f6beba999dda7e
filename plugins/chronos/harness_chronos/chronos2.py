"""Chronos-2: patches of several series in, which attend to each other, and quantiles of each out. Imports chronos and torch.

Axes: N windows, V variates, Q quantile levels, H horizon.

- `joint` forecasts the windows of a group together; otherwise each window is forecast by itself. Covariates join either.
- A window that is alone runs with others, a fixed number at a time, which the attention keeps apart. An item of several rows runs by
  itself: where its rows stood beside others, the attention would add them up in another order, and the last bits would differ.
- `cross` is the library's cross-learning: all items of a batch attend to each other, at most `rows` series at a time. Only items with the
  same cutoff do so: else the context of a later window would show an earlier one its labels.
- The trained levels are returned as they are, 21 from 0.01 to 0.99 as published. Beyond 1024 steps the library goes on from nine quantiles.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness import Batch, Forecast, Unsupported
from harness.forecast import F32
from harness.frequency import shift
from harness.threads import one_thread
from harness_chronos.contexts import chunks, count, filled, unscaled
from harness_chronos.items import Item, Parts, parts_of, prepared
from harness_chronos.load import quiet
from harness_chronos.settings import beyond
from harness_chronos.training import Training

__all__ = ["Chronos2"]


class Chronos2:
    """Quantiles of a Chronos-2 network.

    Args:
        pipeline: the library's `Chronos2Pipeline`.
        name: of the model, for what is said.
        context: steps of history that are looked at.
        rows: windows at a time; 0 is by their width. With `cross`: series that attend to each other, at most.
        joint: forecast the variates of an item together.
        cross: forecast all windows of one cutoff together.
        covariates: use them where there are any.
        training: how it is fine-tuned.
    """

    def __init__(
        self,
        pipeline: Any,
        name: str,
        context: int,
        rows: int = 0,
        joint: bool = False,
        cross: bool = False,
        covariates: bool = True,
        training: Training | None = None,
    ) -> None:
        self.pipeline, self.name, self.context, self.rows = pipeline, name, context, rows
        self.joint, self.cross, self.covariates = joint, cross, covariates
        self.training = training or Training()
        self.notes: dict[str, object] = {}

    @one_thread()
    def predict(self, batch: Batch) -> Forecast:
        """Quantiles [N, Q, H] at the trained levels; zeros for a context without a value."""
        parts = parts_of(batch, self.context, self.covariates)
        count(parts.target, self.notes)
        levels = self.pipeline.quantiles
        values = np.zeros((len(batch), len(levels), batch.horizon), np.float32)
        items = list(parts.items(self.joint))
        devices = [self.pipeline.model.device] if self.pipeline.model.device.type == "cuda" else []
        # The library's loader of batches draws a number from the global stream.
        with beyond(self.notes, batch.horizon, self.pipeline.model_prediction_length), torch.random.fork_rng(devices):
            if self.cross:
                self._across(parts, items, batch, values)
            else:
                self._single(parts, [item for item in items if item.size == 1], values)
                for item in items:
                    if item.size > 1:
                        self._run(parts, [item], values)
        return Forecast.from_quantiles(unscaled(values, parts.target.exponent), levels)

    def _single(self, parts: Parts, items: Sequence[Item], values: F32) -> None:
        """Fill in the forecasts of items of one row."""
        alone = np.array([item.windows[0] for item in items], np.int64)
        for index, width, together in chunks(parts.target.lengths[alone], self.rows, self.pipeline.model.device.type):
            some = alone[index]
            x = torch.from_numpy(filled(parts.target.cut(some, width), together))  # [r, T]
            q = self.pipeline.predict(x[:, None], values.shape[2], batch_size=together)  # r of [1, Q, H]
            values[some] = torch.cat(q[: len(some)]).numpy()

    def _run(self, parts: Parts, items: Sequence[Item], values: F32, cross: bool = False) -> None:
        """Fill in the forecasts of items that run together."""
        horizon = values.shape[2]
        inputs = [prepared(parts.context(item), parts.future(item, horizon), item) for item in items]
        size = sum(item.size for item in items)
        for item, q in zip(items, self.pipeline.predict(inputs, horizon, batch_size=size, cross_learning=cross), strict=True):
            values[item.windows] = q.numpy()  # [V, Q, H]

    def _across(self, parts: Parts, items: Sequence[Item], batch: Batch, values: F32) -> None:
        """Fill in the forecasts of items that learn from each other."""
        cutoffs = shift(batch.starts, batch.freq, batch.contexts.lengths)
        for cutoff in np.unique(cutoffs):
            some: list[Item] = []
            for item in (item for item in items if cutoffs[item.windows[0]] == cutoff):
                if some and sum(other.size for other in some) + item.size > self.rows:
                    self._run(parts, some, values, cross=True)
                    some = []
                some.append(item)
            if some:
                self._run(parts, some, values, cross=True)

    def finetune(self, train: Batch, budget: str, seed: int, mode: str = "finetune") -> Chronos2:
        """A model with tuned weights, or with these where tuning did not help; see `harness_chronos.tune`.

        Raises:
            Unsupported: a mode without weights to start from.
            UsageError: a budget that is none.
        """
        if mode != "finetune" and not mode.startswith("few-shot"):
            raise Unsupported(f"{self.name} starts from its weights; it does not know the mode {mode!r}: --mode finetune or few-shot:0.1")
        from harness_chronos.tune import tune

        tuned = copy.copy(self)
        tuned.pipeline, tuned.notes = tune(self, train, budget, seed, mode)
        return tuned

    def save(self, folder: Path) -> None:
        """Write config.json and model.safetensors, which `weights` reads, as does the library."""
        with quiet():
            self.pipeline.save_pretrained(folder)
