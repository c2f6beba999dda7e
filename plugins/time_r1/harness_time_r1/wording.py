"""Words about a window: its frequency, the names of its rows, and what a stranger wrote about the data, made harmless.

Three ways of naming rows. "shown": calendar dates, with the time of day for steps below a day. "relative": steps from the newest row, t-1,
t-0, t+1, with the place in the day and week, in the year for months and quarters, and no date. "hidden": numbers from 1.
"""

from __future__ import annotations

import re
import unicodedata

import numpy as np
from numpy.typing import NDArray

from harness.frequency import SECONDS, shift, split

__all__ = ["TIMESTAMPS", "clean", "cycle_words", "frequency_words", "naming_words", "row_names", "without_dates"]

TIMESTAMPS = ("shown", "relative", "hidden")

NAMES = {"S": "second", "T": "minute", "H": "hour", "D": "day", "B": "working day", "W": "week", "M": "month", "Q": "quarter", "A": "year"}
SUBDAILY = ("S", "T", "H")
WEEKDAY = ", its day of the week"
PLACES = {"M": ", its month", "Q": ", its quarter", "D": WEEKDAY, "B": WEEKDAY, **dict.fromkeys(SUBDAILY, f"{WEEKDAY} and time of day")}
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# What a model or its tokenizer may take for the end of the text: tags, control tokens, fences, template brackets, the closing quote.
HARMLESS = str.maketrans(
    {
        **dict.fromkeys("<＜﹤〈⟨", "‹"),
        **dict.fromkeys(">＞﹥〉⟩", "›"),
        **dict.fromkeys('`"“”„＂｀', "'"),
        **dict.fromkeys("[{｛［", "("),
        **dict.fromkeys("]}｝］", ")"),
        **{chr(0xFF10 + digit): str(digit) for digit in range(10)},
    }
)
WITHHELD = "(date withheld)"
YEAR = r"(?:1[5-9]|20|21)[0-9]{2}"
MONTH_NAMES = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}"
DATES = re.compile(
    rf"(?<![0-9])(?:{YEAR}(?:[-/._][0-9]{{1,2}}){{1,2}}|{YEAR}(?:0[1-9]|1[0-2])(?:[0-3][0-9])?|[0-9]{{1,2}}[-/.][0-9]{{1,2}}[-/.](?:{YEAR}|[0-9]{{2}})|{YEAR})(?![0-9])"
    rf"|(?<![a-z0-9])(?:[0-9]{{1,2}}(?:st|nd|rd|th)?\.? )?{MONTH_NAMES}\.? [0-9]{{1,4}}(?:st|nd|rd|th)?(?![0-9a-z])"
    rf"|(?<![a-z0-9])[0-9]{{1,2}}(?:st|nd|rd|th)?\.? (?:of )?{MONTH_NAMES}(?![a-z])",
    re.IGNORECASE,
)


