"""The checks of `harness.testing`: what a run, a score and a leaderboard rely on.

A check takes a `Bench`, a model with everything that is needed to try it. It raises AssertionError with what is wrong and `Unsupported`
where it does not apply; it may return what it found out and does not judge, as text.

`declared` has the checks of what is said of a model, `forecasts` those of levels and horizons, `invariance` those of what a forecast may
depend on, `contexts` and `covariates` those of what it is made from, `events` that of probabilities, `training` those of learning, `memory`
that of growth.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.conformance import contexts, covariates, declared, events, forecasts, invariance, memory, training
from harness.conformance.kit import Verdict
from harness.selection import learns
from harness.types import ModelInfo

__all__ = ["APPLIES", "CHECKS"]

CHECKS: dict[str, Verdict] = {
    "card": declared.check_card,
    "light_import": declared.check_light_import,
    "levels": forecasts.check_levels,
    "requested_levels": forecasts.check_requested_levels,
    "crossings": forecasts.check_crossings,
    "horizons": forecasts.check_horizons,
    "horizon_prefix": forecasts.check_horizon_prefix,
    "batch_invariance": invariance.check_batch_invariance,
    "order_invariance": invariance.check_order_invariance,
    "determinism": invariance.check_determinism,
    "leaves_batch_alone": invariance.check_leaves_batch_alone,
    "difficult_contexts": contexts.check_difficult_contexts,
    "long_context": contexts.check_long_context,
    "affine": contexts.check_affine,
    "no_future": invariance.check_no_future,
    "covariates": covariates.check_covariates,
    "event": events.check_event,
    "memory": memory.check_memory,
    "multivariate": invariance.check_multivariate,
    "finetune": training.check_finetune,
    "save": training.check_save,
}
"""All checks, in the order in which they are run."""
OF_VALUES = ("levels", "requested_levels", "crossings", "horizons", "horizon_prefix")
"""Checks that a model of events alone has no part in: it has no quantiles, and its event is at one step."""
APPLIES: dict[str, Callable[[ModelInfo], bool]] = {
    **dict.fromkeys(OF_VALUES, lambda info: info.output != "probabilities"),
    "multivariate": lambda info: info.multivariate,
    "finetune": lambda info: any(mode != "zero-shot" for mode in info.modes),
    "save": lambda info: any(map(learns, info.modes)),
}
"""Which models a check is for; all where it is not listed."""
