"""What a network is shown of windows, and its loss on them; so that fine-tuning is the same code for both networks.

Axes: n windows, L history, S steps ahead, F future patches, P patch length, Q quantile levels, H horizon, T context.
"""

from __future__ import annotations

from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness import UsageError
from harness_ttm.adapt.windows import some_patches
from harness_ttm.config import TTMConfig
from harness_ttm.forecaster import INPUTS
from harness_ttm.model import TTM
from harness_ttm.published import frequency_token
from harness_ttm.season_head import SeasonTTM
from harness_ttm.train.losses import quantile_loss
from harness_ttm.train.windows import Windows, network_inputs

__all__ = ["PointProblem", "Problem", "SeasonProblem", "Tail", "problem_of"]

F32 = NDArray[np.float32]
Arrays = dict[str, Tensor]


class Problem(Protocol):
    """A network's view of windows."""

    horizon: int  # H, steps that it learns
    ahead: int  # S ≥ H, steps that windows hold
    levels: Tensor  # [Q], where the network is

    def history(self, longest: int) -> int:
        """L for series of at most so many steps."""
        ...

    def arrays(self, windows: Windows, rng: np.random.Generator, patches: int) -> Arrays:
        """Inputs and labels; of a long horizon at most `patches` patches per window."""
        ...

    def loss(self, model: nn.Module, arrays: Arrays) -> tuple[Tensor, Tensor]:
        """Loss of each window [n], and which have a label [n]."""
        ...


class SeasonProblem:
    """The season-fold network: mean quantile loss of the scaled values, as in its training."""

    def __init__(self, config: TTMConfig, horizon: int) -> None:
        self.config = config
        self.horizon = min(horizon, config.max_horizon)
        self.count = -(-self.horizon // config.patch_length)
        self.ahead = self.count * config.patch_length
        self.levels = torch.tensor(config.quantile_levels)

    def history(self, longest: int) -> int:
        """Enough for the longest series, at most what forecasting looks at."""
        return max(min(longest, self.config.history_length), self.config.context_length)

    def arrays(self, windows: Windows, rng: np.random.Generator, patches: int) -> Arrays:
        """Those of `harness_ttm.train.windows.network_inputs`."""
        chosen = some_patches(rng, len(windows.y), self.count, patches)
        arrays = network_inputs(windows, chosen, self.config.context_length, self.config.patch_length)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def loss(self, model: nn.Module, arrays: Arrays) -> tuple[Tensor, Tensor]:
        """2 · pinball, mean over levels and observed steps."""
        output: Tensor = model(*(arrays[name] for name in INPUTS))
        each = quantile_loss(output, arrays["target"], arrays["target_mask"], self.levels)
        return each, arrays["target_mask"].sum(dim=(1, 2)) > 0


class PointProblem:
    """The published network, one channel: squared or absolute error (`config.loss`) over the window's scale; quantile loss with levels."""

    def __init__(self, config: TTMConfig, horizon: int, freq: str) -> None:
        if config.mode != "common_channel" or config.decoder_mode != "common_channel" or config.enable_forecast_channel_mixing:
            raise UsageError("fine-tuning is for one channel; wanted mode and decoder_mode common_channel, and no forecast channel mixing")
        self.config = config
        self.token = frequency_token(freq, config.frequency_token_vocab_size) if config.resolution_prefix_tuning else None
        self.horizon = self.ahead = min(horizon, config.horizon)
        self.levels = torch.tensor(config.quantile_levels)

    def history(self, longest: int) -> int:  # noqa: ARG002 - the network pads
        """T."""
        return self.config.context_length

    def arrays(self, windows: Windows, rng: np.random.Generator, patches: int) -> Arrays:  # noqa: ARG002
        """past [n, T, 1], target and target_mask [n, H]."""
        future = windows.y[:, windows.history :]
        seen = windows.y[:, : windows.history]
        high, low = (f(np.where(np.isfinite(seen), seen, -np.inf * s), axis=1) for f, s in ((np.max, 1), (np.min, -1)))
        there = np.isfinite(future) & (high > low)[:, None]  # a constant history has no scale
        past = torch.from_numpy(windows.y[:, : windows.history, None].copy())
        return {
            "past": past,
            "target": torch.from_numpy(np.where(there, future, 0)),
            "target_mask": torch.from_numpy(there.astype(np.float32)),
        }

    def loss(self, model: nn.Module, arrays: Arrays) -> tuple[Tensor, Tensor]:
        """Mean over the observed steps."""
        token = None if self.token is None else torch.full((len(arrays["past"]),), self.token, device=arrays["past"].device)
        output = model(arrays["past"], freq_token=token)
        loc, scale, mask = output.loc[:, 0], output.scale[:, 0], arrays["target_mask"]  # [n, 1]
        target = (arrays["target"] - loc) / scale  # [n, H]
        if output.quantiles is not None:
            predicted = (output.quantiles[:, :, : self.horizon, 0].transpose(1, 2) - loc[:, :, None]) / scale[:, :, None]  # [n, H, Q]
            return quantile_loss(predicted[:, None], target[:, None], mask[:, None], self.levels), mask.sum(dim=1) > 0
        gap = (output.predictions[:, : self.horizon, 0] - loc) / scale - target
        each = (gap.abs() if self.config.loss == "mae" else gap.square()) * mask
        return each.sum(dim=1) / mask.sum(dim=1).clamp(min=1), mask.sum(dim=1) > 0


def problem_of(model: nn.Module, horizon: int, freq: str) -> Problem:
    """The problem of a network.

    Raises:
        UsageError: neither of the two networks of this package.
    """
    if isinstance(model, SeasonTTM):
        return SeasonProblem(model.config, horizon)
    if isinstance(model, TTM):
        return PointProblem(model.config, horizon, freq)
    raise UsageError(f"got a {type(model).__name__} to adapt; wanted a SeasonTTM or a TTM")


class Tail(nn.Module):
    """A season-fold network from what its backbone has seen on, with the same names of parameters."""

    def __init__(self, model: SeasonTTM) -> None:
        super().__init__()
        self.decoder, self.head = model.decoder, model.head

    def forward(self, seen: Tensor, features: Tensor, candidates: Tensor, offsets: Tensor) -> Tensor:
        """`seen` [N, 1, n, D] → [N, F, P, Q]; the other inputs as for `SeasonTTM`."""
        return cast(Tensor, self.head(self.decoder(seen)[:, 0], features, candidates, offsets))
