"""Words and seasons of the Monash archive, which readers of its files, its dialect and proposals of suites share.

Source: rakshitha123/TSForecasting (2022-11), `utils/data_loader.R`, `experiments/fixed_horizon_functions.R` and `fixed_horizon.R`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from harness.errors import DataError, suggest

__all__ = ["ALIASES", "HORIZONS", "alias", "season", "usual_horizon"]

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "4_seconds": "4S",
        "minutely": "T",
        "10_minutes": "10T",
        "15_minutes": "15T",
        "half_hourly": "30T",
        "hourly": "H",
        "daily": "D",
        "weekly": "W",
        "monthly": "M",
        "quarterly": "Q",
        "yearly": "A",
    }
)
"""The archive's words for frequencies and pandas' old aliases, as `harness.frequency` writes them."""

HORIZONS: Mapping[str, int] = MappingProxyType({"10T": 1008, "30T": 336, "H": 168, "D": 30, "W": 8, "M": 12, "Q": 8, "A": 6})
"""H of a file that says none: what the archive uses for most of its datasets of a frequency."""

UNITS = {"seconds": "S", "minutes": "T", "hours": "H", "days": "D", "weeks": "W", "months": "M", "quarters": "Q", "years": "A"}
MULTIPLE = re.compile(r"([1-9][0-9]{0,5})_([a-z]+)")
SHORTEST = {"S": 86_400, "T": 1440, "H": 24, "D": 7, "B": 5, "W": 52, "M": 12, "Q": 4, "A": 1}


def alias(word: str) -> str:
    """The pandas alias of a frequency word of the archive, or of a multiple such as "5_minutes".

    Raises:
        DataError: no such word.

    >>> alias("half_hourly"), alias("5_minutes"), alias("1_hours")
    ('30T', '5T', 'H')
    """
    known = ALIASES.get(word)
    if known is None:
        match = MULTIPLE.fullmatch(word)
        if match is None or match[2] not in UNITS:
            raise DataError(f"got frequency {word!r}; wanted {', '.join(ALIASES)} or a multiple such as 5_minutes.{suggest(word, ALIASES)}")
        known = f"{'' if match[1] == '1' else match[1]}{UNITS[match[2]]}"
    return known


def season(freq: str) -> int:
    """The archive's shortest season, in steps: a day where a step is less than a day, a week of days, else a year.

    Of the 365.25 / 7 weeks of a year R's diff takes the whole part. Frequencies that the archive lacks: business days 5; a multiple divides
    the season of its base where that is whole, else the season is 1.

    Args:
        freq: a pandas alias; raises DataError where it is none.

    >>> [season(freq) for freq in ("4S", "15T", "H", "D", "W-SUN", "2W", "M", "A")]
    [21600, 96, 24, 7, 52, 26, 12, 1]
    """
    from harness.frequency import split  # numpy with it, which the words cost none of

    multiple, base = split(freq)
    whole, rest = divmod(SHORTEST[base], multiple)
    return whole if rest == 0 else 1


def usual_horizon(freq: str) -> int:
    """H of a file that says none: what is usual at its frequency in the archive, else a season.

    Args:
        freq: a pandas alias; raises DataError where it is none.

    >>> [usual_horizon(freq) for freq in ("H", "M", "15T")]
    [168, 12, 96]
    """
    return HORIZONS.get(freq) or season(freq)
