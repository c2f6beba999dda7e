"""What a breaker found: data that changes, streams that are closed, conditions that escape, nonsense on the wire."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from support import GOOD, Lab, write_dataset

from harness.errors import UsageError
from harness.selection import select_tasks
from harness.types import Task

SLOW = """
class Slow:
    def predict(self, batch):
        time.sleep(0.2)
        return Forecast.from_points(last(batch))

@hookimpl
def register_models(register):
    register(ModelInfo("slow", license="MIT"), Slow)
"""
SOCKET = """
class Sock:
    def predict(self, batch):
        import socket
        link = socket.socket(fileno=int(sys.argv[2]))
        link.sendall(MESSAGE)
        link.detach()
        return Forecast.from_points(last(batch))

@hookimpl
def register_models(register):
    register(ModelInfo("sock", license="MIT"), Sock)
"""


def test_data_that_changes_during_a_run_is_no_result(lab: Lab, tmp_path: Path) -> None:
    lab.plugin("slow", SLOW)
    data = tmp_path / "data"
    rng = np.random.default_rng(0)
    folder = write_dataset(data / "m4_hourly", [rng.normal(50, 5, 700).astype(np.float32) for _ in range(40)], "H")
    process = lab.start("run", "-m", "slow", "-s", "gift-eval", "-t", "m4_hourly", "--data", str(data), "-b", "4", "--json")
    spool, start = lab.db.with_name(lab.db.name + ".spool"), time.monotonic()
    while not list(spool.glob("running-*")):  # from here on the data is open
        assert process.poll() is None and time.monotonic() - start < 60
        time.sleep(0.02)
    time.sleep(0.3)
    file = next(folder.glob("*.arrow"))
    with file.open("r+b") as handle:
        handle.seek(file.stat().st_size // 2)
        handle.write(b"\0" * 1000)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 3
    assert '"failure": "data"' in out
    assert "changed while they were read" in out


@pytest.mark.parametrize("message", [r"b'\x02\0\0\0[]' * 3", r"b'\xff\xff\xff\xff'", r"b'\x02\0\0\0{}' * 3"])
def test_a_model_that_writes_into_the_connection_costs_its_cells(lab: Lab, message: str) -> None:
    lab.plugin("sock", SOCKET.replace("MESSAGE", message))
    lab.plugin("good", GOOD)
    done = lab.run("run", "-m", "sock,good", "-t", "us_births/D/short,us_births/W/short", "-b", "4", "--json", "--timeout", "20")
    cells = done.cells()
    assert done.code == 3
    for task in ("us_births/D/short", "us_births/W/short"):
        assert cells["good", task]["status"] == "ok"
        assert cells["sock", task]["status"] == "failed"


def test_impossible_starts_cost_their_dataset(lab: Lab, tmp_path: Path) -> None:
    data = tmp_path / "data"
    folder = write_dataset(data / "hospital", [np.arange(84, dtype=np.float32)] * 3, "M")
    file = next(folder.glob("*.arrow"))
    with pa.memory_map(str(file)) as source:
        table = pa.ipc.open_stream(source).read_all()
    far = pa.array([2**62] * 3, pa.int64()).cast(pa.timestamp("s"))
    table = table.set_column(table.schema.get_field_index("start"), "start", far)
    file.unlink()
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    write_dataset(data / "covid_deaths", [np.arange(212, dtype=np.float32)] * 3, "D")
    done = lab.run("run", "-m", "naive", "-s", "gift-eval", "--data", str(data), "--json")
    cells = {c["task"]: c for c in done.json()["cells"]}
    assert done.code == 3
    assert cells["covid_deaths/D/short"]["status"] == "ok"
    assert "no date of the years 1 to 9999" in cells["hospital/M/short"]["reason"]


def shell(lab: Lab, text: str) -> subprocess.CompletedProcess[str]:
    command = " ".join(lab.command())
    full = text.replace("harness", command)
    return subprocess.run(["bash", "-c", full], cwd=lab.folder, env=lab.env, capture_output=True, text=True, timeout=60, check=False)


def test_closed_and_full_streams(lab: Lab) -> None:
    run = "harness run -m naive -t us_births/M/short"
    assert shell(lab, f"{run} --db a.duckdb 2>&-").returncode == 0
    assert lab.run("ls", "cells", "--db", "a.duckdb", "--json").json()[0]["status"] == "ok"
    assert shell(lab, f"{run} --db b.duckdb >&-").returncode == 0
    assert shell(lab, f"{run} --db c.duckdb <&- >&- 2>&-").returncode == 0
    full = shell(lab, "harness ls tasks -s quick > /dev/full")
    assert full.returncode == 2
    assert "No space left" in full.stderr
    piped = shell(lab, "harness ls tasks --json | head -1; exit ${PIPESTATUS[0]}")
    assert piped.returncode == 0
    assert "Traceback" not in piped.stderr


def test_a_second_interrupt_changes_nothing(lab: Lab) -> None:
    lab.plugin("slow", SLOW)
    process = lab.start("run", "-m", "slow", "-t", "us_births/D/short,hospital/M/short", "-b", "1")
    until = time.monotonic() + 30
    while not list(lab.folder.glob("harness.duckdb.spool/*.json")) and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert lab.query("SELECT status FROM runs") == [("interrupted",)]


@pytest.mark.parametrize(
    "condition", ["1=1) UNION SELECT 999 --", "1=1) UNION ALL SELECT 0 --", "true), (true", "NULL) UNION SELECT 'x' --", "horizon", "'x'"]
)
def test_a_condition_stays_in_its_brackets(condition: str) -> None:
    tasks = [Task("s", f"t{i}/D/short", "t", "t", "D", "D", "short", 2, 1, 1) for i in range(3)]
    with pytest.raises(UsageError, match="Wanted an SQL condition over"):
        select_tasks(tasks, where=condition)


def test_a_working_folder_that_is_gone(lab: Lab) -> None:
    gone: Any = shell(lab, "mkdir gone && cd gone && rmdir ../gone && harness run -m naive -t us_births/M/short --db x.duckdb")
    assert gone.returncode == 2
    assert "Traceback" not in gone.stderr


@pytest.mark.parametrize("arguments", [["--db", ""], ["--seed", "9" * 5000], ["-M", "x=" + "[" * 20_000]])
def test_odd_arguments_are_usage_errors(lab: Lab, arguments: list[str]) -> None:
    done = lab.run("run", "-m", "naive", "-t", "us_births/M/short", *arguments)
    assert done.code == 2, done.err
    assert "Traceback" not in done.err
