"""Ridge regression of several targets from sums alone, so that millions of rows cost the memory of a block.

    minimise over W, b:   Σ |y − x W − b|² + ridge · d · |W|²,   d = the mean of the diagonal of the centred Gram matrix of x

The intercept b has no penalty. d makes a strength mean the same for few rows and many, for mg/dL and mmol/L. With the eigenvalues e and
vectors V of the centred Gram matrix, W = V diag(1 / (e + ridge · d)) Vᵀ C, C the centred products of x and y: one decomposition serves all
strengths, and columns that are alike, or always 0, do no harm.

Axes: n rows, L lags, H targets. Everything is float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.forecast import F64

__all__ = ["Sums"]


class Sums:
    """What a regression needs of its rows.

    Args:
        lags, horizon: L and H.
        each: each target has the rows in which it is there, and a Gram matrix of its own; else only rows with all targets count.
    """

    def __init__(self, lags: int, horizon: int, each: bool = False) -> None:
        self.each = each
        groups = horizon if each else 1
        self.rows = np.zeros(groups, np.int64)
        self.gram = np.zeros((groups, lags + 1, lags + 1))  # of x and a column of ones
        self.cross = np.zeros((lags + 1, horizon))

    def add(self, x: F64, y: F64) -> None:
        """Take in rows: x [n, L] finite, y [n, H] NaN where missing."""
        ones = np.concatenate([x, np.ones((len(x), 1))], axis=1)  # [n, L + 1]
        there = np.isfinite(y)
        if not self.each:
            whole = there.all(axis=1)
            self._take(0, slice(None), ones[whole], y[whole])
            return
        for step in range(y.shape[1]):
            rows = there[:, step]
            self._take(step, slice(step, step + 1), ones[rows], y[rows, step : step + 1])

    def _take(self, group: int, steps: slice, x: F64, y: F64) -> None:
        self.rows[group] += len(x)
        self.gram[group] += x.T @ x
        self.cross[:, steps] += x.T @ y

    def solutions(self, strengths: Sequence[float]) -> Iterator[tuple[F64, F64]]:
        """Weights [L, H] and intercepts [H] for each strength.

        A target without a row takes those of the nearest one that has some; there must be one.
        """
        parts = [self._decomposed(group) for group in range(len(self.rows))]
        near = _nearest(self.rows > 0)
        for strength in strengths:
            solved = [_solved(part, strength) for part in parts]
            weights = np.concatenate([w for w, _ in solved], axis=1)  # [L, H]
            intercepts = np.concatenate([b for _, b in solved])  # [H]
            yield (weights[:, near], intercepts[near]) if self.each else (weights, intercepts)

    def _decomposed(self, group: int) -> tuple[F64, F64, F64, F64, F64]:
        """Eigenvalues [L] and vectors [L, L], rotated products [L, h], means of x [L] and of y [h]."""
        rows = max(int(self.rows[group]), 1)
        gram, cross = self.gram[group], self.cross[:, group : group + 1] if self.each else self.cross
        mean_x, mean_y = gram[-1, :-1] / rows, cross[-1] / rows
        centred = gram[:-1, :-1] - rows * np.outer(mean_x, mean_x)
        values, vectors = np.linalg.eigh(centred)
        products = cross[:-1] - rows * np.outer(mean_x, mean_y)
        return np.maximum(values, 0.0), vectors, vectors.T @ products, mean_x, mean_y


def _solved(part: tuple[F64, F64, F64, F64, F64], strength: float) -> tuple[F64, F64]:
    values, vectors, rotated, mean_x, mean_y = part
    penalty = strength * values.mean()
    shrunk = np.divide(rotated, (values + penalty)[:, None], out=np.zeros_like(rotated), where=(values + penalty)[:, None] > 0)
    weights: F64 = vectors @ shrunk
    return weights, mean_y - mean_x @ weights


def _nearest(there: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The nearest place that is there, for each place."""
    places = np.flatnonzero(there)
    away = np.abs(np.arange(len(there))[:, None] - places[None, :])
    found: NDArray[np.int64] = places[away.argmin(axis=1)]
    return found
