"""Whether a training was worth it: the newest steps of each series are held out, and the gain there is compared with its error.

For plugins that train; needs numpy alone. In a model's `finetune(train, budget, seed)`:

    held = hold_out(train.contexts, train.horizon).some(256, np.random.default_rng(seed))
    gate = Gate(losses_of(network, held), held.groups)  # one loss for each held-out window
    ...                                                 # train on what lies before `held.end`, and every now and then:
    if gate.look(losses_of(network, held)):             # the best so far
        best = a_copy_of_the_weights(network)
    verdict = gate.verdict()                            # `verdict.kept` says whether to take them; `verdict.notes` says it to the user

The trained weights are kept where their mean gain over the held-out windows is above two standard errors, since the best of many looks at
the same windows is better than it is. Windows of one series, and windows of one time, move together, so the error is the largest of three:
over windows, over series, over times. Plugins once had rules of their own; these are those of ttm, which were measured (docs/log.md).

Axes: S series, W held-out windows, N windows, T context, H horizon. A place is an index into the one buffer that holds all series. NaN and
infinity are missing; what is missing before the first observed value of a series is no history.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness.forecast import F32, F64, I64, Ragged

__all__ = ["Gate", "HoldOut", "Verdict", "cut", "error_of_gain", "hold_out"]

ENOUGH, MOST = 64, 8
"""Held-out windows; of fewer series than that several are taken of each, at most so many and as far as an eighth of it goes. The gate
needs more where windows are a few steps each: a plugin may ask for them."""
MARGIN = 2.0
"""Standard errors that a gain must be above."""


@dataclass(frozen=True, eq=False)
class HoldOut:
    """The newest steps of series, held out as windows: the horizon, or a quarter of a series where that is shorter, or several horizons.

    All int64: `begin`, `end`, `whole` [S], the places where a series begins, where what is trained on ends, and where the series ends
    (`end` is `whole` where nothing is held out); `series` [W], which series a window is of; `origin` and `limit` [W], the places of its
    first step and of the one behind its last; `behind` [W], how many windows of its series come after it. They rise with time.
    """

    begin: I64
    end: I64
    whole: I64
    series: I64
    origin: I64
    limit: I64
    behind: I64

    @classmethod
    def of(
        cls,
        begin: I64,
        whole: I64,
        horizon: int,
        among: NDArray[np.bool_] | None = None,
        least: int = 1,
        enough: int = ENOUGH,
        most: int = MOST,
    ) -> HoldOut:
        """Hold out steps of series that reach from `begin` to `whole` [S].

        Args:
            horizon: H.
            among: [S], False for series that nothing is held out of; None is of all.
            least: steps of the shortest window that is of use; nothing is held out of a series that is too short for it.
            enough: windows in all; of fewer series than that several are taken of each, as far as an eighth of it goes.
            most: windows of one series.
        """
        length = whole - begin
        kept = np.minimum(horizon, length // 4)
        out = (kept >= least) & (True if among is None else among)
        each = int(np.clip(enough // max(int(out.sum()), 1), 1, most))
        count = np.where(out, np.maximum(np.minimum(each, length // 8 // horizon), 1), 0)
        end = whole - np.where(count > 1, count * horizon, np.where(out, kept, 0))
        series = np.repeat(np.arange(len(count)), count)  # [W]
        behind = np.repeat(np.cumsum(count), count) - 1 - np.arange(len(series))
        origin = np.maximum(whole[series] - (behind + 1) * horizon, end[series])
        return cls(begin, end, whole, series, origin, np.minimum(origin + horizon, whole[series]), behind)

    def __len__(self) -> int:
        """W."""
        return len(self.series)

    @property
    def groups(self) -> I64:
        """[W, 2]: the series of a window, and how far it is from the end, in windows: what moves together."""
        return np.stack([self.series, self.behind], axis=1)

    def some(self, most: int, rng: np.random.Generator) -> HoldOut:
        """At most so many of the windows, by chance, in the same order. The generator is used in any case."""
        return self.only(np.sort(rng.permutation(len(self))[:most]))

    def only(self, windows: I64) -> HoldOut:
        """The windows of these numbers; what is trained on stays the same."""
        names = ("series", "origin", "limit", "behind")
        return replace(self, **{name: getattr(self, name)[windows] for name in names})


def hold_out(
    rows: Ragged,
    horizon: int,
    among: NDArray[np.bool_] | None = None,
    least: int = 1,
    enough: int = ENOUGH,
    most: int = MOST,
) -> HoldOut:
    """Hold out the newest steps of ragged series, each from its first observed value on; see `HoldOut.of`."""
    known = np.isfinite(rows.values)
    before = np.concatenate([[0], np.cumsum(known)])  # observed values before each place
    places = np.append(np.flatnonzero(known), len(known))
    whole = rows.offsets[1:]
    return HoldOut.of(np.minimum(places[before[rows.offsets[:-1]]], whole), whole, horizon, among, least, enough, most)


def cut(values: F32, begin: I64, origin: I64, limit: I64, past: int, ahead: int) -> F32:
    """Windows [N, T + H] of a buffer, the first step ahead at index T; NaN before `begin`, from `limit` on, and where missing.

    Args:
        values: float32, all series.
        begin, origin, limit: [N], places where a window's series begins, of its first step ahead, and of the first that must not be seen.
        past, ahead: T and H.
    """
    at = origin[:, None] + np.arange(-past, ahead, dtype=np.int64)  # [N, T + H]
    inside = (at >= begin[:, None]) & (at < limit[:, None])
    found = values[np.where(inside, at, 0)]
    return np.where(inside & np.isfinite(found), found, np.float32(np.nan))


@dataclass(frozen=True)
class Verdict:
    """Whether the trained weights are kept, their mean gain and its standard error (infinite for one window), and all of it for notes."""

    kept: bool
    gain: float
    error: float
    notes: dict[str, float | str]


class Gate:
    """Looks at the held-out windows during a training, and what they say of it.

    Args:
        before: [W], the loss of each held-out window before the training, less is better, in a unit that series share; NaN where it has no
            label. A window that is not finite here is not judged by.
        groups: [W, 2], see `HoldOut.groups`.
    """

    def __init__(self, before: F64, groups: I64) -> None:
        self.judged = np.isfinite(before)
        self.windows = int(self.judged.sum())
        self.before, self.after, self.groups = before, before, groups
        self.losses = [self._mean(before)]
        """Mean losses: before the training, then of each look."""

    def look(self, losses: F64) -> bool:
        """Take the losses [W] of the weights as they are now; True where they are the best so far, and better than before."""
        mean, least = self._mean(losses), min(self.losses[1:], default=math.inf)
        self.losses.append(mean)
        if mean < least:
            self.after = losses
        return mean < min(least, self.losses[0])

    def verdict(self, fresh: bool = False) -> Verdict:
        """What became of the training, `fresh` where it began with random weights: then any gain is enough."""
        least, gain, error = min(self.losses[1:], default=math.inf), 0.0, math.inf
        if math.isfinite(least):
            gains = self.before[self.judged] - self.after[self.judged]
            gain, error = float(gains.mean()), error_of_gain(gains, self.groups[self.judged])
        kept = gain > 0 if fresh else gain > MARGIN * error
        notes: dict[str, float | str] = {"held-out windows": self.windows, "kept": "tuned" if kept else "base"}
        numbers = {"loss before": self.losses[0], "loss after": least, "gain": gain, "standard error of the gain": error}
        notes |= {name: number for name, number in numbers.items() if math.isfinite(number)}
        if not kept:
            notes["why"] = self._why(least, fresh)
        return Verdict(kept, gain, error, notes)

    def _why(self, least: float, fresh: bool) -> str:
        if self.windows < (1 if fresh else 2):
            return "fewer than two held-out windows can be judged by"
        if len(self.losses) > 1 and not math.isfinite(least):
            return "the trained weights forecast no numbers"
        return f"no look at the held-out windows was better{'' if fresh else f' by more than {MARGIN:g} standard errors'}"

    def _mean(self, losses: F64) -> float:
        """Infinite where one of the judged windows has no number, or there is none."""
        judged = losses[self.judged]
        return float(judged.mean()) if len(judged) and np.isfinite(judged).all() else math.inf


def error_of_gain(gains: F64, groups: I64) -> float:
    """The standard error of a mean gain: the largest of that over windows and those over the sums of groups; infinite for one window.

    With G groups of n windows in all it is sqrt(G / (G − 1) · Σ (Σ of a group's gains, less their mean each)²) / n.

    >>> error_of_gain(np.array([1.0, 3.0, 2.0, 6.0]), np.array([[0, 0], [0, 1], [1, 0], [1, 1]]))
    1.5

    Args:
        gains: [W], finite.
        groups: [W, 2]; by each column the windows are grouped. A column that makes a single group says nothing.
    """
    if len(gains) < 2:
        return math.inf
    errors = []
    for labels in (np.arange(len(gains)), *groups.T):
        _, group = np.unique(labels, return_inverse=True)
        number = int(group.max()) + 1
        if number > 1:
            apart = np.bincount(group, gains - gains.mean())  # sums over groups, which weigh by their size
            errors.append(float(np.sqrt((apart**2).sum() * number / (number - 1)) / len(gains)))
    return max(errors)
