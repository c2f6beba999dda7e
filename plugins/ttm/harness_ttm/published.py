"""The published TinyTimeMixers as they were entered in GIFT-Eval: a point model, made probabilistic by its own errors in the context.

Axes: N windows, K in-sample windows of each, M = N·(1 + K) rows, T context of the network, Q quantile levels, H horizon.

For each window of a batch:

1. Missing values take the last value before them, leading ones the first after them; a context without a value is zeros.
2. The context is standardised with its own mean and standard deviation (1 where it is 0). All that follows is in that unit.
3. The newest T steps are forecast. A shorter context is padded on the left with zeros, which the network takes for values
   (padding="zero", as published), or does not see (padding="mask"). Beyond the network's horizon its forecasts are appended and
   forecast from again.
4. The same is done for the K windows of H steps that end where the context does, H steps before, and so on, as far as min(H, T) steps
   are left before them. s[h] is the mean absolute error of step h over them; 1e-5 where it is 0, 1 where there is no window.
5. The quantile at level q is forecast + s·Φ⁻¹(q).

A mean absolute error is 0.8 of the standard deviation, so these intervals are narrow; that is the published recipe. It took the errors
from windows of the training part, all series of a dataset at hand, with their steps beyond 720 repeated from those before; here a window's
errors come from its own context, so that its forecast does not depend on other series, and all H steps are forecast.
Step 4's 1e-5 and 1 were there in the unit of the data; here they follow the scale of the series.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness import Batch, Forecast
from harness.errors import Unavailable, UsageError, suggest
from harness.files import expanded
from harness.forecast import F32, F64, I64
from harness.frequency import split
from harness.weights import weights_folder
from harness_ttm.config import TTMConfig

if TYPE_CHECKING:
    from harness_ttm.model import TTM

__all__ = ["HUB", "PublishedTTM", "fill", "frequency_token"]

HUB = {"r1": "ibm-granite/granite-timeseries-ttm-r1", "r2": "ibm-granite/granite-timeseries-ttm-r2"}
BRANCHES = {"r1": "1024_96_v1", "r2": "1536-96-r2"}
"""Sizes other than the first are branches of the hub's repository; one of them as an example."""
PADDINGS = ("zero", "mask")
SLICE = 256  # windows that are worked on at a time
LARGEST = float(np.finfo(np.float32).max)
TOKENS = {(1, "T"): 1, (2, "T"): 2, (5, "T"): 3, (10, "T"): 4, (15, "T"): 5, (30, "T"): 6, (1, "H"): 7, (1, "D"): 8, (1, "W"): 9}


def frequency_token(freq: str, vocabulary: int = 10) -> int:
    """The number that release 2.1 has for a frequency; 0 where it has none, or a network knows fewer than `vocabulary` numbers.

    >>> [frequency_token(f) for f in ("min", "15T", "60T", "H", "D", "W-WED", "M")], frequency_token("D", 8)
    ([1, 5, 7, 7, 8, 9, 0], 0)
    """
    multiple, base = split(freq)
    for wider, size in (("H", 60), ("D", 24)):
        if (base, wider) in (("T", "H"), ("H", "D")) and multiple % size == 0:
            multiple, base = multiple // size, wider
    token = TOKENS.get((multiple, base), 0)
    return token if token < vocabulary else 0


def fill(y: F32) -> F64:
    """A context without gaps: the last value goes on, the first also backwards; zeros where there is none. Infinity is missing, too.

    >>> fill(np.array([np.nan, 2, np.nan, 5, np.nan], np.float32)).tolist()
    [2.0, 2.0, 2.0, 5.0, 5.0]
    """
    seen = np.isfinite(y)
    if not seen.any():
        return np.zeros(len(y))
    at = np.maximum.accumulate(np.where(seen, np.arange(len(y)), 0))
    at = np.maximum(at, int(seen.argmax()))
    return y[at].astype(np.float64)


@dataclass
class Member:
    """One network of a release: its folder, and itself once it is needed."""

    folder: Path
    config: TTMConfig
    model: TTM | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return f"{self.config.context_length}-{self.config.horizon}"

    def loaded(self, device: str) -> TTM:
        from harness_ttm.chunks import on_device
        from harness_ttm.weights import load

        if self.model is None:
            model, _ = load(self.folder)
            self.model = on_device(model, device)
        return self.model


