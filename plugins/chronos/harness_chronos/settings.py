"""Checks of parameters that the three kinds share, and what is silenced of the library. Needs no torch."""

from __future__ import annotations

import contextlib
import logging
import math
import warnings
from collections.abc import Iterator

from harness import UsageError
from harness.parameters import whole

__all__ = ["beyond", "power_of_two"]

ADVICE = "We recommend keeping prediction length"
"""How the library's warning begins where a horizon is longer than it was trained for. `beyond` puts it in the notes."""


def power_of_two(model: str, name: str, value: object, high: int, default: int) -> int:
    """A power of two of a parameter; None is the default.

    Raises:
        UsageError: anything else.
    """
    found = whole(model, name, value, 1, high, default)
    if found & (found - 1):
        raise UsageError(f"{model}: {name} got {value!r}; wanted a power of two, as in 8: others would make a forecast depend on its place")
    return found


@contextlib.contextmanager
def beyond(notes: dict[str, object], horizon: int, trained: int, logger: logging.Logger | None = None) -> Iterator[None]:
    """Run the library on a horizon that may be longer than what it was trained for: a note takes the place of its warning.

    Args:
        notes: the model's.
        trained: steps that the network forecasts at once.
        logger: the one that the library writes the warning to, where it does not warn by `warnings`.
    """
    if horizon > trained:
        notes["horizon"] = f"{horizon} steps, of which the network forecasts {trained} at once: {math.ceil(horizon / trained)} blocks"

    def other(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(ADVICE)

    if logger is not None:
        logger.addFilter(other)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=ADVICE, category=UserWarning)
            yield
    finally:
        if logger is not None:
            logger.removeFilter(other)
