"""What waits to be done in a run: cells for the workers, and jobs for the thread beside each worker."""

from __future__ import annotations

import collections
import queue
import threading
from collections.abc import Callable, Mapping, Sequence

from harness.cells import Cell

__all__ = ["InOrder", "Jobs"]


class InOrder:
    """A thread that does jobs one after the other, so that a cell is scored and stored while the worker forecasts the next.

    A `harness.execute.Later`: with `AHEAD` jobs waiting, the caller waits too, so that forecasts do not pile up. What a job raises is
    kept, the jobs behind it are still done, and `drain` and `close` raise the first of it.
    """

    AHEAD = 4

    def __init__(self) -> None:
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue(self.AHEAD)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def __call__(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except BaseException as error:
                self._error = self._error or error
            finally:
                self._jobs.task_done()

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def drain(self) -> None:
        """Wait until all jobs are done."""
        self._jobs.join()
        self._raise()

    def close(self) -> None:
        """Wait until all jobs are done, and end the thread."""
        self._jobs.put(None)
        self._thread.join()
        self._raise()


class Jobs:
    """The cells still to do, by model; a worker keeps to one model until that has no cell left.

    Args:
        depth: by `Cell.model`, 0 where it is not named: a model's cells wait until all cells of less depth are finished.
        stopped: whether the run is being stopped, so that nobody waits any more.
    """

    LOOK_EVERY = 0.2  # seconds between two looks at whether the run is being stopped

    def __init__(self, cells: Sequence[Cell], depth: Mapping[str, int] | None = None, stopped: Callable[[], bool] = lambda: False) -> None:
        self._lock = threading.Condition()
        self._depth, self._stopped = dict(depth or {}), stopped
        self._open = {cell.id: self._depth.get(cell.model, 0) for cell in cells}  # not finished
        self._cells: dict[str, collections.deque[Cell]] = {}
        self._busy: collections.Counter[str] = collections.Counter()
        for cell in cells:
            self._cells.setdefault(cell.model, collections.deque()).append(cell)

    def model(self) -> str | None:
        """The model with cells left that has the fewest workers, taken for the caller; None when all is done.

        Waits while cells are left for which others must be finished first.
        """
        with self._lock:
            while True:
                left = [m for m, cells in self._cells.items() if cells]
                if not left or self._stopped():
                    return None
                turn = min(self._open.values(), default=0)
                if waiting := [m for m in left if self._depth.get(m, 0) <= turn]:
                    break
                self._lock.wait(self.LOOK_EVERY)
            model = min(waiting, key=lambda m: (self._busy[m], -len(self._cells[m])))
            self._busy[model] += 1
            return model

    def take(self, model: str) -> Cell | None:
        """The model's next cell."""
        with self._lock:
            return self._cells[model].popleft() if self._cells[model] else None

    def finished(self, cell: Cell) -> None:
        """The cell's result can be read."""
        with self._lock:
            self._open.pop(cell.id, None)
            self._lock.notify_all()

    def release(self, model: str) -> None:
        """The caller leaves the model."""
        with self._lock:
            self._busy[model] -= 1
