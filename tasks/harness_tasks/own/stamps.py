"""Columns of times as microseconds: ISO 8601, a declared pattern, seconds since 1970, or numbers of steps.

Zones. Times with an offset (or of a type that has a zone) are instants, told in UTC; times without are clock times, taken as written.
Where a `timezone` is declared, what it does depends on the step:

* steps below a day: clock times are those of the zone, and everything is told in UTC, where hours are evenly apart all year;
* a day and longer: instants become clock times of the zone, so that a day begins at midnight there all year.

A column is of one kind: times with and without an offset in one are an error. Microseconds are int64 since 1970.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness import frequency
from harness.arrow import from_numpy, to_numpy
from harness.errors import DataError
from harness.forecast import I64
from harness.table_rows import first_bad, is_text
from harness_tasks.own.declared import EPOCHS, Source

__all__ = ["Clock"]

LOCAL, INSTANT = pa.timestamp("us"), pa.timestamp("us", "UTC")
PER_MICRO = {"epoch-s": (1_000_000, 1), "epoch-ms": (1000, 1), "epoch-us": (1, 1), "epoch-ns": (1, 1000)}
FIRST, LAST = (int(np.datetime64(text, "us").astype(np.int64)) for text in ("0001-01-01", "9999-12-31"))
PARTS = {
    "Y": r"\d{4}", "y": r"\d{2}", "m": r"\d{1,2}", "d": r"(?P<day>\d{1,2})", "H": r"\d{1,2}", "I": r"\d{1,2}", "M": r"\d{1,2}",
    "S": r"\d{1,2}", "j": r"\d{1,3}", "b": r"[A-Za-z]+", "B": r"[A-Za-z]+", "a": r"[A-Za-z]+", "A": r"[A-Za-z]+", "p": r"[AaPp][Mm]",
    "z": r"(?:Z|[+-]\d{2}:?\d{2})", "%": "%",
}  # fmt: skip


Fail = Callable[..., DataError]
"""Makes an error of a row: `fail(row, got, wanted, hint)`."""


class Clock:
    """Reads the time column of one source, piece after piece."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.name = source.columns.time
        self.whole_days = frequency.split(source.freq)[1] not in ("S", "T", "H")
        self.zoned: bool | None = None  # not known before the first row

    @property
    def steps(self) -> bool:
        """Whether the column counts steps, and is no time."""
        return self.source.time_format == "step"

    def micros(self, column: pa.Array, fail: Fail) -> I64:
        """Microseconds (or steps) of a column, int64 [n].

        Raises:
            DataError: by `fail`: no time, not as declared, with a zone where others have none, beyond the years 1 to 9999.
        """
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if is_text(column.type):
            column = pc.utf8_trim_whitespace(column)
            column = pc.if_else(pc.equal(column, ""), pa.scalar(None, column.type), column)
        if column.null_count:
            raise fail(pc.index(column.is_null(), True).as_py(), f"no {self.name}", "a time in each row")
        if self.source.time_format in (*EPOCHS, "step"):
            return self._counted(column, fail)
        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            zoned = getattr(column.type, "tz", None) is not None
            micros = to_numpy(column.cast(INSTANT if zoned else LOCAL, safe=False).cast(pa.int64()))
        elif not is_text(column.type):
            hint = f" Numbers are declared by time_format: {', '.join(EPOCHS)} or step"
            raise fail(0, f"{self.name} {column[0].as_py()!r} of type {column.type}", "times", hint)
        elif self.source.time_format:
            micros, zoned = self._by_pattern(column, fail)
        else:
            micros, zoned = self._iso(column, fail)
        if self.zoned is None:
            self.zoned = zoned
        elif self.zoned != zoned:
            kinds = ("without", "with")
            raise fail(0, f"{self.name} {kinds[zoned]} a zone", f"times {kinds[self.zoned]} one, as in the rows before")
        beyond = np.flatnonzero((micros < FIRST) | (micros > LAST))
        if len(beyond):
            raise fail(int(beyond[0]), f"{self.name} {column[int(beyond[0])].cast(pa.string())!s}", "a time of the years 1 to 9999")
        return self._placed(micros, zoned, fail)

    def _counted(self, column: pa.Array, fail: Fail) -> I64:
        """Numbers: of steps, or of a unit of time since 1970."""
        if pa.types.is_floating(column.type) or is_text(column.type) or pa.types.is_integer(column.type):
            row = first_bad(column, lambda part: part.cast(pa.int64()))
        else:
            row = 0
        if row >= 0:
            shown = column[row].as_py()
            raise fail(row, f"{self.name} {shown!r}", f"a whole number, as time_format: {self.source.time_format} says")
        count = to_numpy(column.cast(pa.int64()))
        if self.steps:
            far = np.flatnonzero(np.abs(count) > 2**40)
            if len(far):
                raise fail(int(far[0]), f"{self.name} {count[far[0]]}", "a number of steps")
            return count
        times, over = PER_MICRO[self.source.time_format]
        far = np.flatnonzero((count > LAST // times * over) | (count < FIRST // times * over))
        if len(far):
            hint = " Is it another of epoch-s, epoch-ms, epoch-us, epoch-ns?"
            raise fail(int(far[0]), f"{self.name} {count[far[0]]}", f"{self.source.time_format} of the years 1 to 9999", hint)
        self.zoned = True
        return self._placed(count * times // over, True, fail)

    def _iso(self, text: pa.Array, fail: Fail) -> tuple[I64, bool]:
        kinds = (True, False) if self.zoned else (False, True)
        for zoned in kinds:
            try:
                return to_numpy(text.cast(INSTANT if zoned else LOCAL).cast(pa.int64())), zoned
            except pa.ArrowException:
                continue
        zoned = first_bad(text[:1], lambda part: part.cast(INSTANT)) < 0 if self.zoned is None else self.zoned
        row = first_bad(text, lambda part: part.cast(INSTANT if zoned else LOCAL))
        shown = text[row].as_py()
        other = first_bad(text[row : row + 1], lambda part: part.cast(LOCAL if zoned else INSTANT)) < 0
        if other:
            raise fail(row, f"{self.name} {shown!r}", f"times {'with' if zoned else 'without'} a zone, as in other rows")
        hint = " Another way to write them is declared by time_format: '%d.%m.%Y %H:%M'"
        if re.fullmatch(r"-?\d+", shown):
            hint = f" Numbers are declared by time_format: {', '.join(EPOCHS)} or step; years and days by '%Y', '%Y%m%d'"
        raise fail(row, f"{self.name} {shown!r}", "a time that exists, as 2024-01-31, 2024-01-31 13:00 or 2024-01-31T13:00:00+01:00", hint)

    def _by_pattern(self, text: pa.Array, fail: Fail) -> tuple[I64, bool]:
        pattern = self.source.time_format
        wanted = f"a time that exists, written as {pattern!r} (time_format)"
        parts = re.split(r"%(.)", pattern)
        regex = "".join(PARTS[part] if i % 2 else re.escape(part) for i, part in enumerate(parts))
        regex = regex if regex.count("?P<day>") < 2 else regex.replace("?P<day>", "", 1)
        read = pc.strptime(text, format=pattern, unit="us", error_is_null=True)
        fits = pc.match_substring_regex(text, f"^(?:{regex})$")
        good = pc.and_(read.is_valid(), fits)
        if "?P<day>" in regex:  # 31 February is read as 2 March
            day = pc.extract_regex(text, f"^{regex}$").field("day")
            day = pc.if_else(good, day, pa.scalar(None, day.type)).cast(pa.int64())
            local = read if read.type.tz is None else None
            if local is not None:
                good = pc.and_(good, pc.equal(pc.day(local), day)).fill_null(False)
        row = pc.index(good, False).as_py()
        if row >= 0:
            raise fail(row, f"{self.name} {text[row].as_py()!r}", wanted)
        return to_numpy(read.cast(pa.int64())), read.type.tz is not None

    def _placed(self, micros: I64, zoned: bool, fail: Fail) -> I64:
        """By the rule of zones above."""
        zone = self.source.timezone
        if not zone or zoned == (not self.whole_days):
            return micros
        if zoned:
            instants = from_numpy(micros).cast(INSTANT).cast(pa.timestamp("us", zone))
            return to_numpy(pc.local_timestamp(instants).cast(pa.int64()))
        twice = "raise" if self.source.duplicates == "error" else "earliest"

        def localize(part: pa.Array) -> pa.Array:
            return pc.assume_timezone(part, zone, ambiguous=twice, nonexistent="raise")

        clock = from_numpy(micros).cast(LOCAL)
        try:
            return to_numpy(localize(clock).cast(pa.int64()))
        except pa.ArrowException as error:
            row = first_bad(clock, localize)
            why = "is there twice" if "ambiguous" in str(error) else "does not exist"
            hint = " Write times with their offset, as 2024-10-27T02:00+01:00"
            hint += "; or say duplicates: mean, first or last" if "ambiguous" in str(error) else ""
            raise fail(row, f"{self.name} {clock[row].as_py()}, which {why} in {zone}", "a time that tells an instant", hint) from None
