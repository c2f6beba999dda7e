"""A model of `gluonts.torch` as the harness knows it: its parameters, and what each mode does. torch is imported when one is made."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from harness import Batch, Forecast, Unsupported, UsageError
from harness.budget import parse_budget
from harness.errors import suggest
from harness.forecast import I64
from harness.holdout import hold_out
from harness.parameters import check_device, check_gpu, choice, truth, whole
from harness.threads import one_thread
from harness_gluonts.cards import OWN, Card

if TYPE_CHECKING:
    from harness_gluonts.data import Entry
    from harness_gluonts.forecaster import Forecaster

__all__ = ["Network"]

MOST_HELD = 1024
"""Held-out windows that are looked at after each epoch."""
DISTRIBUTIONS = {
    "student_t": "StudentTOutput",
    "normal": "NormalOutput",
    "laplace": "LaplaceOutput",
    "negative_binomial": "NegativeBinomialOutput",
}
"""Those that can be named; each has quantiles."""
NETWORKS = {"discrete": "DeepNPTSNetworkDiscrete", "smooth": "DeepNPTSNetworkSmooth"}


class Network:
    """One of the library's torch models.

    Modes: "full" trains it on the training part of the task; zero-shot forecasts with `weights`. A budget of seconds is not reproducible.

    Args:
        card: which.
        weights: a folder that a trained one was saved to, "" = none. Mode "full" starts untrained all the same.
        max_epochs, num_batches_per_epoch: how long to train without a budget; gluonts' 100 epochs of 50 batches (100 for deepnpts).
        validation: hold the last horizons of each long enough series out, as `harness.holdout` does, and keep the epoch that forecasts
            them best; else the one with the lowest training loss, as for deepnpts.
        use_covariates: use those of the task that the model can.
        device: cpu, cuda, cuda:1.
        others: the estimator's own parameters, None for what suits the data or the library's default.

    Raises:
        UsageError: a parameter that the model does not have, or that the library refuses; weights that are not there or not of this model.
    """

    def __init__(self, card: Card, **parameters: Any) -> None:
        self.card = card
        known = card.defaults()
        for name in parameters:
            if name not in known:
                raise UsageError(f"model '{card.name}' has no parameter '{name}'.{suggest(name, known)} (it takes: {', '.join(known)})")
        own = {name: parameters.get(name, default) for name, default in OWN.items()}
        self.given = {name: parameters.get(name) for name in card.parameters}
        self.weights, self.device = own["weights"] or "", own["device"]
        self.max_epochs, self.validation, self.use_covariates = own["max_epochs"], own["validation"], own["use_covariates"]
        self._check()
        from harness_gluonts.quiet import library

        check_gpu(card.name, check_device(card.name, self.device))
        library()
        self._estimator({**self.given, **({"context_length": 8} if "context_length" in self.given else {})}, "D", 2, (0, 0))
        self.loaded: Forecaster | None = None
        self.notes: dict[str, Any] = {}
        if self.weights:
            from harness_gluonts.forecaster import Forecaster
            from harness_gluonts.saved import read

            predictor, trained = read(self.weights, card.name, self.device)
            self._agree(trained.parameters)
            self.loaded = Forecaster(predictor, trained)
            self.loaded.notes = self.notes

    def _check(self) -> None:
        """Refuse values of our own parameters that make no sense, and names that are not of the lists."""
        name = self.card.name
        for key, value in (("max_epochs", self.max_epochs), *((k, self.given.get(k)) for k in ("num_batches_per_epoch", "batch_size"))):
            if value is not None:
                whole(name, key, value)
        for key, value in (("validation", self.validation), ("use_covariates", self.use_covariates)):
            truth(name, key, value)
        if not isinstance(self.weights, str):
            raise UsageError(f"{name}: weights got {self.weights!r}; wanted the path of a folder that a trained model was saved to")
        for key, choices in (("distr_output", DISTRIBUTIONS), ("network_type", NETWORKS)):
            value = self.given.get(key)
            if value is not None:
                choice(name, key, value, choices)

    def _agree(self, learnt: Any) -> None:
        """Refuse parameters that the weights were not trained with."""
        for key, value in self.given.items():
            if value is not None and json.dumps(learnt.get(key)) != json.dumps(value):
                raise UsageError(
                    f"{self.card.name}: {key} got {value!r}, and the weights in {self.weights} have {learnt.get(key)!r}; leave {key} out"
                )

    def predict(self, batch: Batch) -> Forecast:
        """Forecast with the weights.

        Raises:
            Unsupported: there are none.
        """
        name = self.card.name
        if self.loaded is None:
            raise Unsupported(
                f"{name} has no weights of its own for zero-shot; train it on each task: --mode full, or name a folder of weights: "
                f"-M {name}:weights=FOLDER"
            )
        trained = self.loaded.trained
        self.notes["weights"] = f"trained on frequency {trained.freq}, horizon {trained.horizon}"
        return self.loaded.predict(batch)

    @one_thread()
    def finetune(self, train: Batch, budget: str, seed: int, mode: str = "full") -> Forecaster:
        """Train a new network on each series of `train`; returns the trained model.

        Args:
            train: each series up to its first cutoff.
            budget: "" for `max_epochs`, steps ("200steps", a batch each) or a time ("90s", "2m").
            seed: of weights, dropout and windows.
            mode: full.

        Raises:
            UsageError: a budget that cannot be read.
            Unsupported: another mode; no series that is long enough; values that the distribution cannot have.
        """
        from harness_gluonts import forecaster, quiet, training
        from harness_gluonts.data import offset_alias, scales

        card, limit = self.card, parse_budget(budget)
        if mode != "full":
            raise Unsupported(f"{card.name} does not know the mode {mode!r}; it has zero-shot and full")
        if limit.seconds is not None and card.name == "deepnpts":
            raise Unsupported("deepnpts counts steps only, as its training in gluonts has no clock: --budget 200steps")
        past = scales(train.past_covariates) if "past" in card.covariates and self.use_covariates else []
        known = scales(train.known_covariates) if "known" in card.covariates and self.use_covariates else []
        used = replace(
            train, past_covariates=train.past_covariates if past else (), known_covariates=train.known_covariates if known else ()
        )
        rows, lengths = self._rows(used)
        values = used.contexts.values[np.isfinite(used.contexts.values)]
        self._check_values(values)

        from harness_gluonts.data import entries
        from harness_gluonts.settings import chosen

        levels = [float(q) for q in train.quantile_levels]
        arguments = chosen(
            card.name, self.given, train.freq, train.season_length, train.horizon, levels, lengths, negative=bool((values < 0).any())
        )
        plan = training.Plan.of(limit, self.max_epochs, arguments.get("num_batches_per_epoch") or (100 if card.name == "deepnpts" else 50))
        with quiet.quiet(), quiet.seeded(seed):
            made = self._estimator(
                {**arguments, "num_batches_per_epoch": plan.batches},
                offset_alias(train.freq),
                train.horizon,
                (len(past), len(known)),
                plan.epochs,
            )
            data = entries(used, rows=rows, past=past, known=known, horizon=0)
            held = self._hold_out(data, rows, used, seed) if self.validation and card.name != "deepnpts" else []
            options = None if card.name == "deepnpts" else training.trainer_options(self.device, "", plan)
            predictor, facts = training.train(made, data, held, options)
            import torch

            predictor.to(torch.device(self.device))
        past_length = predictor_context(predictor)
        facts = {"steps": float(plan.steps), "epochs": float(plan.epochs), **facts}
        noted: dict[str, Any] = {key: int(value) if value.is_integer() else value for key, value in facts.items()}
        noted |= {"past_steps": past_length, "series": len(rows), "held_out": len(held), "freq": train.freq, "horizon": train.horizon}
        if past or known:
            noted["covariates"] = f"{len(past)} past, {len(known)} known"
        trained = forecaster.Trained(
            model=card.name,
            freq=train.freq,
            horizon=train.horizon,
            parameters={**self.given, **arguments},
            newest=None if card.whole else past_length,
            past=tuple(past),
            known=tuple(known),
            sampled=card.output == "samples",
            facts=noted,
        )
        return forecaster.Forecaster(predictor, trained)

    def _rows(self, train: Batch) -> tuple[list[int], I64]:
        """The series that can be trained on, and their lengths: longer than a horizon, with an observed value."""
        from harness_gluonts.data import observed

        lengths = train.contexts.lengths
        good = np.flatnonzero((lengths > train.horizon) & (observed(train) > 0))
        if not len(good):
            raise Unsupported(
                f"{self.card.name}: none of {len(train)} training series has an observed value and more than {train.horizon} steps, the "
                f"horizon that it is to learn; the longest has {int(lengths.max(initial=0))}"
            )
        return good.tolist(), lengths[good]

    def _check_values(self, values: Any) -> None:
        if self.given.get("distr_output") == "negative_binomial" and not (values.min() >= 0 and np.array_equal(values, np.round(values))):
            raise Unsupported(
                f"{self.card.name}: negative_binomial is for counts, and a training value is not one; use distr_output=student_t"
            )

    @staticmethod
    def _hold_out(data: list[Entry], rows: list[int], train: Batch, seed: int) -> list[Entry]:
        """Shorten the entries `data` of some `rows`, in place, by what is held out; return an entry up to the end of each held-out window.

        The library looks at whole horizons only.
        """
        among = np.isin(np.arange(len(train)), rows)
        held = hold_out(train.contexts, train.horizon, among, least=train.horizon).some(MOST_HELD, np.random.default_rng(seed % 2**64))
        first, place = train.contexts.offsets[:-1], dict(zip(rows, range(len(rows)), strict=True))
        steps = (held.limit - first[held.series]).tolist()
        windows = [_shortened(data[place[row]], high) for row, high in zip(held.series.tolist(), steps, strict=True)]
        for index, high in enumerate((held.end - first)[rows].tolist()):
            data[index] = _shortened(data[index], high)
        return windows

    def _estimator(self, arguments: dict[str, Any], freq: str, horizon: int, covariates: tuple[int, int], epochs: int = 1) -> Any:
        """The library's estimator."""
        import gluonts.torch
        from gluonts.torch import distributions
        from gluonts.torch.model import deep_npts

        from harness_gluonts import training

        kind = getattr(gluonts.torch, self.card.estimator)
        past, known = covariates
        made = {key: value for key, value in arguments.items() if value is not None} | {"prediction_length": horizon}
        if made.get("distr_output"):
            made["distr_output"] = getattr(distributions, DISTRIBUTIONS[made["distr_output"]])()
        if made.get("network_type"):
            made["network_type"] = getattr(deep_npts, NETWORKS[made["network_type"]])
        if "patch_len" in self.given:
            made.setdefault("patch_len", 2)
        takes = training.parameters_of(kind)
        offered = {
            "freq": freq,
            "epochs": epochs,
            "num_feat_dynamic_real": known,
            "dynamic_dims": [1] * known or None,
            "past_dynamic_dims": [1] * past or None,
        }
        return training.build(kind, self.card.name, {**{key: value for key, value in offered.items() if key in takes}, **made})


def _shortened(entry: Entry, steps: int) -> Entry:
    """The first steps of an entry."""
    values = ("target", "past_feat_dynamic_real", "feat_dynamic_real")
    return {name: value[..., :steps] if name in values else value for name, value in entry.items()}


def predictor_context(predictor: Any) -> int:
    """Steps of a context that a predictor of `gluonts.torch` looks at, its lags included: those that its splitter cuts."""
    for each in reversed(predictor.input_transform.transformations):
        if hasattr(each, "past_length"):
            return int(each.past_length)
    raise AssertionError("a predictor of gluonts.torch has no splitter; this version of the library is not known")
