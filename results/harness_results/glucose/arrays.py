"""Sums over the points of windows, apart for each patient, that can be added over blocks.

Axes: N windows first, then any; P groups (patients). A `Sums` is {name: float64 [P] or [P, ...]}; sums of two blocks are added name by
name, and every score is a function of sums alone. So memory does not grow with the number of windows, and a mean over patients needs no
second pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.forecast import F64

__all__ = ["Bool", "Sums", "add", "grouped", "pair", "pooled"]

Bool = NDArray[np.bool_]
Sums = dict[str, F64]


def pair(reference: ArrayLike, prediction: ArrayLike) -> tuple[F64, F64, Bool]:
    """Both as float64 of one shape [N, ...], and where the reference is there; a single number counts as one window.

    Raises:
        ValueError: two shapes.
    """
    r, p = np.atleast_1d(np.asarray(reference, np.float64)), np.atleast_1d(np.asarray(prediction, np.float64))
    if r.shape != p.shape:
        raise ValueError(f"got a reference of shape {r.shape} and a prediction of shape {p.shape}; wanted two arrays of one shape")
    return r, p, ~np.isnan(r)


def complete(seen: Bool, prediction: F64, what: str) -> None:
    """Raise unless there is a prediction wherever there is a reference; for what is a class or a label and cannot itself be NaN.

    Raises:
        ValueError: with the number of such points.
    """
    lost = int((seen & np.isnan(prediction)).sum())
    if lost:
        raise ValueError(f"{what}: the prediction is NaN at {lost} of {int(seen.sum())} points that have a reference; wanted numbers there")


def grouped(values: ArrayLike, group: ArrayLike | None = None, groups: int | None = None) -> F64:
    """Sum values [N, ...] over all axes, apart for each group: float64 [P].

    Args:
        values: summed as they are; put 0 where nothing is to be added.
        group: int [N], from 0 to P − 1; None = all are one group.
        groups: P, needed with `group`: a block may lack the last ones.

    >>> grouped([[1, 2], [3, 4], [5, 6]], [0, 2, 0], 3).tolist(), grouped([[1, 2], [3, 4]]).tolist()
    ([14.0, 0.0, 7.0], [10.0])

    Raises:
        ValueError: groups that are no whole numbers from 0 to P − 1, or not one for each window.
    """
    array = np.atleast_1d(np.asarray(values, np.float64))
    rows = array.reshape(len(array), -1).sum(axis=1) if array.size else np.zeros(len(array))  # [N]
    if group is None:
        if groups not in (None, 1):
            raise ValueError(f"got {groups} groups and no group of each window; pass group, int [N]")
        return np.array([rows.sum()])
    of = np.asarray(group)
    if groups is None or of.shape != rows.shape or not (np.issubdtype(of.dtype, np.integer) or of.size == 0):
        raise ValueError(
            f"got groups {of.dtype} of shape {of.shape} for {len(rows)} windows, and {groups} of them; wanted group, int [N], and groups, P"
        )
    if of.size and (of.min() < 0 or of.max() >= groups):
        raise ValueError(f"got groups from {of.min()} to {of.max()}; wanted 0 to {groups - 1}, as there are {groups}")
    return np.bincount(of.astype(np.int64), rows, groups).astype(np.float64)


def add(total: Mapping[str, F64] | None, more: Mapping[str, F64]) -> Sums:
    """The sums of both; None is no sums yet.

    >>> add(add(None, {"n": np.array([1.0])}), {"n": np.array([2.0])})["n"].tolist()
    [3.0]

    Raises:
        ValueError: other names.
    """
    if total is None:
        return dict(more)
    if total.keys() != more.keys():
        raise ValueError(f"got sums of {sorted(total)} and of {sorted(more)}; wanted the same, from one function")
    return {name: total[name] + more[name] for name in total}


def pooled(sums: Mapping[str, F64]) -> Sums:
    """All groups as one: [P, ...] -> [1, ...]. Scores of it are over points; the mean of the groups' scores is over patients.

    >>> pooled({"n": np.array([1.0, 2.0])})["n"].tolist()
    [3.0]
    """
    return {name: values.sum(axis=0, keepdims=True) for name, values in sums.items()}


def along(values: NDArray[Any], group: ArrayLike | None, groups: int | None) -> F64:
    """Sum values [N, Q, ...] over windows and all axes but Q, apart for each group: float64 [P, Q]."""
    rows = values.reshape(*values.shape[:2], -1).sum(axis=2) if values.size else np.zeros(values.shape[:2])  # [N, Q]
    return np.stack([grouped(rows[:, q], group, groups) for q in range(values.shape[1])], axis=1)
