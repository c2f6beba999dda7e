"""The event model that the harness knows: its parameters, and what each mode does. torch is imported when one is made.

Axes: N windows, T context, C channels. A task's event is what is learnt; the values of the series are not forecast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness import Batch, Forecast, Unsupported, UsageError
from harness.budget import parse_budget
from harness.parameters import check_gpu
from harness.threads import one_thread
from harness.types import Event
from harness_patchtst.event_parameters import NAME, EventSettings, event_shape
from harness_patchtst.event_windows import Look, Pool, channels_of, names_of
from harness_patchtst.windows import Constant

if TYPE_CHECKING:
    from harness_patchtst.event_network import EventNetwork
    from harness_patchtst.forecaster import Fact

__all__ = ["PatchTSTEvent"]

FORMAT = "harness-patchtst-event/1"


class PatchTSTEvent:
    """PatchTST with a head for the probability of an event, trained on the outcomes of each fold's training part.

    Modes: "full" trains random weights; zero-shot needs `weights`, a model that was trained before. A budget of seconds cannot be repeated.

    Args:
        weights: a folder that a trained model was saved to, for zero-shot.
        context_length: steps that the network sees; None is the context of the task, or 80 steps where it has none.
        patch_length, patch_stride: steps of a patch, and from one patch to the next; None makes about nine patches.
        d_model, layers, heads: size of the network.
        dropout: in the encoder and before the head.
        learning_rate: of the encoder, the highest of the cycle; the head's is ten times that.
        batch_size: windows per step.
        max_steps: `--budget` goes before it.
        patience: checks without a better loss on what is held out before training ends; there are 15.
        covariates: see the past covariates of the task too, each as a channel.
        gate: say the base rate where the training does not surely beat it on what is held out; False says what was learnt in any case.
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
        d_model: int = 32,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.2,
        learning_rate: float = 2e-3,
        batch_size: int = 64,
        max_steps: int = 150,
        patience: int = 5,
        covariates: bool = True,
        gate: bool = True,
        device: str = "cpu",
    ) -> None:
        self.settings = EventSettings(
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
            covariates=covariates,
            gate=gate,
            device=device,
        )
        import torch  # noqa: F401
        import transformers  # noqa: F401 - missing packages are told here, before any data is read

        check_gpu(NAME, device)
        self.loaded: EventForecaster | None = None
        self.notes: dict[str, Fact] = {}
        if weights is not None:
            from harness_patchtst.event_network import load

            self.loaded = EventForecaster.read(*load(weights, device))
            self.loaded.notes = self.notes

    def predict(self, batch: Batch) -> Forecast:
        """Probabilities from the weights as they are.

        Raises:
            Unsupported: the task has no event, or another than the weights were trained for; there are no weights.
        """
        _event_of(batch)
        if self.loaded is None:
            raise Unsupported(f"{NAME} has no weights of its own; train it on each fold with --mode full, or name a folder: weights=FOLDER")
        return self.loaded.predict(batch)

    @one_thread()
    def finetune(self, train: Batch, budget: str, seed: int, mode: str = "full") -> EventForecaster:
        """Learn from the outcomes of `train`, whose newest eighth is held out to stop by and for the gate.

        Args:
            train: what a fold gives to learn from.
            budget: "" for `max_steps`, steps ("200steps") or a time ("90s", "2m").
            seed: of weights, dropout and the order of windows.
            mode: full.

        Raises:
            UsageError: a budget that cannot be read, or patches that do not fit the context.
            Unsupported: no event, another mode, or no outcome to learn from.
        """
        event, settings, limit = _event_of(train), self.settings, parse_budget(budget)
        if mode != "full" or self.loaded is not None:
            raise Unsupported(f"{NAME} trains new weights, in mode full and without the parameter weights; got mode {mode}")
        names = names_of(train) if settings.covariates else ()
        shape = event_shape(settings, train.context_limit)
        pool = Pool(channels_of(train, names), event, shape.context, np.random.default_rng([seed, 1]))
        if not len(pool.learnt):
            raise Unsupported(f"{NAME}: no outcome of the event is known in what is given to learn from")
        outcome = pool.outcome[pool.learnt]
        rate = float((outcome.sum() + 0.5) / (len(outcome) + 1))

        from harness_patchtst import event_network, network, training

        look = Look.of(pool.cut(pool.learnt), pool.limit[pool.learnt])
        learnt, held = (look.at(pool.cut(places), pool.limit[places]) for places in (pool.learnt, pool.held))
        plan = training.Plan(
            limit.steps or settings.max_steps, limit.seconds, settings.learning_rate, settings.batch_size, settings.patience
        )
        with network.seeded(seed, settings.device):
            made = event_network.build(shape, 1 + len(names), rate, settings)
            facts = event_network.train(
                made, learnt, outcome.astype(np.float32), held, pool.outcome[pool.held], pool.groups, plan, seed, settings.gate
            )
        origin: dict[str, Fact] = {
            "context_length": shape.context,
            "outcomes": len(outcome),
            "base rate": rate,
            "covariates": ", ".join(names) or "none",
        }
        return EventForecaster(made, event, names, look, rate, {**origin, **facts})


