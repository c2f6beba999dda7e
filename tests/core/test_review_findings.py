"""Defects that were found by reading: each test failed before its mend."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import GOOD, Lab

from harness.batches import training_batch
from harness.files import temporary_name
from harness.forecast import Ragged
from harness.jobs import InOrder
from harness.selection import canonical_limit, split_list
from harness.series import Channels, SeriesSet, rolling
from harness.spool import sweep
from harness.types import ModelInfo, Task
from harness.workers import ChildWorker, WorkerFailed

METRIC = """
@hookimpl
def register_metrics(register):
    register(Metric("mine", value=lambda sums: FACTOR * sums["n"]))
"""


def test_a_worker_that_is_ended_twice_closes_nobody_elses_files(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = ChildWorker(1)
    with pytest.raises(WorkerFailed, match="there is no model 'nothing'"):
        worker.load("nothing", {}, 30)
    worker.kill()
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(12)]
    worker.kill()
    worker.kill_process()
    for descriptor in files:
        os.fstat(descriptor)  # raises where it was closed
        os.close(descriptor)


def test_a_metric_that_comes_later_scores_reused_cells(lab: Lab) -> None:
    lab.plugin("good", GOOD)
    run = ("run", "-m", "good", "-t", "us_births/M/short", "--json")
    assert "mine" not in lab.run(*run).json()["cells"][0]["scores"]
    lab.plugin("measure", METRIC.replace("FACTOR", "1"))
    again = lab.run(*run).json()["cells"][0]
    assert again["cached"]
    assert again["scores"]["mine"] == 24.0  # 2 windows of 12 labels
    lab.plugin("measure", METRIC.replace("FACTOR", "2"))
    assert lab.run(*run).json()["cells"][0]["scores"]["mine"] == 48.0
    assert lab.query("SELECT value FROM scores WHERE metric = 'mine'") == [(48.0,)]


def test_a_suite_without_windows_costs_its_cells(lab: Lab) -> None:
    lab.plugin("good", GOOD)
    lab.plugin(
        "empty",
        """
from harness.series import Channels, SeriesSet, rolling
from harness.forecast import Ragged
from harness.types import Task

class Empty:
    def tasks(self):
        return [Task("empty", "none/D/short", "none", "none", "None", "D", "short", 2, 1, 1)]
    def open(self, task):
        rows = Channels.from_ragged(Ragged.from_rows([]))
        import pyarrow as pa
        return rolling(task, SeriesSet(pa.array([], pa.string()), np.empty(0, "datetime64[s]"), "D", 1, rows, None, "x"), 1)

@hookimpl
def register_suites(register):
    register(SuiteInfo("empty"), lambda data: Empty())
""",
    )
    done = lab.run("run", "-m", "good", "-s", "empty,quick", "-t", "none/D/short,us_births/M/short", "--json")
    cells = {c["task"]: c for c in done.json()["cells"]}
    assert done.code == 3
    assert cells["us_births/M/short"]["status"] == "ok"
    assert cells["none/D/short"]["status"] == "failed"
    assert "nothing to score" in cells["none/D/short"]["reason"]
    assert lab.query("SELECT status FROM runs") == [("failed",)]


def test_few_shot_keeps_past_covariates() -> None:
    task = Task("s", "t", "t", "t", "D", "D", "short", 2, 1, 1)
    target = Channels.from_ragged(Ragged.from_rows([np.arange(20), np.arange(30)]))
    past = Channels.from_ragged(Ragged.from_rows([np.arange(20) + 100, np.arange(30) + 100]))
    import pyarrow as pa

    series = SeriesSet(pa.array(["a", "b"]), np.array(["2020-01-01"] * 2, "datetime64[s]"), "D", 1, target, past, "x")
    data = rolling(task, series, 2)
    batch = training_batch(data, ModelInfo("m", covariates=("past",)), "few-shot:0.25", 0)
    assert [row.tolist() for row in batch.contexts] == [[12, 13, 14, 15], list(range(19, 26))]
    assert [row.tolist() for row in batch.past_covariates[0]] == [[112, 113, 114, 115], list(range(119, 126))]
    assert batch.starts.tolist() == np.array(["2020-01-13", "2020-01-20"], "datetime64[s]").tolist()


def test_a_job_that_raises_does_not_hang_the_others() -> None:
    done: list[int] = []

    def bad() -> None:
        raise ValueError("bad job")

    jobs = InOrder()
    for job in (lambda: done.append(1), bad, lambda: done.append(2)):
        jobs(job)
    with pytest.raises(ValueError, match="bad job"):
        jobs.drain()
    jobs.close()
    assert done == [1, 2]


@pytest.mark.parametrize(("text", "wanted"), [(".5", "0.5"), ("0.50", "0.5"), ("10", "10"), ("", "")])
def test_a_limit_has_one_spelling(text: str, wanted: str) -> None:
    assert canonical_limit(text) == wanted


@pytest.mark.parametrize("text", ["1.0", "0", "-1", "1e3", "nan", "inf", "x"])
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(Exception, match=r"got --limit .*wanted a number of items"):
        canonical_limit(text)


def test_the_table_of_a_limited_run_is_found_in_any_spelling(lab: Lab) -> None:
    done = lab.run("run", "-m", "seasonal_naive", "-t", "hospital/M/short", "--limit", ".01")
    assert done.code == 0
    assert "no table" not in done.err
    assert "limit=0.01" in done.out


def test_lists_in_parameters() -> None:
    assert split_list("a[x=[1,2],y=3],b") == ["a[x=[1,2],y=3]", "b"]


def test_only_this_machines_unfinished_files_are_cleared_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = temporary_name(tmp_path / "cell.parquet")
    gone = mine.with_name(mine.name.replace(f".{os.getpid()}.", ".999999999."))
    other = tmp_path / "cell.0badcafe.999999999.tmp"
    for path in (mine, gone, other):
        path.touch()
    assert sweep(tmp_path) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([mine.name, other.name])


def test_models_in_this_process_run_one_at_a_time(lab: Lab) -> None:
    done: Any = lab.run("run", "-m", "naive", "--isolation", "inprocess", "-j", "2")
    assert done.code == 2
    assert "-j 2 needs --isolation process" in done.err
