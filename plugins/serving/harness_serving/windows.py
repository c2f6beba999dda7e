"""Windows of a request, as rows that can be joined with those of other requests into one batch.

Axes: N windows, Q levels, H horizon, T context. What a model is given of a window depends on the request alone: its id and its seed are
hashes of the series and the request's seed, so that neither the batch nor the place in it changes a forecast.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.forecast import F32, Batch, Ragged
from harness.frequency import MONTHS, SECONDS, split

__all__ = ["LAST_YEAR", "Key", "Row", "batch_of", "make_row", "years"]

LAST_YEAR = 9999
YEAR_SECONDS = 31_557_600


@dataclass(frozen=True)
class Key:
    """What all windows of a batch share."""

    freq: str
    horizon: int
    levels: tuple[float, ...]
    season_length: int
    past: tuple[str, ...] = ()
    known: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Row:
    """One window: context [T], the time of its first value, covariates [T] and [T + H] in the order of the key's names."""

    context: F32
    start: np.datetime64
    identity: int
    seed: int
    past: list[F32] = field(default_factory=list)
    known: list[F32] = field(default_factory=list)


def make_row(key: Key, context: F32, start: np.datetime64, seed: int, past: Sequence[F32] = (), known: Sequence[F32] = ()) -> Row:
    """A window with its id, a hash of all that it is forecast from, and its seed, a hash of that and the request's seed."""
    state = hashlib.blake2b(repr(key).encode() + str(start).encode(), digest_size=8)
    for values in (context, *past, *known):
        state.update(len(values).to_bytes(8, "little") + np.ascontiguousarray(values).tobytes())
    identity = state.digest()
    drawn = hashlib.blake2b(identity + seed.to_bytes(8, "little"), digest_size=8).digest()
    return Row(context, start, int.from_bytes(identity, "little"), int.from_bytes(drawn, "little"), list(past), list(known))


def batch_of(key: Key, rows: Sequence[Row]) -> Batch:
    """The rows [N] as a batch; each is an item of its own."""
    return Batch(
        contexts=Ragged.from_rows([row.context for row in rows]),
        starts=np.array([row.start for row in rows], "datetime64[s]"),
        freq=key.freq,
        horizon=key.horizon,
        quantile_levels=np.asarray(key.levels, np.float64),
        season_length=key.season_length,
        group=np.arange(len(rows), dtype=np.int64),
        window_ids=np.array([row.identity for row in rows], np.uint64),
        seeds=np.array([row.seed for row in rows], np.uint64),
        past_covariates=tuple(Ragged.from_rows([row.past[k] for row in rows]) for k in range(len(key.past))),
        past_names=key.past,
        known_covariates=tuple(Ragged.from_rows([row.known[k] for row in rows]) for k in range(len(key.known))),
    )


def years(freq: str, steps: int) -> float:
    """About how many years so many steps are.

    >>> round(years("M", 120), 1), round(years("15T", 4 * 24 * 365), 1)
    (10.0, 1.0)
    """
    multiple, base = split(freq)
    if base in MONTHS:
        return steps * multiple * MONTHS[base] / 12
    return steps * multiple * SECONDS.get(base, 86_400 * 7 // 5) / YEAR_SECONDS
