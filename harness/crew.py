"""The threads that run the cells: workers are started, fed and replaced here, and what became of each cell goes to the main thread."""

from __future__ import annotations

import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness import spool
from harness.cells import Cell, Outcome, Run
from harness.dialects import Dialect, own_dialect
from harness.errors import DataError, StoreError, describe
from harness.execute import Facts, forecast_cell
from harness.jobs import InOrder, Jobs
from harness.kept_file import KeptFile
from harness.plan import Plan, RunSpec
from harness.plugins import Plugins
from harness.progress import Progress
from harness.receipt import cell_record, now
from harness.rows import step_table
from harness.saved import model_folder
from harness.scoring import Totals
from harness.series import TaskData
from harness.sink import SpoolSink, forecast_folder
from harness.store import Store
from harness.stored import Stored
from harness.trained import of_cell, trained_id
from harness.types import Metric, ModelInfo
from harness.workers import ChildWorker, InProcessWorker, Worker, WorkerFailed

__all__ = ["Crew", "threads_of"]


def threads_of(spec: RunSpec) -> int:
    """Threads that each worker may use."""
    return spec.threads or max(1, (os.cpu_count() or 1) // spec.jobs)


def device_for(info: ModelInfo, wanted: str) -> str:
    """The wanted device ("cuda:1") where the model can use that kind, else the model's first."""
    kinds = {d.partition(":")[0] for d in info.devices}
    return wanted if wanted.partition(":")[0] in kinds or not info.devices else info.devices[0]


class Crew:
    """The threads of one run and what they share: each has one worker at a time, and that one model at a time."""

    def __init__(
        self, plugins: Plugins, spec: RunSpec, plan: Plan, store: Store, progress: Progress, run: Run, early: list[ChildWorker]
    ) -> None:
        self.plugins, self.spec, self.plan, self.store, self.progress, self.run = plugins, spec, plan, store, progress, run
        self.early = early
        self.metrics: list[Metric] = [m.info for m in plugins.metrics.values()]
        self.events: queue.Queue[tuple[Cell, Outcome] | BaseException | None] = queue.Queue()  # None = a thread has ended
        self.stop = threading.Event()
        self.jobs = Jobs(plan.todo, plan.depth, self.stop.is_set)
        self.threads = threads_of(spec)
        self._workers: set[ChildWorker] = set()
        self._lock = threading.Lock()
        self._dialects: dict[str, Dialect | None] = {}
        self._said: set[tuple[str, str]] = set()  # (model, why what it learnt is not kept)
        self._used: dict[str, dict[str, Any] | None] = {u.cell_id: None for found in plan.uses.values() for u in found}
        """Rows of `cells`, once they are finished, of the cells that others use."""

    def work(self, slot: int) -> None:
        """One thread: a worker at a time, a model at a time."""
        later = InOrder()
        try:
            while not self.stop.is_set() and (model := self.jobs.model()) is not None:
                try:
                    self._model(slot, model, later)
                finally:
                    self.jobs.release(model)
        except BaseException as error:
            self._give_up(error)
        finally:
            try:
                later.close()
            except BaseException as error:
                self._give_up(error)
            self.events.put(None)

    def _give_up(self, error: BaseException) -> None:
        """End the run with an error, which is raised in the main thread."""
        self.stop.set()
        self.events.put(error)

    def _model(self, slot: int, model: str, later: InOrder) -> None:
        worker: Worker | None = None
        loaded: dict[str, Any] = {}
        try:
            while not self.stop.is_set() and (cell := self.jobs.take(model)) is not None:
                self.progress.cell_started(slot, cell, len(self.plan.data[cell.task.suite, cell.task.name]))
                try:
                    if worker is None:
                        worker, loaded = self._start(cell)
                    lost = self._cell(slot, cell, worker, loaded, later)
                    if lost:
                        self._forget(worker)
                        worker = None
                except WorkerFailed as error:  # the model cannot be loaded: none of its cells can be done
                    worker = None
                    status = "skipped" if error.kind == "unsupported" else "failed"
                    while cell is not None and not self.stop.is_set():
                        self.finish(slot, cell, Outcome(status, error.reason, error.kind), error.log)
                        cell = self.jobs.take(model)
        finally:
            if worker is not None:
                worker.stop()
                self._forget(worker)

    def _start(self, cell: Cell) -> tuple[Worker, dict[str, Any]]:
        params = {**cell.params, **self._device(cell)}
        environment = self.plugins.model(cell.model_name).environment
        if self.spec.isolation == "inprocess":
            local = InProcessWorker(self.plugins)
            return local, local.load(cell.model_name, params, None)
        with self._lock:
            try:
                child = self.early.pop() if self.early and environment is None else ChildWorker(self.threads, environment)
            except OSError as error:
                again = f"; build its environment anew: harness env build {environment.requirement}" if environment else ""
                raise WorkerFailed("load", f"no worker could be started: {error.strerror or error}{again}") from None
            self._workers.add(child)
        try:
            if self.stop.is_set():  # too late for `kill` to have seen it
                child.kill_process()
            return child, child.load(cell.model_name, params, self.spec.timeout)
        except WorkerFailed:
            self._forget(child)
            child.kill()
            raise

    def _forget(self, worker: Worker) -> None:
        """A worker that has ended is not to be killed again: its number may be another's by then."""
        with self._lock:
            self._workers -= {worker}

    def _device(self, cell: Cell) -> dict[str, str]:
        """The parameter `device`, for a model that takes it."""
        model = self.plugins.model(cell.model_name)
        takes = "device" in (model.parameters or ()) and "device" not in cell.params
        return {"device": device_for(model.info, self.spec.device)} if takes else {}

    def _cell(self, slot: int, cell: Cell, worker: Worker, loaded: dict[str, Any], later: InOrder) -> bool:
        """Forecast a cell, and leave it to `later` to score and store it; return whether the worker was lost."""
        data = self.plan.data[cell.task.suite, cell.task.name]
        info = self.plugins.model(cell.model_name).info
        sink = SpoolSink(self.store, self.spec.save_forecasts)
        more = {"started_at": now(), "load_s": loaded.get("load_s", 0.0), "versions": loaded.get("versions", {})}
        clock, log, lost = time.perf_counter(), "", False
        saving: Path | None = None  # where weights are being saved that are not recorded yet

        def save(fold: int) -> str:
            nonlocal saving
            saving = model_folder(self.store).absolute() / trained_id(cell.id, self.run.id, fold) if self.spec.save_models else None
            return "" if saving is None else str(saving)

        def trained(begun: Mapping[str, Any], fold: int) -> None:
            nonlocal saving
            self._trained(cell, begun, saving, loaded, fold)
            saving = None

        try:
            result = forecast_cell(
                cell,
                data,
                info,
                worker,
                sink,
                self.metrics,
                batch_size=self.spec.batch_size,
                timeout=self.spec.timeout,
                advance=lambda n: self.progress.advance(slot, n),
                later=later,
                save=save,
                trained=trained,
                stored=self._stored(cell, data),
                dialect=self._dialect(cell),
            )
        except WorkerFailed as error:
            status = "skipped" if error.kind == "unsupported" else "failed"
            outcome, log, lost = Outcome(status, error.reason, error.kind), error.log, error.lost
            if lost and saving is not None:
                spool.sweep(saving.parent, folders=True)  # it may have been saving
                shutil.rmtree(saving, ignore_errors=True)  # it had saved, and could not say so
        except StoreError:
            self._dropped(sink, later)
            raise
        except Exception as error:  # of a stranger's metric, suite or data: it costs this cell
            outcome = Outcome("failed", describe(error), "data" if isinstance(error, DataError) else "error")
        except BaseException:
            self._dropped(sink, later)
            raise
        else:
            later(lambda: self._score(slot, cell, result, sink, clock, more))
            return False
        self._dropped(sink, later)
        lost = lost or not self._drained(worker)
        if self.stop.is_set() and lost:
            return True  # the run is being stopped, and that is why the worker went
        self.finish(slot, cell, outcome, log, sink=sink, total_s=time.perf_counter() - clock, **more)
        return lost

    def _stored(self, cell: Cell, data: TaskData) -> Stored | None:
        """The kept forecasts that a cell is made of; None where it uses none.

        Raises:
            WorkerFailed: a member came to nothing in this run; of kind "unsupported", as where it had done so before.
        """
        if cell.id not in self.plan.uses:
            return None
        files = {}
        for used in self.plan.uses[cell.id]:
            row: Mapping[str, Any] | None = used.row or self._used[used.cell_id]
            if row is None:
                outcome = self.plan.done.get(used.cell_id)
                row = None if outcome is None else outcome.record
            if not row or row["status"] != "ok":
                why = f"{row['status']} there ({row['reason']})" if row else "not done"
                raise WorkerFailed(
                    "unsupported", f"kept forecasts are missing. {used.name}: it is {why}. Mend that, and repeat the command"
                )
            files[used.name] = KeptFile.of(self.plan.kept or forecast_folder(self.store), row)
        return Stored(cell.task.name, files, data.index, data.channel, data.cut)

    def _dialect(self, cell: Cell) -> Dialect | None:
        """That of the cell's task; raises as `harness.dialects.own_dialect`."""
        name = cell.task.dialect
        with self._lock:
            if name not in self._dialects:
                self._dialects[name] = own_dialect(cell.task, self.plugins)
            return self._dialects[name]

    def _trained(self, cell: Cell, begun: Mapping[str, Any], save: Path | None, loaded: Mapping[str, Any], fold: int) -> None:
        """Record what was learnt for a fold of a cell at once: it holds whatever becomes of the cell."""
        environment = {"versions": loaded.get("versions", {}), **self._where(cell), "data_folder": self._data_folder()}
        try:
            spool.write_trained(self.store.spool, of_cell(self.store, cell, self.run.id, begun, save, environment, fold))
        except BaseException:
            if save is not None:
                shutil.rmtree(save, ignore_errors=True)  # weights that no record names would lie there for ever
            raise
        if reason := begun["unsaved"]:
            with self._lock:
                said = (cell.model, reason) in self._said
                self._said.add((cell.model, reason))
            if not said:
                self.progress.message(f"the trained {cell.model} is not kept: {reason} (said once)")

    def _data_folder(self) -> str:
        return "" if self.spec.data is None else str(self.spec.data.resolve())

    def _where(self, cell: Cell) -> dict[str, Any]:
        """How and on what the cells of a model run."""
        model = self.plugins.model(cell.model_name)
        device = cell.params.get("device") or device_for(model.info, self.spec.device)
        isolation = "env" if model.environment else "inprocess" if self.spec.isolation == "inprocess" else "process"
        return {"isolation": isolation, "device": device, "threads": self.threads}

    def _score(
        self,
        slot: int,
        cell: Cell,
        result: Callable[[], tuple[Outcome, Facts, Totals]],
        sink: SpoolSink,
        clock: float,
        more: dict[str, Any],
    ) -> None:
        """Put the result of a cell that is wholly forecast into the spool."""
        facts, steps = Facts(), None
        try:
            try:
                outcome, facts, totals = result()
                steps = step_table(totals) if outcome.status == "ok" else None
            except StoreError:
                raise
            except Exception as error:
                outcome = Outcome("failed", describe(error), "data" if isinstance(error, DataError) else "error")
            if outcome.status != "ok":
                sink.abort()
            self.finish(slot, cell, outcome, "", facts, steps, sink, total_s=time.perf_counter() - clock, **more)
        except BaseException as error:
            self._give_up(error)
            sink.abort()

    @staticmethod
    def _dropped(sink: SpoolSink, later: InOrder) -> None:
        """Take away what a cell has written, once its last block is."""
        later.drain()
        sink.abort()

    def _drained(self, worker: Worker) -> bool:
        """After a failure, throw away the answers that are still to come; False if the worker had to be given up."""
        deadline = time.monotonic() + (self.spec.timeout or 60)
        while worker.pending:
            try:
                worker.collect(deadline)
            except WorkerFailed as error:
                if error.lost:
                    return False
            except Exception:  # an answer that makes no sense
                worker.stop()
                return False
        return True

    def finish(
        self,
        slot: int,
        cell: Cell,
        outcome: Outcome,
        log: str = "",
        facts: Facts | None = None,
        steps: pa.Table | None = None,
        sink: SpoolSink | None = None,
        **more: Any,
    ) -> None:
        sink = sink or SpoolSink(self.store, keep_forecasts=False)
        base = {"run_id": self.run.id, "started_at": now(), "load_s": 0.0, "total_s": 0.0, "log": log, "forecasts": ""}
        where = {**self._where(cell), "data_folder": self._data_folder()}
        data = self.plan.data.get((cell.task.suite, cell.task.name))
        record = cell_record(cell, data, self.plugins.model(cell.model_name), outcome, facts or Facts(), **{**base, **where, **more})
        try:
            if outcome.failure == "usage":  # what was typed is no good: there is nothing that a later run could reuse, or mend
                sink.abort()
            else:
                sink.commit(record, steps)
        except BaseException:
            sink.abort()
            raise
        outcome = replace(outcome, record=record)
        if cell.id in self._used:
            self._used[cell.id] = {
                name: record[name] for name in ("result_id", "status", "reason", "forecasts", "horizon", "quantile_levels")
            }
        self.jobs.finished(cell)
        self.progress.cell_finished(slot, cell, outcome)
        self.events.put((cell, outcome))

    def kill(self) -> None:
        """Stop everything now."""
        self.stop.set()
        with self._lock:
            workers = list(self._workers)
        for worker in workers:
            worker.kill_process()
