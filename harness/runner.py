"""A run: cells are handed to workers, results go to the spool and from there to the store.

Killed at any moment, the same command carries on.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import platform
import queue
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from harness import spool
from harness.cells import Cell, Outcome, Run
from harness.errors import PluginError, StoreError, UsageError, describe
from harness.execute import Facts, forecast_cell
from harness.jobs import InOrder, Jobs
from harness.plan import Plan, RunSpec
from harness.plugins import Plugins
from harness.progress import Progress
from harness.receipt import cell_record, now
from harness.report import Report
from harness.rows import step_table
from harness.scoring import Totals
from harness.sink import SpoolSink, forecast_folder
from harness.store import Store
from harness.types import Metric, ModelInfo
from harness.workers import ChildWorker, InProcessWorker, Worker, WorkerFailed

__all__ = ["Report", "execute", "started_early"]

INGEST_EVERY = 2.0
"""Seconds between two visits to the database: opening it costs more than a cell of a cheap model."""


def device_for(info: ModelInfo, wanted: str) -> str:
    """The wanted device ("cuda:1") where the model can use that kind, else the model's first."""
    kinds = {d.partition(":")[0] for d in info.devices}
    return wanted if wanted.partition(":")[0] in kinds or not info.devices else info.devices[0]


class _Execution:
    """The state that the threads of one run share."""

    def __init__(
        self, plugins: Plugins, spec: RunSpec, plan: Plan, store: Store, progress: Progress, run: Run, early: list[ChildWorker]
    ) -> None:
        self.plugins, self.spec, self.plan, self.store, self.progress, self.run = plugins, spec, plan, store, progress, run
        self.early = early
        self.metrics: list[Metric] = [m.info for m in plugins.metrics.values()]
        self.jobs = Jobs(plan.todo)
        self.events: queue.Queue[tuple[Cell, Outcome] | BaseException | None] = queue.Queue()  # None = a thread has ended
        self.stop = threading.Event()
        self.threads = threads_of(spec)
        self._workers: set[ChildWorker] = set()
        self._lock = threading.Lock()

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
                        self._finish(slot, cell, Outcome(status, error.reason, error.kind), error.log)
                        cell = self.jobs.take(model)
        finally:
            if worker is not None:
                worker.stop()
                self._forget(worker)

    def _start(self, cell: Cell) -> tuple[Worker, dict[str, Any]]:
        params = {**cell.params, **self._device(cell)}
        if self.spec.isolation == "inprocess":
            local = InProcessWorker(self.plugins)
            return local, local.load(cell.model_name, params, None)
        with self._lock:
            child = self.early.pop() if self.early else ChildWorker(self.threads)
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
        try:
            takes = "device" in inspect.signature(model.factory).parameters and "device" not in cell.params
        except (TypeError, ValueError):  # a class of a compiled extension may not tell
            takes = False
        return {"device": device_for(model.info, self.spec.device)} if takes else {}

    def _cell(self, slot: int, cell: Cell, worker: Worker, loaded: dict[str, Any], later: InOrder) -> bool:
        """Forecast a cell, and leave it to `later` to score and store it; return whether the worker was lost."""
        data = self.plan.data[cell.task.suite, cell.task.name]
        info = self.plugins.model(cell.model_name).info
        sink = SpoolSink(self.store, self.spec.save_forecasts)
        more = {"started_at": now(), "load_s": loaded.get("load_s", 0.0), "versions": loaded.get("versions", {})}
        clock, log, lost = time.perf_counter(), "", False
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
            )
        except WorkerFailed as error:
            status = "skipped" if error.kind == "unsupported" else "failed"
            outcome, log, lost = Outcome(status, error.reason, error.kind), error.log, error.lost
        except StoreError:
            self._dropped(sink, later)
            raise
        except Exception as error:  # of a stranger's metric, suite or data: it costs this cell
            outcome = Outcome("failed", describe(error), "error")
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
        self._finish(slot, cell, outcome, log, sink=sink, total_s=time.perf_counter() - clock, **more)
        return lost

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
                outcome = Outcome("failed", describe(error), "error")
            if outcome.status != "ok":
                sink.abort()
            self._finish(slot, cell, outcome, "", facts, steps, sink, total_s=time.perf_counter() - clock, **more)
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
        return True

    def _finish(
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
        device = device_for(self.plugins.model(cell.model_name).info, self.spec.device)
        folder = "" if self.spec.data is None else str(self.spec.data.resolve())
        where = {"isolation": self.spec.isolation, "device": device, "threads": self.threads, "data_folder": folder}
        data = self.plan.data.get((cell.task.suite, cell.task.name))
        record = cell_record(cell, data, self.plugins.model(cell.model_name), outcome, facts or Facts(), **{**base, **where, **more})
        try:
            sink.commit(record, steps)
        except BaseException:
            sink.abort()
            raise
        outcome = replace(outcome, record=record)
        self.progress.cell_finished(slot, cell, outcome)
        self.events.put((cell, outcome))

    def kill(self) -> None:
        """Stop everything now."""
        self.stop.set()
        with self._lock:
            workers = list(self._workers)
        for worker in workers:
            worker.kill_process()


def threads_of(spec: RunSpec) -> int:
    """Threads that each worker may use."""
    return spec.threads or max(1, (os.cpu_count() or 1) // spec.jobs)


@contextlib.contextmanager
def started_early(spec: RunSpec) -> Iterator[list[ChildWorker]]:
    """A worker that starts while the run is planned, for `execute`; what is not taken by the end of the `with` is stopped."""
    early = [ChildWorker(threads_of(spec))] if spec.isolation == "process" else []
    try:
        yield early
    finally:
        while early:
            early.pop().kill()


def execute(
    plugins: Plugins,
    spec: RunSpec,
    plan: Plan,
    store: Store,
    progress: Progress,
    command: list[str],
    early: list[ChildWorker] | None = None,
) -> Report:
    """Do what the plan says is to do, and return how every cell ended.

    A first interrupt (Ctrl-C, SIGTERM) stops the run with all finished cells kept. Workers in `early` (see `started_early`) are used first.

    Raises:
        UsageError: options that contradict each other.
        StoreError: the store cannot be written, before anything was computed.
    """
    # What models in this process and hooks print is no part of the answer.
    with contextlib.redirect_stdout(sys.stderr):
        return _execute(plugins, spec, plan, store, progress, command, [] if early is None else early)


def _execute(
    plugins: Plugins, spec: RunSpec, plan: Plan, store: Store, progress: Progress, command: list[str], early: list[ChildWorker]
) -> Report:
    if spec.isolation not in ("process", "inprocess"):
        raise UsageError(f"got --isolation {spec.isolation}; wanted process or inprocess")
    if spec.isolation == "inprocess" and spec.timeout is not None:
        raise UsageError("--timeout needs --isolation process: code in this process cannot be stopped")
    if spec.isolation == "inprocess" and spec.jobs > 1:
        raise UsageError(f"-j {spec.jobs} needs --isolation process: models in one process would share its random state; use -j 1")
    if not plugins.metrics:
        raise PluginError("no metric is registered, so nothing can be scored; see why with: harness ls plugins")
    run = Run(uuid.uuid4().hex[:12], now(), command, plan.cells, platform.node())
    report = Report(run, plan, {i: o for i, o in plan.done.items() if o.cached})
    plugins.complaints.clear()
    todo = _Execution(plugins, spec, plan, store, progress, run, early)
    spool.write_run(store.spool, run.record())
    spool.sweep(forecast_folder(store))  # what a killed run left there
    if report.outcomes:  # so far those of earlier runs: they hold again, even if a change and its undoing lie between
        store.confirm(list(report.outcomes))
    _call(plugins, progress, "run_started", run=run)
    progress.begin(len(plan.todo), sum(len(plan.data[c.task.suite, c.task.name]) for c in plan.todo))
    threads = [threading.Thread(target=todo.work, args=(k,), daemon=True) for k in range(max(1, min(spec.jobs, len(plan.todo))))]
    previous, defect = _on_terminate(), None
    try:
        for cell in plan.cells:  # what the plan already decided: skipped, or data that is broken
            if cell.id in plan.done and not plan.done[cell.id].cached:
                todo._finish(0, cell, plan.done[cell.id])
        for thread in threads:
            thread.start()
        _collect(plugins, store, progress, report, todo, threads)
        run.status = "failed" if report.counts["failed"] else "complete"
    except KeyboardInterrupt:
        run.status = "interrupted"
    except StoreError as error:
        run.status, report.problem = "failed", str(error)
    except BaseException as error:  # a defect of the harness: raised when what was finished is safe
        run.status, defect = "failed", error
    finally:
        todo.kill()
        for thread in threads:
            if thread.ident is not None:
                # A worker process is gone by now; code in this process cannot be stopped, so it is not waited for long.
                thread.join(30 if spec.isolation == "process" else 3)
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)
        progress.close()
    _close(plugins, store, progress, report, todo)
    if defect is not None:
        raise defect
    return report


def _collect(plugins: Plugins, store: Store, progress: Progress, report: Report, todo: _Execution, threads: list[threading.Thread]) -> None:
    last = time.monotonic()
    while any(t.is_alive() for t in threads) or not todo.events.empty():
        try:
            event = todo.events.get(timeout=0.1)
        except queue.Empty:
            continue
        if event is None:
            continue
        if isinstance(event, BaseException):
            raise event
        _take(plugins, progress, report, event)
        if time.monotonic() - last > INGEST_EVERY:
            store.ingest(wait=0)
            last = time.monotonic()


def _take(plugins: Plugins, progress: Progress, report: Report, event: tuple[Cell, Outcome]) -> None:
    cell, outcome = event
    report.outcomes[cell.id] = outcome
    _call(plugins, progress, "cell_finished", cell=cell, outcome=outcome)


def _close(plugins: Plugins, store: Store, progress: Progress, report: Report, todo: _Execution) -> None:
    """Take in what finished while stopping, store everything, tell the plugins."""
    while not todo.events.empty():
        event = todo.events.get()
        if isinstance(event, tuple):
            _take(plugins, progress, report, event)
    report.run.finished_at, report.run.counts = now(), report.counts
    try:
        spool.write_run(store.spool, report.run.record())
        store.ingest(wait=30)
    except StoreError as error:
        report.problem = report.problem or str(error)
    rejected = store.spool / "rejected"
    lost = sum((rejected / f"{o.record.get('result_id')}.parquet").exists() for o in report.outcomes.values() if not o.cached)
    if lost:
        report.problem = report.problem or f"{lost} finished cells could not be stored; they are in {rejected}"
    left = len(list(store.spool.glob("*.parquet"))) if store.spool.is_dir() else 0
    if left and not report.problem:
        progress.message(f"{left} finished cells wait in {store.spool}; the next harness command that opens {store.path} takes them in")
    _call(plugins, progress, "run_finished", run=report.run)


def _call(plugins: Plugins, progress: Progress, hook: str, **arguments: Any) -> None:
    """Tell each plugin; one that raises is reported, once a hook, and costs the others nothing."""
    for name, plugin in plugins.pm.list_name_plugin():
        if plugin is None:
            continue
        others = [p for p in plugins.pm.get_plugins() if p is not plugin]
        try:
            plugins.pm.subset_hook_caller(hook, others)(**arguments)
        except (Exception, SystemExit) as error:
            if (name, hook) not in plugins.complaints:
                progress.message(f"plugin '{name}': its hook {hook} raised {describe(error)} (said once)")
            plugins.complaints.add((name, hook))


def _on_terminate() -> Callable[..., Any] | int | None:
    """Treat SIGTERM as Ctrl-C, where this is the main thread; return the handler to restore."""
    if threading.current_thread() is not threading.main_thread():
        return None

    def interrupt(signum: int, frame: object) -> None:
        del signum, frame
        raise KeyboardInterrupt

    return signal.signal(signal.SIGTERM, interrupt)
