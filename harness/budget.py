"""Texts that say how long something may take: `--timeout 30m`, `--budget 500steps`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.errors import UsageError

__all__ = ["Budget", "parse_budget", "parse_duration"]

SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
NUMBER = r"([0-9]{1,12}(?:\.[0-9]+)?)"


@dataclass(frozen=True)
class Budget:
    """What a training may use: steps, or seconds, which give other weights on another machine. None is no limit of that kind."""

    steps: int | None = None
    seconds: float | None = None

    @property
    def reproducible(self) -> bool:
        """Whether the same budget gives the same training again."""
        return self.seconds is None


def parse_budget(text: str) -> Budget:
    """Read "200", "200steps", "30s", "2m" or "1.5h"; "" has neither limit. A help for models: `--budget` is in a model's own words.

    >>> parse_budget("200 steps"), parse_budget("2m")
    (Budget(steps=200, seconds=None), Budget(steps=None, seconds=120.0))

    Raises:
        UsageError: anything else, or nothing to be used.
    """
    if not text.strip():
        return Budget()
    match = re.fullmatch(NUMBER + r"\s*(steps?|s|m|h)?", text.strip())
    number, unit = (float(match[1]), match[2] or "steps") if match else (0.0, "")
    if number > 0 and unit in SECONDS:
        return Budget(seconds=number * SECONDS[unit])
    if number > 0 and number.is_integer():
        return Budget(steps=int(number))
    raise UsageError(f"got a budget of {text!r}; wanted steps or a time, as in --budget 200steps, --budget 90s or --budget 2m")


def parse_duration(text: str) -> float | None:
    """Read "90", "90s", "30m", "2h" as seconds; "" is None.

    Raises:
        UsageError: not a positive time.
    """
    if not text:
        return None
    match = re.fullmatch(NUMBER + r"\s*(s|m|h)?", text.strip())
    seconds = float(match[1]) * SECONDS[match[2] or "s"] if match else 0.0
    if seconds <= 0:
        raise UsageError(f"got a time of {text!r}; wanted seconds or a number with s, m or h: 90, 30m, 2h")
    return seconds
