"""An answer that is JSON, as the lines that it would be without.

Of several lists of numbers in an object one must be meant for certain: the only one with the name of a forecast (`FORECAST`), or the only
one with a name that any values have (`VALUES`) where all others are named as numbers of rows or as bounds. An object that is a row has one
number, beside that of the row. A list of the names of rows, one for each value, is put before the values, so that their order is looked at.
"""

from __future__ import annotations

import json
import re
from typing import Any

from harness_time_r1.answer_words import CALENDAR, MONTHS, NAME, NUMBER, PIECE

__all__ = ["lines_of_json"]

FORECAST = ("forecast", "forecasts", "prediction", "predictions", "predicted", "yhat", "answer")
VALUES = ("values", "value", "data", "result", "results", "y", "target", "mean")
ROWS = (
    *(
        "timestamp",
        "timestamps",
        "date",
        "dates",
        "datetime",
        "datetimes",
        "time",
        "times",
        "ds",
        "t",
        "index",
        "step",
        "steps",
        "row",
        "rows",
    ),
    *("day", "days", "hour", "hours", "week", "weeks", "month", "months", "quarter", "year", "years", "period", "periods", "id", "n"),
)
BOUND = re.compile(
    r"(?:lower|upper|low|high|min|max|lo|hi)(?:_?(?:bound|bounds|limit|[0-9]{1,3}))?|[pq]_?[0-9.]{1,5}|std|sigma|horizon|length|count"
)
DEPTH = 4

Found = tuple[list[str], str]
"""Lines, and why it is not said which numbers are meant, "" where it is."""


def lines_of_json(body: str, limit: int) -> Found | None:
    """At most `limit` + 1 lines of name and number, from a list of numbers, pairs or objects, or from an object; None where it is no JSON.

    >>> lines_of_json('[{"date": "2016-07-01", "value": 12.5}]', 9), lines_of_json('{"forecast": [1, 2e3, null]}', 9)
    ((['2016-07-01\\t12.5'], ''), (['1', '2e3', 'null'], ''))
    """
    text = body.strip()
    if text[:1] not in ("[", "{"):
        return None
    try:
        found = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        return None
    return _lines(found, limit, 0)


def _lines(found: Any, limit: int, depth: int) -> Found:
    if isinstance(found, list):
        lines, trouble = [], ""
        for each in found[: limit + 1]:
            line, said = _line(each)
            lines.append(line)
            trouble = trouble or said
        return lines, trouble
    if not isinstance(found, dict):
        return [_flat(found)], ""
    lists = {str(key): value for key, value in found.items() if isinstance(value, list | dict)}
    if lists and depth < DEPTH:
        return _chosen(found, lists, limit, depth)
    if any(str(key).lower() in (*FORECAST, *VALUES) for key in found):
        line, trouble = _line(found)
        return [line], trouble
    return [f"{_flat(key)}\t{_flat(value)}" for key, value in list(found.items())[: limit + 1]], ""


def _chosen(found: dict[str, Any], lists: dict[str, Any], limit: int, depth: int) -> Found:
    """Of an object with lists, the one that is the forecast."""
    numbers = {key: value for key, value in lists.items() if isinstance(value, dict) or any(not _is_text(each) for each in value)}
    if numbers:
        beside = [key for key, value in found.items() if key not in lists and _is_number(value)]
    else:
        numbers, beside = lists, []
    name = _meant([*numbers, *beside])
    if name is None or name in beside:
        lines, _ = _lines(next(iter(numbers.values())), limit, DEPTH)
        return (
            lines,
            f"got {', '.join(ascii(str(key)[:20]) for key in [*numbers, *beside][:6])}; wanted one list of numbers, named forecast",
        )
    chosen = numbers[name]
    lines, trouble = _lines(chosen, limit, depth + 1)
    if isinstance(chosen, list) and len(lines) == len(chosen) and not any(isinstance(each, list | dict) for each in chosen):
        for key, value in lists.items():
            if key != name and isinstance(value, list) and len(value) == len(chosen) and (names := _names(key, value)):
                return [f"{each}\t{line}" for each, line in zip(names, lines, strict=True)], trouble
    return lines, trouble


def _meant(keys: list[str]) -> str | None:
    """The one of several names that is the forecast's for certain."""
    lower = {key: str(key).lower().strip() for key in keys}
    for known in (FORECAST, VALUES):
        found = [key for key in keys if lower[key] in known]
        if len(found) > 1:
            return None
        if found and (known is FORECAST or all(lower[key] in ROWS or BOUND.fullmatch(lower[key]) for key in keys if key != found[0])):
            return found[0]
    return keys[0] if len(keys) == 1 else None


def _names(key: str, values: list[Any]) -> list[str] | None:
    """Names of rows in a list, as they stand in lines; None where they are none."""
    texts = [_flat(value) for value in values]
    if all(NAME.match(text) or (words := text.split())[0].rstrip(".,").lower() in MONTHS or words[0].lower() in CALENDAR for text in texts):
        return texts
    if key.lower() in ROWS and all(text.isascii() and text.isdigit() and len(text) <= 13 for text in texts):
        return [f"#{text}" for text in texts]
    return None


def _line(each: Any) -> tuple[str, str]:
    """One element as a line, names of rows first and the value last; why it is not said which number that is."""
    if not isinstance(each, dict):
        return "\t".join(_flat(part) for part in each) if isinstance(each, list) else _flat(each), ""
    rows = {key: value for key, value in each.items() if str(key).lower() in ROWS}
    numbers = [key for key, value in each.items() if key not in rows and _is_number(value)]
    known = [key for key in each if str(key).lower() in (*FORECAST, *VALUES)]
    last = known[:1] or numbers[:1] or list(each)[-1:]
    parts = [(_names(str(key), [value]) or [_flat(value)])[0] for key, value in rows.items() if key not in last]
    parts += [_flat(value) for key, value in each.items() if key not in rows and key not in last]
    line = "\t".join([*parts, *(_flat(each[key]) for key in last)])
    if len(known) > 1 or len(numbers) > 1:
        return (
            line,
            f"got {', '.join(ascii(str(key)[:20]) for key in (known if len(known) > 1 else numbers)[:6])} in a row; wanted one number",
        )
    return line, ""


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= PIECE and NUMBER.fullmatch(value.strip()) is not None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not _is_number(value)


def _flat(part: Any) -> str:
    """A scalar as text in one line; anything deeper is no number."""
    if part is None or isinstance(part, bool | list | dict):
        return "null"
    return " ".join(str(part).split()) or "null"
