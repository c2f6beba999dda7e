"""Forecast channel mixing: forecasts corrected from all channels around them, those included whose future is known.

Axes: B windows, T context, H horizon, C channels, c of them forecast, V forecast or known ahead.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from harness_ttm.config import TTMConfig
from harness_ttm.model import Gate, Levels

__all__ = ["ForecastMixing"]


class ForecastMixing(nn.Module):
    """Corrects the forecasts of a step from all channels around it, those included whose future is known.

    As published, the steps before the first and the covariates come in their own unit, the forecasts scaled.
    """

    def __init__(self, config: TTMConfig) -> None:
        super().__init__()
        around, self.config = 2 * config.fcm_context_length + 1, config
        channels = config.predicted_channels
        self.predicted = list(range(config.num_input_channels) if channels is None else channels)
        self.known = sorted(config.exogenous_channel_indices or ())
        count = len(self.predicted) + len(self.known)
        width = 2 * around if config.fcm_use_mixer else around
        self.exog_mixer = self.fcm_embedding = None
        if config.fcm_use_mixer:
            own = replace(config, mode="common_channel", dropout=config.head_dropout, gated_attn=config.fcm_gated_attn)
            self.exog_mixer = Levels(count, width, config.fcm_mix_layers, 0, own)
            self.fcm_embedding = nn.Linear(around, width)
        self.mlp = nn.Linear(count * width, len(self.predicted))
        self.fcm_gating_block = Gate(count * width) if config.fcm_gated_attn else None

    def forward(self, forecast: Tensor, past: Tensor, future: Tensor | None) -> Tensor:
        """Scaled forecasts [B, H, c], context [B, T, C] and known future [B, H or more, C] → corrected forecasts [B, H, c]."""
        config, steps = self.config, self.config.fcm_context_length
        x = forecast
        if self.known:
            if future is None:
                raise ValueError(f"channels {self.known} are exogenous; wanted future_values [B, H, C] with their values")
            x = torch.cat([forecast, future[:, : forecast.shape[1], self.known]], dim=2)  # [B, H, V]
        end = past.shape[1] - (config.fcm_prepend_past_offset or 0)
        after = x.new_zeros(x.shape[0], steps, x.shape[2])
        before = past[:, end - steps : end, self.predicted + self.known] if config.fcm_prepend_past else after
        x = torch.cat([before, x, after], dim=1).unfold(1, 2 * steps + 1, 1)  # [B, H, V, around]
        if self.exog_mixer is not None and self.fcm_embedding is not None:
            x = self.exog_mixer(self.fcm_embedding(x))
        x = x.flatten(2)
        x = x if self.fcm_gating_block is None else self.fcm_gating_block(x)
        return forecast + cast(Tensor, self.mlp(x))
