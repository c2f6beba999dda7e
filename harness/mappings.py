"""Reading JSON objects of a database or a file, which anybody may have written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import UsageError, describe

__all__ = ["mapping", "read_object"]


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


def read_object(file: Path, model: str = "", wanted: str = "") -> dict[str, Any]:
    """The JSON object in a file, such as the config.json beside weights.

    Args:
        model: whose it is, for the error.
        wanted: what would be right, for the error.

    Raises:
        UsageError: there is no such file, or it cannot be read, is no JSON, nests too deep, or holds something else than an object.
    """
    who, hint = f"{model}: " if model else "", f"; wanted {wanted}" if wanted else ""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{who}{file} cannot be read: {error.strerror or error}{hint}") from None
    except RecursionError:
        raise UsageError(f"{who}{file} cannot be read: its lists or objects stand in one another too deep{hint}") from None
    except ValueError as error:  # also for bytes that are no UTF-8, and for numbers of thousands of digits
        raise UsageError(f"{who}{file} cannot be read: it is no JSON ({describe(error)}){hint}") from None
    if not isinstance(found, dict):
        raise UsageError(f"{who}{file} holds a {type(found).__name__}; wanted an object with names and values")
    return found
