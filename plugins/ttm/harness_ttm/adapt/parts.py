"""Which parameters of a network are trained, chosen by a short text; works on any network through the names of its modules.

| text | trained |
|---|---|
| `head` | what is under `head.` |
| `decoder` | what is under `decoder.` and `head.`: the usual choice when little data is there, the backbone stays |
| `bias` | biases, and all parameters of norms |
| `lora:8` | low-rank factors of rank 8 beside the linear layers; the network itself stays |
| `lora:8:PATTERN` | the same beside the linear layers that a regular expression names, or names a module of: `lora:8:decoder` |
| `all` | everything |

A parameter that the network itself holds fixed (`requires_grad` is False, as of sinusoidal positions) is never chosen.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import torch
from torch import nn

from harness import UsageError
from harness.errors import suggest

__all__ = ["LINEARS", "Part", "choose", "linear_names", "parse_part", "weights_digest"]

KINDS = ("head", "decoder", "bias", "lora", "all")
LINEARS = r"mlp\.fc[12]|gating_block\.attn_layer|patcher|flatten|context_in|patch_in|blocks\.\d+\.fc[12]|out|head\.base_forecast_block"
"""Linear layers that get low-rank factors by default: all of the season-fold network's, and those of the published one but its adapter."""
NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.batchnorm._BatchNorm)


@dataclass(frozen=True)
class Part:
    """A parsed text. `rank` is 0 unless `kind` is lora."""

    kind: str
    rank: int = 0
    pattern: str = LINEARS

    def __str__(self) -> str:
        if self.kind != "lora":
            return self.kind
        return f"lora:{self.rank}" + ("" if self.pattern == LINEARS else f":{self.pattern}")


def parse_part(text: str) -> Part:
    """Read the text of a part.

    >>> parse_part("lora:4").rank, str(parse_part("lora:4:head.out"))
    (4, 'lora:4:head.out')

    Raises:
        UsageError: another word, a rank below 1, or a pattern that is no regular expression.
    """
    kind, _, rest = text.strip().partition(":")
    if kind not in KINDS or (rest and kind != "lora"):
        raise UsageError(f"got part {text!r}; wanted head, decoder, bias, all, or lora:RANK as in lora:4.{suggest(kind, KINDS)}")
    if kind != "lora":
        return Part(kind)
    rank, _, pattern = rest.partition(":")
    if not re.fullmatch(r"\d+", rank) or int(rank) < 1:
        raise UsageError(f"got part {text!r}; wanted a rank of at least 1 after lora:, as in lora:4")
    try:
        re.compile(pattern)
    except re.error as error:
        raise UsageError(f"got part {text!r}, whose pattern is no regular expression ({error}); wanted one as in lora:4:mlp.fc1") from None
    return Part("lora", int(rank), pattern or LINEARS)


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
