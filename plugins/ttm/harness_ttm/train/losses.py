"""Losses of scaled values over observed labels, one number per window.

Axes: n windows, F future patches, P steps of a patch, Q quantile levels. A label that is missing counts nowhere; a window without labels
has loss 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness_ttm.train.recipe import Loss

__all__ = ["masked_mean", "quantile_loss", "window_loss"]

LEAST = 0.01
"""A seasonal error below this counts as this: a window that repeats itself exactly would weigh without bound."""


def quantile_loss(predicted: Tensor, target: Tensor, mask: Tensor, levels: Tensor) -> Tensor:
    """Mean over levels and observed steps of 2 · pinball, per window: predicted [n, F, P, Q], target and mask [n, F, P] → [n]."""
    gap = target[..., None] - predicted
    loss = 2 * torch.maximum(levels * gap, (levels - 1) * gap).mean(dim=-1)  # [n, F, P]
    return masked_mean(loss, mask)


def masked_mean(loss: Tensor, mask: Tensor) -> Tensor:
    """Mean over observed steps: [n, F, P] and mask [n, F, P] → [n]."""
    return (loss * mask).sum(dim=(1, 2)) / mask.sum(dim=(1, 2)).clamp(min=1)


def window_loss(loss: Loss, predicted: Tensor, target: Tensor, mask: Tensor, levels: Tensor, seasonal: Tensor) -> Tensor:
    """The loss that a recipe names, [n].

    - quantile: mean over levels of 2 · pinball
    - mse, mae: (y − m)², |y − m|, m the median
    - huber: ½ (y − m)² up to |y − m| = delta, then delta · (|y − m| − ½ delta)
    - mase: |y − m| over the window's seasonal error, mean |z_t − z_{t−p}| of its best period p over the context, at least `LEAST`

    With `balance` b a window weighs 1 / (2 · (seasonal error + b)).

    Args:
        predicted: [n, F, P, Q] quantiles at `levels` [Q], the median in the middle.
        target, mask: [n, F, P].
        seasonal: [n] the windows' seasonal errors.
    """
    if loss.name == "quantile":
        each = quantile_loss(predicted, target, mask, levels)
    else:
        gap = target - predicted[..., len(levels) // 2]  # [n, F, P]
        size = gap.abs()
        if loss.name == "mse":
            each = masked_mean(gap * gap, mask)
        elif loss.name == "huber":
            each = masked_mean(torch.where(size <= loss.delta, 0.5 * gap * gap, loss.delta * (size - 0.5 * loss.delta)), mask)
        else:
            each = masked_mean(size, mask)
            if loss.name == "mase":
                each = each / seasonal.clamp(min=LEAST)
    if loss.balance:
        weight = 1 / (seasonal + loss.balance)
        each = each * weight * 0.5
    return each
