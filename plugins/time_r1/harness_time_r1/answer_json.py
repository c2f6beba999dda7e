"""An answer that is JSON, as the lines that it would be without."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["lines_of_json"]

VALUE_KEYS = ("value", "forecast", "prediction", "predicted", "yhat", "y", "target", "mean")
LIST_KEYS = ("values", "forecast", "forecasts", "prediction", "predictions", "value", "data", "result", "results", "answer", "y", "yhat")
DEPTH = 4


def lines_of_json(body: str, limit: int) -> list[str] | None:
    """At most `limit` + 1 lines of name and number, from a list of numbers, pairs or objects, or from an object; None where it is no JSON.

    >>> lines_of_json('[{"date": "2016-07-01", "value": 12.5}]', 9), lines_of_json('{"forecast": [1, 2e3, null]}', 9)
    (['2016-07-01\\t12.5'], ['1', '2e3', 'null'])
    """
    text = body.strip()
    if text[:1] not in ("[", "{"):
        return None
    try:
        found = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        return None
    return _lines(found, limit, 0)


def _lines(found: Any, limit: int, depth: int) -> list[str]:
    if isinstance(found, list):
        return [_line(each) for each in found[: limit + 1]]
    lists = {str(key).lower(): value for key, value in found.items() if isinstance(value, list | dict)} if isinstance(found, dict) else {}
    if lists and depth < DEPTH:
        return _lines(next((lists[key] for key in LIST_KEYS if key in lists), next(iter(lists.values()))), limit, depth + 1)
    if isinstance(found, dict):
        return [f"{_flat(key)}\t{_flat(value)}" for key, value in list(found.items())[: limit + 1]]
    return [_flat(found)]


def _line(each: Any) -> str:
    """One element as a line: of an object what its value is called, else all that it holds, in its order."""
    if isinstance(each, dict):
        keys = {str(key).lower(): key for key in each}
        value = next((keys[name] for name in VALUE_KEYS if name in keys), None)
        parts = [each[key] for key in each if key != value]
        return "\t".join(_flat(part) for part in (*parts, *([each[value]] if value is not None else [])))
    if isinstance(each, list):
        return "\t".join(_flat(part) for part in each)
    return _flat(each)


def _flat(part: Any) -> str:
    """A scalar as text in one line; anything deeper is no number."""
    if part is None or isinstance(part, bool | list | dict):
        return "null"
    return " ".join(str(part).split()) or "null"
