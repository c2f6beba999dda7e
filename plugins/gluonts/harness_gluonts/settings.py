"""What an estimator is given where nothing is set, as far as the data decides it; the rest is the library's default. No heavy import."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Unsupported
from harness.forecast import I64
from harness.frequency import split

__all__ = ["LONGEST", "context_for", "cycle", "patches_for"]

LONGEST = 512
"""Steps of a context that are taken at most where none is set."""
CYCLES = {"D": 7, "B": 5, "W": 52, "M": 12, "Q": 4}
"""Steps of the cycle that series of a frequency usually have. The season of a protocol is 1 for days and weeks, whose cycles these are."""


def cycle(freq: str, season_length: int) -> int:
    """Steps of the cycle that a context should hold twice: a day of hours, a week of days, a year of weeks, months or quarters.

    >>> cycle("H", 24), cycle("D", 1), cycle("15T", 96), cycle("A", 1)
    (24, 7, 96, 1)
    """
    multiple, base = split(freq)
    return max(CYCLES.get(base, 1) // multiple, season_length, 1)


def context_for(freq: str, season_length: int, horizon: int, lengths: I64) -> int:
    """Two cycles or two horizons, 16 steps at least and 512 at most, and no more than the median series has before its last horizon.

    Args:
        lengths: int64 [N], steps of the series that can be trained on, each more than `horizon`.

    >>> context_for("H", 24, 48, np.array([1000, 1000])), context_for("M", 12, 12, np.array([40, 40, 30]))
    (96, 24)
    """
    wanted = min(max(2 * cycle(freq, season_length), 2 * horizon, 16), LONGEST)
    room = int(np.median(lengths)) - horizon
    return max(min(wanted, room), 2)


def patches_for(context: int) -> dict[str, int]:
    """Length and stride of patches: a quarter of the context, 16 steps at most, each half over the next.

    >>> patches_for(96), patches_for(5)
    ({'patch_len': 16, 'stride': 8}, {'patch_len': 2, 'stride': 1})
    """
    patch = min(max(2, context // 4), 16, context)
    return {"patch_len": patch, "stride": max(1, patch // 2)}


def chosen(
    name: str, given: dict[str, Any], freq: str, season_length: int, horizon: int, levels: list[float], lengths: I64, *, negative: bool
) -> dict[str, Any]:
    """The given parameters of the estimator of model `name` with those that the data decides.

    Args:
        given: parameters that are set, None for none.
        levels: the quantile levels that the task asks for.
        lengths: as for `context_for`.
        negative: whether a value below 0 is among the training values.
    """
    usual = context_for(freq, season_length, horizon, lengths)
    made: dict[str, Any] = {}
    if "context_length" in given:
        made["context_length"] = usual
    if "patch_len" in given:
        made |= patches_for(given["context_length"] or usual)
        if given["patch_len"] and not given["stride"]:
            made["stride"] = max(1, int(given["patch_len"]) // 2)
    if "quantiles" in given:
        made["quantiles"] = levels
    if "negative_data" in given:
        made["negative_data"] = negative
    if "seasonality" in given:
        made["seasonality"] = min(cycle(freq, season_length), LONGEST // 2)
    if "lags_seq" in given:
        made["lags_seq"] = lags_for(freq, int(lengths.max()))
    made |= {key: value for key, value in given.items() if value is not None}
    if name == "deepnpts" and (lengths <= made["context_length"]).all():
        raise Unsupported(
            f"deepnpts: no training series is longer than a context of {made['context_length']} steps, the longest has "
            f"{int(lengths.max())}; set a shorter one: -M deepnpts:context_length={max(1, int(lengths.max()) // 2)}"
        )
    return made


def lags_for(freq: str, longest: int) -> list[int]:
    """The library's lags for a frequency, without those that reach back further than the longest series."""
    from gluonts.time_feature import get_lags_for_frequency

    from harness_gluonts.data import offset_alias

    try:
        usual = get_lags_for_frequency(offset_alias(freq))
    except (AssertionError, ValueError) as error:
        raise Unsupported(f"gluonts has no lags for the frequency {freq!r} ({error}); set some: lags_seq=[1,2,3]") from None
    return [lag for lag in usual if lag < longest] or [1]
