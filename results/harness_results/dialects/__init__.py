"""Scoring dialects: one run's forecasts, scored as each leaderboard scores them. One module a dialect, each to be read alone.

Names are imported when first used, so that registering the dialects costs no numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness_results.dialects.base import Block, Board, Dialect, Forecasts, Tally, score
    from harness_results.dialects.registered import dialect

__all__ = ["Block", "Board", "Dialect", "Forecasts", "Tally", "dialect", "score"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module(f"{__name__}.{'registered' if name == 'dialect' else 'base'}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