class EventForecaster:
    """Says the probability of an event with a network that was trained for it.

    Args:
        names: the past covariates that it sees.
        look: how it sees windows.
        rate: what it says of a window without a value or a threshold.
        origin: facts about how it came to be.
    """

    def __init__(
        self, network: EventNetwork, event: Event, names: tuple[str, ...], look: Look, rate: float, origin: Mapping[str, Fact]
    ) -> None:
        self.network, self.event, self.names, self.look, self.rate = network, event, names, look, rate
        self.origin = dict(origin)
        self.notes: dict[str, Fact] = dict(origin)

    @one_thread()
    def predict(self, batch: Batch) -> Forecast:
        """Probabilities [N]; the base rate for a context without a value, or where the event has no threshold.

        Raises:
            Unsupported: another event than it was trained for, or a covariate is lacking.
        """
        from harness_patchtst.event_network import chances

        if _event_of(batch) != self.event:
            raise Unsupported(f"{NAME}: it was trained for {self.event}, and the task asks for {batch.event}; train it: --mode full")
        context = int(self.network.encoder.config.context_length)
        padded = [rows.padded(context)[0] for rows in channels_of(batch, self.names)]
        windows = np.stack(padded, axis=2) if len(batch) else np.zeros((0, context, len(padded)), np.float32)  # [N, T, C]
        limit = np.full(len(batch), np.nan) if batch.thresholds is None else batch.thresholds
        there = np.isfinite(limit) & np.isfinite(windows[:, :, 0]).any(axis=1)
        found = np.where(there, chances(self.network, self.look.at(windows, limit)), self.rate)
        return Forecast.from_probabilities(found)

    def save(self, folder: str | Path) -> Path:
        """Write config.json, model.safetensors and harness.json; the parameter `weights` reads them. Returns the folder."""
        from harness_patchtst.event_network import save

        look = {
            "constants": [asdict(constant) for constant in self.look.constants],
            "centre": self.look.centre.tolist(),
            "spread": self.look.spread.tolist(),
        }
        extra = {"format": FORMAT, "event": asdict(self.event), "names": self.names, "look": look, "rate": self.rate, "origin": self.origin}
        save(self.network, extra, Path(folder))
        return Path(folder)

    @classmethod
    def read(cls, network: EventNetwork, extra: Mapping[str, Any]) -> EventForecaster:
        """The forecaster that `save` wrote.

        Raises:
            UsageError: harness.json is not what `save` writes.
        """
        try:
            if extra["format"] != FORMAT:
                raise ValueError(f"its format is {extra['format']!r}")
            look = extra["look"]
            constants = tuple(Constant(float(each["relative"]), float(each["absolute"])) for each in look["constants"])
            centre, spread = (np.asarray(look[name], np.float64) for name in ("centre", "spread"))
            names, channels = tuple(str(name) for name in extra["names"]), int(network.encoder.config.num_input_channels)
            sizes = (len(constants), len(centre), len(spread), 1 + len(names))
            if set(sizes) != {channels} or not (np.isfinite(centre).all() and (spread > 0).all() and 0 < float(extra["rate"]) < 1):
                raise ValueError("its numbers do not fit the network")
            return cls(network, Event(**extra["event"]), names, Look(constants, centre, spread), float(extra["rate"]), extra["origin"])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise UsageError(f"{NAME}: harness.json is not what save() of this version ({FORMAT}) writes: {error!r}") from None


def _event_of(batch: Batch) -> Event:
    """The event that is asked for; raises Unsupported where none is."""
    if batch.event is None:
        raise Unsupported(f"{NAME} forecasts events, and this task asks for values; for those there is patchtst")
    return batch.event
