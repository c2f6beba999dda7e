"""Views of one network, blended by how well each would have forecast the newest part of the same context.

Axes: N windows, G views, Q quantile levels, H horizon.

A view is the same weights on another look at the context: as it is; with its sign turned; averaged by 2, 4 or 8 steps (the forecast is
then drawn out by straight lines); the same three and the plain one after its mean cycle was taken out, which is added to the forecast.
Each view forecasts the newest b = min(H, 192) steps of the context, where they are observed, from what lies before them, and weighs
exp(−5 · log(loss / loss of the plain view) − ½), the plain one 1; loss is the mean quantile loss. The quantiles of the views are averaged
with these weights.
Labels of the window are never seen. A context that is too short for a back-test (fewer than 2b steps before it, or 16) has the plain view
alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import Batch, Forecast
from harness_ttm.forecaster import LARGEST, SeasonForecaster
from harness_ttm.pinball import pinball
from harness_ttm.seasons import as_hints, calendar_periods

__all__ = ["VIEWS", "BlendForecaster", "View"]

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class View:
    """How a context is looked at."""

    name: str
    every: int = 1  # averaged over this many steps
    flip: bool = False  # sign
    season: bool = False  # without the mean cycle of the longest named period that was seen three times, which is added to the forecast


VIEWS = (
    View("plain"),
    View("flipped", flip=True),
    *(View(f"by {k}", every=k) for k in (2, 4, 8)),
    *(View(f"season apart, by {k}", every=k, season=True) for k in (1, 2, 4, 8)),
)
NOTHING = np.zeros(1, np.float32)
TINY = 1e-300  # a loss of 0 has a logarithm
LONGEST_TEST = 192
SHARPNESS = 5.0
PRIOR = 0.5


class BlendForecaster:
    """Blends the views of a forecaster."""

    def __init__(self, forecaster: SeasonForecaster, views: Sequence[View] = VIEWS) -> None:
        self.forecaster, self.views = forecaster, tuple(views)
        self.notes: dict[str, Any] = {}

    def predict(self, batch: Batch) -> Forecast:
        """Forecast a batch: quantiles [N, Q, H]."""
        levels = self.forecaster.levels
        # Infinite is missing, in every view: one that averages steps would spread it.
        contexts = [np.where(np.isfinite(c), c, np.float32(np.nan)) for c in batch]
        horizon = batch.horizon
        periods = calendar_periods(batch.freq, batch.season_length)
        test = min(horizon, LONGEST_TEST)
        lengths = np.array([len(c) for c in contexts])
        tested = np.flatnonzero(lengths >= max(2 * test, 16) + test)
        weights = np.zeros((len(contexts), len(self.views)))
        weights[:, 0] = 1.0
        if len(tested):
            losses = np.stack(
                [self._losses([contexts[i] for i in tested], view, test, periods, levels) for view in self.views], axis=1
            )  # [n, G]
            with np.errstate(all="ignore"):
                score = -SHARPNESS * (np.log(losses + TINY) - np.log(losses[:, :1] + TINY)) - PRIOR
            score = np.where(np.isfinite(score), np.clip(score, -50, 50), -50)
            score[:, 0] = 0
            share = np.exp(score - score.max(axis=1, keepdims=True))
            weights[tested] = share / share.sum(axis=1, keepdims=True)
        out = np.zeros((len(contexts), len(levels), horizon))
        for g, view in enumerate(self.views):
            used = np.flatnonzero(weights[:, g] > 1e-3)
            if len(used):
                out[used] += weights[used, g, None, None] * self._view([contexts[i] for i in used], view, horizon, periods)
        out /= np.where(weights > 1e-3, weights, 0).sum(axis=1)[:, None, None]
        self._note(weights)
        return Forecast.from_quantiles(within(out), levels)

    def _note(self, weights: NDArray[np.float64]) -> None:
        """Mean weights over all windows since the notes were cleared."""
        if not len(weights):
            return
        before = self.notes.get("windows", 0)
        self.notes["windows"] = before + len(weights)
        for g, view in enumerate(self.views):
            name = f"weight of {view.name}"
            self.notes[name] = (self.notes.get(name, 0.0) * before + float(weights[:, g].sum())) / (before + len(weights))

    def _losses(self, contexts: list[F32], view: View, test: int, periods: list[int], levels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean quantile loss over the newest b steps of each context, [n]; infinite where nothing is observed there."""
        labels = np.stack([c[len(c) - test :] for c in contexts]).astype(np.float64)  # [n, b]
        q = self._view([c[: len(c) - test] for c in contexts], view, test, periods)  # [n, Q, b]
        gap = labels[:, None] - q
        loss = np.where(np.isfinite(labels)[:, None], pinball(gap, levels[:, None]), 0).sum(axis=(1, 2))
        count = np.isfinite(labels).sum(axis=1)
        return np.where((count > 0) & np.isfinite(loss), loss / np.maximum(count, 1), np.inf)

    def _view(self, contexts: list[F32], view: View, horizon: int, periods: list[int]) -> NDArray[np.float64]:
        """[n, Q, H] of one view."""
        k = view.every
        if view.flip:
            contexts = [-c for c in contexts]
        profiles = [profile(c, periods) if view.season else NOTHING for c in contexts]  # [p] each, first for the step after the cutoff
        if view.season:
            contexts = [within(c.astype(np.float64) - repeated(f, -len(c), 0)) for c, f in zip(contexts, profiles, strict=True)]
        if k > 1:
            contexts = [averaged(c, k) for c in contexts]
        q = self.forecaster.quantiles(contexts, -(-horizon // k), as_hints(periods, k)).astype(np.float64)
        if view.flip:
            q = -q[:, ::-1]
        q = q if k == 1 else drawn_out(q, k, horizon)
        return q + np.stack([repeated(f, 0, horizon) for f in profiles])[:, None] if view.season else q


def profile(context: F32, periods: Sequence[int]) -> F32:
    """Mean cycle, less its mean, of the longest period that was seen three times, over its newest eight; [p], from the cutoff on."""
    for period in sorted(periods, reverse=True):
        cycles = min(len(context) // period, 8)
        if cycles >= 3:
            block = context[len(context) - cycles * period :].reshape(cycles, period).astype(np.float64)
            seen = np.isfinite(block)
            own = np.where(seen, block, 0).sum(axis=1, keepdims=True) / np.maximum(seen.sum(axis=1, keepdims=True), 1)
            mean = np.where(seen, block - own, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
            return within(mean - mean.mean())
    return NOTHING


def within(values: NDArray[np.float64]) -> F32:
    """As float32, what is beyond its range at its end; NaN stays."""
    return np.clip(values, -LARGEST, LARGEST).astype(np.float32)


def repeated(cycle: F32, low: int, high: int) -> F32:
    """The cycle over the steps low … high − 1 from the cutoff."""
    return cycle[np.arange(low, high) % len(cycle)]


def averaged(context: F32, every: int) -> F32:
    """Means of blocks of `every` steps, the last block ending at the cutoff; of observed values alone, NaN where a block has none."""
    n = len(context) // every
    if n == 0:
        return context[-1:]
    block = context[len(context) - n * every :].reshape(n, every)
    seen = np.isfinite(block)
    count = seen.sum(axis=1)
    total = np.where(seen, block, 0).sum(axis=1, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def drawn_out(q: NDArray[np.float64], every: int, horizon: int) -> NDArray[np.float64]:
    """Block forecasts [n, Q, B] to steps [n, Q, H]: straight lines between the middles of the blocks; flat beyond them."""
    middle = (np.arange(q.shape[2]) + 0.5) * every - 0.5
    at = np.clip(np.arange(horizon), middle[0], middle[-1])
    low = np.clip(np.searchsorted(middle, at, side="right") - 1, 0, max(len(middle) - 2, 0))
    high = np.minimum(low + 1, len(middle) - 1)
    share = np.where(high > low, (at - middle[low]) / every, 0)
    return q[:, :, low] * (1 - share) + q[:, :, high] * share
