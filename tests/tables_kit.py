"""Folders of tables as `datasets` saves them, for tests of suites of one's own, and such suites opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.series import TaskData
from harness_tasks.own.suite import open_file

__all__ = ["opened", "saved"]

SHARD = "data-00000-of-00001.arrow"


def saved(folder: Path, columns: dict[str, Any]) -> Path:
    """The folder, made, with a table of one shard in it."""
    folder.mkdir(parents=True)
    table = pa.table(columns)
    with pa.OSFile(str(folder / SHARD), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as out:
        out.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": SHARD}]}))
    return folder


def opened(path: Path) -> list[TaskData]:
    """The data of all tasks of a suite file."""
    found = open_file(path)
    assert found is not None
    suite = found[1](None)
    return [suite.open(task) for task in suite.tasks()]
