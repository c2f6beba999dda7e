"""Names of rows in an answer, and whether they contradict the order that the rows stand in.

Names are compared with others of their form alone:

- Dates with a time of day, months, weeks and quarters of a year, steps and numbers must rise. Dates without a time of day must not fall.
- `a/b/2016` and `a-b-2016` are read day first and month first, where all of them can be so read; they must rise in one of the two.
  With points (`03.07.2016`) the day is first, unless the second number is beyond 12.
- Times of day without a date, weekdays with one and days without a year go round: they may fall where that is at most half a round forward
  (`23:00`, `00:00`; not `10:00`, `09:00`). Times must not be repeated.
- Weekdays, months and quarters alone are not compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness_time_r1.answer_words import (
    CALENDAR,
    CLOCK_TIME,
    COUNT,
    COUNTED,
    DATE,
    EITHER,
    HEADS,
    MONTHS,
    NAME,
    NUMBER,
    OFFSET,
    ORDINAL,
    PERIOD,
    PIECE,
    QUARTER,
    STEP,
    WEEKDAYS,
    YEAR,
    month_of,
)

__all__ = ["Key", "Name", "contradiction", "read_name"]

Key = tuple[str, tuple[float, ...]]
"""The form of a name, and the numbers it is compared by."""

DAY = 1440.0  # minutes
ROUNDS = {"daily": DAY, "weekly": 7 * DAY, "yearly": 372 * DAY, "yearly date": 372 * DAY}  # 12 months of 31 days: for order only
MAY_REPEAT = ("date", "either", "yearly date")


@dataclass(frozen=True)
class Name:
    """What the first pieces of a line are.

    Attributes:
        pieces: how many of them the name takes.
        named: whether there is one; heads (`value`) are taken and are none.
        key: what it is compared by.
        alone: what follows may belong to the name (`May 5`, `Step 5`): there is no value that is one for certain.
    """

    pieces: int
    named: bool
    key: Key | None
    alone: bool = False


@dataclass
class Parts:
    """What was found in a name so far."""

    date: Key | None = None
    clock: float | None = None  # minutes
    offset: float | None = None  # minutes that the clock is ahead of UTC
    step: tuple[float, ...] = ()
    weekday: int | None = None
    month: int | None = None
    day: int | None = None
    year: int | None = None

    def key(self) -> Key | None:
        """What a name of these parts is compared by."""
        date = self.date
        if date is None and self.month is not None and self.year is not None:
            date = ("month", (self.year, self.month)) if self.day is None else ("date", (_days(self.year, self.month, self.day),))
        if date is not None:
            if self.clock is None or date[0] not in ("date", "either"):
                return date
            if date[0] == "either":
                return "either time", (*date[1], self.clock)
            return ("time" if self.offset is None else "time in UTC"), (date[1][0] * DAY + self.clock - (self.offset or 0.0),)
        if self.step:
            return f"step {len(self.step)}", self.step
        if self.month is not None and self.day is not None:
            minutes = (31 * self.month + self.day) * DAY
            return ("yearly date", (minutes,)) if self.clock is None else ("yearly", (minutes + self.clock,))
        if self.clock is not None:
            return ("daily", (self.clock,)) if self.weekday is None else ("weekly", (self.weekday * DAY + self.clock,))
        return None


def read_name(pieces: Sequence[str], linked: bool) -> Name:
    """The name that a line's pieces begin with.

    Args:
        pieces: the line, cut; a comma or colon behind a piece is still on it.
        linked: whether a mark (`|`, `=`, `->`, a tab) says that the line's last number is its value.
    """
    at, named, parts = 0, False, Parts()
    while at < len(pieces):
        piece = pieces[at].rstrip(",")
        word = piece.rstrip(".:").lower()
        left = len(pieces) - at - 1
        if len(piece) <= PIECE and NAME.fullmatch(piece.rstrip(":")):
            named = True
            _read_piece(piece.rstrip(":"), parts)
            if (m := QUARTER.fullmatch(piece)) and left >= 1 and YEAR.fullmatch(pieces[at + 1]):
                if left >= 2:
                    at += 1
                    parts.date = ("quarter", (int(pieces[at][:4]), int(m[1])))
                elif not linked and not parts.step and _is_year(pieces[at + 1]):
                    return Name(at + 1, True, parts.key(), alone=True)
        elif word in MONTHS:
            named, parts.month = True, month_of(word)
            while left >= 1 and parts.year is None and piece[-1] != ":" and (m := ORDINAL.fullmatch(pieces[at + 1])):
                number = int(m[1])
                may_be = (parts.day is None and 1 <= number <= 31) or 1000 <= number <= 2999
                if left == 1:
                    if may_be and not linked and not parts.step:
                        return Name(at + 1, True, parts.key(), alone=True)
                    break
                if not may_be:
                    break
                parts.day, parts.year = (number, None) if number <= 31 else (parts.day, number)
                at, left, piece = at + 1, left - 1, pieces[at + 1]
        elif word in COUNTED and left >= 1 and COUNT.fullmatch(pieces[at + 1]) and (left >= 2 or pieces[at + 1][-1] in ":)."):
            at, named = at + 1, True
            parts.step = (*parts.step, int(pieces[at].rstrip(".):]")))
        elif word in COUNTED and left == 1 and not parts.step and _is_number(pieces[at + 1]):
            return Name(at + 1, True, None, alone=True)
        elif word in CALENDAR:
            named = True
            parts.weekday = WEEKDAYS.get(word[:3], parts.weekday)
            if parts.clock is not None and word in ("am", "pm"):
                parts.clock = parts.clock % (DAY / 2) + (DAY / 2) * (word == "pm")
        elif word not in HEADS and word not in COUNTED:
            ordinal = ORDINAL.fullmatch(piece)
            before = left > 0 and _names(pieces[at + 1])  # "3. 2016-07-01", "1 July"
            if parts.date or parts.clock is not None or parts.step or not (COUNT.fullmatch(piece) or (ordinal and before)):
                break
            if not before and not piece.endswith((":", ")")):
                break
            named = True
            if not before:
                parts.step = (int(piece.rstrip(".):]")),)
            elif ordinal and pieces[at + 1].rstrip(",.:").lower() in MONTHS and 1 <= int(ordinal[1]) <= 31:
                parts.day = int(ordinal[1])
            elif (m := QUARTER.fullmatch(pieces[at + 1].rstrip(",:"))) and YEAR.fullmatch(piece):
                parts.date = ("quarter", (int(piece[:4]), int(m[1])))
        at += 1
    return Name(at, named, parts.key())


def contradiction(keys: Iterable[Key | None]) -> tuple[int, int] | None:
    """(a row, an earlier one) whose names contradict their order; None where none do."""
    before: dict[str, tuple[int, tuple[float, ...]]] = {}
    either: list[tuple[int, str, tuple[float, ...]]] = []
    for number, key in enumerate(keys):
        if key is None:
            continue
        form, value = key
        if form.startswith("either"):
            either.append((number, form, value))
            continue
        if form in before and not _follows(form, before[form][1], value):
            return number, before[form][0]
        before[form] = (number, value)
    return _either(either)


def _follows(form: str, last: tuple[float, ...], value: tuple[float, ...]) -> bool:
    if value == last:
        return form in MAY_REPEAT
    if value > last:
        return True
    return form in ROUNDS and (value[0] - last[0]) % ROUNDS[form] <= ROUNDS[form] / 2


def _either(found: Sequence[tuple[int, str, tuple[float, ...]]]) -> tuple[int, int] | None:
    """The contradiction in dates whose day may be first or second: one that there is in every way they can be read."""
    contradictions: list[tuple[int, int]] = []
    beyond = [False, False]  # first, second number beyond 12
    for number, _, value in found:
        beyond = [beyond[0] or value[0] > 12, beyond[1] or value[1] > 12]
        if all(beyond) and number != found[0][0]:  # the day is first in some, the month in others
            return number, found[0][0]
    for month, day in ((1, 0), (0, 1)):
        if all(value[month] <= 12 for _, _, value in found):
            before: dict[str, tuple[int, tuple[float, ...]]] = {}
            for number, form, value in found:
                key = (value[2], value[month], value[day], *value[3:])
                if form in before and not _follows(form, before[form][1], key):
                    contradictions.append((number, before[form][0]))
                    break
                before[form] = (number, key)
            else:
                return None
    return contradictions[0] if contradictions else None


def _read_piece(piece: str, parts: Parts) -> None:
    """Take the parts of one piece that is a date, a time, or a step."""
    if m := DATE.match(piece):
        year, month, day = int(m[1] or m[4]), int(m[2] or m[5]), int(m[3] or m[6] or 0)
        parts.date = ("date", (_days(year, month, day),)) if day else ("month", (year, month))
    elif m := EITHER.match(piece):
        first, second, year = int(m[1]), int(m[3]), int(m[4])
        if m[2] == ".":
            month, day = (second, first) if second <= 12 else (first, second)
            parts.date = ("date", (_days(year, month, day),))
        else:
            parts.date = ("either", (first, second, year))
    elif m := PERIOD.match(piece):
        parts.date = ("week" if m[2] else "quarter", (int(m[1] or m[5]), int(m[2] or m[3] or m[4])))
    if m := CLOCK_TIME.search(piece):
        parts.clock = 60.0 * int(m[1]) + int(m[2]) + float(m[3] or 0) / 60
        if m := OFFSET.search(piece):
            parts.offset = 0.0 if m[1] is None else (60.0 * int(m[2]) + int(m[3])) * (-1 if m[1] == "-" else 1)
    elif m := STEP.fullmatch(piece):
        parts.step = (*parts.step, int(m[1] or m[2] or m[3]))


def _days(year: int, month: int, day: int) -> int:
    """Days of the calendar, from any one: March is taken for a year's first month, so that a leap day is its last."""
    year, month = (year, month - 3) if month > 2 else (year - 1, month + 9)
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + day


def _is_year(piece: str) -> bool:
    return 1000 <= int(piece[:4]) <= 2999


def _is_number(piece: str) -> bool:
    return len(piece) <= PIECE and NUMBER.fullmatch(piece.rstrip(",")) is not None


def _names(piece: str) -> bool:
    word = piece.rstrip(",.:").lower()
    return word in MONTHS or word in CALENDAR or (len(piece) <= PIECE and NAME.fullmatch(piece.rstrip(",:")) is not None)
