"""What makes the store quick must not change what it holds: many files in a statement, row groups, a new database not searched."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from results_kit import record, spool_cell

from harness.arrow import from_numpy
from harness.spool import ROW_GROUP, CellWriter
from harness_results.store import DuckStore

SCHEMA = pa.schema([("window", pa.int64()), ("item_id", pa.dictionary(pa.int32(), pa.string())), ("abs_error", pa.float64())])


def batch(first: int, count: int) -> pa.RecordBatch:
    """Windows with a dictionary of their own: window k is of the item "item <k // 10>"."""
    index = np.arange(first, first + count)
    items, code = np.unique(index // 10, return_inverse=True)
    ids = pa.DictionaryArray.from_arrays(from_numpy(code.astype(np.int32)), pa.array([f"item {k}" for k in items]))
    return pa.RecordBatch.from_arrays([from_numpy(index), ids, from_numpy(index / 2)], schema=SCHEMA)


def test_rows_of_many_batches_and_files_keep_their_items(tmp_path: Path) -> None:
    store = DuckStore(tmp_path / "harness.duckdb")
    store.check()
    for number, total in enumerate((2 * ROW_GROUP + 77, 300)):
        writer = CellWriter(store.spool, f"result-{number}", SCHEMA)
        for low in range(0, total, 250):
            writer.write(batch(low, min(250, total - low)))
        writer.commit(record(f"cell-{number}", task=f"task-{number}", result_id=f"result-{number}"))
    with pq.ParquetFile(store.spool / "result-0.parquet") as file:
        assert file.num_row_groups == 2
    assert store.ingest() == 2
    sql = """SELECT result_id, count(*) AS n, count(DISTINCT "window") AS windows,
             bool_and(item_id = 'item ' || ("window" // 10) AND abs_error = "window" / 2) AS good
             FROM windows GROUP BY result_id ORDER BY result_id"""
    rows = [tuple(row.values()) for row in store.query(sql).to_pylist()]
    assert rows == [("result-0", 2 * ROW_GROUP + 77, 2 * ROW_GROUP + 77, True), ("result-1", 300, 300, True)]


def test_a_new_database_is_searched_once_another_process_has_written_to_it(tmp_path: Path) -> None:
    mine, other = DuckStore(tmp_path / "harness.duckdb"), DuckStore(tmp_path / "harness.duckdb")
    mine.check()
    assert mine.find(["cell-1"]) == {}
    spool_cell(other.spool)
    assert other.ingest() == 1
    assert set(mine.find(["cell-1"])) == {"cell-1"}


def test_a_new_database_with_a_log_beside_it_is_searched(tmp_path: Path) -> None:
    store = DuckStore(tmp_path / "harness.duckdb")
    store.check()
    con = duckdb.connect(str(store.path))
    con.execute("PRAGMA disable_checkpoint_on_shutdown")
    con.execute("INSERT INTO cells (cell_id, result_id) VALUES ('cell-1', 'r')")
    con.close()
    assert store.path.with_name(store.path.name + ".wal").exists()
    assert set(store.find(["cell-1"])) == {"cell-1"}
