"""The exceptions of the harness; each knows the exit code of a command that it ends.

HarnessError                 1   anything below; a bare one is a defect of the harness
├── UsageError               2   the caller asked for something that does not exist or contradicts itself
│   └── NothingMatched       5   well-formed selectors that select nothing
├── StoreError               2   the results database cannot be opened, read or written
├── DataError                3   a dataset is there and is broken
├── PluginError              3   a plugin could not be loaded or broke its contract
│   └── ForecastError        3   what a model returned is not a usable forecast
├── Unavailable              3   a dataset is not on this machine; its tasks are left out, not failed
└── Unsupported              3   raised *by models*: this cell cannot be done; it is skipped, not failed
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "GATE_FAILED",
    "DataError",
    "ForecastError",
    "HarnessError",
    "NothingMatched",
    "PluginError",
    "StoreError",
    "Unavailable",
    "Unsupported",
    "UsageError",
    "describe",
    "suggest",
]

GATE_FAILED = 4
"""The exit code of a command that worked and whose answer is no: a gate, a comparison or a checklist that failed."""


class HarnessError(Exception):
    """Base of all errors of the harness. Its text says what was got, what was wanted and what to type next."""

    exit_code = 1


class UsageError(HarnessError):
    """The caller asked for something that does not exist or contradicts itself."""

    exit_code = 2


class NothingMatched(UsageError):
    """Well-formed selectors that select nothing."""

    exit_code = 5


class StoreError(HarnessError):
    """The results database cannot be opened, read or written."""

    exit_code = 2


class DataError(HarnessError):
    """A dataset is there and is broken: truncated, wrong schema, too short for its task."""

    exit_code = 3


class PluginError(HarnessError):
    """A plugin could not be loaded or broke its contract."""

    exit_code = 3


class ForecastError(PluginError):
    """What a model returned is not a usable forecast (type, shape, NaN, infinity)."""


class Unavailable(HarnessError):
    """A dataset is not on this machine.

    Args:
        reason: what was looked for and where.
        fetch: the command that fetches it, or "" when there is none.
    """

    exit_code = 3

    def __init__(self, reason: str, fetch: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.fetch = fetch


class Unsupported(HarnessError):
    """Raised by a model that cannot do a cell (horizon, frequency, covariates): the cell is skipped, not failed."""

    exit_code = 3


def describe(error: BaseException) -> str:
    """An exception in one line: its type and what it says. Never raises: a stranger's exception may fail even at that."""
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r})"
    try:
        said = " ".join(str(error).split())
    except Exception:
        said = "(an error without a readable text)"
    if isinstance(error, HarnessError):
        return said
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def suggest(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest known name, or ""."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{near[0]}'?" if near else ""
