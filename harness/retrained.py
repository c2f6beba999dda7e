"""Two trainings beside one another: are the weights the same bits, do the numbers agree that were noted, and what was different."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.mappings import mapping

__all__ = ["Comparison", "compare", "difference", "noted"]

TIME = re.compile(r"(^|[._])(s|ms|seconds|minutes|per_s|per_second)$|_time$")
"""Numbers that say how fast this machine is."""

OF_A_TIME = (
    "command", "host", "memory_mb", "cores", "data_folder", "isolation", "weight_files", "working_folder", "unsaved", "fold",
)  # fmt: skip
"""Parts of a record's environment from which no weight follows."""

COLUMNS = ("version", "parent", "data", "configuration", "git")


@dataclass(frozen=True)
class Comparison:
    """What became of a training that was done again.

    `weights` is "equal", "differ", or "" where one of them has none. A line of `numbers` has name, stored, now and difference: relative,
    for lists the largest. `measured` says whether one of them is more than a count.
    """

    weights: str
    numbers: list[dict[str, Any]]
    measured: bool
    changed: dict[str, tuple[Any, Any]]

    @property
    def worst(self) -> float:
        """The largest difference of the numbers; NaN where there is none."""
        return max((line["difference"] for line in self.numbers), default=math.nan)

    @property
    def comparable(self) -> bool:
        """Whether there is anything to go by."""
        return bool(self.weights) or self.measured

    def equal(self, tolerance: float) -> bool:
        """Whether the weights are the same bits, or else all numbers agree so far, of which one is more than a count."""
        return self.weights == "equal" or (self.measured and self.worst <= tolerance)


def compare(old: Mapping[str, Any], new: Mapping[str, Any], files: Mapping[str, str] | None = None) -> Comparison:
    """Compare two rows of `trained`.

    Args:
        files: {name: digest} of the old weights, for a record that does not hold them.
    """
    one, other = noted(old), noted(new)
    numbers = [
        {"name": name, "stored": one[name], "now": other[name], "difference": _distance(one[name], other[name])}
        for name in one
        if name in other
    ]
    measured = any(isinstance(line["stored"], float | list) or line["stored"] is None for line in numbers)
    return Comparison(_weights(old, new, files), numbers, measured, dict(_changed(old, new)))


def noted(row: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers, and lists of numbers, that a training noted; not its times. None is NaN, which no JSON has."""
    return {
        name: value
        for name, value in _flat(mapping(row["metrics"]))
        if name not in OF_A_TIME and not TIME.search(name) and (_number(value) or (isinstance(value, list) and all(map(_number, value))))
    }


def difference(was: float | None, now: float | None) -> float:
    """Relative; 0 where both are undefined, infinity where one is.

    >>> difference(2.0, 1.0), difference(None, None), difference(1.0, None)
    (0.5, 0.0, inf)
    """
    a, b = (math.nan if v is None else float(v) for v in (was, now))
    if a == b or (math.isnan(a) and math.isnan(b)):
        return 0.0
    if not (math.isfinite(a) and math.isfinite(b)):
        return math.inf
    return abs(a - b) / max(abs(a), abs(b))


def _number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _distance(was: Any, now: Any) -> float:
    """`difference`, of lists the largest, infinity where they are not alike."""
    if isinstance(was, list) or isinstance(now, list):
        if not (isinstance(was, list) and isinstance(now, list) and len(was) == len(now)):
            return math.inf
        return max((difference(a, b) for a, b in zip(was, now, strict=True)), default=0.0)
    return difference(was, now)


def _weights(old: Mapping[str, Any], new: Mapping[str, Any], files: Mapping[str, str] | None) -> str:
    """By the files of weights alone where they are known, since a card beside them may say when it was; else by all files."""
    known = [mapping(row["environment"]).get("weight_files") for row in (old, new)]
    one, other = known[0] or files, known[1]
    if not (one and other):
        one, other = old["weights_digest"], new["weights_digest"]
    return "" if not (one and other) else "equal" if one == other else "differ"


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Nested names joined by dots."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """What is known of both trainings and is not the same: versions, source, data, recipe, hardware."""
    for name in COLUMNS:
        if old[name] and new[name] and old[name] != new[name]:
            yield name, (old[name], new[name])
    one, other = ({k: v for k, v in mapping(row["environment"]).items() if k not in OF_A_TIME} for row in (old, new))
    before, after = dict(_flat({k: v for k, v in one.items() if k in other})), dict(_flat({k: v for k, v in other.items() if k in one}))
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield name, (before.get(name), after.get(name))
