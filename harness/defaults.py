"""What the hooks `predict` and `finetune` do when no plugin answers: call the model's own method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import ForecastError, Unsupported
from harness.hookspecs import hookimpl

if TYPE_CHECKING:
    from harness.forecast import Batch


@hookimpl(trylast=True)
def predict(model: Any, batch: Batch) -> Any:
    """Call `model.predict(batch)`; a bare function is called itself."""
    method = getattr(model, "predict", None)
    if method is None and not callable(model):
        raise ForecastError(f"the factory returned a {type(model).__name__}; wanted an object with a method predict(batch)")
    return method(batch) if method is not None else model(batch)


@hookimpl(trylast=True)
def finetune(model: Any, train: Batch, budget: str, seed: int) -> Any:
    """Call `model.finetune(train, budget, seed)`."""
    method = getattr(model, "finetune", None)
    if method is None:
        raise Unsupported(f"{type(model).__name__} has no method finetune(train, budget, seed)")
    return method(train, budget, seed)
