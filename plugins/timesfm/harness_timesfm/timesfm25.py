"""TimesFM 2.5 as the harness knows it: its parameters, and what each mode does. torch is imported when one is made."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness import Batch, Forecast, Unsupported
from harness.budget import parse_budget
from harness.threads import one_thread
from harness.weights import weights_folder
from harness_timesfm.cards import TIMESFM_25
from harness_timesfm.parameters import Settings25, needs

if TYPE_CHECKING:
    from harness import Ragged
    from harness_timesfm.forecaster25 import Fact, Forecaster25

__all__ = ["TimesFM25"]


class TimesFM25:
    """TimesFM 2.5: the mean and nine deciles of one series from its history.

    Args:
        weights: a folder with model.safetensors, or that file, of any size of network; "" is the published one, once pulled.
        context: steps of history that are used, rounded up to 32, at most 16384 less the horizon. More costs more: about in proportion.
        per_core_batch_size: rows that go through the network together, always; None follows from their width.
        use_continuous_quantile_head: deciles around the median by a head of their own, as far as 1024 steps; None is up to that horizon.
        force_flip_invariance: forecasts of the negated series are the negated forecasts; doubles the work.
        normalize_inputs: scale each window by its own mean and standard deviation beforehand.
        infer_is_positive: no forecast below 0 where no value of the context is.
        fix_quantile_crossing: make deciles rise.
        torch_compile: compile the network at its first call, which takes minutes on a CPU.
        covariates: "xreg + timesfm" fits a linear model of the known covariates and forecasts what it leaves; "timesfm + xreg" fits it to
            what the forecast leaves; "" uses none. It is fitted to each window by itself. Needs jax and scikit-learn.
        ridge: penalty of that linear model.
        past: "lagged" has that model use covariates known up to the cutoff too, each as many steps late as the task looks ahead.
        part: what is trained: lora:RANK (factors of that rank beside each matrix of the layers), head, layers:COUNT (the last ones and the
            head), all.
        learning_rate: at its peak; None is 0.0001 with lora and head, 0.00001 else.
        steps: of a training without a budget.
        train_context: steps of history of a window to train on, rounded up to 32.
        train_batch: windows per step of a training.
        device: cpu, cuda, cuda:1.

    Raises:
        UsageError: a parameter that makes no sense, or weights that are not of this model.
        Unavailable: the weights are not here.
        PluginError: a package is missing.
    """

    def __init__(
        self,
        weights: str = "",
        context: int = 2048,
        per_core_batch_size: int | None = None,
        use_continuous_quantile_head: bool | None = None,
        force_flip_invariance: bool = True,
        normalize_inputs: bool = True,
        infer_is_positive: bool = True,
        fix_quantile_crossing: bool = True,
        torch_compile: bool = False,
        covariates: str = "",
        ridge: float = 0.0,
        past: str = "",
        part: str = "lora:8",
        learning_rate: float | None = None,
        steps: int = 100,
        train_context: int = 512,
        train_batch: int = 16,
        device: str = "cpu",
    ) -> None:
        self.settings = Settings25(
            context=context,
            per_core_batch_size=per_core_batch_size,
            use_continuous_quantile_head=use_continuous_quantile_head,
            force_flip_invariance=force_flip_invariance,
            normalize_inputs=normalize_inputs,
            infer_is_positive=infer_is_positive,
            fix_quantile_crossing=fix_quantile_crossing,
            torch_compile=torch_compile,
            covariates=covariates,
            ridge=ridge,
            past=past,
            part=part,
            learning_rate=learning_rate,
            steps=steps,
            train_context=train_context,
            train_batch=train_batch,
            device=device,
        )
        needs("timesfm-2.5", xreg=bool(covariates), device=device)
        from harness_timesfm import weights25

        folder = weights_folder(weights, source=TIMESFM_25.weights, model=TIMESFM_25.name)
        self.notes: dict[str, Fact] = {}
        self.use(weights25.load(folder, device))

    def use(self, library: Any) -> None:
        """Forecast with this network from now on."""
        from harness_timesfm.forecaster25 import Forecaster25

        if self.settings.torch_compile and "forward" not in vars(library.model):
            import torch

            library.model.forward = torch.compile(library.model.forward)
        self.forecaster: Forecaster25 = Forecaster25(library, self.settings, self.notes)

    @one_thread()
    def predict(self, batch: Batch) -> Forecast:
        """The nine deciles [N, 9, H] and the mean [N, H], in the unit of the contexts; 0 for a context that is all missing.

        Raises:
            Unsupported: a horizon that the network, or the quantile head asked for, does not reach.
        """
        from harness_timesfm.forecaster25 import LEVELS

        chosen = self._regressors(batch)
        if chosen:
            from harness_timesfm.covariates import forecast

            channels = forecast(self.forecaster, batch, chosen)
        else:
            channels = self.forecaster.forecast(batch.contexts, batch.horizon)
        return Forecast.from_quantiles(channels[:, 1:], LEVELS, np.ascontiguousarray(channels[:, 0]))

    def _regressors(self, batch: Batch) -> list[Ragged]:
        """The covariates of the linear model; the notes say which they are, or why there are none."""
        settings = self.settings
        if not settings.covariates:
            return []
        from harness_timesfm.covariates import regressors

        lagged = len(batch.past_covariates) if settings.past else 0
        if lagged:
            names = ", ".join(batch.past_names) or f"{lagged} without a name"
            self.notes["covariates"] = f"{len(batch.known_covariates)} known; lagged by {batch.horizon}: {names}"
        elif not batch.known_covariates:
            more = f"; past=lagged would use its {len(batch.past_covariates)} past ones" if batch.past_covariates else ""
            self.notes["covariates"] = f"none: the task has no covariate that is known beforehand{more}"
        return regressors(batch, settings.past)

    @one_thread()
    def finetune(self, train: Batch, budget: str, seed: int, mode: str = "finetune") -> TimesFM25:
        """A model trained from these weights on each series of `train`; this one stays as it is.

        The newest steps of the series are held out. Where what was learnt does not surely forecast them better, the model returned has the
        weights that the training started from, and its notes say so.

        Args:
            train: each series up to its first cutoff.
            budget: "" for `steps`, steps ("200steps") or a time ("90s", "2m"), which cannot be repeated to the bit.
            seed: of the windows, and of the low-rank factors.
            mode: finetune, or few-shot:SHARE.

        Raises:
            UsageError: a budget that cannot be read.
            Unsupported: another mode.
        """
        limit = parse_budget(budget)
        if mode.partition(":")[0] not in ("finetune", "few-shot"):
            raise Unsupported(f"timesfm-2.5 does not know the mode {mode!r}; it has zero-shot, finetune and few-shot:SHARE")
        from harness_timesfm import training

        tuned = copy.copy(self)
        tuned.notes = {}
        library, facts = training.train(self.forecaster, train, limit, seed)
        tuned.use(library)
        tuned.notes |= {"trained": mode, "part": self.settings.part, **facts}
        return tuned

    def save(self, folder: Path) -> None:
        """Write config.json and model.safetensors, which the parameter `weights` takes."""
        from harness_timesfm import weights25

        weights25.save(self.forecaster.library, folder)
