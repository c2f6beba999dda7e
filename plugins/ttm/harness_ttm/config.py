"""The configuration of a TinyTimeMixer, as the published `config.json` spells it, with options of our own that are off by default.

Defaults are those of the reference configuration class, which are not the values of the released models: a release is what its
`config.json` says. Unknown keys of a file are kept in `unknown`, so that nothing is dropped in silence.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import UsageError
from harness.errors import suggest

__all__ = ["LONGEST_HISTORY", "TTMConfig", "read_config"]

WORDS: Mapping[str, tuple[str, ...]] = {
    "mode": ("common_channel", "mix_channel"),
    "decoder_mode": ("common_channel", "mix_channel"),
    "scaling": ("std", "mean", "none"),
    "norm_mlp": ("LayerNorm", "BatchNorm"),
    "positional_encoding_type": ("sincos", "random"),
}
LEAST: Mapping[str, int] = {
    "adaptive_patching_levels": 0,
    "decoder_adaptive_patching_levels": 0,
    "fcm_context_length": 0,
    "fcm_mix_layers": 0,
    "fcm_prepend_past_offset": 0,
    "fold_layers": 0,
}
"""Where a whole number may be less than 1."""
MOST: Mapping[str, int] = {
    "context_length": 2**16,
    "prediction_length": 2**16,
    "expansion_factor": 64,
    "d_model": 2**13,
    "decoder_d_model": 2**13,
    "fold_width": 2**13,
    "fold_context": 2**13,
    "adaptive_patching_levels": 16,
    "decoder_adaptive_patching_levels": 16,
    "num_layers": 1000,
    "decoder_num_layers": 1000,
    "fold_layers": 1000,
    "fcm_mix_layers": 1000,
}
"""Where a whole number is at most something else than 2^20, beyond which someone has mistyped."""
LARGEST = 1e30  # of any number
NOT_OF_SEASONS = (
    "mode", "decoder_mode", "use_decoder", "decoder_raw_residual", "resolution_prefix_tuning", "enable_forecast_channel_mixing",
    "prediction_filter_length", "prediction_channel_indices", "exogenous_channel_indices", "categorical_vocab_size_list",
)  # fmt: skip
"""Options of the published network that the season-fold network does not have."""
LONGEST_HISTORY = 4096
"""Steps of a context that travel to the model: what history_length may be."""
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
        """Refuse what no network can be made of.

        Raises:
            ValueError: says which option, what it is, and what was wanted.
        """
        for problem in _problems(self):
            raise ValueError(problem)

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
            words = {True: "std", False: "none", None: "none"}
            values["scaling"] = words[values["scaling"]] if isinstance(values["scaling"], bool | None) else values["scaling"]
        names = cls.names()
        optional = {f.name for f in dataclasses.fields(cls) if "None" in str(f.type)}
        given = {k: v for k, v in values.items() if k in names and (v is not None or k in optional)}
        known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
        return cls(**known, unknown={k: v for k, v in values.items() if k not in names})

    @classmethod
    def names(cls) -> list[str]:
        """The keys that are understood."""
        return [f.name for f in dataclasses.fields(cls) if f.name != "unknown"]

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


def read_config(folder: Path) -> TTMConfig:
    """The configuration of a folder of weights.

    Raises:
        UsageError: there is no config.json, or it is not that of a TinyTimeMixer.
    """
    file = folder / "config.json"
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        if (folder / "recipe.yaml").exists():
            raise UsageError(f"the training in {folder} has not ended; the same `harness train` command finishes it") from None
        raise UsageError(f"there is no {file}; wanted a folder with config.json and model.safetensors") from None
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is no JSON ({error}); wanted the config.json that was saved with the weights") from None
    kind = values.get("model_type", "tinytimemixer") if isinstance(values, Mapping) else type(values).__name__
    missing = [] if not isinstance(values, Mapping) else [k for k in ("context_length", "patch_length", "d_model") if k not in values]
    if kind != "tinytimemixer" or missing:
        said = f"its model_type is {kind!r}" if kind != "tinytimemixer" else f"it has no {', '.join(missing)}"
        raise UsageError(f"{file} is not the configuration of a TinyTimeMixer: {said}")
    try:
        return TTMConfig.from_dict(values)
    except ValueError as error:
        raise UsageError(f"{file}: {error}") from None


def _problems(config: TTMConfig) -> Iterator[str]:
    """What is wrong with each option by itself, then with those that belong together."""
    for field_ in dataclasses.fields(config):
        if field_.name != "unknown" and (wanted := _wanted(field_.name, str(field_.type), getattr(config, field_.name))):
            yield f"{field_.name} is {getattr(config, field_.name)!r}; wanted {wanted}"
    if config.patch_length > config.context_length:
        yield f"patch_length is {config.patch_length}; wanted 1 to context_length, which is {config.context_length}"
    if config.patch_stride > config.context_length:
        yield f"patch_stride is {config.patch_stride}; wanted 1 to context_length, which is {config.context_length}"
    for width, depth in (("d_model", config.adaptive_patching_levels), ("decoder_d_model", config.decoder_adaptive_patching_levels)):
        if depth > 0 and getattr(config, width) % 2 ** (depth - 1):
            yield f"{width} is {getattr(config, width)}; wanted a multiple of {2 ** (depth - 1)} for {depth} levels of patching"
    narrowest = config.d_model // 2 ** max(config.adaptive_patching_levels - 1, 0)
    if config.self_attn and narrowest % config.self_attn_heads:
        yield f"self_attn_heads is {config.self_attn_heads}; wanted a divisor of {narrowest}, the narrowest width"
    kept = config.prediction_filter_length
    if kept is not None and kept > config.prediction_length:
        yield f"prediction_filter_length is {kept}; wanted 1 to prediction_length, which is {config.prediction_length}"
    for name in ("prediction_channel_indices", "exogenous_channel_indices"):
        for channel in getattr(config, name) or ():
            if not 0 <= channel < config.num_input_channels:
                yield f"{name} holds {channel}; wanted 0 to {config.num_input_channels - 1}: num_input_channels is one more"
    if config.categorical_vocab_size_list and config.decoder_mode != "mix_channel":
        yield "categorical_vocab_size_list is set; wanted decoder_mode 'mix_channel' with it"
    if config.fcm_use_mixer and config.fcm_context_length < 1:
        yield f"fcm_context_length is {config.fcm_context_length}; wanted at least 1 with fcm_use_mixer"
    levels = config.quantile_levels
    if levels and (any(not 0 < level < 1 for level in levels) or list(levels) != sorted(set(levels)) or 0.5 not in levels):
        yield f"quantile_levels is {list(levels)}; wanted rising numbers between 0 and 1, 0.5 among them"
    if config.season_fold:
        yield from _season_problems(config)


def _season_problems(config: TTMConfig) -> Iterator[str]:
    for name in NOT_OF_SEASONS:
        if (value := getattr(config, name)) != (off := getattr(TTMConfig, name)):
            yield f"{name} is {value!r}; wanted {off!r} with season_fold, whose head has no such part"
    levels = config.quantile_levels
    if len(levels) % 2 == 0 or levels[len(levels) // 2] != 0.5:
        yield f"quantile_levels is {list(levels)}; wanted 0.5 in the middle and as many levels on both sides"
    if config.num_input_channels != 1:
        yield f"num_input_channels is {config.num_input_channels}; wanted 1 with season_fold: channels are forecast one by one"
    if not config.patch_mask:
        yield "season_fold is on and patch_mask is off; wanted both"
    if config.history_length > LONGEST_HISTORY:
        yield f"history_length is {config.history_length}; wanted at most {LONGEST_HISTORY}, the steps of a context that reach the model"
    if config.max_horizon % config.patch_length:
        near = max(config.max_horizon // config.patch_length, 1) * config.patch_length
        yield f"max_horizon is {config.max_horizon}, no multiple of patch_length {config.patch_length}; wanted one such as {near}"


def _wanted(name: str, kind: str, value: Any) -> str:
    """What an option should be, "" where it is."""
    if value is None and "None" in kind:
        return ""
    if name in WORDS:
        return "" if isinstance(value, str) and value in WORDS[name] else ", ".join(WORDS[name])
    if kind.startswith("tuple"):
        number = float if "float" in kind else int
        fits = isinstance(value, tuple) and all(isinstance(v, int | number) and not isinstance(v, bool) and abs(v) < LARGEST for v in value)
        return "" if fits else f"a list of {'numbers' if number is float else 'whole numbers'}"
    if kind == "bool":
        return "" if isinstance(value, bool) else "true or false"
    if kind == "str":
        return "" if isinstance(value, str) else "text"
    if kind == "float":
        fits = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST
        share = "dropout" in name
        wanted = "a number from 0 up to 1, without 1 itself" if share else "a number above 0"
        return "" if fits and (0 <= value < 1 if share else value > 0) else wanted
    least, most = LEAST.get(name, 1), MOST.get(name, 2**20)
    fits = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
    return "" if fits else f"a whole number from {least} to {most:,}"
