"""Arrow rows of the statistics: schema, values, and any slice's sums in SQL."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from harness.metrics import evaluate
from harness.rows import step_table, window_batch, window_schema
from harness.scoring import LISTS, STATISTICS, Block, Totals, score
from harness.types import Metric

LEVELS = np.array([0.1, 0.5, 0.9])
WORST = Metric("worst", lambda s: s["worst.max"], statistics=lambda b: {"worst.max": np.abs(b.mean).max(axis=1)})


def rows(seed=0, n=30, extra=False):
    rng = np.random.default_rng(seed)
    labels = rng.normal(size=(n, 6)).astype(np.float32)
    labels[rng.random(labels.shape) < 0.2] = np.nan
    quantiles = np.sort(rng.normal(size=(n, 3, 6)), axis=1).astype(np.float32)
    block = Block(labels, quantiles, quantiles[:, 1], LEVELS, rng.choice([0.0, 1.0, 2.0], n))
    scores = score(block, [WORST] if extra else [])
    batch = window_batch(
        scores,
        window=np.arange(n),
        item=np.arange(n) // 10,
        item_ids=pa.chunked_array([["a", "b"], ["c", "d"]]),
        variate=np.arange(n) % 2,
        slot=np.arange(n) % 5,
        cutoff=np.datetime64("2020-01-01", "s") + np.arange(n).astype("timedelta64[s]"),
        context_length=np.full(n, 99),
        seasonal_error=block.seasonal_error,
        crossings=np.zeros(n, np.int32),
        extra=extra,
    )
    return block, scores, batch


@pytest.mark.parametrize("extra", [False, True])
def test_schema_and_values(extra):
    block, scores, batch = rows(extra=extra)
    batch.validate(full=True)
    assert batch.schema == window_schema(extra)
    assert [name for name in batch.schema.names if name in STATISTICS] == list(STATISTICS)
    assert batch["item_id"].to_pylist() == ["a"] * 10 + ["b"] * 10 + ["c"] * 10
    assert str(batch["cutoff"][1]) == "2020-01-01 00:00:01"
    for name in STATISTICS:
        np.testing.assert_array_equal(np.array(batch[name].to_pylist()), scores.windows[name])
    if extra:
        assert dict(batch["extra"].to_pylist()[3]) == {"worst.max": np.abs(block.mean[3]).max()}


def test_undefined_statistics_are_nan_not_null():
    block, _, _ = rows()
    one = score(Block(block.labels, block.quantiles[:, :1], block.mean, np.array([0.3]), block.seasonal_error))
    index = np.zeros(30, np.int64)
    stamp = np.full(30, np.datetime64("2020-01-01", "s"))
    names = pa.array(["a"])
    batch = window_batch(one, window=index, item=index, item_ids=names, variate=index, slot=index, cutoff=stamp, context_length=index,
                         seasonal_error=np.full(30, np.nan), crossings=index)  # fmt: skip
    assert batch["abs_error"].null_count == batch["seasonal_error"].null_count == 0
    assert np.isnan(batch["seasonal_error"].to_numpy()).all()


@pytest.mark.parametrize("where", ["item_id = 'b'", "slot < 2", 'variate = 1 AND "window" > 4', '"window" = 7'])
def test_the_sums_of_any_slice_are_sql(where):
    block, _, batch = rows(3)
    table = pa.Table.from_batches([batch])
    with duckdb.connect() as db:
        db.register("windows", table)
        single = [name for name in STATISTICS if name not in LISTS]
        columns = [f"sum({name})::DOUBLE" for name in single]
        columns += [f"[{', '.join(f'sum({name}[{k}])::DOUBLE' for k in (1, 2, 3))}]" for name in LISTS]
        values = db.execute(f"SELECT {', '.join(columns)} FROM windows WHERE {where}").fetchone()
        keep = np.array([row[0] for row in db.execute(f'SELECT "window" FROM windows WHERE {where} ORDER BY 1').fetchall()])
    found = dict(zip((*single, *LISTS), values, strict=True)) | {"levels": LEVELS}
    totals = Totals(LEVELS)
    totals.add(score(Block(block.labels[keep], block.quantiles[keep], block.mean[keep], LEVELS, block.seasonal_error[keep])))
    assert 0 < len(keep) < 30
    for name, value in evaluate(totals.sums).items():
        np.testing.assert_allclose(evaluate(found)[name], value, rtol=1e-12, err_msg=name)


def test_steps():
    block, scores, _ = rows(4)
    totals = Totals(LEVELS)
    totals.add(scores)
    table = step_table(totals)
    table.validate(full=True)
    assert table.column_names == ["step", *STATISTICS]
    assert table["step"].to_pylist() == [1, 2, 3, 4, 5, 6]
    assert table["n"].to_pylist() == np.isfinite(block.labels).sum(axis=0).tolist()
    assert table["n"].type == pa.int64()
    assert table["hits"].type == pa.list_(pa.int64())
    np.testing.assert_array_equal(np.array(table["quantile_loss"].to_pylist()), scores.steps["quantile_loss"])
