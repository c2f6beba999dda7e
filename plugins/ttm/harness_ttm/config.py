"""The configuration of a TinyTimeMixer, as the published `config.json` spells it, with options of our own that are off by default.

Defaults are those of the reference configuration class, which are not the values of the released models: a release is what its
`config.json` says. Unknown keys of a file are kept in `unknown`, so that nothing is dropped in silence.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import suggest

__all__ = ["TTMConfig"]

MODES = ("common_channel", "mix_channel")
SCALINGS = ("std", "mean", "none")
OFF: Mapping[str, tuple[Any, ...]] = {
    "multi_quantile_head": (False, None),
    "multi_scale": (False, None),
    "register_tokens": (0, None),
    "fft_length": (0, None),
    "decompose": (False, None),
    "enable_base_norm_always": (False, None),
    "masked_context_length": (None,),
    "gate_mode": ("softmax",),
    "use_register_context_gating": (False, None),
    "minimum_scale": (1e-5,),
    "scaling_dim": (1,),
    "keepdim": (True,),
    "default_scale": (None,),
}
"""Keys that change the network in a way that is not built here (those of release 3, mostly), with the values that leave it alone."""


@dataclass(frozen=True)
class TTMConfig:
    """Sizes and switches of the network. Lengths are in steps, T = `context_length`, n = number of patches, D = `d_model`."""

    context_length: int = 64  # T
    patch_length: int = 8
    patch_stride: int = 8
    num_input_channels: int = 1  # C
    prediction_length: int = 16  # H of the head
    d_model: int = 16  # D
    expansion_factor: int = 2  # width of the MLPs over that of their input
    num_layers: int = 3  # layers per level
    dropout: float = 0.2  # of the backbone
    mode: str = "common_channel"  # or mix_channel: backbone
    gated_attn: bool = True
    norm_mlp: str = "LayerNorm"  # or BatchNorm
    self_attn: bool = False  # attention over patches, beside the patch mixer
    self_attn_heads: int = 1
    use_positional_encoding: bool = False  # added to the embedded patches
    positional_encoding_type: str = "sincos"  # fixed; or random: learnt
    scaling: str = "std"  # instance scaling: std, mean, or none
    loss: str = "mse"
    init_std: float = 0.02
    norm_eps: float = 1e-5
    adaptive_patching_levels: int = 0  # L; level i works on n·2^i patches of width D/2^i, coarsest last
    resolution_prefix_tuning: bool = False  # one token more, from the frequency's number
    frequency_token_vocab_size: int = 5
    head_dropout: float = 0.2  # of decoder, head and forecast channel mixing
    use_decoder: bool = True
    decoder_num_layers: int = 8
    decoder_d_model: int = 8
    decoder_adaptive_patching_levels: int = 0
    decoder_raw_residual: bool = False  # the decoder sees the raw patches, too
    decoder_mode: str = "common_channel"  # or mix_channel
    categorical_vocab_size_list: tuple[int, ...] | None = None  # static categories, as channels more in a mix_channel decoder
    enable_forecast_channel_mixing: bool = False  # fcm: known future covariates reach the forecast
    fcm_gated_attn: bool = True
    fcm_context_length: int = 1  # steps before and after each step that are mixed
    fcm_use_mixer: bool = False
    fcm_mix_layers: int = 2
    fcm_prepend_past: bool = True
    fcm_prepend_past_offset: int | None = None  # newest steps of the context that are skipped
    prediction_filter_length: int | None = None  # only the first steps of the head are returned
    prediction_channel_indices: tuple[int, ...] | None = None
    exogenous_channel_indices: tuple[int, ...] | None = None
    # Of our own; off for the published models.
    quantile_levels: tuple[float, ...] = ()  # a head of the median and softplus increments
    patch_mask: bool = False  # a second input of each patch: which values were observed
    season_fold: bool = False  # the head starts from the seasons of the context: `harness_ttm.season_head`
    fold_width: int = 256  # width of that head
    fold_layers: int = 2
    fold_context: int = 256  # width of what it sees of the backbone
    history_length: int = 4096  # steps from which seasons are found and folded
    max_horizon: int = 960  # steps ahead that the season head was trained for
    unknown: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("mode", "decoder_mode"):
            if getattr(self, name) not in MODES:
                raise ValueError(f"{name} is {getattr(self, name)!r}; wanted {' or '.join(MODES)}")
        if self.scaling not in SCALINGS:
            raise ValueError(f"scaling is {self.scaling!r}; wanted {', '.join(SCALINGS)}")
        if not 0 < self.patch_length <= self.context_length:
            raise ValueError(f"patch_length is {self.patch_length}; wanted 1 to context_length, which is {self.context_length}")
        for width, levels in (("d_model", self.adaptive_patching_levels), ("decoder_d_model", self.decoder_adaptive_patching_levels)):
            if levels > 0 and getattr(self, width) % 2 ** (levels - 1):
                raise ValueError(
                    f"{width} is {getattr(self, width)}; wanted a multiple of {2 ** (levels - 1)} for {levels} levels of patching"
                )
        kept = self.prediction_filter_length
        if kept is not None and not 0 < kept <= self.prediction_length:
            raise ValueError(f"prediction_filter_length is {kept}; wanted 1 to prediction_length, which is {self.prediction_length}")
        for name in ("prediction_channel_indices", "exogenous_channel_indices"):
            for channel in getattr(self, name) or ():
                if not 0 <= channel < self.num_input_channels:
                    raise ValueError(f"{name} holds {channel}; wanted 0 to {self.num_input_channels - 1}: num_input_channels is one more")
        if self.categorical_vocab_size_list and self.decoder_mode != "mix_channel":
            raise ValueError("categorical_vocab_size_list is set; wanted decoder_mode 'mix_channel' with it")
        if self.fcm_use_mixer and self.fcm_context_length < 1:
            raise ValueError(f"fcm_context_length is {self.fcm_context_length}; wanted at least 1 with fcm_use_mixer")

    @property
    def num_patches(self) -> int:
        """n: patches of the context, without the prefix."""
        return (max(self.context_length, self.patch_length) - self.patch_length) // self.patch_stride + 1

    @property
    def tokens(self) -> int:
        """Patches, and one for the resolution prefix."""
        return self.num_patches + int(self.resolution_prefix_tuning)

    @property
    def horizon(self) -> int:
        """H: steps that the network returns."""
        return self.prediction_filter_length or self.prediction_length

    @property
    def predicted_channels(self) -> tuple[int, ...] | None:
        """The channels that are forecast, rising; None is all. Without a choice, all that are not exogenous."""
        if self.prediction_channel_indices is not None:
            return tuple(sorted(self.prediction_channel_indices))
        if self.exogenous_channel_indices is not None:
            return tuple(sorted(set(range(self.num_input_channels)) - set(self.exogenous_channel_indices)))
        return None

    @property
    def not_built(self) -> list[str]:
        """What the file asks for that this package does not build, as `key=value`."""
        return [f"{k}={self.unknown[k]!r}" for k, off in OFF.items() if k in self.unknown and self.unknown[k] not in off]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TTMConfig:
        """Read a mapping such as a published `config.json`; lists become tuples, unknown keys go to `unknown`."""
        values = dict(values)
        if "multi_quantile_head" in values:  # the levels are then those of the head of release 3, not of ours
            levels = values.pop("quantile_levels", None)
            if values["multi_quantile_head"]:
                values["r3_quantile_levels"] = levels
            else:
                del values["multi_quantile_head"]
        if "scaling" in values:
            values["scaling"] = {True: "std", False: "none", None: "none"}.get(values["scaling"], values["scaling"])
        names = cls.names()
        known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in names}
        return cls(**known, unknown={k: v for k, v in values.items() if k not in names})

    @classmethod
    def names(cls) -> list[str]:
        """The keys that are understood."""
        return [f.name for f in dataclasses.fields(cls) if f.name != "unknown"]

    @classmethod
    def load(cls, path: Path) -> TTMConfig:
        """Read `config.json`."""
        return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))

    def replaced(self, **overrides: Any) -> TTMConfig:
        """The same with other values.

        Raises:
            ValueError: a name that does not exist; says a near one.
        """
        for name in overrides:
            if name not in self.names():
                raise ValueError(f"there is no option {name!r} of the configuration.{suggest(name, self.names())}")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in overrides.items()}
        return dataclasses.replace(self, **values)

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` reads back. Our own options are left out where they are off, so that a published file stays one."""
        values = {name: getattr(self, name) for name in self.names()}
        if not self.season_fold:
            own = self.names()[self.names().index("quantile_levels") :]
            values = {k: v for k, v in values.items() if k not in own or v != getattr(type(self), k)}
        return {**self.unknown, **{k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}}
