"""Glucose readings as columns, and the account of how they were read.

Axes: R readings, S subjects, E events. A subject is one recording as its source names it; `patients` says whose it is, since a person
may have been recorded more than once and must then lie on one side of a split with all recordings. Glucose is float32 in mg/dL, NaN
where the source has a stamp and no value. Times are local clock times without a zone, whole seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from harness.forecast import F32

__all__ = ["I32", "Bools", "Events", "Readings", "Report", "Times"]

I32 = NDArray[np.int32]
Bools = NDArray[np.bool_]
Times = NDArray[np.datetime64]


@dataclass(frozen=True, eq=False)
class Events:
    """What was given or eaten: `amount` over the time from `begin` to `end`, which are equal for what happened at once.

    subject int32 [E]; begin, end datetime64[s] [E], begin <= end; amount float32 [E], units of insulin or grams, NaN where the source says
    that there was something but not how much. recorded bool [S]: whether the source keeps such events for a subject at all, so that
    "nothing written" can be told from "nothing given".
    """

    subject: I32
    begin: Times
    end: Times
    amount: F32
    recorded: Bools

    def __post_init__(self) -> None:
        shapes = {len(self.subject), len(self.begin), len(self.end), len(self.amount)}
        if len(shapes) != 1:
            raise ValueError(f"Events got columns of {sorted(shapes)} rows; wanted equal lengths")
        if (self.begin > self.end).any():
            raise ValueError("Events got an event that ends before it begins")

    def __len__(self) -> int:
        return len(self.subject)


@dataclass(frozen=True)
class Report:
    """What was done to a source. Of its `rows`, each was kept as one of `readings` or dropped for one stated reason.

    Attributes:
        sources: the files that were read.
        layout: which layout they have.
        rows: rows (in wide or XML layouts: cells or elements) that may hold a reading.
        readings: how many were kept, `absent` of them without a value.
        dropped: {reason: rows}.
        duplicates: kept readings whose subject has an earlier one at the same second.
        low, high: texts such as "Low" and "High" that became the sensor's limits.
        unit: what the source is in, before the conversion to mg/dL.
        unit_from: how that is known.
        notes: what else a reader should know, a sentence each.
    """

    sources: tuple[str, ...]
    layout: str
    rows: int
    readings: int
    absent: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    duplicates: int = 0
    low: int = 0
    high: int = 0
    unit: str = ""
    unit_from: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rows != self.readings + sum(self.dropped.values()):
            raise ValueError(f"a report of {self.rows} rows accounts for {self.readings} kept and {sum(self.dropped.values())} dropped")

    def lines(self) -> list[str]:
        """The report as text, a fact a line."""
        what = self.sources[0] if len(self.sources) == 1 else f"{len(self.sources)} files"
        out = [f"{what}: layout {self.layout}, {self.rows} rows, {self.readings} readings, {self.absent} of them without a value"]
        out.append(f"unit {self.unit}, from {self.unit_from}")
        out += [f"dropped {count}: {reason}" for reason, count in sorted(self.dropped.items())]
        for text, count in (("repeated stamps", self.duplicates), ("below the sensor's range", self.low), ("above the range", self.high)):
            out += [f"{text}: {count}"] if count else []
        return [*out, *self.notes]


@dataclass(frozen=True, eq=False)
class Readings:
    """R readings of S subjects, ordered by subject and time (of equal stamps, as the source has them).

    Attributes:
        names: the subjects, in the order in which the source first names them.
        patients: for each subject, whose recording it is.
        subject: int32 [R], a position in `names`.
        time: datetime64[s] [R].
        glucose: float32 [R], mg/dL.
        covariates: insulin as events, by name: "basal", "bolus", "insulin" (basal and bolus in one); empty where the source has none.
        meals: with grams of carbohydrate; None where the source keeps no meals.
        report: how they were read.
    """

    names: tuple[str, ...]
    patients: tuple[str, ...]
    subject: I32
    time: Times
    glucose: F32
    report: Report
    covariates: Mapping[str, Events] = field(default_factory=dict)
    meals: Events | None = None

    def __post_init__(self) -> None:
        if not len(self.subject) == len(self.time) == len(self.glucose):
            raise ValueError(
                f"Readings got columns of {len(self.subject)}, {len(self.time)} and {len(self.glucose)} rows; wanted equal lengths"
            )
        if len(self.names) != len(self.patients) or len(set(self.names)) != len(self.names):
            raise ValueError(
                f"Readings got {len(self.names)} names and {len(self.patients)} patients; wanted a patient for each, names that differ"
            )
        if (np.diff(self.subject) < 0).any() or (np.diff(self.time)[np.diff(self.subject) == 0] < np.timedelta64(0)).any():
            raise ValueError("Readings got rows out of order; wanted them by subject and time")

    def __len__(self) -> int:
        return len(self.subject)
