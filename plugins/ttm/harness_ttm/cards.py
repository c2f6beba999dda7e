"""What is known of the plugin's models without loading them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any

from harness import ModelInfo
from harness.errors import PluginError
from harness_ttm.models import TTM, TTMBlend, TTMRelease
from harness_ttm.shipped import INSTALL, INSTALL_TORCH, SHIPPED, facts

__all__ = ["models"]

PAPER = "https://arxiv.org/abs/2401.03955"


def models() -> Iterator[tuple[ModelInfo, Callable[..., Any]]]:
    """Each model's information and factory."""
    known = facts()
    version = f"{installed('harness-ttm')}+{runs_on()}"
    shipped: dict[str, Any] = {
        "model_type": "zero-shot",
        "url": PAPER,
        "license": "Apache-2.0",
        "weights_license": "Apache-2.0",
        "weights": "in the package harness-ttm",
        "weights_digest": known["sha256"],
        "parameters": known["parameters"],
        "training_corpora": tuple(known["corpora"]),
        "training_corpora_complete": True,
        "max_context": known["history_length"],
        "batch_size": 1024,
    }
    yield (
        ModelInfo(
            "ttm",
            version=version,
            summary="TinyTimeMixer on folded seasons, trained on made series alone",
            modes=("zero-shot", "finetune", "few-shot", "full", "ttt"),
            devices=("cpu", "cuda"),
            install=INSTALL,
            **shipped,
        ),
        TTM,
    )
    yield (
        ModelInfo(
            "ttm-blend",
            version=version,
            summary="views of ttm, blended by back-test on each context",
            exceptions={"horizon_prefix": "the back-test that weighs the views is as long as the horizon, up to 192 steps"},
            install=INSTALL,
            **{**shipped, "batch_size": 512},
        ),
        TTMBlend,
    )
    for release in ("r1", "r2"):
        yield (
            ModelInfo(
                f"ttm-{release}",
                summary=f"TinyTimeMixer {release.upper()} as published",
                model_type="pretrained",
                org="IBM Research",
                url=PAPER,
                license="Apache-2.0",
                weights_license="Apache-2.0",
                weights=f"hf:ibm-granite/granite-timeseries-ttm-{release}",
                weights_files=("config.json", "model.safetensors"),
                training_corpora=("Monash",) if release == "r1" else ("Monash", "LibCity"),
                modes=("zero-shot", "finetune", "few-shot", "full"),
                devices=("cpu", "cuda"),
                exceptions={"horizon_prefix": "of several published networks the one for the horizon forecasts"},
                install=INSTALL_TORCH,
            ),
            _published(release),
        )


def installed(package: str) -> str:
    """The version of a package, "0" where it is not installed. Imports nothing."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "0"


def runs_on() -> str:
    """What runs the shipped model here, as a part of its version: the last digits of a forecast depend on it."""
    from harness_ttm.runtime import pick_runtime

    try:
        package = {"onnx": "onnxruntime", "torch": "torch"}[pick_runtime(SHIPPED)]
    except PluginError:
        return "nothing"
    return f"{package}.{installed(package)}".replace("+", ".")


def _published(release: str) -> Callable[..., Any]:
    def make(
        weights: str | None = None,
        context_length: int | None = None,
        padding: str = "zero",
        in_sample: int = 10,
        part: str = "",
        learning_rate: float | str | None = None,
        device: str = "cpu",
    ) -> TTMRelease:
        return TTMRelease(weights, release, context_length, padding, in_sample, part, learning_rate, device)

    return make
