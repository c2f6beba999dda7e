"""The parent's side of a worker: a child process (the default), or this very process for code that is trusted.

A worker holds one model and answers batches in the order in which they were submitted. Whatever goes wrong in it becomes a `WorkerFailed`
that says what happened; a worker that is `lost` must be replaced.
"""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from harness.environments import Environment
from harness.forecast import F32, Batch, Ragged
from harness.plugins import Plugins
from harness.wire import DEPTH, Closed, Link, Region, read_forecast, write_batch, write_stored
from harness.worker import Session, failure, peak_rss_mb

if TYPE_CHECKING:
    from harness.stored import Stored

__all__ = ["ChildWorker", "InProcessWorker", "Worker", "WorkerFailed"]

LOG_BYTES = 16_384
LOOK_EVERY = 1.0
"""Seconds between two looks at whether a silent worker still lives: what it started may hold the socket open after its death."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS")


class WorkerFailed(Exception):
    """A worker could not do what it was asked.

    `kind` is a failure kind of `harness.cells.Outcome`; `lost` says that the worker is gone.
    """

    def __init__(self, kind: str, reason: str, log: str = "", lost: bool = False) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.log = log
        self.lost = lost


def _unloaded(kind: str, reason: str, log: str, lost: bool = False) -> WorkerFailed:
    """A model that could not be made; one that says that it cannot work here is skipped."""
    if kind in ("unsupported", "usage"):
        return WorkerFailed(kind, reason, log, lost)
    return WorkerFailed("load", f"the model could not be loaded: {reason}", log, lost)


class Worker(Protocol):
    """What the runner asks of a worker."""

    depth: int

    @property
    def pending(self) -> int: ...
    def load(self, model: str, params: dict[str, Any], timeout: float | None) -> dict[str, Any]: ...
    def begin(
        self,
        budget: str,
        seed: int,
        train: Batch | None,
        deadline: float | None,
        mode: str,
        save: str = "",
        stored: Stored | None = None,
    ) -> dict[str, Any]: ...
    def submit(self, batch: Batch) -> None: ...
    def collect(self, deadline: float | None) -> tuple[F32, F32, dict[str, Any]]: ...
    def stop(self) -> None: ...


class ChildWorker:
    """A model in a process of its own, with a thread budget of its own; in an environment of its plugin's own where one is given."""

    depth = DEPTH

    def __init__(self, threads: int, environment: Environment | None = None) -> None:
        ours, theirs = socket.socketpair()
        self._inward = [Region() for _ in range(DEPTH)]
        self._outward = [Region() for _ in range(DEPTH)]
        descriptors = [theirs.fileno(), *(r.fd for r in self._inward), *(r.fd for r in self._outward)]
        # The child searches the working folder for modules only where this process does: a user's random.py must not break a model.
        own_path = [] if {"", str(Path.cwd())} & set(sys.path) else ["-P"]
        python, variables = sys.executable, dict(os.environ)
        if environment is not None:
            from harness.environments.core import variables as of_environment

            python, own_path, variables = str(environment.python), ["-P"], of_environment()
        variables |= {**dict.fromkeys(THREAD_VARIABLES, str(threads)), "PYTHONUNBUFFERED": "1"}
        try:
            self._process = subprocess.Popen(
                [python, *own_path, "-m", "harness.worker", str(os.getpid()), *map(str, descriptors)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=descriptors,
                env=variables,
                start_new_session=True,  # its own process group, so that what it starts ends with it
            )
        except OSError:
            ours.close()
            for region in (*self._inward, *self._outward):
                region.close()
            raise
        finally:
            theirs.close()
        self._link = Link(ours)
        self._log: collections.deque[bytes] = collections.deque()
        self._log_size = 0
        self._drain = threading.Thread(target=self._read_log, daemon=True)
        self._drain.start()
        self._sequence = 0
        self._answered = 0
        self._ended = False  # the process is reaped: its number may be another's by now
        self._ending = threading.Lock()
        self.limit: float | None = None  # seconds that what it does now may take in all, for the message; loading sets it, too
        self.limited_by = "--timeout"

    @property
    def pending(self) -> int:
        return self._sequence - self._answered

    @property
    def alive(self) -> bool:
        """Whether the process still runs; from any thread."""
        return not self._ended and self._process.poll() is None

    def _read_log(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError, OSError):
            while chunk := self._process.stdout.read1(65_536):  # type: ignore[attr-defined]
                self._log.append(chunk[-LOG_BYTES:])
                self._log_size += len(self._log[-1])
                while self._log_size > 2 * LOG_BYTES and len(self._log) > 1:
                    self._log_size -= len(self._log.popleft())

    def log(self) -> str:
        """The end of what the worker printed."""
        return b"".join(list(self._log))[-LOG_BYTES:].decode("utf-8", "replace")

    def load(self, model: str, params: dict[str, Any], timeout: float | None) -> dict[str, Any]:
        """Make the model.

        Raises:
            WorkerFailed: of kind "load".
        """
        self.limit = timeout
        try:
            return self._ask({"do": "load", "model": model, "params": params}, None if timeout is None else time.monotonic() + timeout)
        except WorkerFailed as error:
            raise _unloaded(error.kind, error.reason, error.log, error.lost) from None

    def begin(
        self,
        budget: str,
        seed: int,
        train: Batch | None,
        deadline: float | None,
        mode: str,
        save: str = "",
        stored: Stored | None = None,
    ) -> dict[str, Any]:
        """Prepare for a cell; see `harness.worker.Session.begin`."""
        message: dict[str, Any] = {"do": "begin", "budget": budget, "seed": seed, "mode": mode, "save": save, "train": None, "stored": None}
        if train is not None:
            message["train"] = write_batch(self._inward[0], train)
        if stored is not None:
            message["stored"] = write_stored(self._inward[1], stored)
        return self._ask(message, deadline)

    def submit(self, batch: Batch) -> None:
        """Send a batch; at most `depth` may be pending."""
        header = write_batch(self._inward[self._sequence % DEPTH], batch)
        self._send({"do": "predict", "sequence": self._sequence, **header})
        self._sequence += 1

    def collect(self, deadline: float | None) -> tuple[F32, F32, dict[str, Any]]:
        """The forecast of the oldest pending batch; its arrays are valid until the next `submit`."""
        answer = self._receive(deadline)
        if answer.get("sequence") != self._answered:
            self.kill()
            reason = f"the worker answered batch {answer.get('sequence')} where {self._answered} was due; does the model fork?"
            raise WorkerFailed("crash", reason, self.log(), lost=True)
        self._answered += 1
        self._raise(answer)
        quantiles, mean, arrays = read_forecast(self._outward[answer["sequence"] % DEPTH], answer)
        return quantiles, mean, {**answer, **arrays}

    def _ask(self, message: dict[str, Any], deadline: float | None) -> dict[str, Any]:
        self._send(message)
        answer = self._receive(deadline)
        self._raise(answer)
        return answer

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._link.send(message)
        except Closed:
            raise self._lost() from None

    def _receive(self, deadline: float | None) -> dict[str, Any]:
        try:
            while not self._link.ready(LOOK_EVERY if deadline is None else min(LOOK_EVERY, deadline - time.monotonic())):
                if deadline is not None and time.monotonic() >= deadline:
                    raise TimeoutError
                if self._process.poll() is not None and not self._link.ready(0):
                    raise Closed
            answer = self._link.receive(deadline)
            if not isinstance(answer, dict):
                raise Closed  # a model has written into the connection
            return answer
        except TimeoutError:
            self.kill()
            limit = "" if self.limit is None else f" ({self.limit:g} s)"
            reason = f"it took longer than {self.limited_by} allows{limit}; the worker was killed"
            raise WorkerFailed("timeout", reason, self.log(), lost=True) from None
        except (Closed, ValueError):
            raise self._lost() from None

    def _lost(self) -> WorkerFailed:
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()
            return WorkerFailed("crash", "the worker closed its connection and went on; it was killed", self.log(), lost=True)
        self.kill()
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            hint = ". If the machine ran out of memory, try a smaller -b or fewer -j" if name == "SIGKILL" else ""
            return WorkerFailed("crash", f"the worker was ended by {name}{hint}", self.log(), lost=True)
        words = [line.strip() for line in self.log().splitlines() if line.strip()]
        last = f"; the last it printed: {words[-1][:300]}" if words else ""
        return WorkerFailed("crash", f"the worker ended itself with exit code {code}{last}", self.log(), lost=True)

    def _raise(self, answer: dict[str, Any]) -> None:
        if "failure" in answer:
            raise WorkerFailed(answer["failure"], answer["reason"], (self.log() + "\n" + answer["traceback"]).strip()[-LOG_BYTES:])

    def stop(self) -> None:
        """End the process, giving it a moment to leave by itself."""
        with contextlib.suppress(Closed):
            self._link.send({"do": "stop"})
        with contextlib.suppress(Closed, TimeoutError, ValueError):
            self._link.receive(time.monotonic() + 2)  # ends with the process; waiting for the process itself would poll
        self.kill()

    def kill_process(self) -> None:
        """End the process and whatever it started; the thread that uses the worker sees it as lost."""
        with self._ending, contextlib.suppress(ProcessLookupError, PermissionError):
            if not self._ended:
                os.killpg(self._process.pid, signal.SIGKILL)

    def kill(self) -> None:
        """End the process and release what this side holds of it; a second call does nothing."""
        self.kill_process()
        with self._ending:
            if self._ended:
                return
            self._process.wait()
            self._ended = True
        self._drain.join(1)
        if self._process.stdout is not None and not self._drain.is_alive():
            self._process.stdout.close()
        self._link.sock.close()
        for region in (*self._inward, *self._outward):
            with contextlib.suppress(OSError):
                region.close()


def _owned(batch: Batch) -> Batch:
    """The batch in memory of its own: a cut may be a view of the dataset, where a model could change values and look past the cutoff."""

    def own(rows: Ragged) -> Ragged:
        return Ragged(rows.values.copy(), rows.offsets)

    return replace(
        batch,
        contexts=own(batch.contexts),
        past_covariates=tuple(map(own, batch.past_covariates)),
        known_covariates=tuple(map(own, batch.known_covariates)),
    )


class InProcessWorker:
    """A model in this process: nothing to start and nothing to send, and nothing that protects the run from it."""

    depth = 1

    def __init__(self, plugins: Plugins) -> None:
        self._session = Session(plugins)
        self._batches: collections.deque[Batch] = collections.deque()

    def use(self, model: object) -> None:
        """Take a model that is made already, in place of `load`."""
        self._session.base = self._session.model = model

    @property
    def pending(self) -> int:
        return len(self._batches)

    def load(self, model: str, params: dict[str, Any], timeout: float | None) -> dict[str, Any]:
        """Make the model; `timeout` is not kept."""
        del timeout
        try:
            return {**self._session.load(model, params), "peak_rss_mb": peak_rss_mb()}
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            answer = failure(error)
            raise _unloaded(answer["failure"], answer["reason"], answer["traceback"]) from None

    def begin(
        self,
        budget: str,
        seed: int,
        train: Batch | None,
        deadline: float | None,
        mode: str,
        save: str = "",
        stored: Stored | None = None,
    ) -> dict[str, Any]:
        """Prepare for a cell; see `harness.worker.Session.begin`."""
        del deadline
        own = None if train is None else _owned(train)
        facts: dict[str, Any] = self._try(lambda: self._session.begin(budget, seed, own, mode, save, stored))
        return facts

    def submit(self, batch: Batch) -> None:
        """Keep the batch until it is collected."""
        self._batches.append(_owned(batch))

    def collect(self, deadline: float | None) -> tuple[F32, F32, dict[str, Any]]:
        """Predict the oldest batch."""
        del deadline
        batch = self._batches.popleft()
        answer: tuple[F32, F32, dict[str, Any]] = self._try(lambda: self._session.predict(batch))
        return answer

    @staticmethod
    def _try(call: Any) -> Any:
        try:
            return call()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            answer = failure(error)
            raise WorkerFailed(answer["failure"], answer["reason"], answer["traceback"]) from None

    def stop(self) -> None:
        """Forget the model."""
        self._batches.clear()
