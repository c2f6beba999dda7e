"""A trained network of gluonts that forecasts batches, window by window the same whatever travels with it.

Axes: N windows, T context, Q quantile levels, S samples, H horizon.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import Batch, Forecast, Unsupported
from harness.forecast import F32, F64, Ragged
from harness.threads import one_thread
from harness_gluonts.convert import convert
from harness_gluonts.data import Entry, Scale, entries, observed
from harness_gluonts.quiet import quiet, reseed, seeded
from harness_gluonts.saved import write

__all__ = ["ROWS", "Forecaster", "Trained"]

ROWS = 32
"""Windows that go through a network together: always so many, filled up with copies, so that no rounding depends on their number.

No fewer: torch computes a sigmoid and its like in blocks of 16 or 32 numbers, and what is left over in another way, whose last bit may
differ. With 32 windows nothing is left over, however many numbers each has; with 8 of 10 paths each, a forecast depended on its place."""
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Trained:
    """What belongs to a trained network.

    Attributes:
        model: its name.
        freq, horizon: of the task that it was trained on.
        parameters: all that its estimator was given by name.
        newest: steps of a context that it looks at; None = all.
        past, known: the scales of its covariates; empty = it uses none.
        sampled: its forecasts are drawn.
    """

    model: str
    freq: str
    horizon: int
    parameters: Mapping[str, Any]
    newest: int | None
    past: tuple[Scale, ...] = ()
    known: tuple[Scale, ...] = ()
    sampled: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)


class Forecaster:
    """Forecasts windows with a gluonts predictor.

    Args:
        predictor: of `gluonts.torch`, on the device where it is to run.
        trained: what it learnt.
    """

    def __init__(self, predictor: Any, trained: Trained) -> None:
        self.predictor, self.trained = predictor, trained
        self.notes: dict[str, Any] = dict(trained.facts)
        self._alone = False

    @one_thread()
    def predict(self, batch: Batch) -> Forecast:
        """Samples [N, S, H], or quantiles [N, Q, H]. A window without a value is forecast as 0, and one whose forecast is not finite as
        its last value; both are counted in the notes.

        Raises:
            Unsupported: a longer horizon than it was trained for, or other covariates.
        """
        trained = self.trained
        if batch.horizon > trained.horizon:
            raise Unsupported(
                f"{trained.model}: the weights forecast {trained.horizon} steps, and the task asks for {batch.horizon}; train new ones: "
                f"--mode full"
            )
        batch = self._with_covariates(batch)
        rows = np.flatnonzero(observed(batch))
        if missing := len(batch) - len(rows):
            self.notes["all_missing"] = self.notes.get("all_missing", 0) + missing
        with quiet(), seeded(0):
            made = entries(
                batch, rows=rows.tolist(), newest=trained.newest, past=trained.past, known=trained.known, horizon=trained.horizon
            )
            parts: list[Any] = [None] * len(batch)
            found = self._drawn(made, batch.seeds[rows].tolist()) if trained.sampled else self._together(made)
            for row, forecast in zip(rows, found, strict=True):
                parts[row] = forecast
            return self._finite(convert(parts, batch.quantile_levels, batch.horizon), batch)

    def _with_covariates(self, batch: Batch) -> Batch:
        """The batch with as many covariates as the network was trained with; where it has none, their means, which the notes count."""
        trained = self.trained
        used: dict[str, tuple[Ragged, ...]] = {}
        for what, has, learnt, more in (
            ("past", batch.past_covariates, trained.past, 0),
            ("known", batch.known_covariates, trained.known, batch.horizon),
        ):
            if learnt and has and len(has) != len(learnt):
                raise Unsupported(
                    f"{trained.model}: the weights were trained with {len(learnt)} {what} covariates, and the task has {len(has)}; train "
                    f"new ones: --mode full"
                )
            if learnt and not has:
                self.notes[f"without_{what}_covariates"] = self.notes.get(f"without_{what}_covariates", 0) + len(batch)
                offsets = np.concatenate([[0], np.cumsum(batch.contexts.lengths + more)])
                has = (Ragged(np.full(offsets[-1], np.nan, np.float32), offsets),) * len(learnt)
            used[what] = has if learnt else ()
        return replace(batch, past_covariates=used["past"], known_covariates=used["known"])

    def _drawn(self, made: list[Entry], seeds: list[int]) -> list[Any]:
        """Together, each window's draws from its own seed; one by one for a network whose draws cannot be told apart."""
        from harness_gluonts.draws import Draws, Uncovered, samples_of

        samples = samples_of(self.predictor.network)
        if samples is None or self._alone:
            return self._one_by_one(made, seeds)
        found: list[Any] = []
        try:
            for low in range(0, len(made), ROWS):
                with Draws(seeds[low : low + ROWS], ROWS, samples, self.predictor.device):
                    found += self._together(made[low : low + ROWS])
        except Uncovered:
            self._alone = True  # and so for all of its windows: how a network draws is no matter of the data
            return self._one_by_one(made, seeds)
        return found

    def _one_by_one(self, made: list[Entry], seeds: list[int]) -> list[Any]:
        self.notes["one_by_one"] = self.notes.get("one_by_one", 0) + len(made)
        found = []
        for entry, seed in zip(made, seeds, strict=True):
            reseed(seed)
            found += list(self.predictor.predict([entry]))
        return found

    def _together(self, made: list[Entry]) -> list[Any]:
        self.predictor.batch_size = ROWS
        more = [dict(made[0]) for _ in range(-len(made) % ROWS)] if made else []
        return list(self.predictor.predict(made + more))[: len(made)]

    def _finite(self, forecast: Forecast, batch: Batch) -> Forecast:
        values, mean = forecast.values, forecast.mean
        bad: NDArray[np.bool_] = np.logical_not(np.isfinite(values).all(axis=(1, 2)))  # [N]
        if mean is not None:
            bad = bad | np.logical_not(np.isfinite(mean).all(axis=1))
        if not bad.any():
            return forecast
        self.notes["not_finite"] = self.notes.get("not_finite", 0) + int(bad.sum())
        last = last_values(batch)  # [N]
        values = np.where(bad[:, None, None], last[:, None, None], values).astype(np.float32)
        mean = None if mean is None else np.where(bad[:, None], last[:, None], mean).astype(np.float32)
        return replace(forecast, values=values, mean=mean)

    def save(self, folder: str | Path) -> Path:
        """Write the predictor as gluonts does, and harness.json; `-M NAME:weights=FOLDER` reads them. Returns the folder."""
        return write(Path(folder), self.predictor, self.trained)


def last_values(batch: Batch) -> F32:
    """The last observed value of each context [N]; 0 where there is none."""
    found: F64 = np.zeros(len(batch))
    for row, context in enumerate(batch):
        seen = np.flatnonzero(np.isfinite(context))
        found[row] = context[seen[-1]] if len(seen) else 0.0
    return found.astype(np.float32)
