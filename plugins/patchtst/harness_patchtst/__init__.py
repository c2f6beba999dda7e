"""PatchTST (Nie et al. 2023), as the library transformers has it, trained on each dataset or from a local folder of weights.

Notable choices:

- One channel: every variate is a series of its own, as in the paper's channel-independent model.
- The head gives the parameters of a distribution for each step, so that any quantile level is had exactly, without samples.
- Instance scaling is ours (`windows.standardise`). The library's fills a missing value with -mean / std once it has scaled, a large
  outlier to the network, and has an absolute floor under the standard deviation, which is too high for small values. Ours fills with 0,
  the mean of the window, and for complete series of ordinary size is the same.
- The network runs on a fixed number of rows at a time, so that a window's forecast is the same bits in any batch.

`parameters` has the defaults, `windows` the training data, `network` the library's classes, `training` the loop, `forecaster` the
forecast. `event_model` is a second model on the same encoder, for tasks of events: `event_windows` says what it sees, `event_network` has
its head and its loop. This module only registers: torch and transformers are imported when a model is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from typing import Any

from harness import ModelInfo, hookimpl
from harness_patchtst.event_model import PatchTSTEvent
from harness_patchtst.event_parameters import MOST_CONTEXT
from harness_patchtst.model import PatchTST
from harness_patchtst.parameters import MAX_CONTEXT

__all__ = ["PatchTST", "PatchTSTEvent", "register_models"]


def library_version(name: str) -> str:
    """The installed version of a package, or "missing"; reads metadata, imports nothing."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


@hookimpl
def register_models(register: Callable[[ModelInfo, Callable[..., Any]], None]) -> None:
    """Register the forecaster of values and the one of events."""
    libraries = {name: library_version(name) for name in ("transformers", "torch")}
    local = ".".join(f"{name}.{version}" for name, version in libraries.items()).replace("+", ".")
    info = ModelInfo(
        "patchtst",
        version=f"{library_version('harness-patchtst')}+{local}",  # other numbers may come from another version of a library
        summary="Transformer over patches of one series, with a distribution as its output",
        model_type="deep-learning",
        org="Princeton University, IBM Research",
        url="https://arxiv.org/abs/2211.14730",
        license="Apache-2.0",
        output="quantiles",
        max_context=MAX_CONTEXT,
        modes=("zero-shot", "finetune", "few-shot", "full"),
        devices=("cpu", "cuda"),
        install="pip install harness-patchtst",
        extra=libraries,
    )
    register(info, PatchTST)
    event = replace(
        info,
        name="patchtst_event",
        summary="the same encoder with a head for the probability of an event, trained on the outcomes of each fold",
        output="probabilities",
        covariates=("past",),
        max_context=MOST_CONTEXT,
        modes=("zero-shot", "full"),
    )
    register(event, PatchTSTEvent)