class PublishedTTM:
    """A released point model with the published recipe for quantiles.

    Args:
        weights: the folder of a network (config.json and model.safetensors), or a folder of such folders; None is what
            `harness weights pull` has fetched. Of several, each window takes one whose horizon is long enough, with the longest context
            that the window fills, then the shortest horizon.
        release: r1 or r2; what is said when weights are missing.
        context_length: only networks with this context.
        padding: zero or mask; what short contexts are padded with.
        in_sample: K, in-sample windows that the spread is taken from.
        device: where the network runs.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        release: str = "r2",
        context_length: int | None = None,
        padding: str = "zero",
        in_sample: int = 10,
        device: str = "cpu",
    ) -> None:
        if release not in HUB:
            raise UsageError(f"got release {release!r}; wanted {' or '.join(HUB)}.{suggest(release, HUB)}")
        if padding not in PADDINGS:
            raise UsageError(f"got padding {padding!r}; wanted {' or '.join(PADDINGS)}.{suggest(padding, PADDINGS)}")
        if not isinstance(in_sample, int) or isinstance(in_sample, bool) or in_sample < 0:
            raise UsageError(f"got in_sample {in_sample!r}; wanted a number of windows of at least 0")
        if weights is None:
            try:
                weights = weights_folder("", source=f"hf:{HUB[release]}", model=f"ttm-{release}")
            except Unavailable as error:
                sizes = f"Other sizes are its branches: `hf download {HUB[release]} --revision {BRANCHES[release]} --local-dir FOLDER`"
                raise Unavailable(f"{error} {sizes}; a folder of such folders will do", error.fetch) from None
        self.members = _members(expanded(weights), context_length)
        self.padding, self.in_sample, self.device = padding, in_sample, device
        self.notes: dict[str, Any] = {}

    def predict(self, batch: Batch) -> Forecast:
        """Quantiles [N, Q, H] at the asked levels; the mean is the point forecast."""
        n, levels = len(batch), batch.quantile_levels
        points, spread = np.empty((n, batch.horizon)), np.empty((n, batch.horizon))
        location, scale = np.empty((n, 1)), np.empty((n, 1))
        chosen = np.array([self._choose(len(y), batch) for y in batch], np.int64)
        for k in np.unique(chosen):
            rows = np.flatnonzero(chosen == k)
            for low in range(0, len(rows), SLICE):
                some = rows[low : low + SLICE]
                contexts = [batch.contexts[int(row)] for row in some]
                points[some], spread[some], location[some], scale[some] = self._forecast(self.members[k], contexts, batch)
        normal = np.array([NormalDist().inv_cdf(q) for q in levels])
        quantiles = points[:, None] + spread[:, None] * normal[None, :, None]  # [N, Q, H]
        values = np.clip(quantiles * scale[:, None] + location[:, None], -LARGEST, LARGEST)
        return Forecast.from_quantiles(values, levels, np.clip(points * scale + location, -LARGEST, LARGEST))

    def network_for(self, train: Batch) -> TTM:
        """The network that forecasts most of these series, to be trained on from. Only that one is loaded."""
        chosen = [self._choose(len(y), train) for y in train]
        return self.members[max(set(chosen), key=chosen.count) if chosen else 0].loaded(self.device)

    def with_network(self, network: TTM) -> PublishedTTM:
        """The same with this network alone."""
        made = copy.copy(self)
        made.members = [Member(self.members[0].folder, network.config, network)]
        return made

    def _choose(self, length: int, batch: Batch) -> int:
        """Which member forecasts a context of so many steps."""

        def rank(k: int) -> tuple[Any, ...]:
            config = self.members[k].config
            known = not config.resolution_prefix_tuning or frequency_token(batch.freq, config.frequency_token_vocab_size) > 0
            far, fits = config.horizon >= batch.horizon, config.context_length <= length
            context = -config.context_length if fits else config.context_length
            return (not known, not far, 0 if far else -config.horizon, not fits, context, config.horizon, k)

        return min(range(len(self.members)), key=rank)

    def _forecast(self, member: Member, contexts: list[F32], batch: Batch) -> tuple[F64, F64, F64, F64]:
        """Points and spreads [n, H], standardised; locations and scales [n, 1]."""
        horizon, length = batch.horizon, member.config.context_length
        filled = [fill(y) for y in contexts]
        location = np.array([[y.mean()] for y in filled])
        scale = np.array([[y.std() or 1.0] for y in filled])
        unit = [(y - a[0]) / s[0] for y, a, s in zip(filled, location, scale, strict=True)]
        rows, labels, owner = list(unit), [], []
        for i, y in enumerate(unit):
            for back in range(1, self.in_sample + 1):
                end = len(y) - back * horizon
                if end < min(horizon, length):
                    break
                rows.append(y[:end])
                seen = np.isfinite(contexts[i][end : end + horizon])
                labels.append(np.where(seen, y[end : end + horizon], np.nan))
                owner.append(i)
        points = self._points(member, rows, horizon, batch.freq)
        count = len(contexts)
        errors = np.abs(np.array(labels).reshape(-1, horizon) - points[count:])  # [n·K, H], NaN where the label is missing
        spread = _spread(errors, np.array(owner, np.int64), count)
        self._note("windows", count)
        self._note("windows without an in-sample window", count - len(set(owner)))
        self._note(f"windows by {member.name}", count)
        return points[:count], spread, location, scale

    def _points(self, member: Member, rows: list[F64], horizon: int, freq: str) -> F64:
        """Forecasts [M, H] of standardised rows, in as many passes as the horizon needs."""
        import torch

        from harness_ttm.chunks import in_chunks

        model, config = member.loaded(self.device), member.config
        length = config.context_length
        x = np.zeros((len(rows), length), np.float32)
        seen = np.full(x.shape, self.padding == "zero")
        for i, y in enumerate(rows):
            y = y[-length:]
            x[i, length - len(y) :], seen[i, length - len(y) :] = y, True
        past, mask = (torch.from_numpy(a)[:, :, None].to(self.device) for a in (x, seen))
        token = None
        if config.resolution_prefix_tuning:
            token = torch.full((len(rows),), frequency_token(freq, config.frequency_token_vocab_size), device=self.device)
        blocks: list[NDArray[np.float32]] = []
        done = 0
        while done < horizon:
            new = in_chunks(model, past, mask, token).predictions  # [M, H of the network, 1]
            blocks.append(new[:, : horizon - done, 0].cpu().numpy())
            done += new.shape[1]
            past = torch.cat([past, new], dim=1)[:, -length:]
            mask = torch.cat([mask, torch.ones_like(new, dtype=torch.bool)], dim=1)[:, -length:]
        return np.concatenate(blocks, axis=1).astype(np.float64)

    def _note(self, what: str, count: int) -> None:
        self.notes[what] = self.notes.get(what, 0) + count


def _spread(errors: F64, owner: I64, count: int) -> F64:
    """Mean absolute error of each step, [count, H], over the rows of `errors` that a window owns."""
    out = np.ones((count, errors.shape[1]))
    seen = np.isfinite(errors)
    for i in np.unique(owner):
        mine = owner == i
        number = seen[mine].sum(axis=0)
        if number.any():
            total = np.where(seen[mine], errors[mine], 0).sum(axis=0)
            each = total / np.maximum(number, 1)
            out[i] = np.where(number > 0, each, total.sum() / number.sum())  # a step that was never observed: as the others
    return np.where(out == 0, 1e-5, out)


def _members(folder: Path, context_length: int | None) -> list[Member]:
    """The networks in a folder, or in its folders.

    Raises:
        UsageError: there is none, none with that context, or one that cannot forecast a series by itself.
    """
    from harness_ttm.weights import find

    inside = [] if (folder / "config.json").is_file() else sorted(p.parent for p in folder.glob("*/config.json"))
    members = [Member(p, find(p)[1]) for p in inside or [folder]]
    for member in members:
        config = member.config
        mixes = "mix_channel" in (config.mode, config.decoder_mode) or config.enable_forecast_channel_mixing
        if mixes or config.categorical_vocab_size_list or config.not_built or config.season_fold:
            raise UsageError(f"{member.folder} is no model of single series as in releases 1, 2 and 2.1; wanted a folder of those")
    kept = [m for m in members if context_length in (None, m.config.context_length)]
    if not kept:
        there = ", ".join(m.name for m in members)
        raise UsageError(f"no network in {folder} has a context of {context_length} steps; there are {there}")
    return kept
