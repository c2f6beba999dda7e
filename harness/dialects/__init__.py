"""Scoring dialects: named, versioned ways from the stored forecasts of a run to scores, as other leaderboards compute them.

    from harness.dialects import Dialect, Forecasts, dialect

A plugin registers a `harness.DialectInfo` and a factory that returns a `Dialect`; docs/dialects.md has a whole one, and
`harness.testing.check_dialect` tests it. Names are imported when first used, so that registering dialects costs no numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.dialects.contract import Aggregate, Block, Board, Dialect, Finding, Forecasts, Tally
    from harness.dialects.registered import dialect, own_dialect
    from harness.dialects.scoring import score

__all__ = ["Aggregate", "Block", "Board", "Dialect", "Finding", "Forecasts", "Tally", "dialect", "own_dialect", "score"]

_OTHERS = {"dialect": "registered", "own_dialect": "registered", "score": "scoring"}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module(f"{__name__}.{_OTHERS.get(name, 'contract')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
