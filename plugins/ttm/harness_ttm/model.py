"""TinyTimeMixer in PyTorch. Module names are the keys of the published state dicts.

Axes: B windows, C channels, T context, n patches, P patch length, D width, H horizon, Q quantile levels. The way of the data:
scale [B, T, C] → patches [B, C, n, P] → `patcher` [B, C, n, D] → mixers → decoder [B, C, n, dd] → head [B, H, C] → scale back.

Notable choices, all as published: a mixer layer mixes channels (in mix_channel mode), then patches, then features; a block is residual,
normalised before, gated after, but the channel mixer is gated before its MLP; level i of the adaptive patching works on n·2^i patches of
width D/2^i, and the level with the most patches comes first. Source: Ekambaram et al. 2024 (arXiv 2401.03955).

What is done otherwise than in the reference, granite-tsfm 0.3.11:

- A missing value is NaN, infinite, or masked; it becomes 0 before scaling (the reference wants that of the caller, and NaN spoils its row).
- A context shorter than T is padded on the left with missing values. The reference takes the zeros for observed where no mask is given.
- With mean scaling, a row without a value does not take its scale from the other rows: it is as it would be alone.
- Patches and channels are mixed with a product from the left, W @ x, so nothing is transposed, and no softmax runs over a short last axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from harness_ttm.chunks import ROWS, in_chunks
from harness_ttm.config import TTMConfig

__all__ = ["ROWS", "TTM", "Backbone", "Decoder", "Head", "Levels", "MixerLayer", "Prediction", "in_chunks"]


class Prediction(NamedTuple):
    """What `TTM` returns, in the unit of the context."""

    predictions: Tensor  # [B, H, C] the forecast; the median where there are quantiles
    quantiles: Tensor | None  # [B, Q, H, C] rising, at the levels of the configuration
    loc: Tensor  # [B, 1, C] of the scaling, of the channels that are forecast
    scale: Tensor  # [B, 1, C]


class Over(nn.Module):
    """Batch normalisation of the features, over windows, channels and patches."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.batchnorm = nn.BatchNorm1d(width, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.batchnorm(x.flatten(0, -2))).reshape(x.shape)


class Norm(nn.Module):
    """Normalisation of the features, the last axis."""

    def __init__(self, width: int, config: TTMConfig) -> None:
        super().__init__()
        batch = "batch" in config.norm_mlp.lower()
        self.norm = Over(width, config.norm_eps) if batch else nn.LayerNorm(width, eps=config.norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.norm(x))


def along(linear: nn.Module, x: Tensor) -> Tensor:
    """Apply a linear layer to the middle axis: [N, in, m] → [N, out, m]. A layer that an adapter has replaced runs on the transpose."""
    if type(linear) is nn.Linear:
        return torch.baddbmm(linear.bias[:, None], linear.weight.expand(x.shape[0], -1, -1), x)
    return cast(Tensor, linear(x.transpose(1, 2))).transpose(1, 2)


class MLP(nn.Module):
    """Two linear layers with GELU between, over the last axis or (`middle`) the middle one of three."""

    def __init__(self, width: int, config: TTMConfig, middle: bool = False) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, width * config.expansion_factor)
        self.fc2 = nn.Linear(width * config.expansion_factor, width)
        self.dropout, self.middle = config.dropout, middle

    def forward(self, x: Tensor) -> Tensor:
        h = along(self.fc1, x) if self.middle else self.fc1(x)
        h = F.gelu(h) if torch.is_grad_enabled() else torch.ops.aten.gelu_(h)  # in place where nothing looks back
        h = F.dropout(h, self.dropout) if self.training else h
        y = along(self.fc2, h) if self.middle else self.fc2(h)
        return F.dropout(y, self.dropout) if self.training else y


class Gate(nn.Module):
    """x ⊙ softmax(Linear(x)), over the last axis or (`middle`) the middle one of three; added to a `residual`, if there is one."""

    def __init__(self, width: int, middle: bool = False) -> None:
        super().__init__()
        self.attn_layer = nn.Linear(width, width)
        self.middle = middle

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        share = torch.softmax(along(self.attn_layer, x), 1) if self.middle else torch.softmax(self.attn_layer(x), -1)
        return x * share if residual is None else torch.addcmul(residual, x, share)


