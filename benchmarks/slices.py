"""Time and memory of the page and of slices by windows: `python benchmarks/slices.py [--models 60] [--windows 500000] [--keep DIR]`.

A results database is generated in a temporary folder: that many models, each with that many windows over the 97 tasks of `gift-eval`
(random sums; 60 models × 500,000 windows take some 9 GB). Then, as whole processes, each with its peak memory (RSS, Linux only):

- the page of all tasks (`harness leaderboard -o page.html`): what it shows of windows comes from their sums per step;
- the page of a slice of the windows (`--windows SQL`), where every score is computed anew from the windows' sums;
- pandas, given the same sums as a Parquet file with a column for each level: the rows of the slice, sums by result, MASE and CRPS.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import duckdb

from harness_results import records, schema
from harness_results.imported import suite_tasks

LEVELS = [round(0.1 * k, 1) for k in range(1, 10)]
SLICES = {
    "first variate": "variate = 0",
    "newest windows": "cutoff >= TIMESTAMP '2020-01-10'",
    "one item in ten": "item_id LIKE '%7'",
    "long contexts": "context_length > 1000",
}
PANDAS = """
import sys, time
import numpy as np, pandas as pd
path, condition = sys.argv[1:]
names = [f"loss{k}" for k in range(9)]
import pyarrow.parquet as pq
column = {"variate": "variate", "cutoff": "cutoff", "item_id": "item_id", "context_length": "context_length"}[condition.split()[0]]
frame = pd.read_parquet(path, columns=["result_id", "scaled_error", "n_scaled", "abs_label", column, *names])
if column == "variate":
    frame = frame[frame.variate == 0]
elif column == "cutoff":
    frame = frame[frame.cutoff >= "2020-01-10"]
elif column == "item_id":
    frame = frame[frame.item_id.str.endswith("7")]
else:
    frame = frame[frame.context_length > 1000]
sums = frame.drop(columns=column).groupby("result_id", sort=False, observed=True).sum()
mase = sums.scaled_error / sums.n_scaled
crps = sums[names].mean(axis=1) / sums.abs_label
print(len(mase), mase.mean(), crps.mean())
"""


def generate(path: Path, models: int, windows: int) -> None:
    """Fill a new results database: cells, scores and steps of every model and task, and `windows` windows a model."""
    tasks = suite_tasks("gift-eval")
    each = -(-windows // len(tasks))
    names = ["seasonal_naive", *(f"model {k}" for k in range(1, models))]
    cells = []
    for model in names:
        for task in tasks.values():
            facts = {k: v for k, v in asdict(task).items() if k not in ("name", "kind")}
            key = f"{model}|{task.name}"
            cells.append(
                records.cell_row(
                    {**facts, "task": task.name, "result_id": key, "cell_id": key, "model": model, "n_windows": each, "predict_s": 1.0}
                )
            )
    con = duckdb.connect(str(path))
    con.execute("SET preserve_insertion_order = false")
    schema.create(con)
    with records.transaction(con):
        records.insert_rows(con, "cells", cells)
        records.insert_rows(con, "models", [records.model_row({"model_type": "statistical"}, name, "own") for name in names])
    lists = "[{}]"
    loss = lists.format(", ".join(f"{1 + k} * random()" for k in range(9)))
    hits = lists.format(", ".join(f"(random() * {k + 2})::INTEGER" for k in range(9)))
    sums = (
        "24 AS n, 24 AS n_ape, 24 AS n_sape, 24 AS n_scaled, 100 * random() AS label, 100 + random() AS abs_label, "
        "9 + random() AS abs_error, random() AS sq_error, random() AS sq_error_mean, random() - 0.5 AS error, "
        "random() AS ape, random() AS sape, "
        f"20 + random() AS scaled_error, random() AS scaled_interval, {loss} AS quantile_loss, {hits} AS hits, NULL AS extra"
    )
    for low in range(0, len(cells), 500):  # one transaction a piece, so that memory stays small
        part = "(SELECT result_id, horizon FROM cells ORDER BY result_id LIMIT 500 OFFSET " + str(low) + ")"
        con.execute(
            f"INSERT INTO windows SELECT result_id, i, 'item ' || (i // 10) % 1000, i % 7, i % 20, TIMESTAMP '2020-01-01' + "
            f"INTERVAL 1 HOUR * (i % 8760), 500 + i % 1000, random(), 0, {sums} FROM {part}, range({each}) t(i)"
        )
        con.execute(f"INSERT INTO steps SELECT result_id, i, {sums} FROM {part}, range(1, horizon + 1) t(i)")
    con.execute(
        "INSERT INTO scores SELECT result_id, cell_id, m, 0.5 + random() FROM cells, "
        "unnest(['MASE[0.5]', 'mean_weighted_sum_quantile_loss']) u(m)"
    )
    con.close()


def to_parquet(path: Path, target: Path) -> None:
    """What pandas is to read: the windows without lists."""
    losses = ", ".join(f"quantile_loss[{k + 1}] AS loss{k}" for k in range(9))
    with duckdb.connect(str(path), read_only=True) as con:
        con.execute("SET enable_progress_bar = false")
        con.execute(
            "COPY (SELECT result_id, item_id, variate, cutoff, context_length, scaled_error, n_scaled, abs_label, "
            f"{losses} FROM windows) TO '{target}' (FORMAT parquet)"
        )


def _apart(work: Callable[..., None], *arguments: object) -> None:
    """Do it in another process: the peak memory of a child counts what its parent held when it was started."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(f"{work.__name__} ended with {process.exitcode}")


def timed(command: Sequence[str]) -> tuple[float, float]:
    """Run a process to its end: (seconds, peak MB)."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        sys.exit(f"{' '.join(command)}: {said.decode()}")
    return seconds, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=60)
    parser.add_argument("--windows", type=int, default=500_000, help="of each model")
    parser.add_argument("--keep", type=Path, help="folder that keeps the generated database for another call")
    parser.add_argument("--no-pandas", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = options.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        db = folder / f"{options.models}x{options.windows}.duckdb"
        if not db.exists():
            _apart(generate, db, options.models, options.windows)
        harness = [str(Path(sys.executable).with_name("harness")), "leaderboard", "-s", "gift-eval", "--db", str(db)]
        page = ["-o", str(folder / "page.html")]
        print(f"{options.models * options.windows:,} windows, {db.stat().st_size / 1e9:.1f} GB")
        print("| what | seconds | peak MB |\n|---|---|---|")
        print("| page of all tasks | {:.2f} | {:.0f} |".format(*timed([*harness, *page])))
        frame = folder / f"{db.stem}.parquet"
        if not options.no_pandas and not frame.exists():
            _apart(to_parquet, db, frame)
        for name, condition in SLICES.items():
            print("| page, {} | {:.2f} | {:.0f} |".format(name, *timed([*harness, *page, "--windows", condition])))
            print("| table, {} | {:.2f} | {:.0f} |".format(name, *timed([*harness, "--windows", condition])))
            if not options.no_pandas:
                print("| pandas, {} | {:.2f} | {:.0f} |".format(name, *timed([sys.executable, "-c", PANDAS, str(frame), condition])))


if __name__ == "__main__":
    main()
