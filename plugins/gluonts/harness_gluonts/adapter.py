"""Any gluonts Predictor or Estimator as a model: `-m 'gluonts:my_module.MyEstimator[context_length=24]'`.

The class is imported in the worker, from where Python finds it or from the working folder. What it makes is told apart by its methods: one
with `train` is an Estimator and needs mode "full", one with `predict` alone is a Predictor and forecasts zero-shot. A function that
returns either will do, and so will an object that is one already.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from harness import Batch, Forecast, Unsupported, UsageError
from harness.budget import Budget, parse_budget
from harness.errors import ForecastError, suggest
from harness.parameters import check_device, check_gpu
from harness.targets import load_target
from harness.threads import one_thread

if TYPE_CHECKING:
    from harness_gluonts.forecaster import Trained

__all__ = ["Adapter", "Foreign"]


class Adapter:
    """A model that is made of a class of the user's, or of gluonts.

    The constructor is given, where it takes them: `prediction_length`, `freq` (as pandas spells offsets: "h", "15min", "ME"), `seed`; also
    `season_length` where it must have it; and the parameters in brackets, which go before these.

    Args:
        target: MODULE.CLASS.
        weights: a folder that a trained one was saved to, "" = none.
        device: cpu, cuda, cuda:1; for the training of lightning estimators, and for predictors that can be moved.
        parameters: the constructor's own.

    Raises:
        UsageError: there is no such class, or its constructor does not take a parameter.
    """

    def __init__(self, target: str, weights: str = "", device: str = "cpu", **parameters: Any) -> None:
        from harness_gluonts.quiet import library

        self.target, self.name, self.device, self.parameters = target, f"gluonts:{target}", device, parameters
        check_gpu(self.name, check_device(self.name, device))
        library()
        self.kind = load_target(target)
        self.notes: dict[str, Any] = {}
        self._made: dict[tuple[Any, ...], Any] = {}
        self._check()
        self.loaded: Foreign | None = None
        if weights:
            from harness_gluonts.saved import read

            predictor, trained = read(weights, self.name, device, own=target.partition(".")[0])
            self.loaded = Foreign(predictor, trained)
            self.loaded.notes = self.notes

    def _check(self) -> None:
        """Refuse what makes no model, and parameters that it does not take."""
        from harness_gluonts.training import parameters_of

        ready = not isinstance(self.kind, type) and any(callable(getattr(self.kind, name, None)) for name in ("train", "predict"))
        if ready:
            if self.parameters:
                raise UsageError(
                    f"{self.name} is a {type(self.kind).__name__} that is made already, and takes no parameters; got "
                    f"{', '.join(self.parameters)}. Name its class to make one with them"
                )
            return
        methods = isinstance(self.kind, type) and not any(callable(getattr(self.kind, name, None)) for name in ("train", "predict"))
        if not callable(self.kind) or methods:
            what = "a class without predict(dataset) and train(dataset)" if methods else f"a {type(self.kind).__name__}"
            raise UsageError(f"{self.name} is {what}; wanted a gluonts Predictor or Estimator, or a function that makes one")
        takes = parameters_of(self.kind)
        if any(p.kind is p.VAR_KEYWORD for p in takes.values()):
            return
        for name in self.parameters:
            if name not in takes:
                raise UsageError(
                    f"{self.name} has no parameter '{name}'.{suggest(name, takes)} Its constructor takes: {', '.join(takes) or 'none'}"
                )

    def predict(self, batch: Batch) -> Forecast:
        """Forecast with the Predictor, or with a trained one from `weights`.

        Raises:
            Unsupported: it is an Estimator; says what to type.
        """
        from harness_gluonts.forecaster import Trained

        if self.loaded is not None:
            return self.loaded.predict(batch)
        made = self._make(batch, 0)
        if _trains(made):
            raise Unsupported(f"{self.name} is an Estimator, which is trained on each task: --mode full")
        if callable(getattr(made, "to", None)) and self.device != "cpu":
            made.to(self.device)
        foreign = Foreign(made, Trained(self.name, batch.freq, batch.horizon, self.parameters, None))
        foreign.notes = self.notes
        return foreign.predict(batch)

    @one_thread()
    def finetune(self, train: Batch, budget: str, seed: int, mode: str = "full") -> Foreign:
        """Train the Estimator on the series of `train`; returns what it has made.

        Args:
            train: each series up to its first cutoff.
            budget: "" for as long as the Estimator says; steps or a time for one that has a lightning trainer.
            seed: of all that draws from the global states of random, numpy and torch, and the constructor's `seed`.
            mode: full.

        Raises:
            Unsupported: it is a Predictor; no series has an observed value.
            UsageError: a budget for an Estimator that has no trainer to be told.
        """
        from harness_gluonts import quiet, training
        from harness_gluonts.data import entries, observed
        from harness_gluonts.forecaster import Trained

        if mode != "full":
            raise Unsupported(f"{self.name} does not know the mode {mode!r}; an Estimator is trained with --mode full")
        limit = parse_budget(budget)
        with quiet.quiet(prints=True), quiet.seeded(seed):
            estimator = self._make(train, seed)
            if not _trains(estimator):
                raise Unsupported(f"{self.name} is a Predictor, which has nothing to train: --mode zero-shot")
            rows = np.flatnonzero(observed(train)).tolist()
            if not rows:
                raise Unsupported(f"{self.name}: no value of the training series is observed")
            options = None
            if isinstance(getattr(estimator, "trainer_kwargs", None), dict):
                options = training.trainer_options(self.device, "", limit=limit)
            elif limit != Budget():
                raise UsageError(
                    f"{self.name}: got a budget of {budget!r}, and only Estimators with lightning's trainer_kwargs can be given one; leave "
                    f"--budget out and set what it takes in brackets"
                )
            predictor, facts = training.train(estimator, entries(train, rows=rows, horizon=0), [], options, prints=True)
        if not callable(getattr(predictor, "predict", None)):
            raise UsageError(f"{self.name}: train() returned a {type(predictor).__name__}; wanted a Predictor, with predict(dataset)")
        if options is not None and callable(getattr(predictor, "to", None)):
            predictor.to(self.device)
        noted = {"series": len(rows), **facts}
        return Foreign(predictor, Trained(self.name, train.freq, train.horizon, self.parameters, None, facts=noted))

    def _make(self, batch: Batch, seed: int) -> Any:
        """The Predictor or Estimator for a horizon, a frequency, and what else its constructor is given; each is made once."""
        from harness_gluonts.data import offset_alias
        from harness_gluonts.training import build, parameters_of

        if not callable(self.kind) or (not isinstance(self.kind, type) and (_trains(self.kind) or _predicts(self.kind))):
            return self.kind
        takes = parameters_of(self.kind)
        offered = {"prediction_length": batch.horizon, "freq": offset_alias(batch.freq), "seed": seed}
        arguments = {name: value for name, value in offered.items() if name in takes}
        if "season_length" in takes and takes["season_length"].default is inspect.Parameter.empty:
            arguments["season_length"] = batch.season_length
        # All that the constructor is given; and what a predictor is asked for later, which it may keep something for.
        key = (batch.horizon, batch.freq, *arguments.items())
        if key not in self._made:
            made = build(self.kind, self.name, arguments | self.parameters)
            if not (_trains(made) or _predicts(made)):
                raise UsageError(
                    f"{self.name} made a {type(made).__name__}, which has neither predict(dataset) nor train(dataset); wanted a gluonts "
                    f"Predictor or Estimator"
                )
            self._made[key] = made
        return self._made[key]


def _trains(made: Any) -> bool:
    return callable(getattr(made, "train", None))


def _predicts(made: Any) -> bool:
    return callable(getattr(made, "predict", None))


class Foreign:
    """A predictor of unknown making: it is given a whole batch, and may draw from one stream for all of its windows."""

    def __init__(self, predictor: Any, trained: Trained) -> None:
        self.predictor, self.trained = predictor, trained
        self.notes: dict[str, Any] = dict(trained.facts)

    @one_thread()
    def predict(self, batch: Batch) -> Forecast:
        """What it forecasts, each kind as it is. A window without a value is forecast as 0, and counted in the notes.

        Raises:
            Unsupported: a trained one was trained for fewer steps.
            ForecastError: too few forecasts, or useless ones.
        """
        from harness_gluonts import quiet
        from harness_gluonts.convert import convert
        from harness_gluonts.data import entries, observed

        if batch.horizon > self.trained.horizon:
            raise Unsupported(
                f"{self.trained.model}: it was trained for {self.trained.horizon} steps, and the task asks for {batch.horizon}; train it "
                f"anew: --mode full"
            )
        rows = np.flatnonzero(observed(batch)).tolist()
        if missing := len(batch) - len(rows):
            self.notes["all_missing"] = self.notes.get("all_missing", 0) + missing
        parts: list[Any] = [None] * len(batch)
        with quiet.quiet(prints=True), quiet.seeded(int(batch.seeds[0])):
            found = list(self.predictor.predict(entries(batch, rows=rows, horizon=self.trained.horizon))) if rows else []
            if len(found) != len(rows):
                raise ForecastError(
                    f"{self.trained.model}: predict gave {len(found)} forecasts for {len(rows)} series; wanted one for each"
                )
            for row, forecast in zip(rows, found, strict=True):
                parts[row] = forecast
            return convert(parts, batch.quantile_levels, batch.horizon)

    def save(self, folder: Any) -> Any:
        """Have the predictor serialize itself, with harness.json beside it; `-M gluonts:weights=FOLDER` reads that. Returns the folder."""
        from pathlib import Path

        from harness_gluonts.saved import write

        return write(Path(folder), self.predictor, self.trained)
