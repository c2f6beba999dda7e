"""A model for ts-harness: the last value, and around it the steps that the series has taken so far.

Put your own in its place. A model is a class with `predict(batch)`; what a batch holds and a forecast may be is in docs/plugins.md of the
harness. This module is imported by every `harness` command: import torch and the like in `__init__`, not here.

Axes: N windows, Q quantile levels, H horizon. Values are float32, NaN where missing.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np

from harness import Batch, Forecast, ModelInfo, UsageError, hookimpl

LARGEST = float(np.finfo(np.float32).max)


class MyModel:
    """The last value; its quantiles are normal, and as wide as that many steps of the context's mean size.

    Args:
        width: how much wider or narrower than that.
    """

    def __init__(self, width: float = 1.0) -> None:
        if width < 0:
            raise UsageError(f"width got {width}; wanted a number of at least 0")
        self.width = width
        self.notes: dict[str, int] = {}  # kept in the receipt of each result

    def predict(self, batch: Batch) -> Forecast:
        """Forecast every window: quantiles [N, Q, H] at the batch's levels. A context without a finite value gives zeros."""
        z = np.array([NormalDist().inv_cdf(level) for level in batch.quantile_levels.tolist()])  # [Q]
        ahead = np.sqrt(np.arange(1, batch.horizon + 1))  # [H]
        quantiles = np.zeros((len(batch), len(z), batch.horizon))  # [N, Q, H]
        for row, context in enumerate(batch):
            seen = context[np.isfinite(context)].astype(np.float64)
            if len(seen) == 0:
                self.notes["nothing seen"] = self.notes.get("nothing seen", 0) + 1
                continue
            size = np.sqrt(np.mean(np.diff(seen) ** 2)) if len(seen) > 1 else 0.0
            quantiles[row] = seen[-1] + self.width * size * z[:, None] * ahead  # [Q, H]
        return Forecast.from_quantiles(np.clip(quantiles, -LARGEST, LARGEST), batch.quantile_levels)


@hookimpl
def register_models(register: Callable[[ModelInfo, Callable[..., Any]], None]) -> None:
    """Register the model with what is to be known of it; nothing is loaded here."""
    info = ModelInfo(
        "mymodel",
        summary="The last value, with normal quantiles from the steps of the context",
        model_type="statistical",  # or pretrained, zero-shot, fine-tuned, deep-learning, agentic
        license="Apache-2.0",
        parameters=0,
        output="quantiles",
        install="pip install harness-mymodel",
    )
    register(info, MyModel)
