"""Scoring dialects: one run's forecasts, scored as each leaderboard scores them. One module a dialect, each to be read alone."""

from __future__ import annotations

from harness.errors import UsageError, suggest
from harness_results.dialects import fev, gift_eval, monash, time_bench, tsfm_point
from harness_results.dialects.base import Block, Board, Dialect, Forecasts, Tally, score

__all__ = ["DIALECTS", "Block", "Board", "Dialect", "Forecasts", "Tally", "dialect", "score"]

DIALECTS: dict[str, Dialect] = {m.DIALECT.name: m.DIALECT for m in (gift_eval, fev, monash, time_bench, tsfm_point)}
"""The dialects by name."""


def dialect(text: str) -> Dialect:
    """The dialect of "fev" or "fev@0.10".

    Raises:
        UsageError: no such dialect, or another version of it than the one here.
    """
    name, _, version = text.partition("@")
    found = DIALECTS.get(name)
    if found is None:
        raise UsageError(f"there is no dialect {name!r}.{suggest(name, DIALECTS)} Wanted one of {', '.join(DIALECTS)}")
    if version and version != found.version:
        raise UsageError(f"got dialect {text!r}; wanted {name} or {name}@{found.version}, which is the version here")
    return found
