"""Words that tables, pictures and sentences share."""

from __future__ import annotations

__all__ = ["counted", "enclosed", "relative"]


def counted(number: int, thing: str) -> str:
    """A number with its thing, in the singular or the plural.

    >>> counted(1, "task"), counted(19, "family"), counted(0, "result")
    ('1 task', '19 families', '0 results')
    """
    plural = thing if number == 1 else f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{number} {plural}"


def relative(label: str) -> str:
    """What the geometric mean of a score over the baseline's is called.

    >>> relative("MASE"), relative("mean MASE")
    ('nMASE', 'n(mean MASE)')
    """
    return f"n{enclosed(label)}"


def enclosed(label: str) -> str:
    """A score's name as part of another name: in brackets where it has a blank."""
    return f"({label})" if " " in label else label
