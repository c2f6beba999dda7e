"""The mixers of a TinyTimeMixer without gradients: the same operations in the same order, by a shorter way.

Axes: N windows times channels, n patches, D width, M = N·n.

The matrices are so small that on a CPU Python's way to them, and fresh memory for each result, cost as much as the products. While `quick`
lasts, the weights of all mixers are at hand in one list, and results go to memory that is used again: a block needs its input, the hidden
values, and twice the size of its input besides. The bits are those of the modules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from harness_ttm.model import Levels

__all__ = ["quick"]

layer_norm_to = torch.ops.aten.native_layer_norm.out
softmax_to = torch.ops.aten._softmax.out
gelu_in_place = torch.ops.aten.gelu_.default


@contextmanager
def quick(network: nn.Module) -> Iterator[None]:
    """While this lasts, backbone and decoder of the network run by the shorter way. Their weights must not be replaced; they may change.

    What it does not know is left as it is: a network in training mode, calls with gradients, and every `Levels` that has parts other than
    plain linear layers, layer norms and gates (an adapter, attention, mixed channels).
    """
    from harness_ttm.model import Levels

    found: list[Levels] = []
    pending = [] if network.training else [network]
    while pending:
        module = pending.pop()
        if isinstance(module, Levels):
            found.append(module)
        else:
            pending += [child for child in module.children() if not isinstance(child, nn.Linear)]
    try:
        for levels in found:
            levels.quick = _short(levels)
        yield
    finally:
        for levels in found:
            levels.quick = None


def _short(levels: Levels) -> Callable[[Tensor], Tensor] | None:
    """[B, C, n, D] → the same; None where a part is of another kind."""
    parts: list[tuple[int, bool, list[Any]]] = []  # factor of the level, of patches or of features, tensors
    growth = 1
    for mixer in levels.mixers:
        block: Any = mixer  # a layer, or a block of them
        factor = block.factor if "mixer_layers" in block._modules else 1
        for layer in block._modules.get("mixer_layers", [block]):
            for name in ("patch_mixer", "feature_mixer"):
                part = layer._modules.get(name)
                tensors = None if part is None else _tensors(part)
                if part is not None and tensors is None:
                    return None
                if tensors is not None:
                    parts.append((factor, name == "patch_mixer", tensors))
                    growth = tensors[1][0].shape[0] // tensors[1][0].shape[1]
            if layer._modules.get("channel_feature_mixer") is not None:
                return None
    made: dict[tuple[Any, ...], tuple[Tensor, list[Any]]] = {}

    def run(x: Tensor) -> Tensor:
        key = (x.shape, get_ident(), torch.is_inference_mode_enabled())  # memory of its own for each thread
        if key not in made:
            made[key] = _memory(x, parts, growth)
        inside, steps = made[key]
        inside.copy_(x.reshape(-1))
        for patches, x, z, h, y, t, mean, deviation, norm, w1, b1, w2, b2, w3, b3 in steps:
            layer_norm_to(x, *norm, out0=z, out1=mean, out2=deviation)
            if patches:
                gelu_in_place(torch.baddbmm(b1, w1, z, out=h))
                torch.baddbmm(b2, w2, h, out=y)
                softmax_to(torch.baddbmm(b3, w3, y, out=z), 1, False, out=t)
            else:
                gelu_in_place(torch.addmm(b1, z, w1, out=h))
                torch.addmm(b2, h, w2, out=y)
                softmax_to(torch.addmm(b3, y, w3, out=z), 1, False, out=t)
            x.addcmul_(y, t)
        return inside.clone().view(key[0])

    return run


def _memory(x: Tensor, parts: list[tuple[int, bool, list[Any]]], growth: int) -> tuple[Tensor, list[Any]]:
    """What holds the features, and for each part the places and the weights it works with."""
    n, width = x.shape[2:]
    rows = x.shape[0] * x.shape[1]
    size = x.numel()
    inside, z, y, h = x.new_empty(size), x.new_empty(size), x.new_empty(size), x.new_empty(size * growth)
    most = rows * n * max(factor for factor, _, _ in parts)
    mean, deviation = x.new_empty(most), x.new_empty(most)
    steps = []
    for factor, patches, (norm, *linears) in parts:
        count, features = n * factor, width // factor
        shape, higher = ([rows, count, features], 1) if patches else ([rows * count, features], 1)
        large = [*shape]
        large[higher] *= growth
        places = [*(at.view(shape) for at in (inside, z)), h.view(large), y.view(shape), h[:size].view(shape)]
        statistics = [at[: rows * count].view([*shape[:-1], 1]) for at in (mean, deviation)]
        weights = [
            tensor
            for weight, bias in linears
            for tensor in ((weight.expand(rows, -1, -1), bias[:, None]) if patches else (weight.t(), bias))
        ]
        steps.append((patches, *places, *statistics, norm, *weights))
    return inside, steps


def _tensors(mixer: nn.Module) -> list[Any] | None:
    """[(shape, weight, bias, epsilon) of the norm, (weight, bias) of the three linear layers]; None where one is of another kind.

    The tables of a module are looked into, since its attributes take a microsecond each.
    """
    parts: Any = mixer._modules
    norm, gate, mlp = parts["norm"]._modules["norm"], parts.get("gating_block"), parts["mlp"]._modules
    linears = [mlp["fc1"], mlp["fc2"], None if gate is None else gate._modules["attn_layer"]]
    plain = type(norm) is nn.LayerNorm and all(type(layer) is nn.Linear for layer in linears)
    if not plain or parts.get("self_attn_layer") is not None:
        return None
    of = norm._parameters
    tensors = [(layer._parameters["weight"], layer._parameters["bias"]) for layer in linears if layer is not None]
    return [(norm.normalized_shape, of["weight"], of["bias"], norm.eps), *tensors]
