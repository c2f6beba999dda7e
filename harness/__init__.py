"""A benchmark harness for time-series forecasting models: run any model on any suite, keep every result, compare honestly.

    import harness
    results = harness.run(models=["naive", "seasonal_naive"], suite="quick")
    results.leaderboard()

Names are imported when first used, so that `import harness` (and a plugin's registration) costs no numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api import Results, evaluate, load, run
    from harness.errors import DataError, ForecastError, HarnessError, Unavailable, Unsupported
    from harness.forecast import Batch, Forecast, Ragged
    from harness.hookspecs import hookimpl
    from harness.types import Metric, ModelInfo, SuiteInfo, Task

_EXPORTS = {
    "Batch": "harness.forecast",
    "DataError": "harness.errors",
    "Forecast": "harness.forecast",
    "ForecastError": "harness.errors",
    "HarnessError": "harness.errors",
    "Metric": "harness.types",
    "ModelInfo": "harness.types",
    "Ragged": "harness.forecast",
    "Results": "harness.api",
    "SuiteInfo": "harness.types",
    "Task": "harness.types",
    "Unavailable": "harness.errors",
    "Unsupported": "harness.errors",
    "evaluate": "harness.api",
    "hookimpl": "harness.hookspecs",
    "load": "harness.api",
    "run": "harness.api",
}

__all__ = [
    "Batch",
    "DataError",
    "Forecast",
    "ForecastError",
    "HarnessError",
    "Metric",
    "ModelInfo",
    "Ragged",
    "Results",
    "SuiteInfo",
    "Task",
    "Unavailable",
    "Unsupported",
    "evaluate",
    "hookimpl",
    "load",
    "run",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(importlib.import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'harness' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
