"""The process that holds a model: `python -m harness.worker SOCKET IN IN OUT OUT` (file descriptors). It never sees a label.

It needs numpy, pyarrow and the plugin. What the model prints goes to the parent's log, never into the protocol; an exception, a
`sys.exit` or a useless forecast is an answer; a crash is the end of the socket, which the parent sees.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.metadata
import os
import platform
import random
import re
import signal
import socket
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from numpy.typing import NDArray

from harness.errors import ForecastError, PluginError, Unsupported, UsageError, describe
from harness.events import probabilities
from harness.forecast import F32, F64, Batch, Forecast
from harness.plugins import Plugins, install_line
from harness.quantiles import NO_EVENT, check, sort_crossings, with_interval
from harness.wire import DEPTH, Closed, Link, Region, read_batch, read_stored, write_forecast

if TYPE_CHECKING:
    from harness.stored import Stored

__all__ = ["Session", "failure", "main", "take_stdout"]

ARRAYS = ("crossings", "interval", "probability", "fallback")
"""What `Session.predict` says of a batch in arrays."""
LONGEST_NOTE = 10_000
"""Characters, or numbers, that are kept of one thing that a model noted in training."""


class Session:
    """A loaded model and what is done with it; the same code runs in a child process and in the parent's own."""

    def __init__(self, plugins: Plugins) -> None:
        self.plugins = plugins
        self.base: Any = None
        self.model: Any = None
        self._make: Any = None

    def load(self, name: str, params: dict[str, Any]) -> dict[str, Any]:
        """Make the model; return what the receipt needs to know of this process."""
        start = time.perf_counter()
        registered = self.plugins.model(name)
        self._make = lambda: registered.factory(**params)
        try:
            self.base = self.model = self._make()
        except ModuleNotFoundError as error:
            if not registered.info.install:
                raise
            raise PluginError(f"it needs the package '{error.name}', which is not installed. Type: {registered.info.install}") from error
        return {"load_s": time.perf_counter() - start, "versions": versions(registered.distribution), "python": platform.python_version()}

    def begin(
        self, budget: str, seed: int, train: Batch | None, mode: str = "finetune", save: str = "", stored: Stored | None = None
    ) -> dict[str, Any]:
        """Prepare for a cell: seed what may draw from global state; in a mode with `train` have a fresh model learn, and perhaps save it.

        Args:
            train: what the mode gives for training, no window in mode "ttt"; None = zero-shot.
            save: a folder to be made for the weights of the trained model; "" = they are not kept.
            stored: what other models forecast for the cell's windows, for a model that is made of it.

        Returns:
            "fit_s"; "noted", what the model noted while it learnt; "unsaved", why its weights were not kept, "" where they were.
        """
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - models of strangers draw from the global state
        if "torch" in sys.modules:
            sys.modules["torch"].manual_seed(seed)
        start = time.perf_counter()
        if train is None:
            self.model = self.base
        else:
            # A fresh model for each: nothing learnt in one cell reaches another.
            self.model = self.plugins.pm.hook.finetune(model=self._make(), train=train, budget=budget, seed=seed, mode=mode)
        seconds = time.perf_counter() - start if train is not None else 0.0
        if stored is not None:
            if not callable(getattr(self.model, "use", None)):
                raise PluginError("its factory has a method uses(), and the model has no method use(stored) to be given the forecasts by")
            self.model.use(stored)
        noted, unsaved = {}, ""
        notes = getattr(self.model, "notes", None)
        if isinstance(notes, dict):
            noted = {str(key): plain(value) for key, value in notes.items()} if train is not None else {}
            notes.clear()  # from here on, what a model notes is about its forecasts
        if save:  # last, so that weights are there when the answer is
            from harness.saved import save_model  # only here: it costs the import of Parquet

            unsaved = save_model(self.model, Path(save))
        return {"fit_s": seconds, "noted": noted, "unsaved": unsaved}

    def predict(self, batch: Batch) -> tuple[F32, F32, dict[str, Any]]:
        """Quantiles [N, Q, H] at the asked levels, sorted, means [N, H], and facts about the call."""
        start = time.perf_counter()
        try:
            forecast = self.plugins.pm.hook.predict(model=self.model, batch=batch)
        except UsageError as error:  # what the user typed was good enough to load the model: this is about the data
            raise PluginError(str(error)) from error
        seconds = time.perf_counter() - start
        check(forecast, len(batch), batch.horizon)
        quantiles, mean, interval, crossings = _values(forecast, batch)
        notes = getattr(self.model, "notes", None)
        chance = None
        if batch.event is not None and batch.thresholds is not None:
            chance = probabilities(forecast, batch.event, batch.thresholds)
        facts = {"predict_s": seconds, "crossings": crossings, "interval": interval, "output": forecast.kind, "peak_rss_mb": peak_rss_mb()}
        facts |= {"probability": chance, "fallback": forecast.fallback}
        return quantiles, mean, {**facts, "notes": {str(k): str(v) for k, v in notes.items()} if isinstance(notes, dict) else {}}


