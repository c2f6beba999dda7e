"""Models of events: what every forecaster of direction has to beat. Registers them; the models are in `harness_events.models`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness import ModelInfo, hookimpl

__all__ = ["register_models"]

MODELS = {
    "base_rate": ("BaseRate", "the share of events in what was learnt from", ""),
    "always_up": ("AlwaysUp", "the event, every time", ""),
    "last_sign": ("LastSign", "how often the event follows itself, and its absence", ""),
    "momentum": ("Momentum", "logistic in the change over 252 sessions", "momentum252"),
    "atr_logistic": ("AtrLogistic", "logistic in the mean true range of 14 sessions over the close: how much prices move", "atr14"),
    "volatility_logistic": ("VolatilityLogistic", "logistic in the realised volatility of 20 sessions", "volatility20"),
}
"""{name: (class in `harness_events.models`, summary, the past covariate that it looks for)}."""


@hookimpl
def register_models(register: Callable[[ModelInfo, Callable[..., Any]], None]) -> None:
    """Each learns in a moment from what a fold gives, so there is one way to run it: mode `full`."""
    from harness_events import models

    for name, (factory, summary, feature) in MODELS.items():
        info = ModelInfo(
            name,
            summary=summary,
            model_type="statistical",
            license="Apache-2.0",
            output="probabilities",
            covariates=("past",) if feature else (),
            modes=("full",),
            training_corpora_complete=True,
            install="pip install harness-events",
            extra={"past_names": feature} if feature else {},
        )
        register(info, getattr(models, factory))
