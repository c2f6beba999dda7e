"""How far apart times are, also of those that lie beside the steps of a spacing, as those of a sensor do. For proposals only."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median

from harness import frequency

__all__ = ["jittered", "rhythm", "spacing"]

STEPS = ("S", "2S", "5S", "10S", "15S", "20S", "30S", "T", "2T", "3T", "5T", "10T", "15T", "20T", "30T",
         "H", "2H", "3H", "4H", "6H", "8H", "12H", "D")  # fmt: skip
"""Spacings that are usual."""
NEAR, WITHIN = 0.1, 0.25
"""The median distance is a step but for this share of it, and half of the distances are but for that."""
SNAPS = (1, 2, 3, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600)
MICROS = 1_000_000
UNITS = ((604_800, "W"), (86_400, "D"), (3600, "H"), (60, "T"), (1, "S"))


def rhythm(micros: Sequence[int], owner: Sequence[str]) -> tuple[str, float]:
    """(freq, seconds that times lie beside it): the usual distance where half of all are that, else what `jittered` finds."""
    gaps = Counter(_gaps(micros, owner))
    if gaps and 2 * gaps.most_common(1)[0][1] < gaps.total() and (found := jittered(micros, owner))[0]:
        return found
    return spacing(micros, owner), 0.0


def spacing(micros: Sequence[int], owner: Sequence[str]) -> str:
    """The alias of the most usual distance between neighbours in time of one series, in microseconds; "" where no alias fits.

    >>> spacing([0, 86_400_000_000, 172_800_000_000], ["a", "a", "a"])
    'D'
    """
    gaps = Counter(_gaps(micros, owner))
    if not gaps:
        return ""
    step, often = gaps.most_common(1)[0]
    days = step / 86_400_000_000
    for low, high, alias in ((28, 31, "M"), (90, 92, "Q"), (365, 366, "A")):
        if low <= days <= high:
            return alias
    if days == 1 and gaps[3 * step] * 8 > often and not any(datetime.fromtimestamp(s // 10**6, UTC).weekday() > 4 for s in micros):
        return "B"
    seconds, rest = divmod(step, 1_000_000)
    for unit, alias in UNITS:
        if not rest and seconds % unit == 0 and seconds:
            return alias if seconds == unit else f"{seconds // unit}{alias}"
    return ""


def jittered(micros: Sequence[int], owner: Sequence[str]) -> tuple[str, float]:
    """(freq, seconds by which times lie beside its steps since midnight, rounded up); ("", 0.0) where the times have no usual spacing.

    >>> jittered([0, 310_000_000, 595_000_000, 905_000_000, 1_188_000_000], [""] * 5)
    ('5T', 15.0)
    """
    gaps = _gaps(micros, owner)
    if not gaps:
        return "", 0.0
    middle = median(gaps)
    sizes = {}
    for freq in STEPS:
        multiple, base = frequency.split(freq)
        sizes[freq] = multiple * frequency.SECONDS[base] * MICROS
    freq = min(STEPS, key=lambda each: abs(sizes[each] - middle))
    step = sizes[freq]
    near = sum(abs(gap - step) <= WITHIN * step for gap in gaps)
    if abs(middle - step) > NEAR * step or 2 * near < len(gaps):
        return "", 0.0
    beside = max(min(stamp % step, step - stamp % step) for stamp in micros) / MICROS
    snap = next((each for each in SNAPS if each >= beside), math.ceil(beside))
    return freq, min(float(snap), step / MICROS / 2) if beside else 0.0


def _gaps(micros: Sequence[int], owner: Sequence[str]) -> list[int]:
    """Distances of neighbours in time of one series, in the unit of the times."""
    by: dict[str, list[int]] = {}
    for name, stamp in zip(owner, micros, strict=True):
        by.setdefault(name, []).append(stamp)
    ordered = [sorted(set(stamps)) for stamps in by.values()]
    return [b - a for stamps in ordered for a, b in zip(stamps[:-1], stamps[1:], strict=True)]
