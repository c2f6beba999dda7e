"""Broken data, broken databases and mistyped options end with a message that says what to do, and with the right exit code."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from support import GOOD, Lab, write_dataset

WEEKLY = "us_births/W"
TASK = "us_births/W/short"


def suite(lab: Lab, *arguments: str, models: str = "naive") -> list[str]:
    return ["run", "-m", models, "-s", "gift-eval", "--data", str(lab.folder / "data"), *arguments]


def shard(lab: Lab) -> Path:
    return next((lab.folder / "data" / WEEKLY).glob("*.arrow"))


def truncated(lab: Lab) -> None:
    file = shard(lab)
    file.write_bytes(file.read_bytes()[:-600])


def garbage(lab: Lab) -> None:
    shard(lab).write_bytes(os.urandom(4096))


def empty_file(lab: Lab) -> None:
    shard(lab).write_bytes(b"")


def missing_file(lab: Lab) -> None:
    shard(lab).unlink()


def rewritten(lab: Lab, targets: list[object], freq: str = "W-SUN", kind: pa.DataType | None = None) -> None:
    write_dataset(lab.folder / "data" / WEEKLY, targets, freq, kind=kind)


BROKEN = {
    "truncated": (truncated, "whole Arrow stream"),
    "garbage": (garbage, "cannot be read as Arrow"),
    "empty_file": (empty_file, "the file is empty"),
    "missing_file": (missing_file, "is missing"),
    "no_rows": (lambda lab: rewritten(lab, []), "the dataset has no rows"),
    "wrong_type": (lambda lab: rewritten(lab, [["a", "b"]], kind=pa.list_(pa.string())), "column target"),
    "wrong_freq": (lambda lab: rewritten(lab, [[1.0] * 99], "D"), "got frequency 'D'; wanted 'W'"),
    "odd_freq": (lambda lab: rewritten(lab, [[1.0] * 99], "fortnight"), "'fortnight'"),
    "wrong_variates": (
        lambda lab: rewritten(lab, [[[1.0] * 99] * 2], kind=pa.list_(pa.list_(pa.float32()))),
        "got 2 variates; wanted 1",
    ),
    "empty_series": (lambda lab: rewritten(lab, [[]]), "has no values"),
    "length_1": (lambda lab: rewritten(lab, [[1.0]]), "series item-0 has 1 values; 1 windows of 8 labels need at least 9"),
    "one_short": (lambda lab: rewritten(lab, [[1.0] * 99, [1.0] * 5]), "series item-1 has 5 values"),
    "all_missing": (lambda lab: rewritten(lab, [[float("nan")] * 99]), "has a finite label: there is nothing to score"),
}


def test_broken_data_fails_its_cells_and_no_others(lab: Lab) -> None:
    """One run each would be slow: each kind of damage has a data folder of its own, all in one process."""
    for name, (damage, text) in BROKEN.items():
        write_dataset(lab.folder / "data" / WEEKLY, [np.arange(99.0).tolist()], "W-SUN")
        write_dataset(lab.folder / "data" / "us_births" / "D", [np.arange(400.0).tolist()], "D")
        damage(lab)
        (lab.folder / "data").rename(lab.folder / name)
        done = lab.python(f"""
            import sys
            from harness.cli import main
            main(["run", "-m", "naive", "-s", "gift-eval", "--data", "{name}", "-t", "us_births/*", "--json", "--db", "{name}.duckdb",
                  "--isolation", "inprocess"])
        """).expect(3, text)
        cells = done.cells()
        assert (cells["naive", TASK]["status"], cells["naive", TASK]["failure"]) == ("failed", "data"), name
        assert text in cells["naive", TASK]["reason"]
        assert cells["naive", "us_births/D/short"]["status"] == "ok", name
        assert "us_births/M/short" in done.json()["unavailable"][0]["name"]


def test_hard_values_are_scored(lab: Lab) -> None:
    hard = [[1e38] * 99, [0.0] * 99, [float("nan")] * 50 + [1.0] * 49, [float("inf")] * 60 + list(range(39)), [-1e-40] * 99]
    write_dataset(lab.folder / "data" / WEEKLY, hard, "W-SUN")
    lab.run(*suite(lab, "-t", TASK, models="naive,seasonal_naive,drift,mean,window_average")).expect(0, "5 ok")


def test_databases_that_cannot_be_used(lab: Lab) -> None:
    lab.models("naive").expect(0)
    (lab.folder / "garbage.duckdb").write_bytes(os.urandom(20_000))
    (lab.folder / "folder.duckdb").mkdir()
    with duckdb.connect(str(lab.folder / "other.duckdb")) as connection:
        connection.execute("CREATE TABLE mine (a INTEGER)")
    (lab.folder / "newer.duckdb").write_bytes(lab.db.read_bytes())
    with duckdb.connect(str(lab.folder / "newer.duckdb")) as connection:
        connection.execute("UPDATE meta SET value = '999' WHERE key = 'schema_version'")
    for db, texts in {
        "garbage.duckdb": ["not a DuckDB database", "--db"],
        "folder.duckdb": ["is a folder; wanted a file"],
        "other.duckdb": ["not a results database", "mine"],
        "newer.duckdb": ["written by a newer harness", "pip install --upgrade ts-harness"],
        "no/such/place.duckdb": ["does not exist; run: mkdir -p"],
        "harness.duckdb/x.duckdb": ["is a file"],
    }.items():
        before = (lab.folder / db).read_bytes() if (lab.folder / db).is_file() else b""
        lab.run("run", "-m", "naive", "-t", "us_births/M/short", "--db", db).expect(2, *texts)
        assert not before or (lab.folder / db).read_bytes() == before, f"{db} was changed"
    lab.run("ls", "cells", "--db", "nothing.duckdb").expect(2, "there is no results database at nothing.duckdb", "harness run")


@pytest.fixture
def disk(lab: Lab) -> Iterator[Path]:
    """A disk of 8 MB of its own."""
    folder = lab.folder / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("this user may not mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere; see the read-only disk")
def test_write_protected_database(lab: Lab) -> None:
    lab.models("naive").expect(0)
    lab.db.chmod(0o444)
    lab.run("run", "-m", "drift", "-t", "us_births/M/short").expect(2, "is write-protected; run: chmod u+w")


def test_read_only_disk(lab: Lab, disk: Path) -> None:
    lab.run("run", "-m", "naive", "-t", "us_births/M/short", "--db", "disk/a.duckdb").expect(0)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    lab.run("run", "-m", "drift", "-t", "us_births/M/short", "--db", "disk/a.duckdb").expect(2, "cannot write into the folder disk", "--db")
    lab.run("ls", "cells", "--db", "disk/a.duckdb").expect(0, "naive")
    lab.run("leaderboard", "--db", "disk/a.duckdb").expect(0, "naive")


def test_full_disk(lab: Lab, disk: Path) -> None:
    lab.plugin("good", GOOD)
    command = ("run", "-m", "good,naive", "-t", "us_births/M/short,us_births/W/short", "--db", "disk/a.duckdb", "--save-forecasts")
    lab.run("run", "-m", "good", "-t", "us_births/M/short", "--db", "disk/a.duckdb").expect(0)
    with (disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    done = lab.run(*command)
    assert done.code in (2, 3), done.err
    assert "No space left" in done.err
    assert "then run the same command again" in done.err
    assert "Traceback" not in done.err
    (disk / "filler").unlink()
    lab.run(*command).expect(0, "4 ok")
    assert lab.query("SELECT count(*), count(DISTINCT cell_id) FROM cells WHERE status = 'ok'", disk / "a.duckdb") == [(4, 4)]
    assert sorted(disk.rglob("*.tmp")) == []


def test_parameters_that_are_no_text_are_stored(lab: Lab) -> None:
    """A path may hold bytes that are not UTF-8, and Python hands them on as half a surrogate pair."""
    lab.plugin(
        "good", GOOD.replace("class Good:", "class Good:\n    notes = {'path': '\\udcff\\0'}\n    def __init__(self, path=''): pass")
    )
    lab.run("run", "-m", "good", "-M", "path=\udcff", "-t", "us_births/M/short").expect(0, "1 ok")
    assert lab.query("SELECT params->>'path', status FROM cells") == [("?", "ok")]
    assert lab.query("SELECT status FROM runs") == [("complete",)]
    lab.run("run", "-m", "good", "-M", "path=\udcff", "-t", "us_births/M/short").expect(0, "reused 1")


def test_a_result_that_the_store_refuses_is_no_success(lab: Lab) -> None:
    source = "@hookimpl\ndef cell_finished(cell, outcome): open(f\"harness.duckdb.spool/{outcome.record['result_id']}.parquet\", 'wb')\n"
    lab.plugin("vandal", source)
    lab.models("naive").expect(
        3, "could not be taken in", "1 finished cells could not be stored; they are in harness.duckdb.spool/rejected"
    )


OPTIONS: list[tuple[list[str], int, list[str]]] = [
    ([], 0, []),
    (["-t", "us_birth/M/short"], 5, ["no task matches 'us_birth/M/short'. Did you mean 'us_births/M/short'?", "harness ls tasks"]),
    (["-t", "us_births/*", "--exclude", "*"], 5, ["no task is left of 17"]),
    (["-m", "naive[x"], 2, ["got model 'naive[x'; wanted NAME or NAME[key=value,…]"]),
    (["-m", "zzz*"], 5, ["no model matches 'zzz*'"]),
    (["-m", ","], 2, ["no model given"]),
    (["-s", "quik"], 2, ["there is no suite 'quik'. Did you mean 'quick'?"]),
    (["-M", "novalue"], 2, ["got model parameter 'novalue'; wanted KEY=VALUE"]),
    (["-M", "drift:a=1"], 2, ["no model 'drift' in this run"]),
    (["--limit", "0"], 2, ["got --limit 0; wanted a number of items per task (10) or a share of them (0.1)"]),
    (["--limit", "-3"], 2, ["got --limit -3"]),
    (["--limit", "inf"], 2, ["got --limit inf"]),
    (["--limit", "1.5"], 2, ["got --limit 1.5"]),
    (["--limit", "ten"], 2, ["got --limit ten"]),
    (["--where", "domian = 'Energy'"], 2, ["--where \"domian = 'Energy'\"", "Wanted an SQL condition over suite, name, dataset"]),
    (["--where", "1=1); SELECT (0"], 2, ["is more than one statement"]),
    (["--where", "horizon > 1000"], 5, ["--where 'horizon > 1000' holds for none of 17 tasks. There, horizon is 1, 8, 12, 30"]),
    (["--timeout", "0"], 2, ["got a time of '0'; wanted seconds or a number with s, m or h: 90, 30m, 2h"]),
    (["--timeout", "5d"], 2, ["got a time of '5d'"]),
    (["-b", "0"], 2, ["got --batch-size 0; wanted a number of windows, or auto"]),
    (["-b", "many"], 2, ["got --batch-size many"]),
    (["-b", "²"], 2, ["got --batch-size ²"]),
    (["-j", "0"], 2, ["-j"]),
    (["--seed", "x"], 2, ["got --seed x; wanted whole numbers, as in 0 or 0,1,2 or 0-4"]),
    (["--seed", "5-2"], 2, ["got --seed 5-2"]),
    (["--seed", "0-99999999999"], 2, ["got --seed 0-99999999999"]),
    (["--seed", "99999999999999999999"], 2, ["wanted whole numbers from 0 to 2**63 - 1"]),
    (["--mode", "zero-shoot"], 2, ["got --mode zero-shoot; wanted zero-shot", "Did you mean 'zero-shot'?"]),
    (["--isolation", "jail"], 2, ["jail", "process"]),
    (["--data", "nowhere"], 2, ["--data nowhere: there is no such folder"]),
    (["--bogus"], 2, ["No such option", "--bogus"]),
    (["-C", "no.yaml"], 2, ["-C no.yaml: there is no such file"]),
    (["-C", "bad.yaml"], 2, ["-C bad.yaml"]),
    (["-C", "list.yaml"], 2, ["-C list.yaml: got list; wanted option: value lines"]),
    (["-C", "unknown.yaml"], 2, ["-C unknown.yaml: there is no option 'model_arg'. Did you mean 'model_args'?"]),
    (["-C", "deep.yaml"], 2, ["-C deep.yaml: it nests too deep"]),
    (["-C", "site"], 2, ["-C site"]),
]


def test_mistyped_options(lab: Lab) -> None:
    """All in one process, since each would start one."""
    (lab.folder / "bad.yaml").write_text("models: [naive\n")
    (lab.folder / "list.yaml").write_text("- naive\n")
    (lab.folder / "deep.yaml").write_text("models: " + "[" * 5000)
    (lab.folder / "unknown.yaml").write_text("model_arg: x\n")
    cases = [
        ["plan", *([] if "-m" in a else ["-m", "naive"]), *([] if "-t" in a else ["-t", "us_births/M/short"]), *a] for a, _, _ in OPTIONS
    ]
    cases = [[x for x in c if x not in ("-t", "us_births/M/short")] if "--where" in c else c for c in cases]
    for (arguments, code, texts), done in zip(OPTIONS, lab.many(cases), strict=True):
        assert done.code == code, (arguments, done)
        for text in texts:
            assert text in done.err, (arguments, text, done.err)
        assert "Traceback" not in done.err


def test_commands_that_do_not_exist(lab: Lab) -> None:
    cases: list[tuple[list[str], int, list[str]]] = [
        (["rnu"], 2, ["there is no command 'rnu'. Did you mean 'run'?", "Try 'harness --help'."]),
        (["run", "-m", "naive", "--progress", "loud"], 2, ["got --progress loud; wanted auto, rich, plain or none"]),
        (["run"], 2, ["Missing option", "--models"]),
        (["ls", "modles"], 2, ["models"]),
        (["show", "nothing-like-it"], 5, ["there is no model, suite, task, metric, dialect, run or cell 'nothing-like-it'"]),
        (["replay", "abc"], 2, ["there is no results database at harness.duckdb"]),
        (["ls", "models", "zzz*"], 5, ["none of the", "'zzz*'"]),
    ]
    for (_, code, texts), done in zip(cases, lab.many([c for c, _, _ in cases]), strict=True):
        done.expect(code, *texts)
