"""Words that tables, pictures and sentences share."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, thing: str) -> str:
    """A number with its thing, in the singular or the plural.

    >>> counted(1, "task"), counted(19, "family"), counted(0, "result")
    ('1 task', '19 families', '0 results')
    """
    plural = thing if number == 1 else f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{number} {plural}"
