"""The torch models of gluonts, trained on each dataset, and an adapter by which any gluonts Predictor or Estimator is a model.

    harness run -m deepar,tft --mode full -s gift-eval -t 'hospital/*'
    harness run -m 'gluonts:my_module.MyEstimator[context_length=24]' --mode full

Notable choices:

- The library trains, draws windows and forecasts; what is ours is defaults from the data, budgets, seeds, and what becomes of a forecast.
- The paths of a forecast are drawn from its window's own seed, and a network runs on a fixed number of windows at a time: a window's
  forecast is the same bits in any batch. Of a stranger's Predictor nobody knows that, so the adapter says `batch_dependent`.
- Weights are read from a folder that `save` has written, whose JSON is looked through first: the library would import what it names.

`cards` lists the models and their parameters, `data` makes entries of a batch, `settings` has the defaults, `training` makes and trains
an estimator, `convert` reads its forecasts, `forecaster` is a trained model, `draws` its random draws, `saved` keeps it, `adapter` takes
other people's classes.
This module only registers: gluonts and torch are imported when a model is made.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import metadata
from typing import Any

from harness import ModelInfo, hookimpl
from harness_gluonts.adapter import Adapter
from harness_gluonts.cards import CARDS, Card
from harness_gluonts.model import Network

__all__ = ["Adapter", "Network", "register_models"]

INSTALL = "pip install harness-gluonts"


def library_version(name: str) -> str:
    """The installed version of a package, or "missing"; reads metadata, imports nothing."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def factory(card: Card) -> Callable[..., Network]:
    """What makes one of the models; its signature lists the parameters that it takes."""

    def make(**parameters: Any) -> Network:
        return Network(card, **parameters)

    names = {name: inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default) for name, default in card.defaults().items()}
    make.__signature__ = inspect.Signature(list(names.values()))  # type: ignore[attr-defined]
    make.__name__ = make.__qualname__ = card.name
    make.__doc__ = card.summary
    return make


@hookimpl
def register_models(register: Callable[[ModelInfo, Callable[..., Any]], None]) -> None:
    """Register the library's models and the adapter."""
    libraries = {name: library_version(name) for name in ("gluonts", "lightning", "torch")}
    local = ".".join(f"{name}.{version}" for name, version in libraries.items()).replace("+", ".")
    version = f"{library_version('harness-gluonts')}+{local}"  # other numbers may come from another version of a library
    for card in CARDS:
        info = ModelInfo(
            card.name,
            version=version,
            summary=card.summary,
            model_type="deep-learning",
            org=card.org,
            url=card.url,
            license="Apache-2.0",
            output=card.output,
            covariates=card.covariates,
            modes=("zero-shot", "full"),
            devices=card.devices,
            install=INSTALL,
            exceptions=dict(card.exceptions),
            extra={**libraries, "class": f"gluonts.torch.{card.estimator}"},
        )
        register(info, factory(card))
    info = ModelInfo(
        "gluonts",
        version=version,
        summary="a gluonts Predictor or Estimator of your own: gluonts:MODULE.CLASS",
        model_type="deep-learning",
        url="https://ts.gluon.ai",
        license="Apache-2.0",
        output="samples",
        covariates=("past", "known"),
        modes=("zero-shot", "full"),
        devices=("cpu", "cuda"),
        install=INSTALL,
        target="MODULE.CLASS",
        batch_dependent=True,
        extra=libraries,
    )
    register(info, Adapter)
