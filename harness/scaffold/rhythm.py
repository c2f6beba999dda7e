"""How far apart times are that lie beside the steps of a spacing, as those of a sensor do. For proposals only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from harness import frequency

__all__ = ["gaps_of", "jittered"]

STEPS = ("S", "2S", "5S", "10S", "15S", "20S", "30S", "T", "2T", "3T", "5T", "10T", "15T", "20T", "30T",
         "H", "2H", "3H", "4H", "6H", "8H", "12H", "D")  # fmt: skip
"""Spacings that are usual."""
NEAR, WITHIN = 0.1, 0.25
"""The median distance is a step but for this share of it, and half of the distances are but for that."""
SNAPS = (1, 2, 3, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600)
MICROS = 1_000_000


def gaps_of(micros: Sequence[int], owner: Sequence[str]) -> list[int]:
    """Distances of neighbours in time of one series, in the unit of the times."""
    by: dict[str, list[int]] = {}
    for name, stamp in zip(owner, micros, strict=True):
        by.setdefault(name, []).append(stamp)
    ordered = [sorted(set(stamps)) for stamps in by.values()]
    return [b - a for stamps in ordered for a, b in zip(stamps[:-1], stamps[1:], strict=True)]


def jittered(micros: Sequence[int], owner: Sequence[str]) -> tuple[str, float]:
    """(freq, seconds by which times lie beside its steps since midnight, rounded up); ("", 0.0) where the times have no usual spacing.

    >>> jittered([0, 310_000_000, 595_000_000, 905_000_000, 1_188_000_000], [""] * 5)
    ('5T', 15.0)
    """
    gaps = gaps_of(micros, owner)
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
