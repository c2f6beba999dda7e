"""What is known of the models without loading them. Imports neither chronos nor torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any

from harness import ModelInfo
from harness_chronos import factories

__all__ = ["models"]

# Rounded as on the models' pages.
T5 = {"tiny": 8_000_000, "mini": 20_000_000, "small": 46_000_000, "base": 200_000_000, "large": 710_000_000}
BOLT = {"tiny": 9_000_000, "mini": 21_000_000, "small": 48_000_000, "base": 205_000_000}
CHRONOS2 = 120_000_000

PAPER, PAPER2 = "https://arxiv.org/abs/2403.07815", "https://arxiv.org/abs/2510.15821"
LEARNT = "its levels are learnt one by one and returned as they are; a run sorts those that cross, and counts them"
TOGETHER = "the patches of a horizon attend to each other: a longer one changes the first steps, in the library itself"
LIBRARIES = ("chronos-forecasting", "transformers", "torch")


def models() -> Iterator[tuple[ModelInfo, Callable[..., Any]]]:
    """Each model's information and factory."""
    libraries = {name: installed(name) for name in LIBRARIES}
    common: dict[str, Any] = {
        # Other versions of the libraries may give other last digits.
        "version": f"{installed('harness-chronos')}+"
        + ".".join(f"{k.partition('-')[0]}.{v}" for k, v in libraries.items()).replace("+", "."),
        "model_type": "zero-shot",
        "org": "Amazon",
        "license": "Apache-2.0",
        "devices": ("cpu", "cuda"),
        "install": "pip install harness-chronos",
        "extra": libraries,
    }
    published: dict[str, Any] = {**common, "weights_license": "Apache-2.0", "weights_files": ("config.json", "model.safetensors")}
    for size, parameters in T5.items():
        name, source = f"chronos-t5-{size}", f"hf:amazon/chronos-t5-{size}"
        info = ModelInfo(
            name,
            summary="T5 on tokens of scaled values; sample paths",
            url=PAPER,
            weights=source,
            parameters=parameters,
            output="samples",
            max_context=512,
            batch_size=128,
            **{**published, "weights_files": ("config.json", "generation_config.json", "model.safetensors")},
        )
        yield info, factories.t5(name, source)
    for size, parameters in BOLT.items():
        name, source = f"chronos-bolt-{size}", f"hf:amazon/chronos-bolt-{size}"
        info = ModelInfo(
            name,
            summary="T5 on patches, nine quantiles of 64 steps at once",
            url="https://github.com/amazon-science/chronos-forecasting",
            weights=source,
            parameters=parameters,
            max_context=2048,
            batch_size=512,
            exceptions={"crossings": LEARNT},
            **published,
        )
        yield info, factories.bolt(name, source)
    second: dict[str, Any] = {
        **published,
        "url": PAPER2,
        "weights": "hf:amazon/chronos-2",
        "parameters": CHRONOS2,
        "max_context": 8192,
        "batch_size": 512,
        "covariates": ("past", "known"),
        "exceptions": {"crossings": LEARNT, "horizon_prefix": TOGETHER},
    }
    trained = ("zero-shot", "finetune", "few-shot")
    ways: tuple[tuple[str, str, dict[str, Any], dict[str, bool]], ...] = (
        ("chronos-2", "each series by itself, with its covariates", {"modes": trained}, {}),
        ("chronos-2-multivariate", "the variates of an item together", {"modes": trained, "multivariate": True}, {"joint": True}),
        ("chronos-2-cross", "all series of a batch with one cutoff learn from each other", {"batch_dependent": True}, {"cross": True}),
    )
    for name, what, more, how in ways:
        info = ModelInfo(name, summary=f"encoder over patches, attention between series: {what}", **second, **more)
        yield info, factories.chronos2(name, second["weights"], **how)
    info = ModelInfo(
        "chronos",
        summary="weights of any Chronos in a folder: T5, Bolt or Chronos-2",
        url="https://github.com/amazon-science/chronos-forecasting",
        covariates=("past", "known"),
        max_context=8192,
        batch_size=512,
        exceptions={"crossings": LEARNT, "horizon_prefix": TOGETHER},
        **{**common, "model_type": "pretrained"},
    )
    yield info, factories.any_kind("chronos")


def installed(package: str) -> str:
    """The version of a package, "missing" where it is not installed. Imports nothing."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"
