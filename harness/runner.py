"""A run: cells are handed to workers, results go to the spool and from there to the store.

Killed at any moment, the same command carries on.
"""

from __future__ import annotations

import contextlib
import platform
import queue
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from harness import spool
from harness.cells import Cell, Outcome, Run
from harness.crew import Crew, threads_of
from harness.errors import PluginError, StoreError, UsageError, describe
from harness.interrupt import handlers, interrupt
from harness.plan import Plan, RunSpec
from harness.plugins import Plugins
from harness.progress import Progress
from harness.receipt import now
from harness.report import Report
from harness.saved import model_folder
from harness.sink import forecast_folder
from harness.store import Store
from harness.workers import ChildWorker

__all__ = ["Report", "execute", "started_early"]

INGEST_EVERY = 2.0
"""Seconds between two visits to the database: opening it costs more than a cell of a cheap model."""


@contextlib.contextmanager
def started_early(spec: RunSpec) -> Iterator[list[ChildWorker]]:
    """A worker that starts while the run is planned, for `execute`; what is not taken by the end of the `with` is stopped."""
    early = [ChildWorker(threads_of(spec))] if spec.isolation in ("auto", "process") else []
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
    if spec.isolation == "inprocess" and spec.timeout is not None:
        raise UsageError("--timeout needs --isolation process: code in this process cannot be stopped")
    if spec.isolation == "inprocess" and spec.jobs > 1:
        raise UsageError(f"-j {spec.jobs} needs --isolation process: models in one process would share its random state; use -j 1")
    if not plugins.metrics:
        raise PluginError("no metric is registered, so nothing can be scored; see why with: harness ls plugins")
    run = Run(uuid.uuid4().hex[:12], now(), command, plan.cells, platform.node())
    report = Report(run, plan, {i: o for i, o in plan.done.items() if o.cached})
    plugins.complaints.clear()
    todo = Crew(plugins, spec, plan, store, progress, run, early)
    with spool.running(store.spool, run.id):
        return _carry_out(plugins, spec, plan, store, progress, report, todo)


def _carry_out(plugins: Plugins, spec: RunSpec, plan: Plan, store: Store, progress: Progress, report: Report, todo: Crew) -> Report:
    run = report.run
    spool.write_run(store.spool, run.record())
    spool.sweep(forecast_folder(store))  # what a killed run left there
    spool.sweep(model_folder(store), folders=True)
    if report.outcomes:  # so far those of earlier runs: they hold again, even if a change and its undoing lie between
        store.confirm(list(report.outcomes))
        _rescore(plugins, store, report)
    _call(plugins, progress, "run_started", run=run)
    progress.begin(len(plan.todo), sum(len(plan.data[c.task.suite, c.task.name]) for c in plan.todo))
    threads = [threading.Thread(target=todo.work, args=(k,), daemon=True) for k in range(max(1, min(spec.jobs, len(plan.todo))))]
    previous, defect = handlers(interrupt, signal.SIGTERM), None
    try:
        for cell in plan.cells:  # what the plan already decided: skipped, or data that is broken
            if cell.id in plan.done and not plan.done[cell.id].cached:
                todo.finish(0, cell, plan.done[cell.id])
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
        # From here it is a matter of seconds, and a second Ctrl-C must not undo what the first one keeps.
        previous = {**handlers(signal.SIG_IGN, signal.SIGINT, signal.SIGTERM), **previous}
        todo.kill()
        for thread in threads:
            if thread.ident is not None:
                # A worker process is gone by now; code in this process cannot be stopped, so it is not waited for long.
                thread.join(3 if spec.isolation == "inprocess" else 30)
        report.abandoned = any(thread.is_alive() for thread in threads)
        progress.close()
    try:
        _close(plugins, store, progress, report, todo)
    finally:
        # After an interrupt the command has nothing left to do but to end; one that comes late is not to change how.
        ending = run.status == "interrupted" and previous.get(signal.SIGTERM) is interrupt
        for number, handler in () if ending else previous.items():
            signal.signal(number, handler)
    if defect is not None:
        raise defect
    return report


def _rescore(plugins: Plugins, store: Store, report: Report) -> None:
    """Give reused cells the scores of metrics that a plugin brought, or changed, since they were made; the sums are all it takes."""
    metrics = [m.info for m in plugins.metrics.values() if m.plugin != "metrics" and m.info.statistics is None]
    reused = {o.record["result_id"]: i for i, o in report.outcomes.items() if o.status == "ok"}
    if metrics and reused:
        for result_id, scores in store.rescore(list(reused), metrics).items():
            outcome = report.outcomes[reused[result_id]]
            report.outcomes[reused[result_id]] = replace(outcome, scores={**outcome.scores, **scores})


def _collect(plugins: Plugins, store: Store, progress: Progress, report: Report, todo: Crew, threads: list[threading.Thread]) -> None:
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


def _close(plugins: Plugins, store: Store, progress: Progress, report: Report, todo: Crew) -> None:
    """Take in what finished while stopping, store everything, tell the plugins."""
    while not todo.events.empty():
        event = todo.events.get()
        if isinstance(event, tuple):
            _take(plugins, progress, report, event)
    report.run.finished_at, report.run.counts = now(), report.counts
    try:
        spool.write_run(store.spool, report.run.record())
        store.ingest(wait=5 if report.run.status == "interrupted" else 30)
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
                progress.message(f"plugin '{name}': hook {hook}: {describe(error)} (said once)")
            plugins.complaints.add((name, hook))
