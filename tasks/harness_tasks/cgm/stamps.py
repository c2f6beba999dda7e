"""Times written as text: which of the three orders of day, month and year, with or without seconds, AM and PM, fractions or a zone.

Nothing is guessed: where no date tells day-first from month-first, that is an error that says what to pass. Times are the clock times as
written, rounded to whole seconds; a zone is set aside, and noted, as a night then begins at midnight of that zone. Seconds or milliseconds
since 1970 are taken for such, in UTC, where all stamps have 10, or all 13 digits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.arrow import to_numpy
from harness.errors import DataError
from harness.forecast import I64
from harness_tasks.cgm.advice import DATES
from harness_tasks.cgm.readings import Bools, Times

__all__ = ["ONE_ZONE", "ORDERS", "dates", "parts_of_day", "zone_note"]

ORDERS = ("ymd", "dmy", "mdy")
CLOCK = r"(?P<h>\d{1,2}):(?P<m>\d{2})(?::(?P<s>\d{2})(?:[.,](?P<f>\d)\d*)?)?\s*(?P<p>[AaPp][Mm])?"
STAMP = rf"^(?P<a>\d{{1,4}})[-/.](?P<b>\d{{1,2}})[-/.](?P<c>\d{{1,4}})(?:[T ]\s*{CLOCK})?\s*(?P<z>Z|[+-]\d{{2}}:?\d{{2}})?$"
YEARS = (1900, 2100)
EPOCH = r"^\d{10}(\d{3})?(\.0*)?$"
COMPACT = (r"^(\d{4})(\d{2})(\d{2})($|[T ])", r"\1-\2-\3\4"), (r"([T ])(\d{2})(\d{2})(\d{2})$", r"\1\2:\3:\4")  # 20240301T165027
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
UNIVERSAL = ("Z", "UTC", "Etc/UTC", "GMT", "+00:00", "+0000", "-00:00")
ONE_ZONE = "local clock times, all in one zone or all without any; other rows are in the zone"

Fail = Callable[[int, str, str], DataError]


def dates(text: pa.Array, order: str, fail: Fail) -> tuple[Times, list[str]]:
    """Stamps as datetime64[s] [R], NaT where null, and what is to be noted.

    Args:
        text: strings such as "2015-06-06 16:50:27", "2015-06-06T16:50", "07-12-2021 00:01:00", "12/07/2021 1:05 PM", "20150606 16:50",
            "06-Jun-2015 16:50", "1433609427".
        order: "ymd", "dmy" or "mdy"; "" = told by the data: a year first, or a part above 12.
        fail: makes an error of row, what was got, what was wanted.

    Raises:
        DataError: a text that is no stamp, a day that does not exist, a year outside 1900 to 2100, stamps in different zones or
            with and without one, dates alone, an order that the data contradicts or does not tell.
    """
    if order and order not in ORDERS:
        raise ValueError(f"dates got the order {order!r}; wanted one of {', '.join(ORDERS)}")
    plain = _plain(text) if order in ("", "ymd") else None
    if plain is not None:
        return plain, []
    since = _epoch(text)
    if since is not None:
        return since, [zone_note("UTC, of seconds since 1970")]
    here = to_numpy(pc.is_valid(text).cast(pa.float32())) > 0
    parts = pc.extract_regex(_plainer(text, order), STAMP)
    _check(here & ~(to_numpy(pc.is_valid(parts).cast(pa.float32())) > 0), text, fail, "a date and a time such as 2015-06-06 16:50:27")
    fields = {name: _ints(parts, name) for name in "abc"}
    width = {name: _widths(parts, name) for name in "ac"}
    order = _order(text, here, fields, width, order, fail)
    year, month, day = (fields[name] for name in {"ymd": "abc", "dmy": "cba", "mdy": "cab"}[order])
    _check(here & ((year < YEARS[0]) | (year > YEARS[1])), text, fail, f"a year of four digits from {YEARS[0]} to {YEARS[1]}")
    months = ((np.where(here, year, 2000) - 1970) * 12 + np.clip(month, 1, 12) - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (np.clip(day, 1, 31) - 1)
    _check(here & ((month < 1) | (month > 12) | (day < 1) | (days.astype("datetime64[M]") != months)), text, fail, "a day that exists")
    seconds, alone = _seconds(parts, text, here, fail)
    notes = []
    if alone.any():  # R writes midnight without its 00:00:00
        if alone.sum() * 2 > here.sum():
            row = int(np.flatnonzero(alone)[0])
            raise fail(row, f"the date {text[row].as_py()!r} without a time", "a time of day too")
        notes.append(f"{int(alone.sum())} dates without a time were read as midnight")
    written = sorted({zone for zone in pc.unique(parts.field("z")).to_pylist() if zone})
    if written:
        first = ~(to_numpy(pc.equal(parts.field("z"), written[0]).cast(pa.float32()).fill_null(0)) > 0)
        _check(here & first, text, fail, f"{ONE_ZONE} {written[0]}")
    notes += [zone_note(written[0])] if written else []
    out: Times = days.astype("datetime64[s]") + seconds.astype("timedelta64[s]")
    out[~here] = np.datetime64("NaT")
    return out, notes


def zone_note(zone: str) -> str:
    """What is to be noted of stamps in a zone.

    >>> zone_note("+01:00")
    'clock times as written; the zone +01:00 is left aside'
    """
    universal = zone.split(",")[0] in UNIVERSAL
    return f"clock times as written; the zone {zone} is left aside" + (", and nights begin at midnight of it" if universal else "")


def _epoch(text: pa.Array) -> Times | None:
    """Seconds or milliseconds since 1970 as stamps, or None where a text is no such, or where some are seconds and some milliseconds."""
    digits = text.drop_null()
    if not len(digits) or not pc.all(pc.match_substring_regex(digits, EPOCH)).as_py():
        return None
    numbers = to_numpy(pc.replace_substring_regex(text, r"\..*", "").cast(pa.int64()).fill_null(0))
    there = numbers[numbers > 0]
    milli = there >= 10**12
    if milli.any() != milli.all() or not len(there):
        return None
    seconds = (numbers + 500) // 1000 if milli.any() else numbers
    out: Times = np.where(numbers > 0, seconds, np.iinfo(np.int64).min).view("datetime64[s]")
    return out


def _plainer(text: pa.Array, order: str) -> pa.Array:
    """Dates without separators, and with the English name of a month, as dates of numbers; a name leaves no order to be told."""
    if pc.any(pc.match_substring_regex(text, "[A-Za-z]{3}")).as_py():
        to = {"": r"\3-MM-\1", "ymd": r"\3-MM-\1", "dmy": r"\1-MM-\3", "mdy": r"MM-\1-\3"}[order]
        for number, month in enumerate(MONTHS, 1):
            pattern = rf"(?i)^(\d{{1,2}})[-/. ]({month}[a-z]*)[-/., ]+(\d{{4}})"
            text = pc.replace_substring_regex(text, pattern, to.replace("MM", f"{number:02d}"))
    for pattern, to in COMPACT:
        text = pc.replace_substring_regex(text, pattern, to)
    return text


def _plain(text: pa.Array) -> Times | None:
    """Stamps of the form that Arrow reads by itself, ten times as fast, or None where one is not."""
    try:
        micros = to_numpy(text.cast(pa.timestamp("us")).cast(pa.int64()).fill_null(np.iinfo(np.int64).min))
    except pa.ArrowInvalid:
        return None
    here = micros != np.iinfo(np.int64).min
    low, high = (int(np.datetime64(f"{year}", "us").astype(np.int64)) for year in (YEARS[0], YEARS[1] + 1))
    shortest = pc.min(pc.utf8_length(text)).as_py()
    if shortest is None or shortest < len("2000-01-01 00:00") or ((micros < low) | (micros >= high))[here].any():
        return None  # dates alone, or years that are none: the slow way has the words
    seconds = np.where(here, (micros + 500_000) // 1_000_000, np.iinfo(np.int64).min)
    out: Times = seconds.view("datetime64[s]")
    return out


def parts_of_day(text: pa.Array, fail: Fail) -> I64:
    """Times of day such as "05:35:41" or "5:35 PM" as seconds since midnight, int64 [R], −1 where null."""
    coded = text.dictionary_encode()  # a day has no more than 86,400 of them
    index, words = to_numpy(coded.indices.cast(pa.int64()).fill_null(-1)), coded.dictionary

    def first(word: int, got: str, wanted: str) -> DataError:
        return fail(int(np.flatnonzero(index == word)[0]), got, wanted)

    here = np.ones(len(words), np.bool_)
    parts = pc.extract_regex(words, f"^{CLOCK}$")
    _check(~(to_numpy(pc.is_valid(parts).cast(pa.float32())) > 0), words, first, "a time of day such as 16:50:27")
    seconds, _ = _seconds(parts, words, here, first)
    return np.where(index >= 0, np.append(seconds, -1)[index], -1)


def _seconds(parts: Any, text: pa.Array, here: Bools, fail: Fail) -> tuple[I64, Bools]:
    """Seconds since midnight, and where there is no time of day."""
    hour, minute, second = (_ints(parts, name) for name in "hms")
    alone = here & (hour < 0)
    half = pc.utf8_lower(parts.field("p"))
    pm = to_numpy(pc.equal(half, "pm").cast(pa.float32()).fill_null(0)) > 0
    twelve = pm | (to_numpy(pc.equal(half, "am").cast(pa.float32()).fill_null(0)) > 0)
    wrong = (hour > 23) | (minute > 59) | (second > 59) | (twelve & ((hour < 1) | (hour > 12)))
    _check(here & wrong, text, fail, "a time of day that exists")
    hour = np.where(twelve, hour % 12 + 12 * pm, hour)
    whole = hour * 3600 + minute * 60 + np.maximum(second, 0) + (_ints(parts, "f") >= 5)
    return np.where(alone | ~here, 0, whole), alone


def _order(text: pa.Array, here: Bools, fields: dict[str, I64], width: dict[str, I64], order: str, fail: Fail) -> str:
    first, last = here & (width["a"] == 4), here & (width["c"] == 4)
    _check(here & ~(first ^ last), text, fail, "a date with a year of four digits at one end")
    if first.any():
        _check(here & ~first, text, fail, "the year in front, as in other rows")
        if order in ("dmy", "mdy"):
            _check(first, text, fail, f"the order {order}, as passed")
        return "ymd"
    day_first, month_first = here & (fields["a"] > 12), here & (fields["b"] > 12)
    if order == "ymd":
        _check(last, text, fail, "the year in front")
    if order == "dmy" or (not order and day_first.any()):
        _check(month_first, text, fail, "the day before the month" + ("" if order else ", as in other rows"))
        return "dmy"
    if order == "mdy" or month_first.any():
        _check(day_first, text, fail, "the month before the day" + ("" if order else ", as in other rows"))
        return "mdy"
    _check(here, text, fail, f"a date that tells the day from the month, in any row. {DATES}")
    return "ymd"


def _check(wrong: Bools, text: pa.Array, fail: Fail, wanted: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise fail(row, repr(text[row].as_py()), wanted)


def _ints(parts: Any, name: str) -> I64:
    """A part of the pattern as int64, −1 where it is not there."""
    found = parts.field(name)
    return to_numpy(pc.if_else(pc.equal(found, ""), pa.scalar(None, pa.string()), found).cast(pa.int64()).fill_null(-1))


def _widths(parts: Any, name: str) -> I64:
    return to_numpy(pc.utf8_length(parts.field(name)).cast(pa.int64()).fill_null(0))