def _values(forecast: Forecast, batch: Batch) -> tuple[F32, F32, F64 | None, NDArray[np.int32]]:
    """Quantiles [N, Q, H], means [N, H], interval [N, 2, H] or None, crossings [N]; probabilities say nothing of values: NaN.

    Raises:
        ForecastError: probabilities where no event is asked for.
    """
    n, horizon = len(batch), batch.horizon
    if forecast.kind != "probabilities":
        quantiles, mean, interval = with_interval(forecast, batch.quantile_levels)
        quantiles, crossings = sort_crossings(quantiles)
        return quantiles, mean, interval, crossings
    if batch.event is None:
        raise ForecastError(NO_EVENT)
    nothing = np.full((n, len(batch.quantile_levels), horizon), np.nan, np.float32)
    return nothing, nothing[:, 0], None, np.zeros(n, np.int32)


def plain(value: Any) -> Any:
    """What a model noted as JSON takes it: numbers and lists of numbers as they are, anything else as text."""
    with contextlib.suppress(Exception):  # a stranger's object
        value = value.tolist()  # an array, a tensor, or one number of them
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple) and len(value) <= LONGEST_NOTE and all(isinstance(v, bool | int | float) for v in value):
        return list(value)
    return str(value)[:LONGEST_NOTE]


def failure(error: BaseException) -> dict[str, Any]:
    """An exception as an answer: its kind, a message that says what to do, the traceback."""
    kind, text = "error", describe(error)
    if isinstance(error, Unsupported):
        kind = "unsupported"
    elif isinstance(error, UsageError):
        kind = "usage"
    elif isinstance(error, ForecastError):
        kind = "forecast"
    elif isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "out of memory" in text.lower():
        kind = "memory"
    elif isinstance(error, ModuleNotFoundError) and error.name:
        text = f"it needs the package '{error.name.partition('.')[0]}', which is not installed. Type: {install_line(error.name)}"
    frames = "".join(traceback.format_exception(error))
    # Half a surrogate pair and NUL are no text for a database.
    text, frames = (t.replace("\0", "�").encode("utf-8", "replace").decode() for t in (text[:2000], frames[-8000:]))
    return {"failure": kind, "reason": text, "traceback": frames}


def versions(distribution: str) -> dict[str, str]:
    """Versions of the core, the plugin and what the plugin requires."""
    names = {"ts-harness", "numpy", "pyarrow", distribution}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError, ValueError):
        for line in importlib.metadata.requires(distribution) or []:
            start = re.match(r"[A-Za-z0-9._-]+", line)
            if start and "extra ==" not in line:
                names.add(start[0])
    found = {}
    for name in sorted(names):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError, ValueError):
            found[name] = importlib.metadata.version(name)
    return found


def peak_rss_mb() -> float:
    """Peak resident memory of this process in MB."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def take_stdout() -> TextIO:
    """What was stdout, for the answers of this process alone: from here on all that is printed, by C libraries too, goes to stderr."""
    sys.stdout.flush()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _die_with_parent(parent: int) -> None:
    """Ask the kernel to end this process when its parent ends, so that a killed run leaves nobody behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def _end_with_me() -> None:
    """Leave a process that waits for the end of this one, however that comes, and then ends whatever the model has started."""
    if sys.platform != "linux" or os.getpgrp() != os.getpid():
        return
    control, worker = ctypes.CDLL(None), os.getpid()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of a BLAS do not matter to a process that only waits
        if os.fork():
            return
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
    os.closerange(0, 1 << 16)
    control.prctl(1, signal.SIGTERM)
    if os.getppid() != worker:
        os.killpg(0, signal.SIGKILL)
    while True:
        signal.pause()


@functools.cache
def _plugins() -> Plugins:
    """The plugins of this very environment, loaded once; not `harness.plugins.load`, which knows other environments too."""
    return Plugins()


def serve(link: Link, inward: list[Region], outward: list[Region]) -> None:
    """Answer messages until the parent stops or goes."""
    session: Session | None = None
    while True:
        message = link.receive()
        slot = message.get("sequence", 0) % DEPTH
        try:
            match message["do"]:
                case "load":
                    session = Session(_plugins())
                    answer = session.load(message["model"], message["params"])
                case "begin":
                    assert session is not None
                    train = read_batch(inward[0], message["train"]) if message["train"] else None
                    stored = read_stored(inward[1], message["stored"]) if message["stored"] else None
                    answer = session.begin(message["budget"], message["seed"], train, message["mode"], message["save"], stored)
                case "predict":
                    assert session is not None
                    quantiles, mean, facts = session.predict(read_batch(inward[slot], message))
                    answer = {**write_forecast(outward[slot], quantiles, mean, *map(facts.pop, ARRAYS)), **facts}
                case _:
                    return
        except BaseException as error:  # whatever a stranger's model raises is an answer
            answer = {**failure(error), "peak_rss_mb": peak_rss_mb()}
        link.send({"sequence": message.get("sequence", 0), **answer})


def main(arguments: list[str]) -> None:
    """Entry of the child process."""
    parent, descriptor, *regions = (int(a) for a in arguments)
    _die_with_parent(parent)
    _end_with_me()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    link = Link(socket.socket(fileno=descriptor))
    mapped = [Region(fd) for fd in regions]
    with contextlib.suppress(Exception):  # told when a model is asked for
        _plugins()  # while the parent is still planning
    with contextlib.suppress(Closed):
        serve(link, mapped[:DEPTH], mapped[DEPTH:])
    sys.stdout.flush()
    # Leave at once: threads and pools that a model forgot must not hold the process.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
