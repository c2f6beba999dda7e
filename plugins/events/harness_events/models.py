"""The models: each learns a rule of one number from the outcomes of a training part, and says the probability of the event.

Axes: N windows, T steps. Outcomes follow from the series that is given for training (`harness.events.outcomes`): the last steps, whose
outcome is not known yet, are not learnt from. A feature is read at the last step of a context; where it is missing there, or the event has
no threshold, the probability is the base rate. Probabilities stay within half an event of 0 and 1: no finite past makes anything sure.
"""

from __future__ import annotations

import numpy as np

from harness import Batch, Forecast, Unsupported
from harness.events import outcomes
from harness.forecast import F64

__all__ = ["AlwaysUp", "AtrLogistic", "BaseRate", "LastSign", "Momentum", "VolatilityLogistic"]

RIDGE = 1e-3
"""Weight of the slope's square, of a standardised feature: keeps classes that are apart from an infinite slope."""
STEPS = 50
"""Of Newton's method, at most; five to ten are usual."""
VALUES = "it tells how probable an event is, and this task asks for values, of no event"


class BaseRate:
    """(events + ½) / (outcomes + 1) of the training part."""

    def __init__(self) -> None:
        self.rate, self.count = 0.5, 0
        self.notes: dict[str, float] = {}

    def finetune(self, train: Batch, budget: str, seed: int) -> BaseRate:
        """Learn from the outcomes of all series; raises Unsupported on a task without an event."""
        del budget, seed
        if train.event is None:
            raise Unsupported(VALUES)
        known = [outcomes(train.event, row) for row in train]
        every = np.concatenate(known) if known else np.empty(0)
        seen = every[np.isfinite(every)]
        self.count, self.rate = len(seen), float((seen.sum() + 0.5) / (len(seen) + 1))
        self.notes |= {"outcomes": float(self.count), "base rate": self.rate}
        self.learn(train, known)
        return self

    def learn(self, train: Batch, known: list[F64]) -> None:
        """What a model learns beyond the base rate; `known` are the outcomes after each step of each series."""

    def predict(self, batch: Batch) -> Forecast:
        """The probability of the event in each window; raises Unsupported on a task without an event."""
        if batch.event is None:
            raise Unsupported(VALUES)
        chance = self.chances(batch)
        return Forecast.from_probabilities(np.where(np.isfinite(chance), chance, self.rate))

    def chances(self, batch: Batch) -> F64:
        """Probabilities [N], NaN where the model has nothing to go by."""
        return np.full(len(batch), self.rate)


class AlwaysUp(BaseRate):
    """The event every time, with the probability that as many outcomes without an exception would give."""

    def learn(self, train: Batch, known: list[F64]) -> None:
        del train, known
        self.rate = (self.count + 0.5) / (self.count + 1)


class LastSign(BaseRate):
    """P(event | it happened last time), and given that it did not: the last outcome that is known at the end of the context."""

    def __init__(self) -> None:
        super().__init__()
        self.after = np.array([np.nan, np.nan])  # the share of events after a miss, after an event

    def learn(self, train: Batch, known: list[F64]) -> None:
        assert train.event is not None
        step = train.event.step
        before = np.concatenate([each[:-step] for each in known] or [np.empty(0)])
        then = np.concatenate([each[step:] for each in known] or [np.empty(0)])
        both = np.isfinite(before) & np.isfinite(then)
        for last in (0, 1):
            follow = then[both & (before == last)]
            self.after[last] = (follow.sum() + self.rate) / (len(follow) + 1)

    def chances(self, batch: Batch) -> F64:
        assert batch.event is not None
        step = batch.event.step
        last = np.array([outcomes(batch.event, row[-step - 1 :])[0] if len(row) > step else np.nan for row in batch])
        return np.where(np.isfinite(last), self.after[np.nan_to_num(last).astype(np.int64)], np.nan)


class Logistic(BaseRate):
    """P = 1 / (1 + exp(−(a + b·x))) of one standardised feature x, fitted by Newton's method on the training part."""

    feature = ""

    def __init__(self) -> None:
        super().__init__()
        self.center, self.spread, self.a, self.b = 0.0, 1.0, np.nan, 0.0

    def _column(self, batch: Batch) -> int:
        if self.feature not in batch.past_names:
            names = ", ".join(batch.past_names) or "none that has a name"
            raise Unsupported(f"it needs the past covariate '{self.feature}', and the data has: {names}")
        return batch.past_names.index(self.feature)

    def learn(self, train: Batch, known: list[F64]) -> None:
        rows = train.past_covariates[self._column(train)]
        x = rows.values.astype(np.float64)
        y = np.concatenate(known) if known else np.empty(0)
        good = np.isfinite(x) & np.isfinite(y)
        x, y = x[good], y[good]
        if len(y) < 2 or y.min() == y.max() or x.std() == 0:
            return
        self.center, self.spread = float(x.mean()), float(x.std())
        self.a, self.b = fit_logistic((x - self.center) / self.spread, y)
        self.notes |= {"intercept": self.a, "slope of the standardised feature": self.b}

    def chances(self, batch: Batch) -> F64:
        rows = batch.past_covariates[self._column(batch)]
        x = rows.values[rows.offsets[1:] - 1].astype(np.float64)  # no context is empty
        with np.errstate(over="ignore"):
            chance: F64 = 1 / (1 + np.exp(-(self.a + self.b * (x - self.center) / self.spread)))
        least = 0.5 / (self.count + 1)
        return np.clip(chance, least, 1 - least)


def fit_logistic(x: F64, y: F64) -> tuple[float, float]:
    """(intercept, slope) of the penalised likelihood, for a standardised feature [n] and outcomes of 1 and 0, both there.

    Newton's steps are halved until they lower the cost: whole ones run away where a few values of the feature are far out.

    >>> a, b = fit_logistic(np.array([-1.0, -1.0, 1.0, 1.0]), np.array([0.0, 1.0, 1.0, 1.0]))
    >>> b > 0
    True
    """
    design = np.stack([np.ones_like(x), x], axis=1)  # [n, 2]
    penalty = np.diag([0.0, RIDGE * len(x)])

    def cost(weights: F64) -> float:
        logit = design @ weights
        return float((np.logaddexp(0.0, logit) - y * logit).sum() + weights @ penalty @ weights / 2)

    weights = np.array([np.log(y.mean() / (1 - y.mean())), 0.0])
    now = cost(weights)
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(design @ weights, -500, 500)))
        gradient = design.T @ (y - chance) - penalty @ weights
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design + penalty
        step = np.linalg.solve(curvature + 1e-12 * np.eye(2), gradient)
        while (then := cost(weights + step)) > now and np.abs(step).max() > 1e-10:
            step = step / 2
        if then > now:
            break
        weights, now = weights + step, then
        if np.abs(step).max() < 1e-10:
            break
    return float(weights[0]), float(weights[1])


class Momentum(Logistic):
    """The change over twelve months."""

    feature = "momentum252"


class AtrLogistic(Logistic):
    """How much prices moved in 14 sessions."""

    feature = "atr14"


class VolatilityLogistic(Logistic):
    """How much they moved in 20."""

    feature = "volatility20"
