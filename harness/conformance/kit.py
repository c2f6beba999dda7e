"""What several checks use: how they say that something is wrong, how two forecasts are compared, and which rows make a group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from harness.forecast import F32, F64, Batch
from harness.specimens import Bench

__all__ = ["REMEDY", "Verdict", "arrays_of", "fail", "gap", "measure", "members", "percent", "same", "spread"]

Verdict = Callable[[Bench], "str | None"]
"""A check: it raises AssertionError with what is wrong, `Unsupported` where it does not apply, and may return what it found out."""


def fail(message: str) -> NoReturn:
    """Not `assert`, which python -O leaves out."""
    raise AssertionError(message)


REMEDY = "what draws is to draw from batch.seeds, and what cannot be made independent of the batch declares batch_dependent=True"


def same(a: F32, b: F32, what: str, remedy: str = "") -> None:
    """Fail where two forecasts are not the same bits; `remedy` says what to do about it."""
    if not np.array_equal(a, b):
        worst = np.max(np.abs(a.astype(np.float64) - b.astype(np.float64)))
        fail(f"{what} give forecasts that differ by up to {worst:.3g}; wanted the same bits" + (f": {remedy}" if remedy else ""))


def spread(batch: Batch) -> F64:
    """The standard deviation of each context's finite values, 1 where there is none: the unit of a difference that matters, [N]."""
    found = np.ones(len(batch))
    for n, row in enumerate(batch):
        seen = row[np.isfinite(row)].astype(np.float64)
        deviation = float(seen.std()) if len(seen) else 0.0
        found[n] = deviation if deviation > 0 else 1.0
    return found


def measure(bench: Bench, batch: Batch) -> tuple[F64, str]:
    """The unit of a difference that matters, [N], and how to call it: the series' spread, or 1 of a probability."""
    if bench.of_events:
        return np.ones(len(batch)), "in probability"
    return spread(batch), "of the series' standard deviation"


def gap(a: F32 | F64, b: F32 | F64, unit: F64) -> float:
    """The largest difference of two forecasts [N, Q, H], in units [N] of their windows."""
    return float(np.max(np.abs(a.astype(np.float64) - b.astype(np.float64)) / unit[:, None, None], initial=0.0))


def percent(share: float) -> str:
    """A difference in a text: "0.002 %" of the unit."""
    return f"{100 * share:.2g} %"


def members(batch: Batch, groups: Sequence[int]) -> list[int]:
    """The rows of these groups, in this order."""
    names = np.unique(batch.group)
    return [int(row) for group in groups for row in np.flatnonzero(batch.group == names[group % len(names)])]


def arrays_of(batch: Batch) -> dict[str, np.ndarray[Any, Any]]:
    """All arrays of a batch, by name."""
    ragged = {"contexts": batch.contexts}
    for kind in ("past_covariates", "known_covariates"):
        ragged |= {f"{kind}[{k}]": rows for k, rows in enumerate(getattr(batch, kind))}
    found = {f"{name}.{part}": getattr(rows, part) for name, rows in ragged.items() for part in ("values", "offsets")}
    names = ["starts", "quantile_levels", "group", "window_ids", "seeds", *(["thresholds"] if batch.thresholds is not None else [])]
    return found | {name: getattr(batch, name) for name in names}
