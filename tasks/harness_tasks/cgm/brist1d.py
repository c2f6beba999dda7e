"""BrisT1D as Kaggle hands it out: a row is a participant, a time of day and six hours of history in five-minute columns, without a date.

Glucose is mmol/L in the columns bg-5:55 … bg-0:00 and, in train.csv, bg+1:00; insulin-0:00 and carbs-0:00 are what was given in the last
five minutes. The histories of one participant are laid over each other again. Since days are not told, a row is put on the day that
follows from the row before it (the same day, or the next where the clock went back) only where the two histories overlap and agree;
otherwise a new piece begins, a whole day later, so that no window runs across a join that nobody knows. Rows of test.csv are in random
order, so there each becomes a piece. Dates are made up, times of day are not.
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.arrow import from_numpy, to_numpy
from harness.forecast import F32, F64, I64
from harness_tasks.cgm.columns import Rows, Table
from harness_tasks.cgm.raw import Options, Raw, RawEvents
from harness_tasks.cgm.readings import Times

__all__ = ["read"]

LAG = re.compile(r"(bg|insulin|carbs)([-+])(\d+):(\d{2})")
DAY = 86400
BEGIN = int(np.datetime64("2000-01-01", "s").astype(np.int64))
SAME = 0.051  # mmol/L by which two histories of one moment may differ: values have one decimal


def read(table: Table, _options: Options) -> Raw:
    """Stitch the histories; of a moment that several rows tell, the first is kept.

    The report's rows are the cells that hold a glucose value.

    Raises:
        DataError: a column, a number or a time of day that is not as it should be.
    """
    lags = _lags(table)
    rows = table.read(["p_num", "time", *(name for kind in lags.values() for name, _ in kind)])
    who = rows.text("p_num").dictionary_encode()
    code = to_numpy(who.indices.cast(pa.int64()).fill_null(-1))
    clock = rows.clock("time")
    bg = _matrix(rows, lags["bg"])  # [rows, lags], the oldest first
    at, pieces = _place(code, clock, bg, np.array([lag for _, lag in lags["bg"]], np.int64))
    raw = _stitch(table, who.dictionary, code, at, bg, lags["bg"])
    for kind, name in (("insulin", "insulin"), ("carbs", "meals")):
        if lags[kind]:
            raw.events[name] = _events(who.dictionary, code, at, _matrix(rows, lags[kind]), lags[kind])
    raw.notes += [f"{rows.count} rows of {len(who.dictionary)} participants in {pieces} pieces that hang together; dates are made up"]
    return raw


def _lags(table: Table) -> dict[str, list[tuple[str, int]]]:
    """For each kind, its columns and how many seconds before the row's time they lie, the oldest first."""
    out: dict[str, list[tuple[str, int]]] = {"bg": [], "insulin": [], "carbs": []}
    for name in table.names:
        match = LAG.fullmatch(name)
        if match:
            seconds = int(match[3]) * 3600 + int(match[4]) * 60
            out[match[1]].append((name, seconds if match[2] == "-" else -seconds))
    return {kind: sorted(columns, key=lambda one: -one[1]) for kind, columns in out.items()}


def _matrix(rows: Rows, columns: list[tuple[str, int]]) -> F32:
    out = np.empty((rows.count, len(columns)), np.float32)
    for i, (name, _) in enumerate(columns):
        out[:, i] = rows.numbers(name)
    return out


def _place(code: I64, clock: I64, bg: F32, lag: I64) -> tuple[I64, int]:
    """Seconds since 1970 of each row (−1 where participant or time are absent), and how many pieces there are."""
    at = np.full(len(code), -1, np.int64)
    pieces = 0
    for participant in range(int(code.max(initial=-1)) + 1):
        rows = np.flatnonzero((code == participant) & (clock >= 0))
        if not len(rows):
            continue
        step = np.diff(clock[rows]) % DAY  # [rows − 1] seconds since the row before, if less than a day
        joined = np.zeros(len(rows), np.bool_)
        for seconds in np.unique(step[(step > 0) & (step < int(lag.max()))]).tolist():
            later = np.flatnonzero(step == seconds) + 1
            both, mine = np.nonzero(lag[:, None] == lag[None, :] + seconds)  # a moment's column in the later row, in the earlier
            gap = np.abs(bg[rows[later]][:, both] - bg[rows[later - 1]][:, mine])
            agree = (np.isfinite(gap).any(1)) & ~(gap > SAME).any(1)
            joined[later] = agree
        jump = np.where(joined[1:], step, 0)
        start = np.flatnonzero(~joined)
        pieces += len(start)
        along = np.concatenate([[0], np.cumsum(jump)])  # seconds within all pieces, as if there were nothing between them
        piece = np.cumsum(~joined) - 1
        length = np.diff(np.append(along[start], along[-1]))  # seconds from a piece's first row to its last
        days = (clock[rows[start]] + length + int(lag.max() - lag.min())) // DAY + 2  # so that a day lies between what two pieces tell
        first = np.cumsum(days) - days
        at[rows] = BEGIN + first[piece] * DAY + clock[rows[start]][piece] + along - along[start][piece]
    return at, pieces


def _stitch(table: Table, names: pa.Array, code: I64, at: I64, bg: F32, columns: list[tuple[str, int]]) -> Raw:
    row, column = np.nonzero(~np.isnan(bg))
    lag = np.array([seconds for _, seconds in columns], np.int64)
    sure = at[row] >= 0
    subject, time, value = code[row], at[row] - lag[column], bg[row, column].astype(np.float64)
    keep, repeated, apart = _once(subject[sure], time[sure], value[sure])
    kept = np.flatnonzero(sure)[keep]
    dropped = Counter({"no participant or time": int((~sure).sum()), "the same moment in another row": repeated})
    stamps: Times = time[kept].view("datetime64[s]")
    raw = Raw("brist1d", str(table.path), names.take(from_numpy(subject[kept])), stamps, value[kept], "mmol/L", "the layout", +dropped)
    raw.notes += [f"{apart} cells differ from an earlier row's of the same moment"] if apart else []
    return raw


def _events(names: pa.Array, code: I64, at: I64, values: F32, columns: list[tuple[str, int]]) -> RawEvents:
    row, column = np.nonzero(~np.isnan(values) & (at >= 0)[:, None])
    lag = np.array([seconds for _, seconds in columns], np.int64)
    subject, time, amount = code[row], at[row] - lag[column], values[row, column].astype(np.float64)
    keep, _, _ = _once(subject, time, amount)
    recorded = frozenset(pc.unique(names.take(from_numpy(subject))).to_pylist())
    keep = keep[amount[keep] > 0]
    stamps: Times = time[keep].view("datetime64[s]")
    return RawEvents(names.take(from_numpy(subject[keep])), stamps, stamps, amount[keep], recorded)


def _once(subject: I64, time: I64, value: F64) -> tuple[I64, int, int]:
    """The first cell of each subject and moment, how many others there are, and how many of those differ from it."""
    order = np.lexsort((time, subject))
    new = np.ones(len(order), np.bool_)
    new[1:] = (np.diff(subject[order]) != 0) | (np.diff(time[order]) != 0)
    first = order[new][np.cumsum(new) - 1] if len(order) else order
    apart = int((np.abs(value[order] - value[first]) > SAME).sum())
    return np.sort(order[new]), int((~new).sum()), apart
