"""The library's network with our scaling: made, loaded, kept, and its distribution read. Imports torch and transformers.

Axes: N rows, T context, H steps of the head, P parameters of the distribution, Q quantile levels.
"""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PatchTSTConfig, PatchTSTForPrediction

from harness import UsageError
from harness.files import expanded
from harness.forecast import F32, F64
from harness.mappings import read_object
from harness_patchtst.parameters import Settings, Shape

__all__ = [
    "ROWS",
    "adapt",
    "build",
    "head",
    "load",
    "mean_of",
    "moved",
    "negative_log_likelihood",
    "outputs",
    "quantiles_of",
    "save",
    "seeded",
]

ROWS = 64
"""Rows that go through the network together, always: a matrix product of another size may round otherwise."""
EXTRA = "harness.json"
SCALING = {"student_t": "std", "normal": "std", "negative_binomial": "mean"}
"""Counts are scaled without being moved: the parameters of their distribution are scaled, not its values."""


@contextlib.contextmanager
def seeded(seed: int, device: str) -> Iterator[None]:
    """Draw from torch's global state, which initial weights and dropout use, by this seed, and leave it as it was."""
    devices = [torch.device(device)] if device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def build(shape: Shape, horizon: int, distribution: str, settings: Settings) -> PatchTSTForPrediction:
    """A network with random weights, one channel, and one head over all patches, as in the paper; drawn from torch's global state."""
    dropout = 0.1 if settings.dropout is None else settings.dropout
    d_model = settings.d_model or 64
    config = PatchTSTConfig(
        num_input_channels=1,
        context_length=shape.context,
        patch_length=shape.patch,
        patch_stride=shape.stride,
        # The library's distributions cannot be one step long.
        prediction_length=max(horizon, 2),
        d_model=d_model,
        num_hidden_layers=settings.layers or 3,
        num_attention_heads=settings.heads or 4,
        ffn_dim=2 * d_model,
        norm_type="layernorm",  # the running averages of batch norm are far off after few steps
        pooling_type=None,
        path_dropout=dropout,
        ff_dropout=dropout,
        loss="nll",
        distribution_output=distribution,
        scaling=SCALING[distribution],
    )
    return _new(config)


def adapt(network: PatchTSTForPrediction, horizon: int, distribution: str | None, settings: Settings, fresh: bool) -> PatchTSTForPrediction:
    """A network to train like this one: its own weights, with a new head where its head is too short or not of this distribution.

    Args:
        network: stays as it is.
        distribution: None keeps the head's, and makes a point head one of student_t.
        fresh: random weights of the same architecture instead.
    """
    config = copy.deepcopy(network.config)
    wanted = distribution or head(network) or "student_t"
    if settings.dropout is not None:
        config.path_dropout = config.ff_dropout = settings.dropout
    fits = head(network) == wanted and config.prediction_length >= horizon
    if not fits:
        config.loss, config.distribution_output, config.prediction_length = "nll", wanted, max(horizon, 2)
        if wanted == "negative_binomial":
            config.scaling = SCALING[wanted]
    made = _new(config)
    if fits and not fresh:
        made.load_state_dict(network.state_dict())
    elif not fresh:
        made.model.load_state_dict(network.model.state_dict())
    return made


def _new(config: PatchTSTConfig) -> PatchTSTForPrediction:
    # Not the fused attention, whose gradients on a GPU are not the same bits twice; with so few patches it is no faster either.
    config._attn_implementation = "eager"
    network = PatchTSTForPrediction(config)
    network.model.scaler = Scaled()
    network.train(False)
    return network


def moved(network: PatchTSTForPrediction, device: str) -> PatchTSTForPrediction:
    """The same network, on this device."""
    nn.Module.to(network, torch.device(device))
    return network


