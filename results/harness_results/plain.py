"""Values of JSON that somebody else made, reduced to what a database can hold and every reader can show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["DEEPEST", "LONGEST", "as_text", "cleaned", "listed", "plain_info"]

DEEPEST, LONGEST = 6, 10_000
"""Of what is stored of a model: objects and lists within one another, characters of a text."""
_GONE = object()


def as_text(value: Any) -> str:
    """A value as text that can be stored."""
    # A lone surrogate (half a character, from a broken file) cannot be stored.
    return str(value).encode("utf-8", "replace").decode()


def cleaned(value: Any) -> Any:
    """A value of a JSON file that somebody else made, without what a database takes for no text or no JSON.

    Lone surrogates become "?", NUL characters are dropped, NaN and infinities become null.

    Raises:
        RecursionError: values inside values without end.
    """
    if isinstance(value, str):
        return as_text(value).replace("\0", "")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {cleaned(str(name)): cleaned(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(inner) for inner in value]
    return value


def plain_info(info: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What is known of a model, reduced to what every reader can show; and what was dropped, in words.

    Kept are texts of up to 10,000 characters, whole numbers of 64 bits, finite numbers, true, false and null, and lists and objects of
    those, up to six deep; "extra" must be an object. What else Python may hold (a path, a date) becomes text, NaN and infinities null.

    >>> plain_info({"org": "us", "extra": "x", "size": [1, 2**80]})
    ({'org': 'us', 'size': [1]}, ['size: a number of more than 64 bits', 'extra: a str; wanted an object'])
    """
    dropped: list[str] = []
    known: dict[str, Any] = _plain(info, "", DEEPEST, dropped)
    if not isinstance(extra := known.get("extra") or {}, dict):
        dropped.append(f"extra: a {type(extra).__name__}; wanted an object")
        del known["extra"]
    return known, dropped


def _plain(value: Any, name: str, depth: int, dropped: list[str]) -> Any:
    """A plain value, or `_GONE`; `depth` objects and lists may still lie in one another."""

    def gone(what: str) -> Any:
        dropped.append(f"{name}: {what}")
        return _GONE

    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Mapping | list | tuple):
        if not depth:
            return gone(f"more than {DEEPEST} deep")
        if not isinstance(value, Mapping):
            found = (_plain(inner, name, depth - 1, dropped) for inner in value)
            return [inner for inner in found if inner is not _GONE]
        made = {}
        for key, inner in value.items():
            short = cleaned(str(key))
            below = f"{name}.{short[:40]}" if name else short[:40]
            if len(short) > LONGEST:
                dropped.append(f"{below}…: a name of more than {LONGEST:,} characters")
            elif (kept := _plain(inner, below, depth - 1, dropped)) is not _GONE:
                made[short] = kept
        return made
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else gone("a number of more than 64 bits")
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        dropped.append(f"{name}: no finite number")
        return None
    text: str = cleaned(str(value))
    return text if len(text) <= LONGEST else gone(f"a text of more than {LONGEST:,} characters")


def listed(things: Sequence[str], most: int = 5) -> str:
    """The first few, and how many there are besides."""
    return ", ".join(things[:most]) + (f" and {len(things) - most} more" if len(things) > most else "")
