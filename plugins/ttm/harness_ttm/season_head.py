"""The season-fold network: a TinyTimeMixer backbone whose head starts from the seasons of the context.

Axes: N windows, T context, n patches, P patch length, D width, F future patches, K candidates, Q quantile levels.

The backbone and decoder are those of `harness_ttm.model`. Their output is flattened into one vector per window. For each future patch a
small residual MLP sees that vector, the patch's candidates (`harness_ttm.seasons`) and how far ahead it is, and returns for each step: a
softmax over the candidates, a correction, and the softplus increments between neighbouring quantiles. So any horizon up to `max_horizon`
is one pass, without feeding forecasts back, and quantiles never cross. Patches do not see each other: the forecast of a step is the same
whatever the horizon."""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from harness_ttm.config import TTMConfig
from harness_ttm.model import Backbone, Decoder
from harness_ttm.seasons import CANDIDATES, FEATURES, OFFSETS

__all__ = ["SeasonTTM"]


class Residual(nn.Module):
    """x + Linear(GELU(Linear(LayerNorm(x))))."""

    def __init__(self, width: int, config: TTMConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=config.norm_eps)
        self.fc1 = nn.Linear(width, width * config.expansion_factor)
        self.fc2 = nn.Linear(width * config.expansion_factor, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + cast(Tensor, self.fc2(F.gelu(self.fc1(self.norm(x)))))


class SeasonHead(nn.Module):
    """Decoder output [N, n, dd] and candidates → quantiles [N, F, P, Q] of the scaled values."""

    def __init__(self, config: TTMConfig) -> None:
        super().__init__()
        patch, levels = config.patch_length, len(config.quantile_levels)
        self.patch, self.levels, self.middle = patch, levels, levels // 2
        self.flatten = nn.Linear(config.tokens * config.decoder_d_model + FEATURES, config.fold_context)
        self.context_in = nn.Linear(config.fold_context, config.fold_width)
        self.patch_in = nn.Linear(CANDIDATES * patch + OFFSETS, config.fold_width)
        self.blocks = nn.ModuleList(Residual(config.fold_width, config) for _ in range(config.fold_layers))
        self.norm = nn.LayerNorm(config.fold_width, eps=config.norm_eps)
        self.out = nn.Linear(config.fold_width, patch * (CANDIDATES + levels))

    def forward(self, features: Tensor, x: Tensor, candidates: Tensor, offsets: Tensor) -> Tensor:
        """`features` [N, n, dd], `x` [N, FEATURES], `candidates` [N, F, K, P], `offsets` [N, F, OFFSETS]."""
        context = F.gelu(self.flatten(torch.cat([features.flatten(1), x], dim=1)))  # [N, C]
        h = self.patch_in(torch.cat([candidates.flatten(2), offsets], dim=2)) + self.context_in(context)[:, None]  # [N, F, W]
        for block in self.blocks:
            h = block(h)
        out = self.out(self.norm(h)).unflatten(2, (CANDIDATES + self.levels, self.patch))  # [N, F, K + Q, P]
        share = torch.softmax(out[:, :, :CANDIDATES], dim=2)
        median = (share * candidates).sum(dim=2) + out[:, :, CANDIDATES]  # [N, F, P]
        steps = F.softplus(out[:, :, CANDIDATES + 1 :] - 2)  # [N, F, Q - 1, P]
        below = -steps[:, :, : self.middle].flip(2).cumsum(dim=2).flip(2)
        above = steps[:, :, self.middle :].cumsum(dim=2)
        offsets_ = torch.cat([below, torch.zeros_like(median)[:, :, None], above], dim=2)  # [N, F, Q, P]
        return (median[:, :, None] + offsets_).transpose(2, 3)  # [N, F, P, Q]


class SeasonTTM(nn.Module):
    """Backbone, decoder and season head. Inputs are those that `harness_ttm.seasons` makes."""

    rate: ClassVar[float | None] = 3e-3
    """Learning rate of fine-tuning that starts from its weights. What `lr_find` found there was chance: from 4e-5 to 1.2e-2 on three sets
    of glucose (docs/log.md)."""

    def __init__(self, config: TTMConfig) -> None:
        super().__init__()
        if not (config.season_fold and config.patch_mask and len(config.quantile_levels) % 2):
            raise ValueError("a season-fold model needs season_fold, patch_mask and an odd number of quantile_levels in its configuration")
        self.config = config
        self.backbone = Backbone(config)
        self.decoder = Decoder(config)
        self.head = SeasonHead(config)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
                nn.init.zeros_(module.bias)
        nn.init.zeros_(self.head.out.weight)

    def forward(self, z: Tensor, mask: Tensor, features: Tensor, candidates: Tensor, offsets: Tensor) -> Tensor:
        """Scaled values and mask [N, T], features [N, FEATURES], candidates [N, F, K, P], offsets [N, F, OFFSETS] → [N, F, P, Q]."""
        seen = self.backbone(z[:, :, None], mask[:, :, None])  # [N, 1, n, D]
        return cast(Tensor, self.head(self.decoder(seen)[:, 0], features, candidates, offsets))