class ChannelMixer(nn.Module):
    """Mixes the C channels of each feature of each patch."""

    def __init__(self, width: int, config: TTMConfig) -> None:
        super().__init__()
        self.norm = Norm(width, config)
        self.mlp = MLP(config.num_input_channels, config, middle=True)
        self.gating_block = Gate(config.num_input_channels, middle=True) if config.gated_attn else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x).flatten(2)  # [B, C, n·D]
        y = self.mlp(y if self.gating_block is None else self.gating_block(y))
        return x + y.view(x.shape)


class Attention(nn.Module):
    """Self-attention over patches, [N, n, D] → [N, n, D]."""

    def __init__(self, width: int, config: TTMConfig) -> None:
        super().__init__()
        if width % config.self_attn_heads:
            raise ValueError(f"self_attn_heads is {config.self_attn_heads}; wanted a divisor of the width {width} of each level")
        self.heads, self.dropout = config.self_attn_heads, config.dropout
        self.k_proj, self.v_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.q_proj, self.out_proj = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.q_proj, self.k_proj, self.v_proj))
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0.0)  # [N, heads, n, D / heads]
        return cast(Tensor, self.out_proj(y.transpose(1, 2).flatten(2)))


class PatchMixer(nn.Module):
    """Mixes the n patches of each feature, [N, n, D]."""

    def __init__(self, patches: int, width: int, config: TTMConfig) -> None:
        super().__init__()
        self.norm = Norm(width, config)
        self.mlp = MLP(patches, config, middle=True)
        self.gating_block = Gate(patches, middle=True) if config.gated_attn else None
        self.self_attn_layer = Attention(width, config) if config.self_attn else None
        self.norm_attn = Norm(width, config) if config.self_attn else None

    def forward(self, x: Tensor) -> Tensor:
        gate, attention, norm = self.gating_block, self.self_attn_layer, self.norm_attn
        z = self.norm.forward(x)
        y = self.mlp.forward(z)
        if attention is None or norm is None:
            return x + y if gate is None else gate.forward(y, x)
        return x + norm((y if gate is None else gate.forward(y)) + attention(z))


class FeatureMixer(nn.Module):
    """Mixes the D features of each patch, [M, D]."""

    def __init__(self, width: int, config: TTMConfig) -> None:
        super().__init__()
        self.norm = Norm(width, config)
        self.mlp = MLP(width, config)
        self.gating_block = Gate(width) if config.gated_attn else None

    def forward(self, x: Tensor) -> Tensor:
        gate = self.gating_block
        y = self.mlp.forward(self.norm.forward(x))
        return x + y if gate is None else gate.forward(y, x)


class MixerLayer(nn.Module):
    """Channel mixing in mix_channel mode, patch mixing where there is more than one patch, then feature mixing: [B, C, n, D] → the same.

    The parts are called by `forward`, not as modules: with matrices as small as these, the calls would cost as much as the products.
    """

    def __init__(self, patches: int, width: int, config: TTMConfig) -> None:
        super().__init__()
        self.channel_feature_mixer = ChannelMixer(width, config) if config.mode == "mix_channel" else None
        self.patch_mixer = PatchMixer(patches, width, config) if patches > 1 else None
        self.feature_mixer = FeatureMixer(width, config)

    def forward(self, x: Tensor) -> Tensor:
        channels, patches, shape = self.channel_feature_mixer, self.patch_mixer, x.shape
        if channels is not None:
            x = channels.forward(x)
        if patches is not None:
            x = patches.forward(x.reshape(-1, shape[2], shape[3]))  # [B·C, n, D]
        return self.feature_mixer.forward(x.reshape(-1, shape[3])).view(shape)  # [B·C·n, D]


