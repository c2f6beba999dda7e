"""PatchTST (Nie et al. 2023), as the library transformers has it, trained on each dataset or from a local folder of weights.

Notable choices:

- One channel: every variate is a series of its own, as in the paper's channel-independent model.
- The head gives the parameters of a distribution for each step, so that any quantile level is had exactly, without samples.
- Instance scaling is ours (`windows.standardise`). The library's fills a missing value with -mean / std once it has scaled, a large
  outlier to the network, and has an absolute floor under the standard deviation, which is too high for small values. Ours fills with 0,
  the mean of the window, and for complete series of ordinary size is the same.
- The network runs on a fixed number of rows at a time, so that a window's forecast is the same bits in any batch.

`parameters` has the defaults, `windows` the training data, `network` the library's classes, `training` the loop, `forecaster` the
forecast. This module only registers: torch and transformers are imported when a model is made.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata

from harness import ModelInfo, hookimpl
from harness_patchtst.model import PatchTST
from harness_patchtst.parameters import MAX_CONTEXT

__all__ = ["PatchTST", "register_models"]


def library_version(name: str) -> str:
    """The installed version of a package, or "missing"; reads metadata, imports nothing."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


@hookimpl
def register_models(register: Callable[[ModelInfo, Callable[..., PatchTST]], None]) -> None:
    """Register the one model."""
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
