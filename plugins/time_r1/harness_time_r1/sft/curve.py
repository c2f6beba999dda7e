"""The curve of a training: losses by step. Nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["FIELDS", "losses_of", "rows_of"]

FIELDS = ("step", "epoch", "loss", "eval_loss", "learning_rate", "grad_norm")
"""Columns of curve.csv."""


def rows_of(history: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """Rows of the curve: one a step that something is known of."""
    rows: dict[int, dict[str, float]] = {}
    for entry in history:
        row = {name: float(entry[name]) for name in FIELDS if isinstance(entry.get(name), int | float)}
        if "loss" in row or "eval_loss" in row:
            rows.setdefault(int(entry["step"]), {}).update(row)
    return [rows[step] for step in sorted(rows)]


def losses_of(curve: Sequence[Mapping[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for column, first, last in (("loss", "first", "last"), ("eval_loss", "before", "after")):
        values = [row[column] for row in curve if column in row]
        if values:
            found |= {first: values[0], last: values[-1]}
    return found
