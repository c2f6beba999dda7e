"""TabPFN-TS (Hoo et al. 2025): forecasting as regression on a table of time features, by the TabPFN regressor.

Notable choices:

- The table is built here in numpy (`features`), equal to that of tabpfn-time-series 1.3, which is not needed to forecast.
- In process, one window after the other: no pool of processes is started for a call, and one loaded network serves all windows.
- Weights are local files (`network`). The library's own download is never reached, and its telemetry is off before it is imported.
- A window is fitted with its own seed, so its forecast does not depend on the windows beside it.

This module only registers: torch and tabpfn are imported when a model is made.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from harness import hookimpl
from harness.types import ModelInfo
from harness_tabpfn_ts.model import TabPFNTS, make
from harness_tabpfn_ts.releases import RELEASES

__all__ = ["RELEASES", "TabPFNTS", "register_models"]


@hookimpl
def register_models(register: Callable[[ModelInfo, Callable[..., TabPFNTS]], None]) -> None:
    """Register one model for each published configuration."""
    for release in RELEASES:
        register(release.info(), partial(make, release))
