"""Lag-Llama (Rasul et al. 2023), written anew on torch alone, for the published weights.

Notable choices:

- Neither gluonts nor lightning is needed, which the original pins to versions that exclude numpy 2.
- The published checkpoint is a pickle. It is read without running what it holds (`checkpoint`).
- Forecasts follow the original, module by module: same tokens, same scaling computed anew with each step, no cache by default. Draws are
  made from the window's own seed instead of one generator for all.

`lags` and `calendar` say what a token holds, `network` and `sampling` make forecasts, `training` goes on from the weights, `model` is what
the harness calls. This module only registers: torch is imported when a model is made.
"""

from __future__ import annotations

from collections.abc import Callable

from harness import ModelInfo, hookimpl
from harness_lag_llama.cards import INFO
from harness_lag_llama.model import LagLlama

__all__ = ["LagLlama", "register_models"]


@hookimpl
def register_models(register: Callable[[ModelInfo, Callable[..., LagLlama]], None]) -> None:
    """Register the one model."""
    register(INFO, LagLlama)
