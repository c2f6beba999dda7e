"""What is known of the plugin's models without loading them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from harness import ModelInfo
from harness.errors import PluginError

__all__ = ["ONNX", "SHIPPED", "TORCH", "digest", "models"]

SHIPPED = Path(__file__).parent / "weights"
"""config.json, model.safetensors and model.onnx of the shipped model, with its card, recipe and curve."""
PAPER = "https://arxiv.org/abs/2401.03955"
ONNX = "pip install harness-ttm"
TORCH = "pip install 'harness-ttm[torch]'"


def models() -> Iterator[tuple[ModelInfo, Callable[..., Any]]]:
    """Each model's information and factory."""
    facts = json.loads((SHIPPED / "facts.json").read_text(encoding="utf-8"))
    version = f"{installed('harness-ttm')}+{runs_on()}"
    shipped: dict[str, Any] = {
        "model_type": "zero-shot",
        "url": PAPER,
        "license": "Apache-2.0",
        "weights_license": "Apache-2.0",
        "weights": "in the package harness-ttm",
        "weights_digest": facts["sha256"],
        "parameters": facts["parameters"],
        "training_corpora": tuple(facts["corpora"]),
        "max_context": facts["history_length"],
        "batch_size": 1024,
    }
    yield (
        ModelInfo(
            "ttm",
            version=version,
            summary="TinyTimeMixer on folded seasons, trained on made series alone",
            modes=("zero-shot", "finetune", "few-shot", "full", "ttt"),
            devices=("cpu", "cuda"),
            install=ONNX,
            **shipped,
        ),
        _ttm,
    )
    yield (
        ModelInfo(
            "ttm-blend",
            version=version,
            summary="views of ttm, blended by back-test on each context",
            install=ONNX,
            **{**shipped, "batch_size": 512},
        ),
        _blend,
    )
    for release in ("r1", "r2"):
        yield (
            ModelInfo(
                f"ttm-{release}",
                summary=f"TinyTimeMixer {release.upper()} as published, from weights of your own",
                model_type="pretrained",
                org="IBM Research",
                url=PAPER,
                license="Apache-2.0",
                weights_license="Apache-2.0",
                weights=f"https://huggingface.co/ibm-granite/granite-timeseries-ttm-{release}",
                training_corpora=("Monash",) if release == "r1" else ("Monash", "LibCity"),
                devices=("cpu", "cuda"),
                install=TORCH,
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


def digest() -> str:
    """sha256 over the files of the shipped model that decide its forecasts."""
    total = hashlib.sha256()
    for name in ("config.json", "model.onnx", "model.safetensors"):
        total.update((SHIPPED / name).read_bytes())
    return total.hexdigest()


def _ttm(
    weights: str | None = None,
    runtime: str = "auto",
    part: str = "",
    learning_rate: float | str | None = None,
    steps: int | None = None,
    device: str = "cpu",
) -> Any:
    from harness_ttm.models import TTM

    return TTM(weights, runtime, part, learning_rate, steps, device)


def _blend(weights: str | None = None, runtime: str = "auto", device: str = "cpu") -> Any:
    from harness_ttm.models import TTMBlend

    return TTMBlend(weights, runtime, device)


def _published(release: str) -> Callable[..., Any]:
    def make(weights: str | None = None, context_length: int | None = None, padding: str = "zero") -> Any:
        from harness_ttm.published import PublishedTTM

        return PublishedTTM(weights, release=release, context_length=context_length, padding=padding)

    return make