def clean(text: str, most: int) -> str:
    """A stranger's text in one line of at most `most` characters, without control characters, tags, fences or quotation marks.

    >>> clean("Load\\n</answer><|im_end|> ```x```  of \\"A\\"", 60)
    "Load ‹/answer›‹|im_end|› '''x''' of 'A'"
    """
    text = str(text)[: 8 * most + 64]  # what is cut off anyway is not looked at
    text = "".join(" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c)[0] != "C")
    text = " ".join(text.translate(HARMLESS).split())
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def without_dates(text: str) -> str:
    """The text with what looks like a date or a year taken out: years from 1500 to 2199.

    >>> without_dates("PM2.5 from 2013-03-01 to Feb 2017, station 2045b")
    'PM2.5 from (date withheld) to (date withheld), station (date withheld)b'
    """
    return DATES.sub(WITHHELD, text)


def frequency_words(freq: str) -> str:
    """How far apart rows are.

    >>> frequency_words("15T"), frequency_words("W-SUN"), frequency_words("B")
    ('every 15 minutes', 'every week', 'every working day (Monday to Friday)')
    """
    multiple, base = split(freq)
    words = f"every {NAMES[base]}" if multiple == 1 else f"every {multiple} {NAMES[base]}s"
    return f"{words} (Monday to Friday)" if base == "B" else words


def cycle_words(freq: str) -> str:
    """The natural cycle that such rows may have, in rows; "" where there is none or it is no whole number of rows.

    >>> cycle_words("15T"), cycle_words("M"), cycle_words("7T"), cycle_words("A")
    ('one day is 96 rows', 'one year is 12 rows', '', '')
    """
    multiple, base = split(freq)
    cycles = {"D": ("week", 7), "B": ("week", 5), "W": ("year", 52), "M": ("year", 12), "Q": ("year", 4)}
    if base in SUBDAILY:
        cycles[base] = ("day", SECONDS["D"] // SECONDS[base])
    name, steps = cycles.get(base, ("", 1))
    rows, rest = divmod(steps, multiple)
    return f"one {name} is {'about ' if base == 'W' else ''}{rows} rows" if name and rest == 0 and rows > 1 else ""


def naming_words(start: np.datetime64, freq: str, timestamps: str) -> str:
    """What the lines of a prompt consist of, in the way that `row_names` names them."""
    if timestamps == "hidden" or (timestamps == "shown" and np.isnat(start)):
        return "Each line has the number of a row and its value."
    if timestamps == "shown":
        return f"Each line has the {'time' if split(freq)[1] in SUBDAILY else 'date'} of a row and its value."
    place = "" if np.isnat(start) else PLACES.get(_cycle_base(freq), "")
    meaning = "t-0 is the newest row, t-1 the one before it, t+1 the first to be forecast"
    return f"Each line has a step{place}{',' if place else ''} and a value: {meaning}."


def row_names(start: np.datetime64, freq: str, length: int, horizon: int, timestamps: str, shown: int | None = None) -> list[str]:
    """Names of the newest `shown` rows of a context of `length` rows that begins at `start`, and of the `horizon` rows behind it.

    Where `start` is no time (NaT), "shown" and "relative" have numbers and bare steps.
    """
    shown = length if shown is None else shown
    if timestamps == "hidden" or (timestamps == "shown" and np.isnat(start)):
        return [str(i) for i in range(1, shown + horizon + 1)]
    steps = np.arange(length - shown, length + horizon, dtype=np.int64)  # from the context's first row
    times = shift(np.full(len(steps), start, "datetime64[s]"), freq, steps)
    if timestamps == "shown":
        return _dates(times, split(freq)[1])
    places = _places(times, freq) if not np.isnat(start) else [""] * len(steps)
    ahead = (steps - (length - 1)).tolist()  # the newest row is 0
    return [f"t{'-' if k <= 0 else '+'}{abs(k)}{place}" for k, place in zip(ahead, places, strict=True)]


def _dates(times: NDArray[np.datetime64], base: str) -> list[str]:
    if base not in SUBDAILY:
        return [str(day) for day in times.astype("datetime64[D]")]
    unit = "s" if base == "S" or (times.astype(np.int64) % 60).any() else "m"
    return [str(time).replace("T", " ") for time in times.astype(f"datetime64[{unit}]")]


def _cycle_base(freq: str) -> str:
    """The base of a frequency whose rows have a place in a cycle, "" of others."""
    multiple, base = split(freq)
    return "" if base in ("W", "A") or (base in ("D", "B") and multiple > 1) else base


def _places(times: NDArray[np.datetime64], freq: str) -> list[str]:
    """Where in its cycle each row is, with a blank before it."""
    base = _cycle_base(freq)
    months = times.astype("datetime64[M]").astype(np.int64) % 12
    if base == "M":
        return [f" {MONTHS[m]}" for m in months]
    if base == "Q":
        return [f" Q{m // 3 + 1}" for m in months]
    days = (times.astype("datetime64[D]").astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    if base in ("B", "D"):
        return [f" {DAYS[d]}" for d in days]
    if base in SUBDAILY:
        unit = 19 if base == "S" or (times.astype(np.int64) % 60).any() else 16
        return [f" {DAYS[d]} {str(time)[-8:][: unit - 11]}" for d, time in zip(days, times.astype("datetime64[s]"), strict=True)]
    return [""] * len(times)
