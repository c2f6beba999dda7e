"""Reading JSON objects that a database holds, which anybody may have edited."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["mapping"]


def mapping(value: Any) -> dict[str, Any]:
    """A JSON text or a mapping as a dictionary; an empty one for whatever is no object, or cannot be read.

    >>> mapping('{"a": 1}'), mapping("[1]"), mapping("{"), mapping(None), mapping({"a": 1})
    ({'a': 1}, {}, {}, {}, {'a': 1})
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):  # the former also for numbers of thousands of digits
            return {}
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else {}
