"""What the hooks `predict` and `finetune` do when no plugin answers: call the model's own method."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.errors import ForecastError, Unsupported
from harness.hookspecs import hookimpl

if TYPE_CHECKING:
    from harness.forecast import Batch

__all__ = ["finetune", "predict", "takes_mode"]


@hookimpl(trylast=True)
def predict(model: Any, batch: Batch) -> Any:
    """Call `model.predict(batch)`; a bare function is called itself."""
    method = getattr(model, "predict", None)
    if method is None and not callable(model):
        raise ForecastError(f"the factory returned a {type(model).__name__}; wanted an object with a method predict(batch)")
    return method(batch) if method is not None else model(batch)


@hookimpl(trylast=True)
def finetune(model: Any, train: Batch, budget: str, seed: int, mode: str) -> Any:
    """Call `model.finetune(train, budget, seed)`, with `mode=mode` where the method takes it."""
    method = getattr(model, "finetune", None)
    if method is None:
        raise Unsupported(f"{type(model).__name__} has no method finetune(train, budget, seed)")
    return method(train, budget, seed, mode=mode) if takes_mode(method) else method(train, budget, seed)


def takes_mode(method: Callable[..., Any]) -> bool:
    """Whether a method can be given `mode=`: by that name, or as one of `**options`."""
    try:
        parameters = inspect.signature(method).parameters
    except (TypeError, ValueError):  # a method of a compiled extension may not tell
        return False
    named = parameters.get("mode")
    if named is not None and named.kind in (named.POSITIONAL_OR_KEYWORD, named.KEYWORD_ONLY):
        return True
    return any(p.kind is p.VAR_KEYWORD for p in parameters.values())
