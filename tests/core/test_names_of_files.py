"""What stands at a path, and paths that are no text."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from harness.errors import DataError, StoreError, UsageError
from harness.files import need_text, other_than_file
from harness.plugins import load
from harness.suites import find_suite
from harness_results.connection import opened
from harness_results.gift_eval_files import find_folders
from harness_results.maintenance import merge
from harness_results.monash_files import read_table
from harness_results.store import DuckStore
from harness_results.table_files import csv_files, open_table


def test_what_stands_at_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    (tmp_path / "dead").symlink_to(tmp_path / "nothing")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
    found = {path.name: other_than_file(path) for path in tmp_path.iterdir()}
    assert found == {"file": "", "folder": "a folder", "pipe": "a pipe", "link": "a pipe", "dead": "", "socket": "a socket"}
    assert other_than_file(Path("/dev/null")) == "a device"
    assert other_than_file(tmp_path / ("x" * 300)) == other_than_file(Path("a\0b")) == ""


def test_paths_that_are_no_text() -> None:
    need_text("/tmp/caf\u00e9.csv")
    with pytest.raises(DataError) as raised:
        need_text(os.fsdecode(b"/tmp/caf\xe9.csv"))
    assert str(raised.value) == (
        "/tmp/caf\ufffd.csv: this path is not UTF-8 (what is not stands here as \ufffd); wanted one that is. Rename it"
    )


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A pipe that nobody writes to: whoever opens it waits without end."""
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_a_pipe_is_no_database(pipe: Path, tmp_path: Path) -> None:
    for readonly in (True, False):
        with pytest.raises(StoreError, match=r"pipe: is a pipe; wanted a file for --db, or a name for a new one"):
            load().store(pipe, readonly).query("SELECT 1")
    with pytest.raises(StoreError, match=r"pipe: is a pipe; wanted a results database"):
        merge(DuckStore(tmp_path / "r.duckdb"), [pipe])


def test_a_database_may_be_behind_a_link_to_nothing_yet(tmp_path: Path) -> None:
    (tmp_path / "link.duckdb").symlink_to(tmp_path / "real.duckdb")
    with opened(tmp_path / "link.duckdb", write=True, wait=0) as con:
        assert con.execute("SELECT count(*) FROM cells").fetchone() == (0,)


def test_a_pipe_is_no_table(pipe: Path) -> None:
    for read in (csv_files, open_table, lambda path: read_table(path, ["a"])):
        with pytest.raises(UsageError, match=r"pipe is a pipe; wanted a CSV file"):
            read(pipe)
    with pytest.raises(UsageError, match=r"it is a pipe; wanted an all_results\.csv"):
        find_folders(pipe)


def test_numbers_without_end_are_no_options() -> None:
    for suite, option in (("monash", "horizon"), ("cgm", "patient_share")):
        with pytest.raises(UsageError, match=f"suite '{suite}' got the option '{option}' with a number of 300 digits; wanted at most 40"):
            find_suite(load(), f"{suite}[{option}={'9' * 300}]")
