"""Sample paths, step by step: what is drawn joins the past, and everything is computed anew from that, as the authors do.

Axes: W windows, S paths of each, R = W · S rows, L past steps (the longest lag and the context C), H horizon, T tokens, F features.

- The scaling of a step is the median and the interquartile range of all L past values and of what was drawn, so every token changes with
  every step, and nothing of the network's work can be kept without changing the result. `cached=True` keeps the keys and values of tokens
  as the authors' `use_kv_cache` does: a token then has the scaling of its own time, and the oldest is forgotten.
- What need not be done twice is not: the order of the past values is kept up by insertion, raw lags are looked up once, the first step is
  computed once for all paths of a window, and the last layer for the newest token alone.
- A draw from Student's t is Bailey's (1994): sqrt(v (u^(-2/v) - 1)) cos(2 π w) for two uniform numbers u, w. These are given, so a path
  depends on nothing but its window; and they can be had for any number of degrees of freedom v in one formula.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its usual name

from harness_lag_llama.network import Cache, Network, Parameters

__all__ = ["LARGEST", "Scaling", "sample_paths", "student_t", "tokens"]

LARGEST = 1e37
"""Values and draws are kept within this, far from where the arithmetic of float32 ends."""
FARTHEST = 1e17
"""Scaled values are, too: their squares must be finite. A window needs 10^17 interquartile ranges to come so far."""
LEAST_SCALE = 1e-10
TOKENS = 1600
"""Tokens that go through the network at a time on a CPU: what it works on then stays in the cache."""


class Scaling:
    """Median and interquartile range of the observed values of each row, kept up while values are added.

    The median of an even number is the lower of the two in the middle, quartiles are interpolated, the range is 1e-10 at least: all as the
    authors have it.

    Args:
        past: [R, L] values.
        seen: [R, L] which of them are observed; one in each row at least.
        room: how many more will be added.
    """

    def __init__(self, past: Tensor, seen: Tensor, room: int) -> None:
        last = F.pad(torch.where(seen, past, torch.inf), (0, room), value=torch.inf)
        self.ordered = last.sort(dim=1).values  # [R, L + room]
        self.count = seen.sum(dim=1, keepdim=True)  # [R, 1]

    def repeated(self, times: int) -> Scaling:
        """The same with each row so many times."""
        made = object.__new__(Scaling)
        made.ordered, made.count = self.ordered.repeat_interleave(times, 0), self.count.repeat_interleave(times, 0)
        return made

    def add(self, values: Tensor) -> None:
        """Add a value [R, 1] to each row."""
        place = torch.searchsorted(self.ordered, values)
        index = torch.arange(self.ordered.shape[1], device=values.device)
        moved = torch.where(index == place, values, self.ordered.roll(1, dims=1))
        self.ordered = torch.where(index < place, self.ordered, moved)
        self.count = self.count + 1

    def at(self, share: float) -> Tensor:
        """The quantile [R, 1] at `share`."""
        rank = share * (self.count - 1).double()
        low = rank.floor()
        below, above = (self.ordered.gather(1, r.long()) for r in (low, rank.ceil()))
        return below.lerp(above, (rank - low).to(below.dtype))

    @property
    def location(self) -> Tensor:
        """The median [R, 1]."""
        return self.ordered.gather(1, (self.count - 1) // 2)

    @property
    def scale(self) -> Tensor:
        """The interquartile range [R, 1]."""
        return (self.at(0.75) - self.at(0.25)).clamp_min(LEAST_SCALE)


def tokens(lags: Tensor, calendar: Tensor, location: Tensor, scale: Tensor) -> Tensor:
    """Tokens [R, T, F] of raw lags [R, T, K], time features [R, T, 6], and the scaling [R, 1] of each row."""
    scaled = ((lags - location[:, :, None]) / scale[:, :, None]).clamp(-FARTHEST, FARTHEST)
    static = torch.cat([location.abs().log1p(), scale.log()], dim=1)[:, None].expand(-1, lags.shape[1], -1)
    return torch.cat([scaled, static, calendar], dim=2)


@torch.inference_mode()
def sample_paths(
    network: Network, past: Tensor, seen: Tensor, calendar: Tensor, uniform: Tensor, factor: float = 1.0, cached: bool = False
) -> Tensor:
    """Paths [W, S, H].

    Args:
        past: [W, L] values, 0 where missing.
        seen: [W, L] which of them are observed; one in each row at least.
        calendar: [W, C + H, 6] time features of the context and the horizon.
        uniform: [W, H, S, 2] float64, above 0 and at most 1.
        factor: of the rotary positions, see `Network`.
        cached: keep keys and values from step to step; faster, and another forecast.
    """
    windows, horizon, paths, _ = uniform.shape
    history, context = past.shape[1], calendar.shape[1] - horizon
    scaling = Scaling(past, seen, horizon)
    back = torch.tensor(network.shape.lags, device=past.device)
    at = torch.arange(history - context, history, device=past.device)[:, None] - back  # [C, K]
    lags = past[:, at]  # [W, C, K]
    cache = Cache() if cached else None
    out = torch.empty(windows * paths, horizon, device=past.device)
    for step in range(horizon):
        location, scale = scaling.location, scaling.scale
        if cached and step:  # the newest token alone
            x = tokens(lags[:, -1:], calendar[:, context + step - 1, None], location, scale)
        else:
            x = tokens(lags, calendar[:, : context + step], location, scale)
        law = _newest(network, x, factor, cache)
        if step == 0:  # until here all paths of a window are one
            law = Parameters(*(p.repeat_interleave(paths, 0) for p in law))
            location, scale, past, lags, calendar = (a.repeat_interleave(paths, 0) for a in (location, scale, past, lags, calendar))
            scaling = scaling.repeated(paths)
            if cache is not None:
                cache.repeat(paths)
        u = uniform[:, step].reshape(windows * paths, 1, 2)
        drawn = law.loc + law.scale * student_t(law.df, u[..., 0], u[..., 1])
        value = (location + scale * drawn).clamp(-LARGEST, LARGEST)  # [R, 1]
        out[:, step] = value[:, 0]
        past = torch.cat([past, value], dim=1)
        scaling.add(value)
        lags = torch.cat([lags, past[:, None, history + step - back]], dim=1)
    return out.view(windows, paths, horizon)


def _newest(network: Network, x: Tensor, factor: float, cache: Cache | None) -> Parameters:
    """The distributions after the newest tokens. Without a cache, and on a CPU, some rows at a time: how many follows from T alone."""
    rows = max(1, TOKENS // x.shape[1]) if x.device.type == "cpu" and cache is None else len(x)
    parts = [network(x[low : low + rows].clone(), factor, newest=True, cache=cache) for low in range(0, len(x), rows)]
    return Parameters(*(torch.cat(p) for p in zip(*parts, strict=True)))


def student_t(df: Tensor, u: Tensor, w: Tensor) -> Tensor:
    """Draws from Student's t with `df` degrees of freedom, made of uniform numbers u and w above 0 and at most 1 (float64)."""
    v = df.double()
    return (torch.sqrt(v * torch.expm1(-2 * u.log() / v)) * torch.cos(2 * math.pi * w)).to(df.dtype)
