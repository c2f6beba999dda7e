"""The network of Lag-Llama: a decoder over time steps, each a set of lagged values, with the parameters of a Student's t as output.

Axes: N rows, T tokens (time steps), n the newest of them, F features of a token, D width, G heads, E width of a head.

- RMS norm before each part, rotary positions, no biases but in the first and the last layer, a gated MLP (Rasul et al. 2023, section 4).
- The names of modules are those of the published checkpoint, so its 73 tensors fit as they are.
- A token looks back only, so the newest one is all that a forecast needs of the last layer: `newest=True` computes no more than that there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from harness_lag_llama.lags import LAGS

__all__ = ["Cache", "Network", "Parameters", "Shape"]

STATIC, CALENDAR = 2, 6
"""Features of a token beside its lags: location and scale of the window, and the time."""
EPSILON = 1e-5
BASE = 10_000.0


@dataclass(frozen=True)
class Shape:
    """Sizes of a network; the defaults are those of the published one (2,449,299 parameters)."""

    layers: int = 8
    heads: int = 9
    head_width: int = 16
    lags: tuple[int, ...] = LAGS
    context: int = 32  # tokens that it was trained on

    @property
    def width(self) -> int:
        """D."""
        return self.heads * self.head_width

    @property
    def features(self) -> int:
        """F: 92 for the published lags."""
        return len(self.lags) + STATIC + CALENDAR

    @property
    def hidden(self) -> int:
        """Width of the MLP: two thirds of 4 D, rounded up to a multiple of 256."""
        return -(-int(8 * self.width / 3) // 256) * 256


class Parameters(NamedTuple):
    """Of a Student's t for scaled values, each [N, T]: degrees of freedom above 2, location, scale above 0."""

    df: Tensor
    loc: Tensor
    scale: Tensor


class Cache:
    """Rotated keys and values [N, G, T, E] of each layer's newest T tokens. A new token takes the place of the oldest."""

    def __init__(self) -> None:
        self.kept: dict[int, tuple[Tensor, Tensor]] = {}
        self.position = 0  # of the next token

    def put(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Take in those of the first T tokens, then of one at a time; returns all that are kept, in any order."""
        if layer not in self.kept:
            self.kept[layer] = keys.contiguous(), values.contiguous()
        else:
            for kept, new in zip(self.kept[layer], (keys, values), strict=True):
                kept[:, :, self.position % kept.shape[2]] = new[:, :, 0]
        return self.kept[layer]

    def repeat(self, times: int) -> None:
        """Each row so many times from here on."""
        self.kept = {layer: (k.repeat_interleave(times, 0), v.repeat_interleave(times, 0)) for layer, (k, v) in self.kept.items()}


class RMSNorm(nn.Module):
    """x / sqrt(mean(x²) + ε), times a weight for each column."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON))


class Attention(nn.Module):
    """Causal attention of the newest n tokens on all T."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, width = shape.heads, shape.width
        self.q_proj = nn.Linear(width, width, bias=False)
        self.kv_proj = nn.Linear(width, 2 * width, bias=False)
        self.c_proj = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, seen: Tensor, rotation: tuple[Tensor, Tensor], cache: Cache | None, layer: int) -> Tensor:
        """x [N, n, D], seen [N, T, D]; returns [N, n, D]."""
        cos, sin = rotation  # [T, 1, E]
        q = rotated(self.q_proj(x).unflatten(-1, (self.heads, -1)), cos[-x.shape[1] :], sin[-x.shape[1] :])  # [N, n, G, E]
        k, v = (part.unflatten(-1, (self.heads, -1)) for part in self.kv_proj(seen).chunk(2, dim=-1))  # [N, T, G, E]
        q, k, v = (part.transpose(1, 2) for part in (q, rotated(k, cos, sin), v))
        if cache is not None:
            k, v = cache.put(layer, k, v)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=x.shape[1] > 1)
        return self.c_proj(y.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """silu(x A) * (x B), projected back."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.c_fc1 = nn.Linear(shape.width, shape.hidden, bias=False)
        self.c_fc2 = nn.Linear(shape.width, shape.hidden, bias=False)
        self.c_proj = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(F.silu(self.c_fc1(x)) * self.c_fc2(x))


class Block(nn.Module):
    """One layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.rms_1, self.attn = RMSNorm(shape.width), Attention(shape)
        self.rms_2, self.mlp = RMSNorm(shape.width), MLP(shape)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], newest: bool, cache: Cache | None, layer: int) -> Tensor:
        """x [N, T, D]; returns the same, or its newest token [N, 1, D]. With a cache T is 1 once that is filled."""
        seen = h = self.rms_1(x)
        if newest:
            x, h = x[:, -1:], h[:, -1:]
        x = x + self.attn(h, seen, rotation, cache, layer)
        return x + self.mlp(self.rms_2(x))


class Head(nn.Module):
    """The parameters of the distribution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.ModuleList([nn.Linear(width, 1) for _ in range(3)])

    def forward(self, x: Tensor) -> Parameters:
        df, loc, scale = (proj(x).squeeze(-1) for proj in self.proj)
        return Parameters(2 + F.softplus(df), loc, F.softplus(scale).clamp_min(torch.finfo(scale.dtype).eps))


class Network(nn.Module):
    """Lag-Llama."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.param_proj = Head(shape.width)
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Linear(shape.features, shape.width),
                "h": nn.ModuleList([Block(shape) for _ in range(shape.layers)]),
                "ln_f": RMSNorm(shape.width),
            }
        )

    def forward(self, tokens: Tensor, factor: float = 1.0, newest: bool = False, cache: Cache | None = None) -> Parameters:
        """What is expected one step after each token.

        Args:
            tokens: [N, T, F].
            factor: positions are divided by it: above 1 a longer context looks to the network like one that it was trained on.
            newest: return that of the newest token alone, [N, 1].
            cache: kept from call to call, with the newest token alone from the second on. Tokens in it keep the scaling of their time,
                so forecasts differ from those without.
        """
        x = self.transformer["wte"](tokens)  # [N, T, D]
        count, first = tokens.shape[1], cache.position if cache is not None else 0
        rotation = rotations(first, count, self.shape.head_width, factor, x)
        last = len(self.transformer["h"]) - 1
        for layer, block in enumerate(self.transformer["h"]):
            x = block(x, rotation, newest and layer == last, cache, layer)
        if cache is not None:
            cache.position += count
        return self.param_proj(self.transformer["ln_f"](x))


def rotations(first: int, count: int, width: int, factor: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines [T, 1, E] of the rotary positions from `first` on, divided by the factor (Su et al. 2021)."""
    speed = BASE ** -(torch.arange(0, width, 2, device=like.device, dtype=torch.float32) / width)  # [E / 2]
    position = torch.arange(first, first + count, device=like.device, dtype=torch.float32) / factor
    angle = torch.outer(position, speed).repeat(1, 2)[:, None]  # [T, 1, E]
    return angle.cos().to(like.dtype), angle.sin().to(like.dtype)


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x [N, T, G, E] with the pairs (i, i + E / 2) turned."""
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-b, a], dim=-1) * sin
