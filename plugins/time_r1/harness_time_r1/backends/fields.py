"""Further fields of a request, as a user gives them. Nothing heavy is imported here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from harness import UsageError

__all__ = ["fields"]


def fields(model: str, given: object) -> dict[str, Any]:
    """What `extra` gives, as a copy; None gives nothing.

    >>> fields("time-r1", {"reasoning_effort": "low", "options": {"top_k": 20}}), fields("time-r1", None)
    ({'reasoning_effort': 'low', 'options': {'top_k': 20}}, {})

    Raises:
        UsageError: it is no object of names and JSON values.
    """
    if given is None:
        return {}
    try:
        if isinstance(given, Mapping) and _is_json(dict(given)):
            text = json.dumps(dict(given), allow_nan=False, ensure_ascii=False)
            text.encode("utf-8")  # half letters cannot be sent
            return dict(json.loads(text))
    except (ValueError, TypeError, RecursionError):  # the first for numbers of thousands of digits as well
        pass
    raise UsageError(
        f'{model}: extra got {_shown(given)}; wanted an object of names and JSON values: -M \'{model}:extra={{"reasoning_effort": "low"}}\''
    )


def _is_json(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(name, str) and _is_json(each) for name, each in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    return value is None or isinstance(value, bool | int | float | str)


def _shown(value: object) -> str:
    try:
        text = ascii(value)
    except (ValueError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= 100 else f"{text[:100]}…"
