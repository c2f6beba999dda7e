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
    from harness.api import Evaluation, evaluate, load, run
    from harness.errors import (
        DataError,
        ForecastError,
        HarnessError,
        NothingMatched,
        PluginError,
        StoreError,
        Unavailable,
        Unsupported,
        UsageError,
    )
    from harness.forecast import Batch, Forecast, Ragged
    from harness.hookspecs import hookimpl
    from harness.results import Results
    from harness.series import Channels, SeriesSet, TaskData, rolling
    from harness.types import DialectInfo, Metric, Model, ModelInfo, Suite, SuiteInfo, Task, Trainable

_EXPORTS = {
    "Batch": "harness.forecast",
    "Channels": "harness.series",
    "DataError": "harness.errors",
    "Column": "harness.types",
    "DialectInfo": "harness.types",
    "Evaluation": "harness.api",
    "Forecast": "harness.forecast",
    "ForecastError": "harness.errors",
    "HarnessError": "harness.errors",
    "Metric": "harness.types",
    "Model": "harness.types",
    "ModelInfo": "harness.types",
    "NothingMatched": "harness.errors",
    "PluginError": "harness.errors",
    "Ragged": "harness.forecast",
    "Results": "harness.results",
    "SeriesSet": "harness.series",
    "StoreError": "harness.errors",
    "Suite": "harness.types",
    "SuiteInfo": "harness.types",
    "Task": "harness.types",
    "TaskData": "harness.series",
    "Trainable": "harness.types",
    "Unavailable": "harness.errors",
    "Unsupported": "harness.errors",
    "UsageError": "harness.errors",
    "evaluate": "harness.api",
    "hookimpl": "harness.hookspecs",
    "load": "harness.api",
    "rolling": "harness.series",
    "run": "harness.api",
}

__all__ = [
    "Batch",
    "Channels",
    "Column",
    "DataError",
    "DialectInfo",
    "Evaluation",
    "Forecast",
    "ForecastError",
    "HarnessError",
    "Metric",
    "Model",
    "ModelInfo",
    "NothingMatched",
    "PluginError",
    "Ragged",
    "Results",
    "SeriesSet",
    "StoreError",
    "Suite",
    "SuiteInfo",
    "Task",
    "TaskData",
    "Trainable",
    "Unavailable",
    "Unsupported",
    "UsageError",
    "evaluate",
    "hookimpl",
    "load",
    "rolling",
    "run",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(importlib.import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'harness' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
