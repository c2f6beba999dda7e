"""What gluonts is given of a batch: one dictionary for each window, no data frame.

The library wants the start of each entry as a pandas Period of its own; those of a batch are made in one call, 1 µs each (26 µs one by
one). Values are float32 [T], NaN where missing; covariates [K, T] for the past and [K, T + H] for those known beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness import Batch
from harness.forecast import F32, I64, Ragged
from harness.frequency import shift, split

__all__ = ["Entry", "Scale", "entries", "observed", "offset_alias", "period_alias", "scales"]

Entry = dict[str, Any]
OFFSETS = {"S": "s", "T": "min", "H": "h", "M": "ME", "Q": "QE", "A": "YE"}
"""How pandas writes an offset since 2.2, where that is not as we do."""
PERIODS = {"S": "s", "T": "min", "H": "h", "A": "Y"}
"""The same for a period, whose spelling is another."""


def _alias(freq: str, spelling: dict[str, str]) -> str:
    multiple, base = split(freq)
    anchor = freq.partition("-")[2]
    return f"{multiple if multiple > 1 else ''}{spelling.get(base, base)}{'-' + anchor if anchor else ''}"


def offset_alias(freq: str) -> str:
    """A frequency as estimators take it.

    >>> offset_alias("15T"), offset_alias("M"), offset_alias("W-WED"), offset_alias("A")
    ('15min', 'ME', 'W-WED', 'YE')
    """
    return _alias(freq, OFFSETS)


def period_alias(freq: str) -> str:
    """A frequency as periods take it.

    >>> period_alias("15T"), period_alias("M"), period_alias("W-WED"), period_alias("A")
    ('15min', 'M', 'W-WED', 'Y')
    """
    return _alias(freq, PERIODS)


def observed(batch: Batch) -> I64:
    """How many values of each context are finite, int64 [N]."""
    if not len(batch):
        return np.zeros(0, np.int64)
    # Contexts are never empty, so each has an offset of its own.
    found: I64 = np.add.reduceat(np.isfinite(batch.contexts.values), batch.contexts.offsets[:-1], dtype=np.int64)
    return found


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of a covariate over the training part: networks of gluonts take covariates as they are."""

    mean: float = 0.0
    spread: float = 1.0

    def __call__(self, values: F32) -> F32:
        """Scaled values [T]; a missing one is 0, the mean."""
        scaled = (values.astype(np.float64) - self.mean) / self.spread
        return np.where(np.isfinite(scaled), scaled, 0.0).astype(np.float32)


def scales(covariates: Sequence[Ragged]) -> list[Scale]:
    """The scale of each covariate; one without spread is only centred."""
    made = []
    for rows in covariates:
        seen = rows.values[np.isfinite(rows.values)].astype(np.float64)
        spread = float(seen.std()) if len(seen) else 0.0
        made.append(Scale(float(seen.mean()) if len(seen) else 0.0, spread if spread > 0 else 1.0))
    return made


def entries(
    batch: Batch,
    *,
    rows: Sequence[int] | None = None,
    newest: int | None = None,
    past: Sequence[Scale] | None = None,
    known: Sequence[Scale] | None = None,
    horizon: int | None = None,
) -> list[Entry]:
    """Entries of a gluonts dataset, with values of their own that a model may change. Infinite values are missing.

    Args:
        rows: which windows, in this order; None = all.
        newest: only so many steps of each context; None = all.
        past: scales of `past_feat_dynamic_real`; None = they are sent as they are.
        known: scales of `feat_dynamic_real`; None = they are sent as they are.
        horizon: steps that known covariates reach beyond the context, filled up with the mean; None = the batch's H, 0 = for training.
    """
    ahead = batch.horizon if horizon is None else horizon
    lengths = batch.contexts.lengths
    keep = lengths if newest is None else np.minimum(lengths, newest)
    first = shift(batch.starts, batch.freq, lengths - keep) if (keep < lengths).any() else batch.starts
    starts = pd.DatetimeIndex(first).to_period(period_alias(batch.freq))
    values = np.where(np.isfinite(batch.contexts.values), batch.contexts.values, np.float32(np.nan))
    end = batch.contexts.offsets[1:]
    made: list[Entry] = []
    for row in range(len(batch)) if rows is None else rows:
        t, k = int(lengths[row]), int(keep[row])
        entry: Entry = {"start": starts[row], "target": values[end[row] - k : end[row]], "item_id": str(int(batch.group[row]))}
        if batch.past_covariates:
            entry["past_feat_dynamic_real"] = _stack(batch.past_covariates, row, t - k, t, t, past)
        if batch.known_covariates:
            entry["feat_dynamic_real"] = _stack(batch.known_covariates, row, t - k, t + batch.horizon, t + ahead, known)
        made.append(entry)
    return made


def _stack(covariates: Sequence[Ragged], row: int, low: int, have: int, high: int, how: Sequence[Scale] | None) -> F32:
    """One window's covariates [K, high − low]; steps from `have` on are filled up."""
    stacked = np.zeros((len(covariates), high - low), np.float32)
    for index, rows in enumerate(covariates):
        values = rows[row][low : min(have, high)]
        stacked[index, : len(values)] = values if how is None else how[index](values)
    return stacked
