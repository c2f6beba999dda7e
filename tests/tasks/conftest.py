"""Dataset folders to read: written by the tests, or real ones where they are."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

Writer = Callable[..., Path]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache, and none depends on the user's data."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GIFT_EVAL", raising=False)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data, which is no part of the repository."""
    named = os.environ.get("HARNESS_TEST_DATA")
    folder = Path(named) if named else Path(__file__).parents[3] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set HARNESS_TEST_DATA to its folder")
    return folder


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    """Write a dataset folder as `save_to_disk` does."""

    def write_folder(
        target: Sequence[Any],
        *,
        name: str = "dataset",
        kind: pa.DataType | None = None,
        freq: Any = "H",
        start: pa.Array | None = None,
        ids: pa.Array | None = None,
        past: pa.Array | None = None,
        drop: str = "",
        shards: int = 1,
        rows_per_batch: int | None = None,
        file_format: bool = False,
        state: bool = True,
        options: pa.ipc.IpcWriteOptions | None = None,
    ) -> Path:
        n = len(target)
        columns = {
            "item_id": pa.array([f"item {i}" for i in range(n)], pa.string()) if ids is None else ids,
            "start": pa.array([datetime(2020, 1, 1 + i % 28) for i in range(n)], pa.timestamp("s")) if start is None else start,
            "freq": pa.array([freq] * n),
            "target": pa.array(target, kind or pa.list_(pa.float32())),
        }
        if past is not None:
            columns["past_feat_dynamic_real"] = past
        columns.pop(drop, None)
        table = pa.table(columns)
        folder = tmp_path / name
        folder.mkdir(parents=True, exist_ok=True)
        files = [f"data-{i:05d}-of-{shards:05d}.arrow" for i in range(shards)]
        step = -(-n // shards) or 1
        for i, file in enumerate(files):
            part = table.slice(i * step, step)
            opener = pa.ipc.new_file if file_format else pa.ipc.new_stream
            with pa.OSFile(str(folder / file), "wb") as sink, opener(sink, table.schema, options=options) as writer:
                writer.write_table(part, max_chunksize=rows_per_batch)
        if state:
            (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": file} for file in files]}))
        return folder

    return write_folder