class MixerBlock(nn.Module):
    """One level of adaptive patching: [B, C, n, D] → [B, C, n·f, D/f] → layers → [B, C, n, D]. A width of 4 or less is not divided."""

    def __init__(self, patches: int, width: int, layers: int, config: TTMConfig, factor: int = 1) -> None:
        super().__init__()
        self.factor = 1 if width // factor <= 4 else factor
        self.mixer_layers = nn.ModuleList(MixerLayer(patches * self.factor, width // self.factor, config) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        shape = x.shape
        x = x.reshape(shape[0], shape[1], shape[2] * self.factor, shape[3] // self.factor)
        for layer in self.mixer_layers:
            x = layer(x)
        return x.reshape(shape)


class Levels(nn.Module):
    """Adaptive patching: the level with the most patches first. Without levels, layers of one size."""

    def __init__(self, patches: int, width: int, layers: int, levels: int, config: TTMConfig) -> None:
        super().__init__()
        if levels > 0:
            self.mixers = nn.ModuleList(MixerBlock(patches, width, layers, config, 2**i) for i in reversed(range(levels)))
        else:
            self.mixers = nn.ModuleList(MixerLayer(patches, width, config) for _ in range(layers))
        self.quick: Callable[[Tensor], Tensor] | None = None  # a shorter way, while `harness_ttm.quick` lasts

    def forward(self, x: Tensor) -> Tensor:
        quick = self.quick  # read once: another thread may end it
        if quick is not None and not torch.is_grad_enabled():
            return quick(x)
        for mixer in self.mixers:
            x = mixer(x)
        return x


class Position(nn.Module):
    """Adds a vector for each patch: sines and cosines, centred, standard deviation 0.1, that stay; or random ones that are learnt."""

    def __init__(self, config: TTMConfig) -> None:
        super().__init__()
        kind, n, width = config.positional_encoding_type, config.tokens, config.d_model
        if kind == "random":
            self.position_enc = nn.Parameter(torch.randn(n, width))
        elif kind == "sincos":
            angle = torch.arange(n)[:, None] * torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))  # [n, D / 2]
            code = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :width]
            code = code - code.mean()
            self.position_enc = nn.Parameter(code / (code.std() * 10), requires_grad=False)
        else:
            raise ValueError(f"positional_encoding_type is {kind!r}; wanted sincos or random")

    def forward(self, x: Tensor) -> Tensor:
        return x + self.position_enc


class Encoder(nn.Module):
    """Patches [B, C, n, P] → features [B, C, n, D]; with a resolution prefix one token more, the first."""

    def __init__(self, config: TTMConfig) -> None:
        super().__init__()
        size, width = config.patch_length, config.d_model
        self.patcher = nn.Linear(size * (1 + config.patch_mask), width)
        self.positional_encoder = Position(config) if config.use_positional_encoding else None
        self.mlp_mixer_encoder = Levels(config.tokens, width, config.num_layers, config.adaptive_patching_levels, config)
        middle, self.vocabulary = (size + width) // 2, config.frequency_token_vocab_size
        self.freq_mod = None
        if config.resolution_prefix_tuning:
            self.freq_mod = nn.Sequential(nn.Embedding(self.vocabulary, size), nn.Linear(size, middle), nn.GELU(), nn.Linear(middle, width))

    def forward(self, patches: Tensor, freq_token: Tensor | None = None) -> Tensor:
        x: Tensor = self.patcher(patches)
        if self.freq_mod is not None:
            if freq_token is None:
                raise ValueError(f"the model has a resolution prefix and freq_token is None; wanted [B] numbers below {self.vocabulary}")
            prefix: Tensor = self.freq_mod(freq_token.long().reshape(-1))  # [B, D]
            x = torch.cat([prefix[:, None, None].expand(-1, x.shape[1], 1, -1), x], dim=2)
        return cast(Tensor, self.mlp_mixer_encoder(x if self.positional_encoder is None else self.positional_encoder(x)))


class Backbone(nn.Module):
    """What pre-training teaches; fine-tuning usually leaves it."""

    def __init__(self, config: TTMConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)

    def patches(self, x: Tensor, mask: Tensor) -> Tensor:
        """Scaled values and mask [B, T, C] → [B, C, n, P], or 2·P with the mask. What does not fill a patch is cut off at the old end."""
        config = self.config
        size, stride = config.patch_length, config.patch_stride
        start = config.context_length - size - stride * (config.num_patches - 1)
        if config.patch_mask:
            seen = mask[:, start:].transpose(1, 2).unfold(-1, size, stride)  # [B, C, n, P]
            return torch.cat([x[:, start:].transpose(1, 2).unfold(-1, size, stride) * seen, seen], dim=-1)
        return x[:, start:].transpose(1, 2).unfold(-1, size, stride)

    def forward(self, x: Tensor, mask: Tensor, freq_token: Tensor | None = None) -> Tensor:
        """Scaled values and mask (1 = observed), [B, T, C] each, frequency numbers [B] → [B, C, n, D]."""
        return cast(Tensor, self.encoder(self.patches(x, mask), freq_token))


class Categories(nn.Module):
    """Static categories [B, K] → [B, K, n, dd], as channels more."""

    def __init__(self, config: TTMConfig, sizes: Sequence[int]) -> None:
        super().__init__()
        self.embedding_layers = nn.ModuleList(nn.Embedding(size, config.decoder_d_model) for size in sizes)
        self.tokens = config.tokens

    def forward(self, values: Tensor) -> Tensor:
        each = [layer(values[:, k].long()) for k, layer in enumerate(self.embedding_layers)]
        return torch.stack(each, dim=1)[:, :, None].expand(-1, -1, self.tokens, -1)


