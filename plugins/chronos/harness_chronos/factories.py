"""Factories of the models: their parameters, checked before any weights are read. chronos and torch are imported when one is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness import Unavailable
from harness.parameters import positive, truth, whole
from harness_chronos.settings import power_of_two
from harness_chronos.training import training_of

__all__ = ["any_kind", "bolt", "chronos2", "t5"]

MOST_ROWS = 4096
CROSS = 100
"""Series that learn from each other, as the library's documentation advises."""


def t5(name: str, source: str) -> Callable[..., Any]:
    """The factory of a T5 checkpoint."""

    def make(
        weights: str = "",
        device: str = "cpu",
        dtype: str = "float32",
        context: int | None = None,
        num_samples: int | None = None,
        rows: int | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> Any:
        """Args: see the plugin's README."""
        together = power_of_two(name, "rows", rows, MOST_ROWS, 1 if device == "cpu" else 16)  # a CPU is busy with the samples of one window
        sampling: dict[str, Any] = {
            "temperature": None if temperature is None else positive(name, "temperature", temperature),
            "top_k": None if top_k is None else whole(name, "top_k", top_k, most=10**6),
            "top_p": None if top_p is None else positive(name, "top_p", top_p, 1),
        }
        samples = whole(name, "num_samples", num_samples, 1, 10_000, 0)
        from harness_chronos.load import load
        from harness_chronos.t5 import ChronosT5

        pipeline = load(weights, source, name, ("ChronosPipeline",), device, dtype)
        samples = samples or pipeline.model.config.num_samples
        return ChronosT5(pipeline, _context(name, context, pipeline), samples, together, **sampling)

    return make


def bolt(name: str, source: str) -> Callable[..., Any]:
    """The factory of a Bolt checkpoint."""

    def make(weights: str = "", device: str = "cpu", dtype: str = "float32", context: int | None = None, rows: int | None = None) -> Any:
        """Args: see the plugin's README."""
        together = power_of_two(name, "rows", rows, MOST_ROWS, 0)
        from harness_chronos.bolt import ChronosBolt
        from harness_chronos.load import load

        pipeline = load(weights, source, name, ("ChronosBoltPipeline",), device, dtype)
        return ChronosBolt(pipeline, _context(name, context, pipeline), together)

    return make


def chronos2(name: str, source: str, joint: bool = False, cross: bool = False) -> Callable[..., Any]:
    """The factory of a way to use Chronos-2: each series by itself, `joint` the variates of an item, `cross` all of a cutoff."""

    def trained(
        weights: str = "",
        device: str = "cpu",
        dtype: str = "float32",
        context: int | None = None,
        rows: int | None = None,
        covariates: bool = True,
        adapter: str = "",
        learning_rate: float | None = None,
        max_steps: int | None = None,
        batch_size: int | None = None,
    ) -> Any:
        """Args: see the plugin's README."""
        together = whole(name, "rows", rows, 1, MOST_ROWS, CROSS) if cross else power_of_two(name, "rows", rows, MOST_ROWS, 0)
        training = training_of(name, adapter, learning_rate, max_steps, batch_size)
        truth(name, "covariates", covariates)
        from harness_chronos.chronos2 import Chronos2
        from harness_chronos.load import load

        pipeline = load(weights, source, name, ("Chronos2Pipeline",), device, dtype)
        return Chronos2(pipeline, name, _context(name, context, pipeline), together, joint, cross, covariates, training)

    def untrained(
        weights: str = "",
        device: str = "cpu",
        dtype: str = "float32",
        context: int | None = None,
        rows: int | None = None,
        covariates: bool = True,
    ) -> Any:
        """Args: see the plugin's README."""
        return trained(weights, device, dtype, context, rows, covariates)

    return untrained if cross else trained


def any_kind(name: str) -> Callable[..., Any]:
    """The factory for a folder of any kind; what it makes returns quantiles."""

    def make(
        weights: str,
        device: str = "cpu",
        dtype: str = "float32",
        context: int | None = None,
        rows: int | None = None,
        num_samples: int | None = None,
        covariates: bool = True,
    ) -> Any:
        """Args: see the plugin's README."""
        if not weights:
            raise Unavailable(f"{name} has no weights of its own; give a folder: -M {name}:weights=FOLDER. Others: harness weights list")
        together = power_of_two(name, "rows", rows, MOST_ROWS, 0)
        samples = whole(name, "num_samples", num_samples, 1, 10_000, 0)
        truth(name, "covariates", covariates)
        from harness_chronos.bolt import ChronosBolt
        from harness_chronos.chronos2 import Chronos2
        from harness_chronos.load import KINDS, load
        from harness_chronos.t5 import ChronosT5

        pipeline = load(weights, "", name, tuple(KINDS), device, dtype)
        steps, kind = _context(name, context, pipeline), type(pipeline).__name__
        if kind == "ChronosPipeline":
            return ChronosT5(pipeline, steps, samples or pipeline.model.config.num_samples, together or 1, quantiles=True)
        if kind == "ChronosBoltPipeline":
            return ChronosBolt(pipeline, steps, together)
        return Chronos2(pipeline, name, steps, together, covariates=covariates)

    return make


def _context(name: str, context: int | None, pipeline: Any) -> int:
    """Steps of history that are looked at: at most what the network was made for."""
    most = pipeline.model_context_length
    return whole(name, "context", context, 1, most, most)
