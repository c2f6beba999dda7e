"""Files that a command is asked for: whole or not at all; pipes, devices and open files are written to as they are."""

from __future__ import annotations

import doctest
import json
import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import harness.again
import harness.cli.output
import harness.files
from harness.again import run_command
from harness.cli.run import plan
from harness.errors import StoreError
from harness.files import write_whole
from harness.selection import split_list


def test_text_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for content, written in (("é\ud800\n", b"\xc3\xa9?\n"), (b"\x00\xff", b"\x00\xff"), ("", b"")):
        write_whole(path, content)
        assert path.read_bytes() == written
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "to").write_text("old")
    (tmp_path / "link").symlink_to("to")
    write_whole(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "to").read_text() == "new"


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_whole(tmp_path / "pipe", "x" * 100_000)
    reader.join(10)
    assert got == [b"x" * 100_000]
    assert (tmp_path / "pipe").is_fifo()


WRITE = "from pathlib import Path; from harness.files import write_whole; write_whole(Path({path!r}), 'new\\n')"


@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/fd/1", "/dev/../dev/stdout"])
def test_what_the_shell_has_open_is_written_to(tmp_path: Path, path: str) -> None:
    if not Path(path).exists():
        pytest.skip(f"this system has no {path}")
    command = shlex.join([sys.executable, "-c", WRITE.format(path=path)])
    kept = tmp_path / "kept"
    kept.write_text("old\n")
    subprocess.run(f"{command} >> {shlex.quote(str(kept))}", shell=True, check=True)
    assert kept.read_text() == "old\nnew\n"
    subprocess.run(f"{command} > {shlex.quote(str(kept))}", shell=True, check=True)
    assert kept.read_text() == "new\n"
    assert subprocess.run(f"{command} | cat", shell=True, check=True, capture_output=True).stdout == b"new\n"
    assert Path("/dev/stdout").is_symlink() or not Path("/dev/stdout").is_file()


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path, tmp_path / "no" / "folder.txt"):
        with pytest.raises(StoreError, match=r"could not write .*; choose another file with -o"):
            write_whole(path, "x")
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(StoreError, match=r"could not write .*; choose another folder"):
        write_whole(tmp_path / "one", "x", "choose another folder")
    kept = tmp_path / "kept"
    kept.write_text("old")

    def full(_: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreError, match="No space left on device"):
        write_whole(kept, "new")
    assert kept.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two", "kept"}


def test_worked_examples() -> None:
    for module in (harness.again, harness.cli.output, harness.files):
        found = doctest.testmod(module)
        assert found.attempted > 0
        assert found.failed == 0


ROWS: list[dict[str, Any]] = [
    {"model": "naive", "suite": "quick", "task": "us_births/M/short"},
    {"model": "window_average[window_size=3]", "suite": "quick", "task": "hospital/M/short", "scope": "limit=0.1"},
    {"model": "drift", "suite": "quick", "task": "us_births/W/short", "mode": "zero-shot", "budget": None, "seed": 7, "scope": None},
]


@pytest.mark.parametrize("row", ROWS)
def test_the_command_plans_the_row_again(row: dict[str, Any], tmp_path: Path) -> None:
    words = shlex.split(run_command(row, db=tmp_path / "a b.duckdb", save_forecasts=True))
    assert words[:2] == ["harness", "run"]
    done = CliRunner().invoke(plan, [*words[2:], "--json"], catch_exceptions=False, standalone_mode=False)
    (cell,) = json.loads(done.stdout)["cells"]
    assert (cell["name"], cell["model"]) == (f"{row['suite']}:{row['task']}", row["model"])
    assert ("--seed" in words) == bool(row.get("seed"))


def test_the_command_names_what_is_not_usual() -> None:
    row = {**ROWS[0], "mode": "few-shot:0.1", "budget": "10m", "seed": 2, "scope": "limit=5", "task": "it's[1]*"}
    words = shlex.split(run_command(row, data="my data", db=Path("sub/harness.duckdb"), rerun="all"))
    assert words == [
        "harness", "run", "-m", "naive", "-s", "quick", "-t", "it's[[]1][*]", "--mode", "few-shot:0.1", "--budget", "10m", "--seed", "2",
        "--limit", "5", "--data", "my data", "--db", "sub/harness.duckdb", "--rerun", "all",
    ]  # fmt: skip
    assert split_list(words[words.index("-t") + 1]) == ["it's[[]1][*]"]
    assert run_command(ROWS[0], tasks=["a", "b", "a"], db=Path("harness.duckdb")) == "harness run -m naive -s quick -t a,b"
    assert run_command(ROWS[0], tasks=[], data="") == "harness run -m naive -s quick"