class Decoder(nn.Module):
    """[B, C, n, D] → [B, C, n, dd]."""

    def __init__(self, config: TTMConfig) -> None:
        super().__init__()
        width, sizes = config.decoder_d_model, config.categorical_vocab_size_list or ()
        channels = config.num_input_channels + len(sizes)
        self.adapter = None if config.d_model == width else nn.Linear(config.d_model, width)
        raw = config.patch_length * (1 + config.patch_mask)
        self.decoder_raw_embedding = nn.Linear(raw, width) if config.decoder_raw_residual else None
        self.decoder_cat_embedding_layer = Categories(config, sizes) if sizes else None
        own = replace(config, mode=config.decoder_mode, dropout=config.head_dropout, num_input_channels=channels)
        self.decoder_block = Levels(config.tokens, width, config.decoder_num_layers, config.decoder_adaptive_patching_levels, own)

    def forward(self, x: Tensor, patches: Tensor | None = None, categories: Tensor | None = None) -> Tensor:
        """`patches` [B, C, n, P] for decoder_raw_residual, `categories` [B, K] for static categories."""
        channels = x.shape[1]
        x = x if self.adapter is None else self.adapter(x)
        if self.decoder_raw_embedding is not None:
            if patches is None:
                raise ValueError("decoder_raw_residual is set and the decoder got no patches; call decoder(x, backbone.patches(...))")
            patches = F.pad(patches, (0, 0, x.shape[2] - patches.shape[2], 0))  # zeros for the prefix
            x = x + self.decoder_raw_embedding(patches)
        if self.decoder_cat_embedding_layer is not None:
            if categories is None:
                raise ValueError("the model has static categories; wanted static_categorical_values [B, K]")
            x = torch.cat([x, self.decoder_cat_embedding_layer(categories)], dim=1)
        return cast(Tensor, self.decoder_block(x)[:, :channels])


