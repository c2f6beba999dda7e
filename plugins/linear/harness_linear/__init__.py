"""Linear autoregression: one ridge regression of all H steps on the newest values, learnt from all series of a task.

`windows` has the rule for missing values and the windows that are learnt from, `ridge` the regression in closed form, `learning` the choice
of lags, normalisation and strength on held-out windows, `forecaster` the forecast and its quantiles, `model` the parameters.
"""

from __future__ import annotations

from collections.abc import Callable

from harness import ModelInfo, hookimpl
from harness_linear.model import Linear
from harness_linear.windows import MOST_LAGS

__all__ = ["Linear", "register_models"]


@hookimpl
def register_models(register: Callable[[ModelInfo, Callable[..., Linear]], None]) -> None:
    """It learns from what a task or a fold gives, in seconds, so there is one way to run it: mode `full`."""
    info = ModelInfo(
        "linear",
        summary="Ridge regression of all steps on the newest values, pooled over series; lags, scaling and strength by held-out windows",
        model_type="statistical",
        url="https://otexts.com/fpp3/AR.html",
        license="Apache-2.0",
        parameters=0,
        output="quantiles",
        max_context=MOST_LAGS,
        modes=("full",),
        devices=("cpu",),
        training_corpora_complete=True,
        install="pip install harness-linear",
    )
    register(info, Linear)
