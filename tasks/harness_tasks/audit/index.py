"""The fingerprints of all test series, sorted, to be asked about a corpus's.

Axes: K fingerprints, C channels (series) of all datasets together, B fingerprints of a block of a corpus, P pairs of equal ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.forecast import F64, I64, U64
from harness.series import Channels
from harness_tasks.audit.fingerprints import fingerprints

__all__ = ["Index", "joined", "separated"]

BLOCK = 1 << 20
"""Values that are looked at together."""
PER_SERIES, PER_HASH = 2, 16
"""A fingerprint that is often in one series (a pattern that repeats) or in many (a shape of no character) is kept so many times."""


@dataclass(frozen=True, eq=False)
class Index:
    """hashes uint64 [K] sorted; channel int32 [K] and at int64 [K], where each is; `seen`, by a hash's first bits: may it be here."""

    hashes: U64
    channel: NDArray[np.int32]
    at: I64
    seen: NDArray[np.bool_]

    @classmethod
    def of(cls, series: Channels) -> Index:
        """Index C series."""
        parts = [_place(series, low, high) for low, high in blocks_of(series.length)]
        hashes = np.concatenate([np.empty(0, np.uint64), *(part[0] for part in parts)])
        channel = np.concatenate([np.empty(0, np.int32), *(part[1] for part in parts)])
        at = np.concatenate([np.empty(0, np.int64), *(part[2] for part in parts)])
        order = np.lexsort((at, channel, hashes))
        order = order[_count(hashes[order], channel[order]) < PER_SERIES]
        order = order[_count(hashes[order]) < PER_HASH]
        return cls._sorted(hashes[order], channel[order], at[order])

    @classmethod
    def _sorted(cls, hashes: U64, channel: NDArray[np.int32], at: I64) -> Index:
        bits = min(26, max(10, int(np.ceil(np.log2(8 * len(hashes) + 1)))))
        seen = np.zeros(1 << bits, np.bool_)
        seen[hashes >> np.uint64(64 - bits)] = True
        return cls(hashes, channel, at, seen)

    def only(self, wanted: NDArray[np.bool_]) -> Index:
        """The index of these channels: wanted [C]."""
        kept = wanted[self.channel]
        return self._sorted(self.hashes[kept], self.channel[kept], self.at[kept])

    def known(self) -> NDArray[np.int32]:
        """The channels that have a fingerprint, and so can be found."""
        return np.unique(self.channel)

    def ask(self, hashes: U64) -> tuple[I64, I64]:
        """Pairs of equal fingerprints: (number of the asked one int64 [P], number in the index int64 [P])."""
        bits = np.uint64(64 - int(np.log2(len(self.seen))))
        maybe = np.flatnonzero(self.seen[hashes >> bits])
        maybe = maybe[np.argsort(hashes[maybe])]  # sorted questions are answered from the same lines of memory
        low = np.searchsorted(self.hashes, hashes[maybe], side="left")
        count = np.searchsorted(self.hashes, hashes[maybe], side="right") - low
        asked = np.repeat(maybe, count)
        return asked, np.repeat(low - np.cumsum(count) + count, count) + np.arange(len(asked), dtype=np.int64)


def _place(series: Channels, low: int, high: int) -> tuple[U64, NDArray[np.int32], I64]:
    rows = np.arange(low, high)
    length = series.length[low:high]
    cut = series.cut(rows, np.zeros(high - low, np.int64), length)
    flat, starts = separated(cut.values.astype(np.float64), length)
    at, hashes = fingerprints(flat)
    row = np.searchsorted(starts, at, side="right") - 1
    return hashes, (low + row).astype(np.int32), at - starts[row]


def blocks_of(length: I64, most: int = BLOCK) -> Iterator[tuple[int, int]]:
    """[low, high) of consecutive series of at most so many values together, each of at least one series."""
    ends, low = np.cumsum(length), 0
    while low < len(length):
        before = int(ends[low - 1]) if low else 0
        high = max(low + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield low, high
        low = high


def separated(values: F64, length: I64) -> tuple[F64, I64]:
    """Series that lie end to end, with a NaN behind each: (values [n + rows], where each series begins [rows])."""
    starts = np.cumsum(length + 1) - length - 1
    flat = np.full(len(values) + len(length), np.nan)
    flat[np.arange(len(values)) + np.repeat(np.arange(len(length)), length)] = values
    return flat, starts


def joined(parts: Sequence[Channels]) -> Channels:
    """The channels of several datasets, one after the other; no value is copied."""
    shift = np.cumsum([0, *(len(part.chunks) for part in parts)])
    return Channels(
        tuple(chunk for part in parts for chunk in part.chunks),
        np.concatenate([part.chunk + np.int32(shift[i]) for i, part in enumerate(parts)]),
        np.concatenate([part.begin for part in parts]),
        np.concatenate([part.length for part in parts]),
    )


def _count(*sorted_keys: NDArray[np.generic]) -> I64:
    """For each row, how many rows before it have the same keys."""
    n = len(sorted_keys[0])
    new = np.ones(n, np.bool_)
    if n:
        new[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in sorted_keys])
    begin = np.maximum.accumulate(np.where(new, np.arange(n), 0))
    return np.arange(n, dtype=np.int64) - begin
