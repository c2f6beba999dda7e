"""`harness db merge` takes all that another store holds: what waits in its spool, and its forecasts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from results_kit import spool_cell

from harness.errors import UsageError
from harness_results.maintenance import check, merge
from harness_results.store import DuckStore


def test_spool_and_forecasts_come_along(tmp_path: Path) -> None:
    a, b = DuckStore(tmp_path / "a.duckdb"), DuckStore(tmp_path / "b.duckdb")
    folder = tmp_path / "b.duckdb.forecasts"
    folder.mkdir()
    for name in ("stored", "waiting"):
        (folder / f"{name}.parquet").write_bytes(name.encode())
        waiting = spool_cell(b.spool, cell_id=name, task=name, forecasts=f"b.duckdb.forecasts/{name}.parquet")
        if name == "stored":
            b.ingest()
    assert merge(a, [b.path]) == {b.path: 2}
    assert merge(a, [b.path]) == {b.path: 0}
    assert waiting.exists()
    found = a.find(["stored", "waiting"])
    assert {row["forecasts"] for row in found.values()} == {f"a.duckdb.forecasts/{name}.parquet" for name in ("stored", "waiting")}
    assert (tmp_path / "a.duckdb.forecasts" / "waiting.parquet").read_bytes() == b"waiting"
    assert check(a) == []
    (tmp_path / "a.duckdb.forecasts" / "waiting.parquet").unlink()
    assert "1 files of stored forecasts are not in" in check(a)[0]


def test_a_store_that_is_only_a_spool(tmp_path: Path) -> None:
    a, b = DuckStore(tmp_path / "a.duckdb"), DuckStore(tmp_path / "b.duckdb")
    spool_cell(b.spool)
    assert merge(a, [b.path]) == {b.path: 1}
    assert not b.path.exists()


def test_one_file_by_two_names(tmp_path: Path) -> None:
    a = DuckStore(tmp_path / "a.duckdb")
    a.check()
    os.link(a.path, tmp_path / "hard.duckdb")
    (tmp_path / "soft.duckdb").symlink_to(a.path)
    for name in ("hard", "soft"):
        with pytest.raises(UsageError, match="into itself"):
            merge(a, [tmp_path / f"{name}.duckdb"])
