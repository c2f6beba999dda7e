"""Insulin and meals on the grid of the readings, so that a point never holds anything later than itself.

An amount belongs to the first grid point at or after it: a point holds what was given since the point before it. What flows over a time is
spread over its points evenly. A point holds 0 where nothing is written and the source keeps such events for the subject, NaN where it keeps
none, NaN where there was something of unknown amount.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.forecast import F32, I64, Ragged
from harness_tasks.cgm.readings import I32, Events, Readings

__all__ = ["Frame", "Meals", "place_events"]


@dataclass(frozen=True, eq=False)
class Meals:
    """Meals on the grid: series int32 [M], position int64 [M] of the point that holds them, carbs float32 [M], grams, NaN where unknown."""

    series: I32
    position: I64
    carbs: F32

    def __len__(self) -> int:
        return len(self.series)


@dataclass(frozen=True, eq=False)
class Frame:
    """Where series lie: seconds a step, and for each series its subject, first point (counted from 1970), length and place."""

    size: int
    subject: I32
    first: I64
    length: I64
    offsets: I64

    def find(self, subject: I32, point: I64) -> tuple[I64, NDArray[np.bool_]]:
        """The last series of a subject that begins at or before a point, and whether the point lies in it."""
        low = int(min(self.first.min(initial=0), point.min(initial=0)))
        width = int(max(self.first.max(initial=0), point.max(initial=0))) - low + 1
        key = self.subject.astype(np.int64) * width + self.first - low  # rises: series are in order of subject and time
        series = np.searchsorted(key, subject.astype(np.int64) * width + point - low, "right") - 1
        safe = np.maximum(series, 0)
        ahead = point - self.first[safe]
        inside = (series >= 0) & (self.subject[safe] == subject) & (ahead >= 0) & (ahead < self.length[safe])
        return safe, inside


def place_events(readings: Readings, frame: Frame) -> tuple[dict[str, Ragged], Meals | None, int]:
    """Covariates and meals on the grid, and how many events lie outside every series."""
    covariates, outside = {}, 0
    for name, events in readings.covariates.items():
        covariates[name], lost = _spread(events, frame)
        outside += lost
    if readings.meals is None:
        return covariates, None, outside
    eaten = readings.meals
    point = -(-eaten.begin.astype(np.int64) // frame.size)
    series, inside = frame.find(eaten.subject, point)
    meals = Meals(series[inside].astype(np.int32), (point - frame.first[series])[inside], eaten.amount[inside])
    if not np.isnan(eaten.amount).all():
        covariates["carbs"], _ = _spread(eaten, frame)
    return covariates, meals, outside + int((~inside).sum())


def _spread(events: Events, frame: Frame) -> tuple[Ragged, int]:
    """Amounts a step, and how many events lie outside every series.

    An event over [begin, end] touches the points from the first after `begin` to the first at or after `end`, each with the share of its
    time that falls into the step before that point.
    """
    total = np.where(events.recorded, 0.0, np.nan)[frame.subject].repeat(frame.length)
    begin, end = events.begin.astype(np.int64), events.end.astype(np.int64)
    at_once = begin == end
    low = np.where(at_once, -(-begin // frame.size), begin // frame.size + 1)
    high = np.where(at_once, low, -(-end // frame.size))
    # No event needs points beyond its subject's series, however long it is said to last.
    heads, tails = np.searchsorted(frame.subject, events.subject), np.searchsorted(frame.subject, events.subject, "right") - 1
    has = tails >= heads
    heads, tails = np.where(has, heads, 0), np.where(has, tails, 0)
    start = np.maximum(low, frame.first[heads])
    stop = np.minimum(high, frame.first[tails] + frame.length[tails] - 1)
    pieces = np.where(has, np.maximum(stop - start + 1, 0), 0)
    row = np.repeat(np.arange(len(events)), pieces)
    point = start[row] + np.arange(len(row)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    until, since = point * frame.size, (point - 1) * frame.size
    span = np.maximum(end - begin, 1)[row]
    share = np.where(at_once[row], 1.0, (np.minimum(end[row], until) - np.maximum(begin[row], since)) / span)
    series, inside = frame.find(events.subject[row], point)
    place = frame.offsets[series[inside]] + point[inside] - frame.first[series[inside]]
    total += np.bincount(place, (events.amount[row].astype(np.float64) * share)[inside], len(total))
    hit = np.bincount(row[inside], minlength=len(events)) > 0
    return Ragged(total.astype(np.float32), frame.offsets), int((~hit).sum())
