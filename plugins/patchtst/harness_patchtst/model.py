"""The model that the harness knows: its parameters, and what each mode does. torch is imported when one is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness import Batch, Forecast, Unsupported, UsageError
from harness.budget import parse_budget
from harness.parameters import check_gpu
from harness.threads import one_thread
from harness_patchtst.parameters import RATE, RATE_FROM_WEIGHTS, STEPS, STEPS_FROM_WEIGHTS, Settings, shape_for
from harness_patchtst.windows import Constant, Series

if TYPE_CHECKING:
    from transformers import PatchTSTForPrediction

    from harness_patchtst.forecaster import Fact, Forecaster

__all__ = ["PatchTST"]


class PatchTST:
    """PatchTST, one channel, with a distribution as its output.

    Modes: "full" trains random weights on the training part of the task; zero-shot, "finetune" and "few-shot" need `weights`, and the
    latter two train on from them. A budget of seconds is not reproducible: use steps for numbers that are to be repeated.

    Args:
        weights: a folder with config.json and model.safetensors. "full" then takes the architecture from it, not the weights.
        context_length: steps that the network sees; None is four cycles or four horizons, 512 at most, no more
            than half of the series have.
        patch_length, patch_stride: steps of a patch, and from one patch to the next; None makes about 32 patches.
        d_model: width of the network; None is 64.
        layers, heads: None is 3 and 4.
        dropout: None is 0.1, or what the weights were trained with.
        learning_rate: the highest of the cycle; None is 0.001, and 0.0001 from weights.
        batch_size: windows per step.
        max_steps: None is 2000, and 500 from weights; `--budget` goes before it.
        patience: checks without a better validation loss before training ends; a training has 40 or more.
        distribution: student_t, normal, or negative_binomial for counts; None is student_t, or what the weights have.
        nonnegative: no quantile below 0; None is so where no training value is below 0.
        device: cpu, cuda, cuda:1.

    Raises:
        UsageError: a parameter that makes no sense, or weights that are not there or not of this model.
    """

    def __init__(
        self,
        weights: str | None = None,
        context_length: int | None = None,
        patch_length: int | None = None,
        patch_stride: int | None = None,
        d_model: int | None = None,
        layers: int | None = None,
        heads: int | None = None,
        dropout: float | None = None,
        learning_rate: float | None = None,
        batch_size: int = 64,
        max_steps: int | None = None,
        patience: int = 10,
        distribution: str | None = None,
        nonnegative: bool | None = None,
        device: str = "cpu",
    ) -> None:
        self.settings = Settings(
            weights=weights,
            context_length=context_length,
            patch_length=patch_length,
            patch_stride=patch_stride,
            d_model=d_model,
            layers=layers,
            heads=heads,
            dropout=dropout,
            learning_rate=learning_rate,
            batch_size=batch_size,
            max_steps=max_steps,
            patience=patience,
            distribution=distribution,
            nonnegative=nonnegative,
            device=device,
        )
        import torch  # noqa: F401
        import transformers  # noqa: F401 - missing packages are told here, before any data is read

        check_gpu("patchtst", device)
        self.loaded: Forecaster | None = None
        self.notes: dict[str, Fact] = {}
        if weights is not None:
            from harness_patchtst.forecaster import Forecaster
            from harness_patchtst.network import load, moved

            network, extra = load(weights)
            self._agree(network)
            self.loaded = Forecaster.read(moved(network, device), extra)
            if nonnegative is not None:
                self.loaded.least = 0.0 if nonnegative else None
            self.loaded.notes = self.notes

    def _agree(self, network: PatchTSTForPrediction) -> None:
        """Refuse an architecture that the weights do not have."""
        names = {name: name for name in ("context_length", "patch_length", "patch_stride", "d_model")}
        for name, theirs in {**names, "layers": "num_hidden_layers", "heads": "num_attention_heads"}.items():
            ours, has = getattr(self.settings, name), getattr(network.config, theirs)
            if ours not in (None, has):
                raise UsageError(f"patchtst: {name} got {ours}, and the weights in {self.settings.weights} have {has}; leave {name} out")

    def predict(self, batch: Batch) -> Forecast:
        """Forecast from the weights as they are.

        Raises:
            Unsupported: there are no weights, or they are of another distribution than the one that is set.
        """
        if self.loaded is None:
            raise Unsupported(
                "patchtst has no weights of its own for zero-shot; train it on each task with --mode full, or name a folder of weights: "
                "-M patchtst:weights=FOLDER"
            )
        from harness_patchtst.network import head

        wanted, has = self.settings.distribution, head(self.loaded.network) or "points"
        if wanted not in (None, has):
            raise Unsupported(f"patchtst: the weights give {has} and distribution={wanted} was asked for; train them to: --mode finetune")
        origin = self.loaded.origin
        if origin:
            self.notes["weights"] = f"trained {origin.get('trained')}, frequency {origin.get('freq')}, horizon {origin.get('horizon')}"
        return self.loaded.predict(batch)

    @one_thread()
    def finetune(self, train: Batch, budget: str, seed: int, mode: str = "full") -> Forecaster:
        """Train on each series of `train`, with the newest steps held out to choose the weights; returns the trained model.

        In finetune and few-shot the weights stay as they are where the gain there is within its error, as `harness.holdout` has it.

        Args:
            train: each series up to its first cutoff.
            budget: "" for the defaults, steps ("200steps") or a time ("90s", "2m").
            seed: of weights, dropout and windows.
            mode: full, finetune or few-shot:SHARE.

        Raises:
            UsageError: a budget that cannot be read.
            Unsupported: weights are needed and there are none; nothing to train on; values that are no counts for negative_binomial.
        """
        settings, limit = self.settings, parse_budget(budget)
        kind = mode.partition(":")[0]
        if kind not in ("full", "finetune", "few-shot"):
            raise Unsupported(f"patchtst does not know the mode {mode!r}; it has zero-shot, finetune, few-shot and full")
        if kind != "full" and self.loaded is None:
            raise Unsupported(
                f"patchtst has no weights to train on from in mode {mode}; train new ones with --mode full, or name a folder of weights: "
                f"-M patchtst:weights=FOLDER"
            )
        observed = train.contexts.values[np.isfinite(train.contexts.values)]
        if len(observed) == 0:
            raise Unsupported("patchtst: no value of the training series is observed")

        from harness_patchtst import forecaster, network, training

        with network.seeded(seed, settings.device):
            made = network.moved(self._network(train, fresh=kind == "full"), settings.device)
            law = network.head(made)
            if law == "negative_binomial" and not (observed.min() >= 0 and np.array_equal(observed, np.round(observed))):
                raise Unsupported("patchtst: negative_binomial is for counts, and a training value is not one; use distribution=student_t")
            series = Series(train.contexts, train.horizon, int(made.config.context_length))
            if len(series) == 0:
                raise Unsupported("patchtst: no training series has two steps; there is nothing to learn a forecast from")
            scaling = forecaster.scaling_of(made)
            constant = series.constant(scaling)
            if kind != "full" and self.loaded is not None and self.loaded.constant != Constant():
                constant = self.loaded.constant
            new = kind == "full"
            plan = training.Plan(
                steps=limit.steps or settings.max_steps or (STEPS if new else STEPS_FROM_WEIGHTS),
                seconds=limit.seconds,
                rate=settings.learning_rate or (RATE if new else RATE_FROM_WEIGHTS),
                batch_size=settings.batch_size,
                patience=settings.patience,
            )
            facts = training.train(made, series, plan, scaling, constant, seed, new or not self._has_head_of(made))
        at_least_0 = bool(observed.min() >= 0) if settings.nonnegative is None else settings.nonnegative
        origin = {
            "trained": mode,
            "freq": train.freq,
            "horizon": train.horizon,
            "context_length": int(made.config.context_length),
            "distribution": law,
            "nonnegative": str(at_least_0).lower(),
            **facts,
        }
        return forecaster.Forecaster(made, constant, 0.0 if at_least_0 else None, origin)

    def _has_head_of(self, made: PatchTSTForPrediction) -> bool:
        """Whether the head came with the weights, too, and is not a new one."""
        from harness_patchtst.network import head

        theirs = None if self.loaded is None else self.loaded.network
        return theirs is not None and head(theirs) == head(made) and theirs.config.prediction_length == made.config.prediction_length

    def _network(self, train: Batch, fresh: bool) -> PatchTSTForPrediction:
        """What training begins with."""
        from harness_patchtst import network

        settings, horizon = self.settings, train.horizon
        if self.loaded is not None:
            return network.adapt(self.loaded.network, horizon, settings.distribution, settings, fresh)
        shape = shape_for(settings, train.freq, train.season_length, horizon, train.contexts.lengths)
        return network.build(shape, horizon, settings.distribution or "student_t", settings)
