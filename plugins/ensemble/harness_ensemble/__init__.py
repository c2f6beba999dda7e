"""A model over the kept forecasts of other models: their median, their mean, or their mean weighted by a back-test."""

from __future__ import annotations

from collections.abc import Callable

from harness import ModelInfo, hookimpl
from harness_ensemble.model import Ensemble

__all__ = ["ENSEMBLE", "Ensemble", "register_models"]

ENSEMBLE = ModelInfo(
    "ensemble",
    summary="median, mean or back-test mean of models' kept forecasts",
    model_type="",  # that of its members, whatever they are
    url="https://en.wikipedia.org/wiki/Ensemble_learning",
    license="Apache-2.0",
    parameters=0,
    output="quantiles",
    install="pip install harness-ensemble",
    extra={"training": "what its members were trained on is said by their own records"},
)


@hookimpl
def register_models(register: Callable[[ModelInfo, Callable[..., object]], None]) -> None:
    register(ENSEMBLE, Ensemble)
