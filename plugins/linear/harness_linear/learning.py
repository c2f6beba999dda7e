"""Learning: the number of lags, the normalisation and the strength are chosen on held-out windows, then all windows are learnt from.

1. The newest stretch of each series is held out by `harness.holdout`: a sixteenth of the median series, 512 steps at most, a horizon at
   least. Every window within it counts, or an even part of them.
2. Each candidate is fitted to the windows before that, and judged by its mean absolute error on those held out, each in the mean absolute
   change of its series. The last value is a candidate too: what does not beat it is not taken (`harness.holdout.Gate`).
3. Quantiles are those of the residuals of the held-out windows at each step, divided by the window's own change where that gives the better
   quantile loss, half of the windows judged by the other half. Where there are few, residuals of the windows that were fitted are added.
4. The best candidate is fitted anew to all windows, those held out among them.

A window of training has all labels. Where a candidate has fewer such windows than four for each weight, each step is fitted by itself to
the windows that have its label. A step that no window reaches takes the weights and the residuals of the nearest step that some reach.

Axes: S series, W held-out windows, n windows, T context, L lags, H horizon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness import Batch, Unsupported
from harness.forecast import F64, I64
from harness.frequency import split
from harness.holdout import Gate, HoldOut, cut, hold_out
from harness_linear.forecaster import LEVELS, NORMALISE, Forecaster, Rule, quantiles_of
from harness_linear.ridge import Sums
from harness_linear.windows import MOST_LAGS, SPREAD, Windows, change, fill

__all__ = ["RIDGES", "Settings", "learn", "usual_lags"]

LAGS = (1, 3, 6, 12, 24, 48, 96, 192)
RIDGES = (1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
WEEKS = {"D": 7, "B": 5, "W": 52}
"""Steps of a cycle that the season of a protocol, 1 for days and weeks, does not tell."""
SHARE, LONGEST = 16, 512
"""The held-out stretch: one part in so many of the median series, and steps at most."""
MOST_HELD, MOST_VALUES, MOST_ORIGINS = 2048, 1 << 19, 1 << 18
"""Held-out windows at most, also so that they have so many labels; and origins that those are drawn from."""
ENOUGH, PAIRS = 64, 16
"""Residuals of a step below which those of training are added, and held-out windows below which the spread is not chosen."""


@dataclass(frozen=True)
class Effort:
    """Multiplications for the sums of a regression, and values that are gathered for them: beyond that windows are drawn by chance."""

    products: float
    values: float

    def windows(self, lags: int, horizon: int, each: bool = False) -> int:
        """How many windows that is, `ENOUGH` at least."""
        products = 2 * (lags + 1) * (horizon * (lags + 1) if each else lags + 1 + horizon)
        return max(int(min(self.products / products, self.values / (max(lags, SPREAD) + horizon))), ENOUGH)


TRIAL, LAST = Effort(3e9, 1.5e7), Effort(3e10, 1.2e8)
"""For a candidate, and for the last fit: about a second, and ten, of one core."""
FOR_EACH_WEIGHT = 4
MOST_CELLS = 4_000_000
"""Numbers in the Gram matrices where each step is fitted by itself."""
FARTHEST = 100.0
"""Labels of "scaled" are cut here, in changes of the window: a jump out of a quiet window must not decide the weights."""
NOTHING = "no training series has two values that the horizon can join; there is nothing to learn a forecast from"


@dataclass(frozen=True)
class Settings:
    """What a user may fix; None, and "auto", is chosen."""

    lags: int | None = None
    ridge: float | None = None
    normalise: str = "auto"
    nonnegative: bool | None = None


def usual_lags(season: int, freq: str) -> list[int]:
    """The numbers of lags that are tried: a short list, and one more than a season, two seasons and a week, to reach the step before.

    >>> usual_lags(24, "H"), usual_lags(1, "D"), usual_lags(1, "A")
    ([1, 3, 6, 12, 24, 25, 48, 49, 96, 169, 192], [1, 3, 6, 8, 12, 15, 24, 48, 96, 192], [1, 3, 6, 12, 24, 48, 96, 192])
    """
    multiple, base = split(freq)
    week = 7 * season if base == "H" else WEEKS.get(base, 1) // multiple
    cycles = {season, 2 * season, week, *((2 * week,) if base == "D" else ())}
    return sorted({*LAGS, *(cycle + 1 for cycle in cycles if 1 < cycle < MOST_LAGS)})


def learn(train: Batch, settings: Settings, seed: int) -> Forecaster:
    """The model that a training part gives.

    Raises:
        Unsupported: there is nothing to learn from.
    """
    rng = np.random.default_rng(seed)
    rows, horizon = train.contexts, train.horizon
    seen = rows.values[np.isfinite(rows.values)]
    if not len(seen):
        raise Unsupported("linear: no value of the training series is observed" if len(rows) else "linear: there is no training series")
    mean, lowest = float(seen.mean(dtype=np.float64)), float(seen.min())
    lengths = rows.lengths[rows.lengths > 0]
    parts = hold_out(rows, max(horizon, min(LONGEST, int(np.median(lengths)) // SHARE)))
    most = min(MOST_HELD, max(ENOUGH, MOST_VALUES // horizon))
    held = Held.of(train, every_origin(parts, horizon).some(most, rng))
    before, whole = Windows(rows.values, parts.begin, parts.end), Windows(rows.values, parts.begin, parts.whole)
    rule = last = Rule("last", np.zeros((1, horizon)), np.zeros(horizon), mean)
    gate = Gate(held.losses(held.points(last)), held.groups)
    best: tuple[str, int, float] = ("last", 1, 0.0)
    for lags in _candidates(train, settings, before) if gate.windows else []:
        contexts, changes = held.contexts(lags)
        for name, sums in collect(before, lags, horizon, _names(settings), mean, TRIAL, rng).items():
            strengths = RIDGES if settings.ridge is None else (settings.ridge,)
            for strength, (weights, intercepts) in zip(strengths, sums.solutions(strengths), strict=True):
                tried = Rule(name, weights, intercepts, mean)
                if gate.look(held.losses(tried.points(contexts, changes))):
                    rule, best = tried, (name, lags, strength)
    verdict = gate.verdict(fresh=True)
    residuals, changes, units = _residuals(rule, held, before if held.steps.all() else whole, rng)
    by_window = _by_window(residuals, changes, units)
    table = _table(residuals, changes if by_window else np.ones(len(changes)))
    facts: dict[str, Any] = {"freq": train.freq, "horizon": horizon, **_said(verdict.notes, verdict.kept, rule is not last)}
    if rule is not last:
        name, lags, strength = best
        sums = collect(whole, lags, horizon, (name,), mean, LAST, rng)[name]
        weights, intercepts = next(sums.solutions((strength,)))
        rule = Rule(name, weights, intercepts, mean)
        facts |= {"normalise": name, "lags": lags, "ridge": strength, "windows": int(sums.rows.max())}
        facts["steps"] = "each by itself" if sums.each else "together"
    facts["spread"] = "window" if by_window else "common"
    at_least_0 = lowest >= 0 if settings.nonnegative is None else settings.nonnegative
    return Forecaster(rule, table, by_window, 0.0 if at_least_0 else None, facts)


def _said(notes: dict[str, Any], kept: bool, learnt: bool) -> dict[str, Any]:
    """What the gate notes, in the words of this model."""
    if kept and learnt:
        return {**notes, "kept": "linear"}
    why = "nothing could be held out" if not notes["held-out windows"] else "nothing beats the last value on the held-out windows"
    return {**notes, "kept": "last value", "why": why}


def _names(settings: Settings) -> tuple[str, ...]:
    return NORMALISE if settings.normalise == "auto" else (settings.normalise,)


def _candidates(train: Batch, settings: Settings, windows: Windows) -> list[int]:
    """Numbers of lags for each weight of which there are two windows, the single lag in any case; or the one that is set."""
    if settings.lags is not None:
        return [settings.lags]
    usual = usual_lags(train.season_length, train.freq)
    return [lags for lags in usual if lags == 1 or windows.counts(lags, 1).sum() >= 2 * (lags + 1)]


def every_origin(held: HoldOut, horizon: int) -> HoldOut:
    """The windows that lie within what is held out, wherever they begin, instead of one after the other."""
    last = np.maximum(held.whole - horizon, held.end)
    span = np.where(held.whole > held.end, last - held.end + 1, 0)  # [S]
    step = 1 + int(span.sum()) // MOST_ORIGINS
    number = -(-span // step)
    series = np.repeat(np.arange(len(number)), number)
    count = np.arange(len(series)) - np.repeat(np.cumsum(number) - number, number)
    origin = held.end[series] + step * count
    whole = held.whole[series]
    return replace(held, series=series, origin=origin, limit=np.minimum(origin + horizon, whole), behind=(whole - origin - 1) // horizon)


@dataclass(frozen=True, eq=False)
class Held:
    """Held-out windows: `values` float32 [W, T + H], `units` [W], the mean absolute change of the series of each, 0 where it has none."""

    values: Any
    units: F64
    groups: I64
    horizon: int

    @classmethod
    def of(cls, train: Batch, held: HoldOut) -> Held:
        values = cut(train.contexts.values, held.begin[held.series], held.origin, held.limit, MOST_LAGS, train.horizon)
        values[~np.isfinite(values[:, :MOST_LAGS]).any(axis=1), MOST_LAGS:] = np.nan  # without any value before: nothing to judge by
        units = np.zeros(len(held))
        for series in np.unique(held.series):
            changes = np.abs(np.diff(train.contexts.values[held.begin[series] : held.whole[series]].astype(np.float64)))
            changes = changes[np.isfinite(changes)]
            units[held.series == series] = changes.mean() if len(changes) else 0.0
        return cls(values, units, held.groups, train.horizon)

    @property
    def labels(self) -> F64:
        found: F64 = self.values[:, MOST_LAGS:].astype(np.float64)
        return found

    @property
    def steps(self) -> Any:
        """Whether each step has a label in some window: [H]."""
        return np.isfinite(self.labels).any(axis=0)

    def contexts(self, lags: int) -> tuple[F64, F64]:
        """Contexts [W, T] for so many lags, without gaps, and their mean absolute changes [W]."""
        filled, first = fill(self.values[:, MOST_LAGS - max(lags, SPREAD) : MOST_LAGS])
        return filled, change(filled, first)

    def points(self, rule: Rule) -> F64:
        return rule.points(*self.contexts(len(rule.weights)))

    def losses(self, points: F64) -> F64:
        """The mean absolute error of each window, in the unit of its series: [W], NaN where there is no label or no unit."""
        errors = np.abs(self.labels - points)
        there = np.isfinite(errors)
        count = there.sum(axis=1) * (self.units > 0)
        total = np.where(there, errors, 0.0).sum(axis=1)
        return np.where(count > 0, total / np.maximum(count, 1) / np.where(self.units > 0, self.units, 1.0), np.nan)


def collect(
    windows: Windows, lags: int, horizon: int, names: Sequence[str], mean: float, effort: Effort, rng: np.random.Generator
) -> dict[str, Sums]:
    """The sums of a regression for each normalisation, of whole windows, or of each step by itself where those are few.

    A normalisation in which no window can be used is left out, and so are all where the matrices of each step would not fit.
    """
    sums = _collected(windows, lags, horizon, names, mean, effort.windows(lags, horizon), rng, each=False)
    if max(int(each.rows.max()) for each in sums.values()) < FOR_EACH_WEIGHT * (lags + 1):
        if horizon * (lags + 1) ** 2 > MOST_CELLS:
            return {}
        sums = _collected(windows, lags, horizon, names, mean, effort.windows(lags, horizon, each=True), rng, each=True)
    return {name: each for name, each in sums.items() if each.rows.any()}


def _collected(
    windows: Windows, lags: int, horizon: int, names: Sequence[str], mean: float, most: int, rng: np.random.Generator, each: bool
) -> dict[str, Sums]:
    sums = {name: Sums(lags, horizon, each) for name in names}
    frames = {name: Rule(name, np.zeros((lags, 0)), np.zeros(0), mean) for name in names}
    for contexts, labels, changes in windows.sample(lags, horizon, 1 if each else horizon, most, rng, SPREAD):
        for name, rule in frames.items():
            centre, unit = rule.frame(contexts, changes)
            rows = unit > 0
            x = (contexts[rows, -lags:] - centre[rows, None]) / unit[rows, None]  # [n, L]
            y = (labels[rows] - centre[rows, None]) / unit[rows, None]  # [n, H]
            sums[name].add(x, np.clip(y, -FARTHEST, FARTHEST) if name == "scaled" else y)
    return sums


def _residuals(rule: Rule, held: Held, windows: Windows, rng: np.random.Generator) -> tuple[F64, F64, F64]:
    """Residuals [n, H], NaN where there is no label, changes [n] and units of the series [n] (0 = not known).

    Those of held-out windows; where a step has few, those of training windows behind them.

    Raises:
        Unsupported: there is no residual at all.
    """
    contexts, changes = held.contexts(len(rule.weights))
    residuals, units = held.labels - rule.points(contexts, changes), held.units
    if np.isfinite(residuals).sum(axis=0).min() < ENOUGH:
        for past, labels, moved in windows.sample(len(rule.weights), residuals.shape[1], 1, MOST_HELD, rng, SPREAD):
            residuals = np.concatenate([residuals, labels - rule.points(past, moved)])
            changes, units = np.concatenate([changes, moved]), np.concatenate([units, np.zeros(len(moved))])
    if not np.isfinite(residuals).any():
        raise Unsupported(f"linear: {NOTHING}")
    return residuals, changes, units


def _table(residuals: F64, scale: F64) -> F64:
    """Quantiles at `LEVELS` of residuals over their scale: [K, H]; the i-th of n in order stands for level i / (n + 1)."""
    use = scale > 0
    scaled = residuals[use] / scale[use, None]
    there = np.isfinite(scaled).any(axis=0) if len(scaled) else np.zeros(residuals.shape[1], np.bool_)
    table = np.zeros((len(LEVELS), residuals.shape[1]))
    places = np.flatnonzero(there)
    for step in range(table.shape[1]) if len(places) else ():
        column = scaled[:, places[np.abs(places - step).argmin()]]  # its own, or the nearest one that has some
        table[:, step] = np.quantile(column[np.isfinite(column)], LEVELS, method="weibull")
    return np.maximum.accumulate(table, axis=0)


def _by_window(residuals: F64, changes: F64, units: F64) -> bool:
    """Whether residuals are to be divided by the change of their window: what has the less quantile loss, in units of the series."""
    use = (units > 0) & np.isfinite(residuals).any(axis=1)
    if use.sum() < PAIRS:
        return True
    residuals, changes, units = residuals[use], changes[use], units[use]
    half = np.arange(len(residuals)) % 2 == 0
    levels = np.arange(1, 10) / 10
    losses = []
    for scale in (changes, np.ones(len(changes))):
        total = 0.0
        for own in (half, ~half):
            quantiles = quantiles_of(_table(residuals[own], scale[own]), levels)  # [Q, H]
            for level, quantile in zip(levels.tolist(), quantiles, strict=True):
                apart = (residuals[~own] - scale[~own, None] * quantile) / units[~own, None]
                total += float(np.nansum(np.maximum(level * apart, (level - 1) * apart)))
        losses.append(total)
    return losses[0] < losses[1]
