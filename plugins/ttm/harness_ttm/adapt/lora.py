"""Low-rank adaptation (LoRA) of linear layers: y = W·x + b + (alpha / r) · B·(A·x), with A [r, in] random, B [out, r] zero at first.

Own code, though `peft` exists: test-time training adapts many series at once, each with factors of its own, through
`torch.func.functional_call` and `vmap` over A and B; so the factors must be plain parameters with names that are known beforehand, and a
network with them must be a plain module. Files are laid out as peft's (adapter_config.json, adapter_model.safetensors with peft's key
names), and peft loads them.

Source: Hu et al. 2021 (arXiv 2106.09685).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from harness import UsageError
from harness.mappings import read_object

__all__ = ["LoRALinear", "inject", "load", "merge", "save", "unload"]

PREFIX = "base_model.model."
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
CHANGES = ("alpha_pattern", "fan_in_fan_out", "modules_to_save", "rank_pattern", "use_dora", "use_rslora")
"""Keys of peft's configuration that change what the factors mean, in a way that is not built here."""


class LoRALinear(nn.Module):
    """A linear layer with low-rank factors beside it. The layer itself is left as it is."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float, generator: torch.Generator | None = None) -> None:
        super().__init__()
        like: dict[str, Any] = {"device": base.weight.device, "dtype": base.weight.dtype}
        self.base_layer = base
        self.rank, self.alpha, self.scaling = rank, alpha, alpha / rank
        self.lora_A = nn.Linear(base.in_features, rank, bias=False, **like)
        self.lora_B = nn.Linear(rank, base.out_features, bias=False, **like)
        bound = base.in_features**-0.5
        with torch.no_grad():
            self.lora_A.weight.uniform_(-bound, bound, generator=generator)
            self.lora_B.weight.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.base_layer(x) + self.lora_B(self.lora_A(x)) * self.scaling)

    def change(self) -> Tensor:
        """What the factors add to the weight, [out, in], in float64."""
        return self.scaling * (self.lora_B.weight.detach().double() @ self.lora_A.weight.detach().double())


def inject(
    model: nn.Module, names: Sequence[str], rank: int, alpha: float | None = None, generator: torch.Generator | None = None
) -> nn.Module:
    """Put factors beside the named linear layers, in place; returns the network. `alpha` is 2 · rank unless given.

    Raises:
        UsageError: the network has factors already, or a name is not that of a linear layer.
    """
    if layers(model):
        raise UsageError(f"{type(model).__name__} has low-rank factors already; merge(model) or unload(model) first")
    modules = dict(model.named_modules())
    for name in names:
        if not name or not isinstance(modules.get(name), nn.Linear):
            kind = type(modules[name]).__name__ if name in modules else "not there"
            raise UsageError(f"got {name!r} for low-rank factors, which is {kind}; wanted the name of a linear layer")
    for name in names:
        layer = cast(nn.Linear, modules[name])
        _replace(model, name, LoRALinear(layer, rank, 2.0 * rank if alpha is None else alpha, generator))
    return model


def layers(model: nn.Module) -> dict[str, LoRALinear]:
    """The layers with factors, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LoRALinear)}


def merge(model: nn.Module) -> nn.Module:
    """Add the factors to the weights, in place: the same function by plain linear layers. Returns the network."""
    for name, layer in layers(model).items():
        weight = layer.base_layer.weight
        with torch.no_grad():
            weight.copy_((weight.double() + layer.change()).to(weight.dtype))
        _replace(model, name, layer.base_layer)
    return model


def unload(model: nn.Module) -> nn.Module:
    """Take the factors away, in place: the network as it was before `inject`."""
    for name, layer in layers(model).items():
        _replace(model, name, layer.base_layer)
    return model


def save(model: nn.Module, folder: Path, base: str = "") -> None:
    """Write the factors as peft does: adapter_config.json and adapter_model.safetensors.

    Args:
        base: name or path of the network that they belong to, for the reader.
    """
    from safetensors.torch import save_file

    found = layers(model)
    shapes = {(layer.rank, layer.alpha) for layer in found.values()}
    if len(shapes) != 1:
        raise UsageError(f"got a network with {len(shapes)} kinds of low-rank factors; wanted one: inject(model, names, rank)")
    rank, alpha = shapes.pop()
    config = {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": base or None,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": list(found),
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "modules_to_save": None,
        "use_rslora": False,
        "use_dora": False,
    }
    tensors = {}
    for name, layer in found.items():
        for factor in ("lora_A", "lora_B"):
            tensors[f"{PREFIX}{name}.{factor}.weight"] = getattr(layer, factor).weight.detach().cpu().contiguous()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def load(model: nn.Module, folder: Path) -> nn.Module:
    """Put the factors of a folder, ours or peft's, beside the layers of a network, in place; returns it. Nothing of the files is executed.

    Raises:
        UsageError: no adapter there, one of a kind that is not built here, or one that does not fit the network.
    """
    from safetensors.torch import load_file

    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise UsageError(f"there is no {name} in {folder}; wanted a folder that lora.save or peft wrote")
    config = read_object(folder / CONFIG)
    odd = [f"{key}={config[key]!r}" for key in CHANGES if config.get(key)]
    if config.get("peft_type") != "LORA" or config.get("bias", "none") != "none":
        odd.append(f"peft_type={config.get('peft_type')!r}, bias={config.get('bias')!r}")
    if odd:
        raise UsageError(f"the adapter in {folder} has {', '.join(odd)}; wanted plain LoRA of linear layers")
    tensors = load_file(folder / WEIGHTS)
    names = [key.removeprefix(PREFIX).removesuffix(".lora_A.weight") for key in tensors if key.endswith(".lora_A.weight")]
    linear = {name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    known = {f"{PREFIX}{name}.{factor}.weight" for name in names for factor in ("lora_A", "lora_B")}
    if not names or set(tensors) != known or not set(names) <= linear:
        strange = sorted((set(tensors) ^ known) | (set(names) - linear)) or ["no factor"]
        raise UsageError(f"the adapter in {folder} does not fit {type(model).__name__}: {', '.join(strange[:3])}")
    inject(model, names, int(config["r"]), float(config["lora_alpha"]))
    for name, layer in layers(model).items():
        for factor in ("lora_A", "lora_B"):
            weight, value = getattr(layer, factor).weight, tensors[f"{PREFIX}{name}.{factor}.weight"]
            if weight.shape != value.shape:
                unload(model)
                raise UsageError(f"{factor} of {name} in {folder} has shape {tuple(value.shape)}; wanted {tuple(weight.shape)}")
            with torch.no_grad():
                weight.copy_(value)
    return model


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, module)
