"""What the library is given of a batch: contexts without infinities, of ordinary size, cut and aligned. Needs numpy alone.

Axes: N windows, T context, H horizon. NaN is missing.

- Infinite values are missing. Steps before a row's first value are left out; a row without a value is never given to the library.
- The networks square values, and add the squares up, in single precision: beyond about 1e19 that is infinite, below about 1e-19 zero. So a
  row whose largest value is outside `ORDINARY` is divided by a power of two, and its forecast multiplied by it: both lose no digit.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from harness import Ragged
from harness.forecast import F32, F64, I64

__all__ = ["Rows", "chunks", "count", "filled", "rows_of", "unscaled"]

ORDINARY = (2.0**-30, 2.0**40)
"""Between these the largest absolute value of a row may lie."""
STEPS = {"cpu": 8192, "cuda": 1 << 18}
"""Steps of all rows that run together, by device: with more it is hardly faster, and a window that is alone costs as much as all."""
NARROW = 256
"""Steps that a row counts as at least: a narrow one has its share of the work, too."""
NARROWEST = 64
Kind = TypeVar("Kind", bound=np.generic)
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Rows:
    """N rows of one buffer; row i is `values[begin[i]:end[i]]`, and `ahead` steps after it where they are known."""

    values: F32
    begin: I64  # [N] the first observed value; equal to `end` where there is none
    end: I64  # [N] the cutoff
    exponent: I64  # [N] the row is to be divided by 2 ** exponent
    ahead: int
    infinite: int  # values that were infinite, and are missing here

    @property
    def lengths(self) -> I64:
        """Steps from the first observed value to the cutoff [N], 0 where there is none."""
        return self.end - self.begin

    def cut(self, index: I64, width: int) -> F32:
        """The newest `width` steps up to the cutoff of some rows [n, W], right-aligned, divided; NaN before a row begins."""
        at = self.end[index, None] - np.arange(width, 0, -1, dtype=np.int64)  # [n, W]
        inside = at >= self.begin[index, None]
        return self._divided(np.where(inside, self.values[np.where(inside, at, 0)], np.float32(np.nan)), index)

    def future(self, index: I64) -> F32:
        """What is known after the cutoff of some rows [n, ahead], divided."""
        return self._divided(self.values[self.end[index, None] + np.arange(self.ahead, dtype=np.int64)], index)

    def _divided(self, x: F32, index: I64) -> F32:
        exponent = self.exponent[index]
        return np.ldexp(x, -exponent[:, None]).astype(np.float32) if exponent.any() else x


def rows_of(contexts: Ragged, limit: int | None = None, ahead: int = 0) -> Rows:
    """The rows of a batch, or of one of its covariates.

    Args:
        contexts: what came with the batch; it stays as it is.
        limit: steps before the cutoff that are looked at; None is all.
        ahead: how many steps of each row lie after the cutoff.
    """
    seen = np.isfinite(contexts.values)
    infinite = int(np.isinf(contexts.values).sum())
    values = np.where(seen, contexts.values, np.float32(np.nan)) if infinite else contexts.values
    end = np.maximum(contexts.offsets[1:] - ahead, contexts.offsets[:-1])
    begin = contexts.offsets[:-1] if limit is None else np.maximum(contexts.offsets[:-1], end - limit)
    places = np.append(np.flatnonzero(seen), len(values))
    begin = np.minimum(places[np.searchsorted(places, np.minimum(begin, len(values)))], end)
    exponent = np.zeros(len(begin), np.int64)
    observed = np.flatnonzero(begin < end)
    if len(observed):
        size = np.append(np.where(seen, np.abs(values), 0), np.float32(0))  # one more, so that the last row may end there
        bounds = np.stack([begin[observed], end[observed] + ahead], axis=1)  # [n, 2]
        largest = np.maximum.reduceat(size, bounds.reshape(-1))[::2]
        odd = (largest > 0) & ((largest < ORDINARY[0]) | (largest > ORDINARY[1]))
        exponent[observed[odd]] = np.frexp(largest[odd])[1] - 1
    return Rows(values, begin, end, exponent, ahead, infinite)


def count(rows: Rows, notes: MutableMapping[str, object]) -> None:
    """Add to a model's notes what was done to the contexts of a batch."""
    found = {
        "windows without a value, forecast as zeros": int((rows.lengths == 0).sum()),
        "infinite values, taken as missing": rows.infinite,
        "windows of huge or tiny values, rescaled": int((rows.exponent != 0).sum()),
    }
    for what, number in found.items():
        if number:
            before = notes.get(what, 0)
            notes[what] = number + (before if isinstance(before, int) else 0)


def chunks(lengths: I64, rows: int = 0, device: str = "cpu") -> Iterator[tuple[I64, int, int]]:
    """Which rows run together: (their places, the width to cut them to, how many rows the network is given), by their lengths [n].

    The last two follow from a row's own length alone, so that its forecast is the same bits whatever runs beside it. Widths are 64, 96,
    128, 192, 256, ...: whole patches of 16 steps, at most half as long again as the row.

    Args:
        rows: at a time; 0 is as many as make the `STEPS` of the device, and a power of two. So it must be: of numbers in no whole pairs
            of vector registers the last ones are worked on one by one, and the last bits of an asinh or sinh then depend on the place.
    """
    widths = np.full(len(lengths), NARROWEST, np.int64)
    while (short := widths < lengths).any():
        # 64 -> 96 -> 128: half as much again, then to the next power of two.
        grown = np.where((widths & (widths - 1)) == 0, widths * 3 // 2, widths * 4 // 3)
        widths = np.where(short, grown, widths)
    for width in np.unique(widths).tolist():
        index = np.flatnonzero(widths == width)
        together = rows or 1 << (max(1, STEPS[device] // max(width, NARROW)).bit_length() - 1)
        for low in range(0, len(index), together):
            yield index[low : low + together], width, together


def filled(x: NDArray[Kind], rows: int) -> NDArray[Kind]:
    """Rows [n, ...] with copies of the first one to make `rows` of them."""
    return np.concatenate([x, np.repeat(x[:1], rows - len(x), axis=0)]) if len(x) < rows else x


def unscaled(values: F32 | F64, exponent: I64) -> F32:
    """Forecasts [n, Q, H] of divided rows in the unit of the series, within float32."""
    if not exponent.any():
        return np.asarray(values, np.float32)
    return np.clip(np.ldexp(values.astype(np.float64), exponent[:, None, None]), -LARGEST, LARGEST).astype(np.float32)
