"""A run that is killed, interrupted or run twice loses nothing, doubles nothing and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import duckdb
import pytest
from support import GOOD, HEADER, Lab

TASKS = "us_births/*/short,saugeen/M/short"  # 4 tasks
SLOW = GOOD.replace("good", "NAME").replace("return", "time.sleep(0.05)\n        return")
RUN = (
    "run",
    "--save-forecasts",
    "-m",
    "slow_a,slow_b",
    "-t",
    "us_births/*,saugeen/M/*",
    "-j",
    "4",
    "-b",
    "4",
    "--progress",
    "none",
    "--json",
)


@pytest.fixture
def slow(lab: Lab) -> Lab:
    for name in ("slow_a", "slow_b"):
        # Each worker has a child of its own, which must not outlive it either.
        child = "    def __init__(self): subprocess.Popen(['sleep', '987'])\n    def predict"
        lab.plugin(name, SLOW.replace("NAME", name).replace("    def predict", child), header=HEADER)
    return lab


def workers(lab: Lab) -> list[int]:
    """Processes with this lab's plugins in their environment, that are no zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                alive = (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
                if alive and str(lab.site).encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def wait_gone(lab: Lab, seconds: float = 5.0) -> list[int]:
    end = time.monotonic() + seconds
    while (left := workers(lab)) and time.monotonic() < end:
        time.sleep(0.05)
    return left


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc to see the processes")
def test_killed_at_random_moments_nothing_is_lost_or_doubled(slow: Lab) -> None:
    plain = slow.folder / "plain.duckdb"
    start = time.monotonic()
    slow.run(*RUN, "--db", str(plain)).expect(0)
    whole = time.monotonic() - start
    dice = random.Random(7)
    kept: set[str] = set()
    midway = 0
    for _ in range(20):
        process = slow.start(*RUN)
        time.sleep(dice.uniform(0.2, 1.0) * min(whole, 3.0))
        midway += process.poll() is None
        process.kill()
        process.communicate()
        assert wait_gone(slow) == []
        now = results(slow)
        assert now >= kept, "a finished cell was lost"
        kept = now
        if len(kept) == 8:  # all done: begin again, so that the next one is killed in the midst of work too
            for path in slow.folder.glob("harness.duckdb*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            kept = set()
    assert midway >= 10
    slow.run(*RUN).expect(0)
    assert slow.leftovers() == []
    assert sorted(slow.folder.rglob("*.tmp")) == []
    assert slow.query("SELECT count(*), count(DISTINCT cell_id) FROM cells") == [(8, 8)]
    assert slow.tables() == slow.tables(plain)
    assert all(c["cached"] for c in slow.run(*RUN).expect(0).json()["cells"])


def results(lab: Lab) -> set[str]:
    """Ids of the finished cells, in the spool or in the database, which may have been killed before it had tables."""
    spool = lab.db.with_name(lab.db.name + ".spool")
    found = {p.stem for p in spool.glob("*.parquet")} if spool.is_dir() else set()
    if lab.db.exists():
        with contextlib.suppress(duckdb.CatalogException):
            found |= {row[0] for row in lab.query("SELECT result_id FROM cells")}
    return found


def test_two_runs_at_once_on_one_database(slow: Lab) -> None:
    first = slow.start("run", "-m", "slow_a", "-t", TASKS, "--json")
    second = slow.start("run", "-m", "slow_b,slow_a", "-t", TASKS, "--json", "--seed", "1")
    for process in (first, second):
        out, err = process.communicate(timeout=90)
        assert process.returncode == 0, out + err
    assert slow.query("SELECT model, seed, count(*) FROM cells WHERE status = 'ok' GROUP BY ALL ORDER BY ALL") == [
        ("slow_a", 0, 4),
        ("slow_a", 1, 4),
        ("slow_b", 1, 4),
    ]
    assert slow.query("SELECT count(*) FROM runs WHERE status = 'complete'") == [(2,)]
    assert slow.leftovers() == []


PLACES_AND_SIGNALS = [(place, sign) for place in ("process", "inprocess") for sign in (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.parametrize(("isolation", "sign"), PLACES_AND_SIGNALS)
def test_interrupt_keeps_what_is_finished_and_says_how_to_go_on(lab: Lab, isolation: str, sign: signal.Signals) -> None:
    lab.plugin("good", GOOD)
    lab.plugin("endless", SLOW.replace("NAME", "endless").replace("0.05", "0 if batch.horizon == 12 else 60"))
    ending = "import atexit\natexit.register(lambda: open('ended', 'w'))\n"
    lab.plugin("listener", f"{ending}@hookimpl\ndef cell_finished(cell, outcome): open('finished', 'a').write('x')\n")
    finished = lab.folder / "finished"
    command = ("run", "-m", "good,endless", "-t", "us_births/M/short,us_births/W/short", "--isolation", isolation)
    process = lab.start(*command)
    end = time.monotonic() + 30
    while not (finished.exists() and len(finished.read_text()) == 3) and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(sign)
    try:
        out, err = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    assert process.returncode == 130, out + err
    assert "interrupted: 3 of 4 cells are kept; the same command does the rest" in err
    assert "Traceback" not in err
    assert wait_gone(lab) == []
    # Python's own end would take the ground from under a model that still computes in this process.
    assert isolation == "process" or not (lab.folder / "ended").exists()
    assert lab.query("SELECT status, count(*) FROM cells GROUP BY ALL") == [("ok", 3)]
    assert lab.query("SELECT status FROM runs") == [("interrupted",)]
    assert lab.leftovers() == []
    lab.plugin("endless", SLOW.replace("NAME", "endless").replace("0.05", "0"))
    lab.run(*command).expect(0, "reused 2")
