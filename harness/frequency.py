"""Frequencies as benchmarks write them: a multiple and a base, "15T" = 15 minutes, anchors dropped ("W-WED" -> "W").

Both spellings of pandas are read ("T" and "min", "H" and "h", "M" and "ME", "A", "Y" and "YE"); the old one is what we write.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError

__all__ = ["normalize", "season_length", "shift", "split"]

ALIASES = {
    "S": "S", "s": "S", "sec": "S",
    "T": "T", "min": "T",
    "H": "H", "h": "H",
    "D": "D", "d": "D",
    "B": "B",
    "W": "W", "w": "W",
    "M": "M", "ME": "M", "MS": "M",
    "Q": "Q", "QE": "Q", "QS": "Q",
    "A": "A", "Y": "A", "YE": "A", "AS": "A", "YS": "A",
}  # fmt: skip
PATTERN = re.compile(r"(\d*)([A-Za-z]+)(?:-[A-Za-z]+)?")
DIGITS = 7
"""Of a multiple: ten million days are further than a date reaches."""

SECONDS = {"S": 1, "T": 60, "H": 3600, "D": 86_400, "W": 604_800}
MONTHS = {"M": 1, "Q": 3, "A": 12}
SEASONS = {"S": 3600, "T": 1440, "H": 24, "D": 1, "W": 1, "M": 12, "B": 5, "Q": 4}


def split(freq: str) -> tuple[int, str]:
    """Return (multiple, base): "15min" -> (15, "T"), "W-WED" -> (1, "W").

    Raises:
        DataError: not a frequency.
    """
    match = PATTERN.fullmatch(freq.strip())
    if match is None or match[2] not in ALIASES or match[1] == "0":
        raise DataError(f"got frequency {freq!r}; wanted a pandas alias such as '15T', 'H', 'D', 'W-SUN', 'M'")
    if len(match[1]) > DIGITS:
        raise DataError(f"got frequency {freq[:40]!r}; wanted a multiple of at most {DIGITS} digits, as in '3600S'")
    return int(match[1] or 1), ALIASES[match[2]]


def normalize(freq: str) -> str:
    """Return the old pandas alias without anchor: "15min" -> "15T", "W-WED" -> "W", "YE" -> "A"."""
    multiple, base = split(freq)
    return base if multiple == 1 else f"{multiple}{base}"


def season_length(freq: str) -> int:
    """The season that gluonts 0.15 and GIFT-Eval use: 3600 S, 1440 T, 24 H, 1 D, 1 W, 12 M, 5 B, 4 Q, divided by the multiple.

    1 where the multiple does not divide the season, and for every other frequency.

    >>> season_length("15T"), season_length("D"), season_length("A")
    (96, 1, 1)
    """
    multiple, base = split(freq)
    season, rest = divmod(SEASONS.get(base, 1), multiple)
    return season if rest == 0 else 1


def shift(starts: NDArray[np.datetime64], freq: str, steps: NDArray[np.int64]) -> NDArray[np.datetime64]:
    """Move datetime64[s] [N] by whole steps [N] of `freq`; months keep the day of the month where it exists."""
    multiple, base = split(freq)
    count = steps * multiple
    if base in SECONDS:
        moved_seconds: NDArray[np.datetime64] = starts + (count * SECONDS[base]).astype("timedelta64[s]")
        return moved_seconds
    if base == "B":
        days = starts.astype("datetime64[D]")
        moved_days: NDArray[np.datetime64] = np.busday_offset(days, count, roll="backward").astype("datetime64[s]") + (starts - days)
        return moved_days
    months = starts.astype("datetime64[M]")
    moved = months + (count * MONTHS[base]).astype("timedelta64[M]")
    first = moved.astype("datetime64[s]")
    month_end = (moved + np.timedelta64(1, "M")).astype("datetime64[s]") - np.timedelta64(86_400, "s")
    within = starts - months.astype("datetime64[s]")
    clock = within % np.timedelta64(86_400, "s")
    result: NDArray[np.datetime64] = np.minimum(first + within, month_end + clock)
    return result
