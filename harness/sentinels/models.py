"""The sentinels that are models: a plugin like any other, which only the sentinels' own processes load."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.hookspecs import hookimpl
from harness.types import ModelInfo

if TYPE_CHECKING:
    from harness.forecast import Batch, Forecast

__all__ = ["INFOS", "Constant", "Naive", "Peeking"]


class Naive:
    """The last finite value of each context, at every level; 0 where there is none."""

    def predict(self, batch: Batch) -> Forecast:
        """Points [N, H]."""
        import numpy as np

        from harness.forecast import Forecast

        points = np.zeros((len(batch), batch.horizon), np.float32)
        for row, context in enumerate(batch):
            seen = context[np.isfinite(context)]
            points[row] = seen[-1] if len(seen) else 0.0
        return Forecast.from_points(points)


class Constant:
    """0, whatever the context."""

    def predict(self, batch: Batch) -> Forecast:
        """Points [N, H]."""
        import numpy as np

        from harness.forecast import Forecast

        return Forecast.from_points(np.zeros((len(batch), batch.horizon), np.float32))


class Peeking(Naive):
    """What it finds of the future in its own process, and the last value where it finds nothing; `notes` say where it looked."""

    def __init__(self) -> None:
        self.notes: dict[str, str] = {}

    def predict(self, batch: Batch) -> Forecast:
        """Points [N, H]."""
        from harness.forecast import Forecast
        from harness.sentinels.peek import peek

        points = super().predict(batch).values[:, 0]  # [N, H]
        found = peek(batch)
        for row, values in found.futures.items():
            points[row] = values
        self.notes |= {"found": str(len(found.futures)), "where": ", ".join(sorted(found.places)), "searched": found.searched}
        self.notes["reads the parent"] = "yes" if found.parent else "no"
        return Forecast.from_points(points)


MODELS: dict[str, Callable[[], Any]] = {"sentinel-naive": Naive, "sentinel-constant": Constant, "sentinel-peeking": Peeking}
INFOS = {
    name: ModelInfo(name, summary=(model.__doc__ or "").partition(";")[0], license="Apache-2.0", output="points", parameters=0)
    for name, model in MODELS.items()
}


@hookimpl
def register_models(register: Callable[[ModelInfo, Callable[..., Any]], None]) -> None:
    """Register the sentinels."""
    for name, model in MODELS.items():
        register(INFOS[name], model)