class Scaled(nn.Module):
    """Takes the place of the library's scaler, for values that are scaled already. It has no weights: the files stay the library's."""

    def forward(self, data: Tensor, observed_indicator: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ARG002 - the library's name
        zero = torch.zeros_like(data[:, :1])
        return data, zero, zero + 1


def load(weights: str) -> tuple[PatchTSTForPrediction, dict[str, Any]]:
    """Read a folder as `save_pretrained` writes it: the network, and what `save` put beside it ({} where another wrote the folder).

    Only safetensors are read, nothing is executed and nothing fetched. A network for several channels that treats each by itself, with the
    same weights, is read as one for one channel.

    Raises:
        UsageError: there is no such folder, or it does not hold this kind of network; says what was wanted.
    """
    folder = expanded(weights).resolve()  # absolute, so that it is never taken for the name of a repository
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise UsageError(
                f"patchtst: weights got {weights!r}, where there is no file {folder / name}; wanted a folder with config.json and "
                f"model.safetensors, as save_pretrained of PatchTSTForPrediction writes it"
            )
    stored = read_object(folder / "config.json", "patchtst")
    kind = [stored.get("model_type"), *(stored.get("architectures") or ["PatchTSTForPrediction"])]
    if kind != ["patchtst", "PatchTSTForPrediction"]:
        raise UsageError(f"patchtst: {folder / 'config.json'} says {' '.join(map(str, kind))}; wanted patchtst PatchTSTForPrediction")
    apart = {"channel_attention": False, "share_embedding": True, "share_projection": True}
    if stored.get("num_input_channels", 1) != 1 and (odd := [k for k, usual in apart.items() if stored.get(k, usual) is not usual]):
        raise UsageError(
            f"patchtst: {folder / 'config.json'} has {odd[0]}={stored[odd[0]]} for {stored['num_input_channels']} channels; wanted a "
            f"network that treats each channel by itself with the same weights: {', '.join(f'{k}={v}' for k, v in apart.items())}"
        )
    try:
        config = PatchTSTConfig.from_pretrained(folder, local_files_only=True)
        config.num_input_channels = 1
        with seeded(0, "cpu"):  # the random weights that are written over must not disturb what others draw
            network = _new(config)
        # Not from_pretrained of the network, which fills what is missing with random numbers, and only says so in the log.
        network.load_state_dict(load_file(folder / "model.safetensors"))
    except Exception as error:
        raise UsageError(f"patchtst: the weights in {folder} cannot be used: {type(error).__name__}: {str(error)[:500]}") from error
    extra = read_object(folder / EXTRA, "patchtst") if (folder / EXTRA).is_file() else {}
    return network, extra


def save(network: PatchTSTForPrediction, extra: dict[str, Any], folder: str | Path) -> None:
    """Write config.json, model.safetensors and harness.json, which `load` and, without the last, the library itself read."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    network.config.architectures = [type(network).__name__]
    network.config.save_pretrained(folder)
    save_file(
        {name: value.contiguous().cpu() for name, value in network.state_dict().items()}, folder / "model.safetensors", {"format": "pt"}
    )
    (folder / EXTRA).write_text(json.dumps(extra, indent=2) + "\n", encoding="utf-8")


def head(network: PatchTSTForPrediction) -> str:
    """The distribution that a network's head describes; "" where it gives points."""
    return "" if network.config.loss == "mse" else str(network.config.distribution_output)


def outputs(network: PatchTSTForPrediction, scaled: Tensor) -> list[Tensor]:
    """The parameters of the distribution of each step, P times [N, H], for scaled contexts [N, T]; the points where P is 1."""
    answer = network(past_values=scaled[:, :, None]).prediction_outputs  # [N, H, 1], or P of them
    return [part[:, :, 0] for part in (answer if isinstance(answer, tuple) else (answer,))]


def negative_log_likelihood(kind: str, arguments: list[Tensor], target: Tensor, known: Tensor, scale: Tensor) -> Tensor:
    """That of each step [N, H], 0 where it is not known.

    Targets [N, H] are scaled, for negative_binomial the counts themselves; `scale` is [N].
    """
    law: Any  # the distributions of torch are only half typed
    if kind == "student_t":
        freedom, centre, width = arguments
        law = torch.distributions.StudentT(freedom, centre, width, validate_args=False)
    elif kind == "normal":
        centre, width = arguments
        law = torch.distributions.Normal(centre, width, validate_args=False)
    else:
        count, logits = arguments
        law = torch.distributions.NegativeBinomial(count, logits=logits + scale.log()[:, None], validate_args=False)
    loss: Tensor = -law.log_prob(target)
    return torch.where(known, loss, 0.0)


def quantiles_of(kind: str, arguments: list[F32], levels: F64, loc: F64, scale: F64) -> F64:
    """The quantiles [N, Q, H] at rising levels [Q], in the unit of the series, from the inverse of the distribution function."""
    from scipy import special

    first, second, *rest = (a.astype(np.float64)[:, None, :] for a in arguments)  # [N, 1, H] each
    level = levels[None, :, None]  # [1, Q, 1]
    if kind == "negative_binomial":
        from scipy import stats

        chance = special.expit(-(second + np.log(scale)[:, None, None]))
        counts: F64 = stats.nbinom.ppf(level, first, chance)
        return counts
    if kind == "student_t":
        # By symmetry: the lower half is the upper one mirrored, and the median is the location to the last bit.
        step = np.stack([np.sign(q - 0.5) * special.stdtrit(first[:, 0], max(q, 1 - q)) for q in levels.tolist()], axis=1)  # [N, Q, H]
        centre, width = second, rest[0]
    else:
        step, centre, width = special.ndtri(level), first, second
    result: F64 = loc[:, None, None] + scale[:, None, None] * (centre + width * step)
    return result


def mean_of(kind: str, arguments: list[F32], loc: F64, scale: F64) -> F64:
    """The means [N, H], in the unit of the series."""
    parts = [a.astype(np.float64) for a in arguments]  # [N, H] each
    if kind == "negative_binomial":
        counts: F64 = parts[0] * np.exp(parts[1] + np.log(scale)[:, None])
        return counts
    centre = parts[1] if kind == "student_t" else parts[0]
    result: F64 = loc[:, None] + scale[:, None] * centre
    return result
