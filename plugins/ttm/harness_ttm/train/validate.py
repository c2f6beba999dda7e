"""Validation on windows that no training sees: a seed of the training mixture that is kept apart, and the held-out families.

The windows are the same for any seed of the training: they depend on the recipe's lengths, patches and number of windows, on its thinning
and short contexts (`decimate`, `shortest`, `longest_short` of `data.augment`), and the mixture on its weights. The other probabilities of
cuts and names are the defaults; there are no flips, mixing, noise, gaps or warps.

Axes: n windows, F future patches, P steps of a patch, Q quantile levels.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from harness_ttm.forecaster import INPUTS
from harness_ttm.synthetic import FAMILIES
from harness_ttm.train.losses import quantile_loss
from harness_ttm.train.recipe import VALIDATION_SEED, Recipe
from harness_ttm.train.streams import Arrays, future_patches
from harness_ttm.train.windows import Augment, Pool, make_windows, network_inputs

__all__ = ["MIXTURE", "Validation"]

MIXTURE = "mixture"
ROWS = 256  # windows at a time
SERIES = 256  # of each set, at most
SEASONAL = 2  # number of the candidate that repeats the last cycle of the best period
PLAIN = replace(Augment(), sign_flip=0.0, time_flip=0.0, mixup=0.0, jitter=0.0, missing_points=0.0, missing_block=0.0)


class Validation:
    """Fixed windows of each set, made once."""

    def __init__(self, recipe: Recipe) -> None:
        data = recipe.data
        held = [name for name, family in FAMILIES.items() if family.held_out]
        mixtures = {MIXTURE: data.weights, **{name: {name: 1.0} for name in held}}
        self.sets = {name: self._make(recipe, weights, number) for number, (name, weights) in enumerate(mixtures.items())}

    @staticmethod
    def _make(recipe: Recipe, weights: dict[str, float] | None, number: int) -> list[Arrays]:
        """One set, in parts of `ROWS` windows."""
        data, model = recipe.data, recipe.model
        n = recipe.validation_windows
        pool = Pool(VALIDATION_SEED, number, min(n, SERIES), data.length, 1, weights)
        pool.advance(0)
        rng = np.random.default_rng([VALIDATION_SEED, 2, number])
        augment = replace(PLAIN, decimate=data.augment.decimate, shortest=data.augment.shortest, longest_short=data.augment.longest_short)
        windows = make_windows(pool, rng, n, data.history, model.max_horizon, augment)
        patches = future_patches(rng, n, recipe.patches, model.max_horizon // model.patch_length)
        arrays = network_inputs(windows, patches, model.context_length, model.patch_length)
        return [{k: torch.from_numpy(v[low : low + ROWS]) for k, v in arrays.items()} for low in range(0, n, ROWS)]

    def scores(self, model: nn.Module, levels: Tensor) -> dict[str, float]:
        """For each set its quantile loss, mean over windows, and the ratio of that to the same of the seasonal candidate.

        The candidate is the last cycle of the window's best period (the last value where it has none), taken for every level.
        """
        model.eval()
        out = {}
        for name, parts in self.sets.items():
            sums = torch.zeros(2, dtype=torch.float64)
            for part in parts:
                arrays = {k: v.to(levels.device) for k, v in part.items()}
                with torch.no_grad():
                    predicted = model(*(arrays[k] for k in INPUTS)).float()
                each = quantile_loss(predicted, arrays["target"], arrays["target_mask"], levels)
                sums += torch.stack([each.double().sum(), seasonal_loss(arrays, levels).double().sum()]).cpu()
            windows = sum(len(part["z"]) for part in parts)
            out[f"val_{name}"] = float(sums[0]) / windows
            out[f"val_{name}_ratio"] = float(sums[0] / sums[1].clamp(min=1e-12))
        return out


def seasonal_loss(arrays: Arrays, levels: Tensor) -> Tensor:
    """The quantile loss [n] of the seasonal candidate, taken for every level."""
    candidate = arrays["candidates"][:, :, SEASONAL, :, None].expand(-1, -1, -1, len(levels))  # [n, F, P, Q]
    return quantile_loss(candidate, arrays["target"], arrays["target_mask"], levels)
