"""A corpus, streamed past the index of the test series: equal fingerprints, then one look at their values, then the whole overlap.

Only test series that hold enough to be told apart (`harness_tasks.audit.agreement.BITS`) are looked for.

Axes: P pairs of equal fingerprints, G groups of pairs that say the same: this test series, that corpus series, this shift in time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.forecast import F64, I64
from harness.series import Channels
from harness_tasks.audit.agreement import agreement, enough
from harness_tasks.audit.corpora import Rows, read_corpus
from harness_tasks.audit.fingerprints import SPAN, fingerprints, of_rests
from harness_tasks.audit.index import Index, blocks_of, separated

__all__ = ["Match", "Seen", "index_of", "search", "unite"]

PIECE, LAP = 1 << 22, 64
"""A longer series is looked at in pieces of so many values, which share so many."""
SHIFTS = 3
"""A pair of series is looked at under so many shifts in time, those that most fingerprints ask for."""
NEAR = 0.99
"""Correlation of the differences under two equal fingerprints below which their order was alike by chance."""
AT_ONCE = 1 << 17


@dataclass(frozen=True, eq=False)
class Match:
    """A test series found in a corpus; positions are those of its values."""

    channel: int  # of all datasets together
    file: Path
    series: str  # of the file
    shift: int  # test position − position in the corpus's series
    intervals: I64  # [k, 2] of positions that agree
    values: int
    scale: float  # test ≈ scale · corpus + offset
    offset: float
    closeness: float  # error in units of the typical innovation
    rounded: bool
    bits: float


@dataclass
class Seen:
    """How much of the corpora was looked at."""

    files: int = 0
    series: int = 0
    values: int = 0


ENOUGH = (256, 2048)
"""Values of a test series by which it is judged whether it can be told from others; the more only where the fewer do not say so."""


def index_of(tests: Channels) -> Index:
    """The index of those test series that would be found if they were there."""
    index = Index.of(tests)
    told = np.zeros(len(tests), np.bool_)
    channels, rows = np.unique(index.channel, return_index=True)
    for channel, at in zip(channels.tolist(), index.at[rows].tolist(), strict=True):
        for most in ENOUGH:
            begin = max(0, at - most // 2)
            part = tests[channel][begin : begin + most].astype(np.float64)
            told[channel] = told[channel] or enough(part)
    return index.only(told)


def search(
    index: Index, tests: Channels, files: Iterable[Path], seen: Seen, report: Callable[[Path], None] = lambda _: None
) -> Iterator[Match]:
    """Look for test series in the files of a corpus.

    Args:
        index: of `tests`.
        files: see `harness_tasks.audit.corpora.KINDS`.
        seen: counted up while it goes.
        report: called with the file that is read, after each block.

    Raises:
        DataError: a file cannot be read.
    """
    for file in files:
        report(file)
        for rows in read_corpus(file):
            for block in _blocks(rows):
                yield from _in_block(index, tests, file, rows, block)
                seen.values += int(block.length.sum())
                report(file)
            seen.series += len(rows.offsets) - 1
        seen.files += 1


@dataclass(frozen=True, eq=False)
class _Block:
    """Pieces of a file's series: which row each is of [rows], from where in it, how long, and their values with NaN between them."""

    row: I64
    skip: I64
    length: I64
    flat: F64
    starts: I64