class Head(nn.Module):
    """Features [B, C, n, dd] → scaled forecasts [B, H, c], and quantiles [B, Q, H, c] where the configuration has levels.

    The quantiles are our own. Each step has Q − 1 increments softplus(Linear(features)), summed outwards from the forecast, which is the
    median; so they never cross. The increments begin as those of a normal distribution with the spread of the context. The quantile head
    of release 3 sees the forecast instead, through a convolution over the horizon, and moves the median itself.
    """

    def __init__(self, config: TTMConfig) -> None:
        super().__init__()
        self.config = config
        width = config.tokens * (config.decoder_d_model if config.use_decoder else config.d_model)
        self.dropout, self.levels = config.head_dropout, len(config.quantile_levels)
        self.base_forecast_block = nn.Linear(width, config.prediction_length)
        self.quantile_block = None
        if config.quantile_levels:
            levels = list(config.quantile_levels)
            self.middle = levels.index(0.5)
            normal = torch.tensor([NormalDist().inv_cdf(q) for q in levels]).diff()  # [Q - 1]
            self.quantile_block = nn.Linear(width, config.prediction_length * len(normal))
            nn.init.zeros_(self.quantile_block.weight)
            with torch.no_grad():
                self.quantile_block.bias.copy_(torch.expm1(normal).log().repeat_interleave(config.prediction_length))
        self.fcm_block = None
        if config.enable_forecast_channel_mixing:
            from harness_ttm.exogenous import ForecastMixing  # here: it is made of the blocks above

            self.fcm_block = ForecastMixing(config)

    def forward(self, features: Tensor, past: Tensor, future: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """`past` [B, T, C] and `future` [B, H, C], in the unit of the data, are for forecast channel mixing."""
        channels, steps = self.config.predicted_channels, self.config.horizon
        x = features.flatten(2)  # [B, C, n·dd]
        x = F.dropout(x if channels is None else x[:, list(channels)], self.dropout, self.training)
        forecast = cast(Tensor, self.base_forecast_block(x))[..., :steps].transpose(1, 2)  # [B, H, c]
        if self.fcm_block is not None:
            forecast = self.fcm_block(forecast, past, future)
        if self.quantile_block is None:
            return forecast, None
        gaps = F.softplus(self.quantile_block(x)).unflatten(2, (self.levels - 1, -1))[..., :steps]  # [B, c, Q - 1, H]
        gaps = gaps.permute(0, 2, 3, 1)  # [B, Q - 1, H, c]
        below = -gaps[:, : self.middle].flip(1).cumsum(dim=1).flip(1)
        above = gaps[:, self.middle :].cumsum(dim=1)
        return forecast, torch.cat([forecast[:, None] + below, forecast[:, None], forecast[:, None] + above], dim=1)


def location_scale(x: Tensor, mask: Tensor, scaling: str) -> tuple[Tensor, Tensor]:
    """Of each window and channel, over the observed values: ([B, 1, C], [B, 1, C]); `x` [B, T, C] is 0 where the mask is.

    std: mean and sqrt(variance + 1e-5); mean: 0 and the size of the mean, at least 1e-10; none: 0 and 1.
    """
    if scaling == "none":
        zero = torch.zeros_like(x[:, :1])
        return zero, zero + 1
    count = mask.sum(dim=1, keepdim=True).clamp(min=1)
    if scaling == "mean":
        scale = x.abs().sum(dim=1, keepdim=True) / count
        return torch.zeros_like(scale), scale.clamp(min=1e-10)
    loc = x.sum(dim=1, keepdim=True) / count
    variance = ((x - loc) * mask).square().sum(dim=1, keepdim=True) / count
    return loc, (variance + 1e-5).sqrt()


class TTM(nn.Module):
    """The forecaster: scaling, backbone, decoder, head."""

    rate: ClassVar[float | None] = None
    """Learning rate of fine-tuning that starts from its weights; None was measured, so one is looked for."""

    def __init__(self, config: TTMConfig) -> None:
        super().__init__()
        if config.not_built:
            wanted = "this package builds the models of releases 1, 2 and 2.1, and its own"
            raise ValueError(f"the configuration has {', '.join(config.not_built)}; {wanted}")
        if config.season_fold:
            raise ValueError("the configuration has season_fold=True; wanted harness_ttm.season_head.SeasonTTM for it")
        self.config = config
        # Windows that `in_chunks` runs at a time: few enough for a second-level cache of 2 MiB, enough to keep a core busy.
        self.rows = min(max(98_304 // (config.tokens * config.d_model * config.num_input_channels) // 16 * 16, 16), 64)
        self.backbone = Backbone(config)
        self.decoder = Decoder(config) if config.use_decoder else None
        self.head = Head(config)

    def forward(
        self,
        past_values: Tensor,
        past_observed_mask: Tensor | None = None,
        freq_token: Tensor | None = None,
        future_values: Tensor | None = None,
        static_categorical_values: Tensor | None = None,
    ) -> Prediction:
        """Forecast windows.

        Args:
            past_values: [B, t, C], oldest first; the newest T steps are used, fewer are padded. NaN and infinity are missing.
            past_observed_mask: [B, t, C], true where a value was observed; None: wherever it is finite.
            freq_token: [B], the number of the frequency, for a model with a resolution prefix.
            future_values: [B, H, C], with the known future of the exogenous channels; other channels are not looked at.
            static_categorical_values: [B, K] whole numbers.
        """
        config = self.config
        if past_values.dim() != 3:
            raise ValueError(f"past_values has shape {tuple(past_values.shape)}; wanted [windows, steps, channels]")
        past, mask = self._observed(past_values, past_observed_mask)
        loc, scale = location_scale(past, mask, config.scaling)
        scaled = (past - loc) / scale
        x = self.backbone(scaled, mask, freq_token)
        if self.decoder is not None:
            raw = self.backbone.patches(scaled, mask) if config.decoder_raw_residual else None
            x = self.decoder(x, raw, static_categorical_values)
        future = None if future_values is None else torch.nan_to_num(future_values)
        forecast, quantiles = self.head(x, past, future)
        if config.predicted_channels is not None:
            loc, scale = loc[..., list(config.predicted_channels)], scale[..., list(config.predicted_channels)]
        if quantiles is not None:
            quantiles = quantiles * scale[:, None] + loc[:, None]
        return Prediction(forecast * scale + loc, quantiles, loc, scale)

    def _observed(self, values: Tensor, observed: Tensor | None) -> tuple[Tensor, Tensor]:
        """Values, 0 where missing, and mask, both [B, T, C]."""
        length = self.config.context_length
        values = values[:, -length:]
        mask = values - values == 0  # neither NaN nor infinite
        if observed is not None:
            mask = mask & observed[:, -length:].bool()
        values = torch.where(mask, values, 0.0)
        if (short := length - values.shape[1]) > 0:
            values, mask = F.pad(values, (0, 0, short, 0)), F.pad(mask, (0, 0, short, 0))
        return values, mask.to(values.dtype)
