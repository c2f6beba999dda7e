"""The parameters of a network that a `harness_ttm.part.Part` names; works on any network through the names of its modules."""

from __future__ import annotations

import hashlib
import re

import torch
from torch import nn

from harness import UsageError
from harness_ttm.part import LINEARS, Part

__all__ = ["choose", "linear_names", "weights_digest"]

NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.batchnorm._BatchNorm)


def linear_names(model: nn.Module, pattern: str = LINEARS) -> list[str]:
    """Names of the linear layers that a pattern names: by their own name or that of a module they are in, whole or from a dot on.

    Raises:
        UsageError: it matches none; says some names that are there.
    """
    there = [name for name, module in model.named_modules() if name and isinstance(module, nn.Linear)]
    found = [name for name in there if re.fullmatch(rf"(?:.*\.)?(?:{pattern})(?:\..*)?", name)]
    if not found:
        some = ", ".join(there[-6:]) or "none"
        raise UsageError(f"got the pattern {pattern!r}, which matches no linear layer of {type(model).__name__}; some of its names: {some}")
    return found


def choose(model: nn.Module, part: Part) -> list[str]:
    """Let exactly one part of a network be trained (its parameters' `requires_grad`); returns their names, in the network's order.

    For lora, factors are put beside the linear layers first (`harness_ttm.adapt.lora.inject`), so the network is changed in place.

    Raises:
        UsageError: the network has no such part.
    """
    if part.kind == "lora":
        from harness_ttm.adapt.lora import inject

        inject(model, linear_names(model, part.pattern), part.rank)
    norms = {id(p) for module in model.modules() if isinstance(module, NORMS) for p in module.parameters(recurse=False)}
    found = []
    for name, parameter in model.named_parameters():
        first, last = name.partition(".")[0], name.rpartition(".")[2]
        wanted = {
            "head": first == "head",
            "decoder": first in ("decoder", "head"),
            "bias": last == "bias" or id(parameter) in norms,
            "lora": ".lora_A." in name or ".lora_B." in name,
            "all": True,
        }[part.kind]
        parameter.requires_grad_(wanted and parameter.requires_grad)
        if parameter.requires_grad:
            found.append(name)
    if not found:
        modules = ", ".join(name for name, _ in model.named_children()) or "none"
        raise UsageError(f"got part {str(part)!r}, of which {type(model).__name__} has no parameter; its modules: {modules}")
    return found


def weights_digest(model: nn.Module) -> str:
    """sha256 over names, shapes and bytes of parameters and buffers: equal digests are equal weights."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