def _blocks(rows: Rows) -> Iterator[_Block]:
    length = np.diff(rows.offsets)
    count = np.maximum(1, -(-(length - LAP) // (PIECE - LAP)))
    row = np.repeat(np.arange(len(length)), count)
    number = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    skip = number * (PIECE - LAP)
    size = np.minimum(length[row] - skip, PIECE)
    begin = rows.offsets[:-1][row] + skip
    for low, high in blocks_of(size):
        parts = rows.values[begin[low] : begin[high - 1] + size[high - 1]]
        if count[row[low] : row[high - 1] + 1].max(initial=1) > 1:  # pieces overlap
            parts = np.concatenate([rows.values[b : b + n] for b, n in zip(begin[low:high], size[low:high], strict=True)])
        flat, starts = separated(np.asarray(parts, np.float64), size[low:high])
        yield _Block(row[low:high], skip[low:high], size[low:high], flat, starts)


def _in_block(index: Index, tests: Channels, file: Path, rows: Rows, block: _Block) -> Iterator[Match]:
    at, hashes = fingerprints(block.flat)
    asked, found = index.ask(hashes)
    if not len(asked):
        return
    piece = np.searchsorted(block.starts, at[asked], side="right") - 1  # [P]
    place = at[asked] - block.starts[piece] + block.skip[piece]
    channel, test_at = index.channel[found].astype(np.int64), index.at[found]
    chosen = _chosen(channel, piece, test_at - place)
    alike = of_rests(hashes[asked[chosen]])
    orders = np.flatnonzero(~alike)
    alike[orders] = _alike(tests, channel[chosen[orders]], test_at[chosen[orders]], block.flat, at[asked[chosen[orders]]])
    chosen = chosen[alike]
    for k in chosen.tolist():
        c, p, shift = int(channel[k]), int(piece[k]), int(test_at[k] - place[k])
        match = _compare(tests[c], block, p, shift, int(test_at[k]))
        if match is not None:
            yield replace(match, channel=c, file=file, series=rows.name(int(block.row[p])), shift=shift)


def _chosen(channel: I64, piece: I64, shift: I64) -> I64:
    """One pair for each of the `SHIFTS` shifts that most pairs of two series ask for: numbers [G]."""
    order = np.lexsort((shift, piece, channel))
    keys = np.stack([channel[order], piece[order], shift[order]])
    edges = np.flatnonzero(np.r_[True, (keys[:, 1:] != keys[:, :-1]).any(axis=0), True])
    count, first = np.diff(edges), edges[:-1]
    middle = order[first + count // 2]
    best = np.lexsort((-count, piece[middle], channel[middle]))
    same = np.stack([channel[middle[best]], piece[middle[best]]])
    new = np.r_[True, (same[:, 1:] != same[:, :-1]).any(axis=0)]
    place = np.arange(len(best)) - np.maximum.accumulate(np.where(new, np.arange(len(best)), 0))
    chosen: I64 = middle[best[place < SHIFTS]]
    return chosen


def _alike(tests: Channels, channel: I64, test_at: I64, flat: F64, at: I64) -> NDArray[np.bool_]:
    """Whether the values under equal fingerprints are alike, and not only their order: [G]."""
    out = np.zeros(len(channel), np.bool_)
    window = np.lib.stride_tricks.sliding_window_view(flat, SPAN)
    for low in range(0, len(channel), AT_ONCE):
        part = slice(low, low + AT_ONCE)
        mine = np.diff(_about_one(tests.gather(channel[part], test_at[part], SPAN).astype(np.float64)), axis=1)
        theirs = np.diff(_about_one(window[at[part]]), axis=1)
        mine -= mine.mean(axis=1, keepdims=True)
        theirs -= theirs.mean(axis=1, keepdims=True)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            both = (mine * theirs).sum(axis=1) / np.sqrt((mine**2).sum(axis=1) * (theirs**2).sum(axis=1))
        out[part] = np.abs(both) >= NEAR
    return out


def _about_one(windows: F64) -> F64:
    """Finite windows [G, SPAN], each by a power of two, so that its largest value is near 1: no square leaves float64."""
    exponent = np.frexp(np.abs(windows).max(axis=1, keepdims=True))[1]
    out: F64 = np.ldexp(windows, -exponent)
    return out


def _compare(test: NDArray[np.float32], block: _Block, piece: int, shift: int, near: int) -> Match | None:
    """Compare all that a test series and a piece of a corpus's have in common under a shift."""
    begin = int(block.skip[piece]) + shift  # in the test series
    low, high = max(0, begin), min(len(test), begin + int(block.length[piece]))
    start = int(block.starts[piece]) + low - begin
    found = agreement(test[low:high].astype(np.float64), block.flat[start : start + high - low], near - low)
    if found is None:
        return None
    return Match(
        0, Path(), "", shift, found.intervals + low, found.values, found.scale, found.offset, found.closeness, found.rounded, found.bits
    )


def unite(matches: Sequence[Match]) -> list[Match]:
    """Put together what was found in pieces of one long series."""
    groups: dict[tuple[int, Path, str, int], list[Match]] = {}
    for match in matches:
        groups.setdefault((match.channel, match.file, match.series, match.shift), []).append(match)
    out = []
    for parts in groups.values():
        first = max(parts, key=lambda match: match.values)
        if len(parts) > 1:
            spans = merged(np.concatenate([part.intervals for part in parts]))
            first = replace(first, intervals=spans, values=int(np.diff(spans, axis=1).sum()))
        out.append(first)
    return out


def merged(spans: I64) -> I64:
    """The union of intervals [k, 2], sorted and apart."""
    spans = spans[np.lexsort((spans[:, 1], spans[:, 0]))]
    ends = np.maximum.accumulate(spans[:, 1])
    new = np.r_[True, spans[1:, 0] > ends[:-1]]
    return np.stack([spans[new, 0], np.maximum.reduceat(ends, np.flatnonzero(new))], axis=1) if len(spans) else spans
