"""What all statistics of an event take in, checked in one place. Axes: N windows in order of time, M models."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.forecast import F64

__all__ = ["counted", "counted_rows", "level_of", "probabilities"]


def counted(score: ArrayLike, outcome: ArrayLike) -> tuple[F64, NDArray[np.bool_]]:
    """Scores and outcomes of the windows that count: (float64 [n], bool [n]), n ≤ N.

    Args:
        score: [N], the higher the likelier the event; any scale.
        outcome: [N] of 1, 0 or NaN.

    Raises:
        ValueError: shapes differ, an outcome is something else, or a score that counts is NaN.
    """
    rows, happened, _ = counted_rows([np.asarray(score)], outcome)
    return rows[0], happened


def counted_rows(scores: ArrayLike, outcome: ArrayLike) -> tuple[F64, NDArray[np.bool_], NDArray[np.bool_]]:
    """The same for M models: (scores [M, n], outcomes [n], which of the N windows these are [N])."""
    rows, happened = _numbers(scores, "scores"), _numbers(outcome, "outcomes")
    if happened.ndim != 1 or rows.ndim != 2 or rows.shape[1] != len(happened):
        raise ValueError(
            f"scores of shape {rows.shape} and outcomes of shape {happened.shape}; wanted [M, N] (or [N] of one model) and [N]"
        )
    keep = ~np.isnan(happened)
    odd = np.flatnonzero(keep & (happened != 0) & (happened != 1))
    if len(odd):
        raise ValueError(f"the outcome of window {odd[0]} is {happened[odd[0]]:g}; wanted 0, 1 or NaN")
    kept = rows[:, keep]
    if np.isnan(kept).any():
        model, window = (int(i[0]) for i in np.nonzero(np.isnan(rows) & keep))
        raise ValueError(f"the score of window {window}{f' of model {model}' if len(rows) > 1 else ''} is NaN; wanted a number for each")
    return kept, happened[keep] == 1, keep


def probabilities(probability: ArrayLike, outcome: ArrayLike) -> tuple[F64, NDArray[np.bool_]]:
    """The same as `counted`, for scores that are probabilities.

    Raises:
        ValueError: as above, or one lies outside [0, 1].
    """
    p, happened = counted(probability, outcome)
    odd = np.flatnonzero((p < 0) | (p > 1))
    if len(odd):
        raise ValueError(f"a probability is {p[odd[0]]:g}; wanted [0, 1]: scores of another scale can be ranked only")
    return p, happened


def level_of(level: float) -> float:
    """A level of confidence, if it is one."""
    if not 0 < level < 1:
        raise ValueError(f"level is {level:g}; wanted a share such as 0.95")
    return level


def _numbers(values: ArrayLike, what: str) -> F64:
    try:
        found: NDArray[Any] = np.asarray(values)
        if found.dtype.kind not in "biuf":
            raise ValueError(f"they are {found.dtype}")
        return found.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} are no array of numbers: {error}") from error
