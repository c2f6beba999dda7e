"""Requests wait here, are joined into batches, and get their part of the answer.

Notable choices: one batch is forecast at a time, and what arrives meanwhile makes the next one, so that a busy server needs no waiting time
to fill its batches. A request that has more windows than a batch is divided. When a batch of several requests fails, each is done again by
itself, so that nobody pays for a neighbour; not when the worker was lost, since the same windows would take the next one down too.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from harness.workers import WorkerFailed
from harness_serving.limits import Limits, Refused
from harness_serving.served import Answer, ModelProcess, joined
from harness_serving.windows import Key, Row, batch_of

__all__ = ["Batcher", "Job"]

LOOK_EVERY = 1.0
"""Seconds between two looks at whether the worker still lives."""


@dataclass(eq=False)
class Job:
    """A request's windows, how many of them were sent, and the answers so far."""

    key: Key
    rows: Sequence[Row]
    seed: int
    done: asyncio.Future[Answer]
    since: float = field(default_factory=time.monotonic)
    sent: int = 0
    parts: list[Answer] = field(default_factory=list)

    @property
    def left(self) -> int:
        return len(self.rows) - self.sent


Piece = tuple[Job, int, int]
"""A job and the range [low, high) of its rows."""


class Batcher:
    """The queue in front of a model, and the task that empties it.

    Args:
        observe: called with the number of windows of each batch and its answer.
        failed: called with what went wrong in the worker, for the log.
    """

    def __init__(
        self,
        process: ModelProcess,
        limits: Limits,
        thread: ThreadPoolExecutor,
        observe: Callable[[int, Answer], None] = lambda _windows, _answer: None,
        failed: Callable[[WorkerFailed], None] = lambda _error: None,
    ) -> None:
        self.process, self.limits, self.observe, self.failed = process, limits, observe, failed
        self.closing = False
        self._thread = thread
        info = process.served.info
        self._alone = info.batch_dependent
        self._most = min(limits.max_batch, info.batch_size or limits.max_batch)
        self._waiting: dict[Job, None] = {}  # in the order of arrival
        self._jobs: set[Job] = set()  # between `forecast` and the answer
        self._arrived = asyncio.Event()
        self._enough = asyncio.Event()
        self._lost = asyncio.Event()

    @property
    def depth(self) -> int:
        """Requests that wait or are being forecast."""
        return len(self._jobs)

    async def forecast(self, key: Key, rows: Sequence[Row], seed: int) -> Answer:
        """The forecasts of a request's windows; cancelling gives its place away.

        Raises:
            Refused: the queue is full, the wait too long, the model cannot do it, or has failed.
        """
        if self.closing:
            raise Refused(503, "the server is being stopped", retry=5)
        if self.depth >= self.limits.queue:
            raise Refused(503, f"{self.depth} requests are waiting already (--queue {self.limits.queue})", retry=1)
        loop = asyncio.get_running_loop()
        job = Job(key, rows, seed, loop.create_future())
        timer = loop.call_later(self.limits.timeout, self._expire, job)
        self._jobs.add(job)
        self._waiting[job] = None
        self._arrived.set()
        if self._count(key) >= self._most:
            self._enough.set()
        try:
            return await job.done
        finally:
            timer.cancel()
            self._waiting.pop(job, None)
            self._jobs.discard(job)

    def _expire(self, job: Job) -> None:
        if job in self._waiting and not job.sent and not job.done.done():
            job.done.set_exception(Refused(503, f"its turn has not come within {self.limits.timeout:g} s (--timeout)", retry=5))

    def _count(self, key: Key) -> int:
        return sum(job.left for job in self._waiting if job.key == key)

    async def run(self) -> None:
        """Forecast what arrives, until cancelled."""
        while True:
            await self._arrived.wait()
            if not self._waiting:
                self._arrived.clear()
                continue
            first = next(iter(self._waiting))
            await self._fill(first)
            if pieces := self._take():
                try:
                    await self._answer(pieces)
                except Exception as error:  # a defect costs these requests, and not the task that serves the others
                    for job, _, _ in pieces:
                        self._fail(job, error)

    async def _fill(self, first: Job) -> None:
        """Wait for others that could go with the first, as long as that is allowed."""
        wait = first.since + self.limits.max_wait_ms / 1000 - time.monotonic()
        if self._alone or wait <= 0 or self._count(first.key) >= self._most:
            return
        self._enough.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._enough.wait()

    def _take(self) -> list[Piece]:
        """The oldest job, and those that can go with it, up to the size of a batch."""
        pieces: list[Piece] = []
        room = self._most
        for job in list(self._waiting):
            if job.done.done():  # given up meanwhile
                del self._waiting[job]
                continue
            if pieces and (job.key != pieces[0][0].key or self._alone):
                continue
            count = len(job.rows) if self._alone else min(room, job.left)  # a model that depends on its batch gets the whole request
            pieces.append((job, job.sent, job.sent + count))
            job.sent += count
            room -= count
            if not job.left:
                del self._waiting[job]
            if room <= 0 or self._alone:
                break
        return pieces

    async def _answer(self, pieces: Sequence[Piece]) -> None:
        loop = asyncio.get_running_loop()
        seed = pieces[0][0].seed if self._alone else None
        rows = [row for job, low, high in pieces for row in job.rows[low:high]]
        try:
            answer = await loop.run_in_executor(self._thread, lambda: self.process.forecast(batch_of(pieces[0][0].key, rows), seed))
        except WorkerFailed as error:
            self.failed(error)
            if len(pieces) > 1 and not error.lost and error.kind != "load":
                for piece in pieces:
                    await self._answer([piece])
                return
            for job, _, _ in pieces:
                self._fail(job, refusal(error, self.process.timeout))
            if error.lost:
                self._lost.set()
            return
        self.observe(len(rows), answer)
        begin = 0
        for job, low, high in pieces:
            end = begin + high - low
            fallback = None if answer.fallback is None else answer.fallback[begin:end]
            job.parts.append(Answer(answer.quantiles[begin:end], answer.mean[begin:end], fallback))
            begin = end
            if high == len(job.rows) and not job.done.done():
                job.done.set_result(job.parts[0] if len(job.parts) == 1 else joined(job.parts))

    def _fail(self, job: Job, error: Exception) -> None:
        self._waiting.pop(job, None)
        if not job.done.done():
            job.done.set_exception(error)

    def abandon(self) -> None:
        """Refuse all that wait, and whatever comes: nobody is left who would forecast it."""
        self.closing = True
        for job in self._jobs:
            self._fail(job, Refused(503, "a defect of the server; it is being stopped", retry=5))

    async def keep(self) -> None:
        """Look after the worker, until cancelled: one that is lost is replaced at once, so that the next request need not wait for it."""
        loop = asyncio.get_running_loop()
        while True:
            if not self.process.alive and not self.process.ended:
                try:
                    await loop.run_in_executor(self._thread, self.process.ready)
                except WorkerFailed as error:
                    self.failed(error)
            self._lost.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await self._lost.wait()


def refusal(error: WorkerFailed, timeout: float) -> Refused:
    """What a client is told: why the model cannot do it, and of what went wrong in it no more than the kind."""
    match error.kind:
        case "unsupported":
            return Refused(422, error.reason)
        case "timeout":
            return Refused(503, f"the model took longer than {timeout:g} s (--timeout); its process is being replaced", retry=5)
        case "load":
            return Refused(503, "the model is not loaded; its process could not be started again", retry=10)
        case "forecast":
            return Refused(500, f"the model's forecast is of no use: {error.reason[:300]}")
        case "memory":
            return Refused(503, "the model ran out of memory on this request; send fewer or shorter series", retry=5)
    if error.lost:
        return Refused(503, "the model's process has ended; it is being replaced", retry=2)
    return Refused(500, "the model failed on this request; why is in the log of the server")
