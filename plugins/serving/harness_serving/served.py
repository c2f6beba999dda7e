"""The model that is served: which one, and the worker process that holds it.

Notable choices: it is `harness.workers.ChildWorker`, the worker of `harness run`, used outside a run: loaded once, begun once in mode
zero-shot, and then given batches, one at a time. A worker that is lost is started anew by the next call. All calls but `stop` and `alive`
come from one thread that lives as long as the server: the kernel ends a worker with the thread that has started it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from harness.crew import device_for
from harness.errors import UsageError
from harness.forecast import F32, F64, Batch, Ragged
from harness.plugins import Registered, load
from harness.selection import select_models
from harness.types import ModelInfo
from harness.workers import ChildWorker, WorkerFailed

__all__ = ["Answer", "ModelProcess", "Served", "choose"]

LOAD_SECONDS = 600.0
"""That loading again after a crash may take; the first time is not limited: somebody waits for it, and can end it."""


@dataclass(frozen=True)
class Served:
    """One model with its parameters."""

    model: Registered[ModelInfo]
    params: dict[str, Any]

    @property
    def info(self) -> ModelInfo:
        return self.model.info

    @property
    def name(self) -> str:
        return self.model.info.name

    @property
    def version(self) -> str:
        return self.model.info.version or self.model.version


@dataclass(frozen=True, eq=False)
class Answer:
    """Forecasts of N windows: quantiles [N, Q, H], mean [N, H], fallback [N] or None, and what the call cost."""

    quantiles: F32
    mean: F32
    fallback: F32 | None = None
    seconds: float = 0.0
    peak_rss_mb: float = 0.0


def choose(model: str, arguments: Sequence[str], isolation: str = "auto", device: str = "cpu") -> Served:
    """The model that is meant, if it is one that can be served.

    Raises:
        UsageError: none, several, or one that does not forecast values by itself; says what to type.
        PluginError: its plugin could not be loaded.
    """
    name = model.partition("[")[0].partition(":")[0].strip()
    chosen = select_models(load().settled(isolation, asked=[name]), model, arguments)
    if len(chosen) != 1:
        raise UsageError(
            f"got {model!r}, which is {len(chosen)} models; wanted one. For each of several: a server of its own, on its own --port"
        )
    registered, params = chosen[0]
    info = registered.info
    if isolation == "env" and registered.environment is None:
        raise UsageError(f"model '{info.name}' has no environment of its own; to build one: harness env build {registered.distribution}")
    if hasattr(registered.factory, "uses"):
        raise UsageError(
            f"model '{info.name}' is made of kept forecasts of other models, and there are none of new series; serve one of those"
        )
    if info.output == "probabilities":
        raise UsageError(f"model '{info.name}' forecasts events, not values; wanted a model of values: harness ls models")
    if "zero-shot" not in info.modes and not params.get("weights"):
        raise UsageError(
            f"model '{info.name}' forecasts what it has learnt, and nothing is learnt here; wanted the weights of a trained one, as in "
            f"-M {info.name}:weights=FOLDER. To train and keep one: harness run -m {info.name} --mode {info.modes[0]} --save-models"
        )
    if "device" in (registered.parameters or ()) and "device" not in params:
        params = {**params, "device": device_for(info, device)}
    return Served(registered, params)


@dataclass(eq=False)
class ModelProcess:
    """The worker of a served model.

    Args:
        threads: that the worker may compute with.
        timeout: seconds that one call may take.
        lost: called when a worker is lost.
    """

    served: Served
    threads: int = 1
    timeout: float = 60.0
    lost: Callable[[], None] = lambda: None
    loaded: bool = False
    ended: bool = False
    load_s: float = 0.0
    _worker: ChildWorker | None = None
    _failures: int = 0
    _not_before: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def load(self, timeout: float | None = None) -> None:
        """Start a worker and load the model.

        Raises:
            WorkerFailed: that is not possible; the next call within some seconds says so at once.
        """
        if time.monotonic() < self._not_before:
            raise WorkerFailed("load", "the model could not be loaded again; the next attempt comes soon", lost=True)
        try:
            with self._lock:
                if self.ended:
                    raise WorkerFailed("crash", "the server is being stopped", lost=True)
                worker = self._worker = ChildWorker(self.threads, self.served.model.environment)
            worker.limited_by = "the server"
            facts = worker.load(self.served.name, self.served.params, timeout)
            worker.begin("", 0, None, None, "zero-shot")
        except (OSError, WorkerFailed) as error:
            self._drop()
            self._failures += 1
            self._not_before = time.monotonic() + min(60.0, 2.0 ** (self._failures - 1))
            if isinstance(error, WorkerFailed):
                raise
            raise WorkerFailed("load", f"no worker could be started: {error.strerror or error}", lost=True) from None
        self.load_s, self.loaded, self._failures = float(facts["load_s"]), True, 0

    @property
    def alive(self) -> bool:
        """Whether the model is loaded, in a process that still runs; from any thread."""
        worker = self._worker
        return self.loaded and worker is not None and worker.alive

    def ready(self) -> None:
        """Load the model again where its worker was lost, or has ended while nobody asked it for anything; raises as `load`."""
        if self.loaded and not self.alive:
            self._drop()
            self.lost()
        if not self.loaded:
            self.load(LOAD_SECONDS)

    def forecast(self, batch: Batch, seed: int | None = None) -> Answer:
        """Forecast a batch; halves it where memory runs out.

        Args:
            seed: of the global random state, for a model that depends on its batch; None = the windows' seeds are all it draws from.

        Raises:
            WorkerFailed: see `harness.workers`; a worker that was lost is replaced by the next call.
        """
        self.ready()
        assert self._worker is not None
        deadline = time.monotonic() + self.timeout
        self._worker.limited_by, self._worker.limit = "--timeout", self.timeout
        try:
            if seed is not None:
                self._worker.begin("", seed, None, deadline, "zero-shot")
            self._worker.submit(batch)
            quantiles, mean, facts = self._worker.collect(deadline)
        except WorkerFailed as error:
            if error.lost:
                self._drop()
                self.lost()
            elif error.kind == "memory" and len(batch) > 1 and seed is None:
                middle = len(batch) // 2
                return joined([self.forecast(part(batch, 0, middle)), self.forecast(part(batch, middle, len(batch)))])
            raise
        fallback = facts.get("fallback")
        return Answer(  # copied: what the worker has answered is written over by its next answer
            np.array(quantiles),
            np.array(mean),
            None if fallback is None else np.array(fallback, np.float32),
            float(facts.get("predict_s", 0.0)),
            float(facts.get("peak_rss_mb", 0.0)),
        )

    def _drop(self) -> None:
        with self._lock:
            worker, self._worker, self.loaded = self._worker, None, False
        if worker is not None:
            worker.kill()

    def close(self) -> None:
        """End the worker, and give back what this side holds of it; from the thread that uses it."""
        self.stop()
        self._drop()

    def stop(self) -> None:
        """End the worker, and let no other begin; from any thread, whatever the worker is doing."""
        with self._lock:
            self.ended = True
            worker = self._worker
        if worker is not None:
            worker.kill_process()


def part(batch: Batch, low: int, high: int) -> Batch:
    """The windows [low, high) of a batch."""

    def cut(rows: Ragged) -> Ragged:
        return Ragged.from_rows([rows[i] for i in range(low, high)])

    return replace(
        batch,
        contexts=cut(batch.contexts),
        starts=batch.starts[low:high],
        group=batch.group[low:high],
        window_ids=batch.window_ids[low:high],
        seeds=batch.seeds[low:high],
        past_covariates=tuple(map(cut, batch.past_covariates)),
        known_covariates=tuple(map(cut, batch.known_covariates)),
    )


def joined(answers: Sequence[Answer]) -> Answer:
    """The answers to the parts of a batch as one."""
    some = any(a.fallback is not None for a in answers)
    shares: list[F32 | F64] = [np.zeros(len(a.mean), np.float32) if a.fallback is None else a.fallback for a in answers]
    return Answer(
        np.concatenate([a.quantiles for a in answers]),
        np.concatenate([a.mean for a in answers]),
        np.concatenate(shares).astype(np.float32) if some else None,
        sum(a.seconds for a in answers),
        max(a.peak_rss_mb for a in answers),
    )
