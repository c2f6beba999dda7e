"""Warps of finished windows, all off by default: scaling, time warp, magnitude warp (as in Um et al. 2017, on the whole window at once).

They draw from a generator of their own, so that switching one on leaves all other numbers of a training as they were.
Axes: n windows, L history, S steps ahead, K knots. NaN stays missing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness_ttm.train.windows import Augment, Windows

__all__ = ["smooth_basis", "time_warped", "warp"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


def warp(windows: Windows, rng: np.random.Generator, augment: Augment) -> None:
    """Warp windows in place, each with the probability and strength that the recipe gives.

    - time warp: time runs at the speed exp(size · curve); the cutoff stays where it is, and what comes from outside the window is missing
    - magnitude warp: the distance from the mean of the history is multiplied by exp(size · curve)
    - scaling: all values are multiplied by exp(size · a normal number). Instance scaling takes that out but for its last bits, so it
      serves networks that are trained with `scaling: none` alone

    A curve runs through K normal numbers along the window, in halves of cosines.
    """
    y, history = windows.y, windows.history
    basis = smooth_basis(augment.warp_knots, y.shape[1])
    rows = np.flatnonzero(rng.random(len(y)) < augment.time_warp)
    curve = rng.standard_normal((len(rows), augment.warp_knots)) @ basis
    y[rows] = time_warped(y[rows], np.exp(augment.time_warp_size * curve), history)
    rows = np.flatnonzero(rng.random(len(y)) < augment.magnitude_warp)
    curve = rng.standard_normal((len(rows), augment.warp_knots)) @ basis
    middle = _history_mean(y[rows], history)[:, None]
    y[rows] = middle + (y[rows] - middle) * np.exp(augment.magnitude_warp_size * curve)
    rows = np.flatnonzero(rng.random(len(y)) < augment.scaling)
    y[rows] *= np.exp(augment.scaling_size * rng.standard_normal((len(rows), 1)))


def smooth_basis(knots: int, length: int) -> F64:
    """[K, length]: what each knot gives to each step; columns sum to 1."""
    at = np.linspace(0, knots - 1, length)
    low = np.minimum(at.astype(np.int64), knots - 2)
    share = (1 - np.cos(np.pi * (at - low))) / 2
    basis = np.zeros((knots, length))
    basis[low, np.arange(length)] = 1 - share
    basis[low + 1, np.arange(length)] += share
    return basis


def time_warped(y: F32, speed: F64, history: int) -> F32:
    """y [n, L + S] read along a path of this speed [n, L + S], whose mean is brought to 1; between steps in straight lines."""
    if len(y) == 0:
        return y
    length = y.shape[1]
    path = np.cumsum(speed / speed.mean(axis=1, keepdims=True), axis=1)
    path += history - 1 - path[:, history - 1 : history]
    low = np.clip(np.floor(path), 0, length - 1).astype(np.int64)
    share = (path - low).astype(np.float32)
    left = np.take_along_axis(y, low, axis=1)
    right = np.take_along_axis(y, np.minimum(low + 1, length - 1), axis=1)
    out = np.where(share > 0, left * (1 - share) + right * share, left)
    out[(path < 0) | (path > length - 1)] = np.nan
    return out


def _history_mean(y: F32, history: int) -> F32:
    """Mean of the observed values before the cutoff, 0 where there is none: [n]."""
    seen = np.isfinite(y[:, :history])
    total = np.where(seen, y[:, :history], 0).sum(axis=1, dtype=np.float64)
    mean: F32 = (total / np.maximum(seen.sum(axis=1), 1)).astype(np.float32)
    return mean
