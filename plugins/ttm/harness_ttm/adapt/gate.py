"""The no-regret gate of test-time training: how much of the tuned network goes into a forecast, by the newest steps of the context.

Axes: R windows, S steps, Q quantile levels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness_ttm.pinball import pinball

__all__ = ["WEIGHTS", "gate", "standard_error"]

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)


def gate(bare: F64, tuned: F64, target: F64, mask: F64, levels: F64, margin: float) -> tuple[F32, F32]:
    """Weight [R] of the blend (1 − w) · bare + w · tuned with the least quantile loss, and its mean gain [R] over the bare forecast.

    Both are 0 where the gain is not above `margin` of its standard errors.

    Args:
        bare, tuned: [R, S, Q] forecasts.
        target, mask: [R, S] observed values; 1 where there is one.
        levels: [Q].
    """
    losses = []
    for w in WEIGHTS:
        gap = target[..., None] - (bare + w * (tuned - bare))
        losses.append(2 * pinball(gap, levels).mean(axis=2) * mask)
    count = np.maximum(mask.sum(axis=1), 2)
    gains = losses[0] - np.stack(losses)  # [W, R, S]
    mean = np.nan_to_num(gains.sum(axis=2) / count, nan=-np.inf)  # [W, R]
    best = mean.argmax(axis=0)  # of blends that are alike the one with the least weight
    rows = np.arange(len(best))
    gain = mean[best, rows]
    error = standard_error((gains[best, rows] - gain[:, None]) * mask, count)
    better = (gain > 0) & (gain > margin * error)
    return np.where(better, np.take(WEIGHTS, best), 0).astype(np.float32), np.where(better, gain, 0).astype(np.float32)


def standard_error(apart: F64, count: F64) -> F64:
    """Standard error [R] of the mean of neighbouring values that are alike.

    The variance of a mean of n values of a series is (γ0 + 2 Σ (1 − k / (b + 1)) γk) / n with the autocovariances γ up to lag b = ⌈√n⌉
    (Newey and West 1987); never less than it would be if the values were independent.

    Args:
        apart: [R, S] differences from the row's mean, 0 where there is no value.
        count: [R] how many there are.
    """
    total = (apart**2).sum(axis=1)
    alone = total.copy()
    band = np.ceil(np.sqrt(count))
    for k in range(1, min(int(band.max()) + 1, apart.shape[1])):
        total += 2 * np.clip(1 - k / (band + 1), 0, None) * (apart[:, k:] * apart[:, :-k]).sum(axis=1)
    variance: F64 = np.maximum(total, alone) / (count - 1)
    return np.sqrt(variance / count)
