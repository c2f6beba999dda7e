"""What the event model sees of windows, and which windows it learns from and is judged by.

Axes: N windows, T context, C channels (the series, then the past covariates), L levels. Values are float32 as they come and float64 where
they are computed with; NaN and infinity are missing, and 0 once they are scaled.

Each channel of each window is scaled by its own mean and standard deviation there, so that the network sees shapes. What scaling takes
away and an event hangs on is given to the head beside it, as L = C numbers: where the threshold lies in the scaled series (1 % is far out
in a calm window and near in a wild one), and the newest value of each covariate. They are standardised over the training windows.

Held out is the newest eighth of each series, in blocks of time. No outcome that is trained on reaches into it: with an event over h steps,
the h steps before the held-out part end no training window, and the first held-out window ends in that part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness import Ragged, Unsupported
from harness.events import newest, outcomes, threshold
from harness.forecast import F32, F64, I64, Batch
from harness.holdout import ENOUGH, MOST, cut, hold_out
from harness.types import Event
from harness_patchtst.event_parameters import NAME
from harness_patchtst.windows import LEAST_SPREAD, Constant, standardise

__all__ = ["Look", "Pool", "Seen", "channels_of", "names_of"]

FARTHEST = 5.0
"""Levels are cut at so many standard deviations of the training windows."""
MOST_LEARNT, MOST_HELD = 100_000, 4096
SPREADS = 2000


@dataclass(frozen=True)
class Seen:
    """N windows as the network takes them: shapes float32 [N, T, C], levels float32 [N, L]."""

    shapes: F32
    levels: F32

    def __len__(self) -> int:
        return len(self.shapes)


def names_of(batch: Batch) -> tuple[str, ...]:
    """What the past covariates of a batch are called; numbers, where the data does not say."""
    return batch.past_names or tuple(str(k) for k in range(len(batch.past_covariates)))


def channels_of(batch: Batch, names: Sequence[str]) -> list[Ragged]:
    """The series and these past covariates.

    Raises:
        Unsupported: the batch lacks one.
    """
    has = names_of(batch)
    lacking = [name for name in names if name not in has]
    if lacking:
        raise Unsupported(f"{NAME}: it learnt from the past covariate '{lacking[0]}', and the data has: {', '.join(has) or 'none'}")
    return [batch.contexts, *(batch.past_covariates[has.index(name)] for name in names)]


@dataclass(frozen=True)
class Look:
    """How windows are made into what the network takes; all numbers are of training windows.

    Attributes:
        constants: of each channel, the scale of windows without spread.
        centre, spread: float64 [L], of the levels.
    """

    constants: tuple[Constant, ...]
    centre: F64
    spread: F64

    @classmethod
    def of(cls, windows: F32, limit: F64) -> Look:
        """Learn the numbers from training windows [N, T, C] with thresholds [N]."""
        some = windows[np.unique(np.linspace(0, len(windows) - 1, SPREADS).astype(np.int64))]
        constants = tuple(_constant(some[:, :, c]) for c in range(windows.shape[2]))
        levels = _scaled(windows, limit, constants)[1]
        there = np.isfinite(levels)
        count = np.maximum(there.sum(axis=0), 1)
        centre = np.where(there, levels, 0).sum(axis=0) / count
        spread = np.sqrt((np.where(there, levels - centre, 0) ** 2).sum(axis=0) / count)
        return cls(constants, centre, np.where(spread > 0, spread, 1.0))

    def at(self, windows: F32, limit: F64) -> Seen:
        """Scale windows [N, T, C], whose event has thresholds [N]."""
        shapes, levels = _scaled(windows, limit, self.constants)
        levels = np.clip((levels - self.centre) / self.spread, -FARTHEST, FARTHEST)
        return Seen(shapes.astype(np.float32), np.where(np.isfinite(levels), levels, 0.0).astype(np.float32))


def _constant(windows: F32) -> Constant:
    """The medians over windows [N, T] of spread / size and of spread."""
    mask = np.isfinite(windows)
    _, loc, scale = standardise(windows, mask, "std", Constant())
    size = np.sqrt(loc**2 + scale**2)
    varied = (mask.sum(axis=1) > 1) & (scale > LEAST_SPREAD * size) & (np.nanmax(np.where(mask, windows, -np.inf), axis=1) > loc)
    return Constant(float(np.median(scale[varied] / size[varied])), float(np.median(scale[varied]))) if varied.any() else Constant()


def _scaled(windows: F32, limit: F64, constants: Sequence[Constant]) -> tuple[F64, F64]:
    """Scaled windows [N, T, C] and levels [N, L], NaN where there is none."""
    shapes, levels = np.empty(windows.shape), np.empty((len(windows), windows.shape[2]))
    for c, constant in enumerate(constants):
        values = windows[:, :, c]
        shapes[:, :, c], loc, scale = standardise(values, np.isfinite(values), "std", constant)
        levels[:, c] = (limit - loc) / scale if c == 0 else values[:, -1]
    return shapes, np.where(np.isfinite(levels), levels, np.nan)


class Pool:
    """The windows of training series whose outcome is known: those to learn from, and those held out to judge by.

    A window ends at a place, the last step that it knows of. A window has at least half a context of its series before it, or all that
    there is of a short one.

    Args:
        channels: the series and the covariates, of equal lengths.
        event: what is asked.
        context: T.
        rng: chooses, where there are more than 100,000 windows to learn from or 4096 to judge by.

    Attributes:
        learnt, held: int64 [N], places of windows.
        groups: int64 [W, 2], of held-out windows: their series, and which block of time.
    """

    def __init__(self, channels: Sequence[Ragged], event: Event, context: int, rng: np.random.Generator) -> None:
        rows = channels[0]
        self.values, self.context = [channel.values for channel in channels], context
        blocks = int(np.clip(ENOUGH // max(len(rows), 1), 1, MOST))  # as `harness.holdout` has it: an eighth of each series in all
        block = max(2 * event.step, int(np.median(rows.lengths)) // (8 * blocks)) if len(rows) else 1
        out = hold_out(rows, block)  # the last steps of a block have no outcome yet, so it is longer than the event
        self.series = np.repeat(np.arange(len(rows)), rows.lengths)  # [total] of each place
        self.begin: I64 = out.begin[self.series]
        known = [outcomes(event, row) for row in rows]
        self.outcome: F64 = np.concatenate(known) if known else np.zeros(0)
        self.limit: F64 = np.concatenate([threshold(event, newest(row)) for row in rows]) if len(rows) else np.zeros(0)
        place = np.arange(len(self.series), dtype=np.int64)
        least = np.minimum(context // 2, (out.end - out.begin) // 4)[self.series]
        usable = np.isfinite(self.outcome) & (place + 1 - self.begin >= least)
        end = out.end[self.series]
        self.learnt: I64 = np.flatnonzero(usable & (place + event.step < end))
        self.held: I64 = np.flatnonzero(usable & (place >= end))
        self.learnt = self.learnt[np.sort(rng.permutation(len(self.learnt))[:MOST_LEARNT])]
        self.held = self.held[np.sort(rng.permutation(len(self.held))[:MOST_HELD])]
        whole = out.whole[self.series[self.held]]
        self.groups: I64 = np.stack([self.series[self.held], (whole - 1 - self.held) // block], axis=1)

    def cut(self, places: I64) -> F32:
        """Windows [N, T, C] that end at these places, NaN where missing."""
        begin, origin = self.begin[places], places + 1
        return np.stack([cut(values, begin, origin, origin, self.context, 0) for values in self.values], axis=2)
