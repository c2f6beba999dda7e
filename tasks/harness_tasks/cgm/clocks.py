"""Clocks that were put back within a source whose stamps have no zone: an autumn night has an hour twice.

Readings of two hours that bear the same stamps share grid points, where they are averaged. Stamps with two zones are refused (`stamps`).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.arrow import to_numpy
from harness.forecast import I64
from harness_tasks.cgm.raw import Raw
from harness_tasks.cgm.readings import Bools

__all__ = ["turned_back"]

BACK = (-60, -40)  # minutes from the last stamp of the first hour to the first of the second: −45 at 15 minutes, −55 at 5
HOURS = 4  # of the day in which clocks are changed


def turned_back(raw: Raw) -> list[str]:
    """A note where a subject's stamps go back by about an hour at night and rise otherwise, as the source has them; else none.

    The source may have the newest first. Sources in no order tell nothing.
    """
    code: I64 = to_numpy(raw.subject.dictionary_encode().indices.cast(pa.int64()).fill_null(-1))
    rows = np.flatnonzero(to_numpy(pc.is_valid(raw.subject).cast(pa.float32())) > 0)
    rows = rows[~np.isnat(raw.time[rows])]
    rows = rows[np.argsort(code[rows], kind="stable")]
    same = np.diff(code[rows]) == 0
    step = np.where(same, np.diff(raw.time[rows].astype(np.int64)), 0)
    if (step < 0).sum() > (step > 0).sum():
        rows, step = rows[::-1], -step[::-1]  # the newest first
    later = raw.time[rows[1:]].astype(np.int64)
    back: Bools = (step >= BACK[0] * 60) & (step <= BACK[1] * 60) & (later % 86400 < HOURS * 3600)
    owner = code[rows[1:]]
    back &= ~np.isin(owner, owner[(step < 0) & ~back])
    if not back.any():
        return []
    at = rows[1:][back]
    first = int(at[0])
    where = ("" if raw.where is None else f"{raw.where(first)}, ") + str(raw.time[first]).replace("T", " ")
    return [
        f"clocks seem to go back an hour in {raw.source}, {len(at)} times, first at {where}: readings of both hours are averaged. To keep "
        "them apart, write times that are as far from UTC throughout"
    ]
