"""Time of an ensemble beside that of its members: `python benchmarks/ensemble.py [--items 2000] [--turns 3] [--data DIR]`.

A dataset of the GIFT-Eval layout is made: hourly series of 4,800 values, 10 windows of 48 steps each, 9 levels. Five baselines, its
members, are run with their forecasts kept. Then each way of putting these together is run by itself, in a new process, and so are the
members again, which is the least that an ensemble would cost that calls its members; models that are slower than these cost as much more.
The time of a command that has nothing to do is shown beside, since it is in all of them. With --data, also the scores of each way and of
several `eta` on the datasets of a GIFT-Eval folder that are there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

import harness

HARNESS = str(Path(sys.executable).with_name("harness"))
MEMBERS = ("drift", "mean", "naive", "seasonal_naive", "window_average")
OF = "+".join(MEMBERS)
WAYS = ("median", "mean", "backtest")
TASK = "electricity/H/short"  # 48 steps
LENGTH = 4800


def write(folder: Path, items: int) -> None:
    """Hourly series with a day in them, a week, a drift and noise."""
    rng = np.random.default_rng(0)
    t = np.arange(LENGTH)
    rows = [
        (100 + rng.normal(0, 0.3) * t / 24 + a * np.sin(t * 2 * np.pi / 24) + b * np.sin(t * 2 * np.pi / 168) + rng.normal(0, 3, LENGTH))
        for a, b in rng.uniform(0, 20, (items, 2))
    ]
    columns = {
        "item_id": pa.array([f"item-{i}" for i in range(items)]),
        "start": pa.array([datetime(2015, 1, 4)] * items, pa.timestamp("s")),
        "freq": pa.array(["H"] * items),
        "target": pa.array([row.astype(np.float32) for row in rows], pa.list_(pa.float32())),
    }
    table = pa.table(columns)
    folder.mkdir(parents=True)
    with pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))


def run(folder: Path, data: Path, models: Sequence[str], *options: str) -> tuple[float, float, int]:
    """Seconds of the whole process and inside `predict`, and windows a model."""
    command = [HARNESS, "run", "-m", ",".join(models), "-s", "gift-eval", "--data", str(data), "--json", "--progress", "none", *options]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
    seconds = time.perf_counter() - start
    sql = "SELECT sum(predict_s) AS inside, max(n_windows) AS n FROM main.cells WHERE superseded_by IS NULL AND list_contains($1, model)"
    row = harness.load(folder / "harness.duckdb").sql(sql, [list(models)]).to_pylist()[0]
    return seconds, row["inside"], row["n"]


def named(how: str, eta: float = 1.0) -> str:
    """An ensemble of all members."""
    parts = {"eta": f"{eta:g}" if eta != 1 else "", "how": how if how != "median" else "", "of": OF}
    return f"ensemble[{','.join(f'{key}={value}' for key, value in parts.items() if value)}]"


def times(folder: Path, items: int, turns: int) -> None:
    """Print what each way costs on made data."""
    data = folder / "data"
    write(data / "electricity" / "H", items)
    task = ("-t", TASK)
    run(folder, data, MEMBERS, *task, "--save-forecasts")
    for name, models, options in (
        ("nothing to do", MEMBERS, ()),
        ("5 members again", MEMBERS, ("--rerun", "all", "--save-forecasts")),
        *((how, (named(how),), ("--rerun", "all")) for how in WAYS),
    ):
        found = [run(folder, data, models, *task, *options) for _ in range(turns)]
        whole, inside, windows = map(min, zip(*found, strict=True))
        print(f"{name:18} run {whole:6.2f} s   inside predict {inside:6.2f} s   {windows:.0f} windows")


def scores(folder: Path, data: Path) -> None:
    """Print the leaderboard of members and ensembles on real data."""
    names = [*MEMBERS, named("median"), named("mean"), *(named("backtest", eta) for eta in (0.25, 0.5, 1.0, 2.0, 4.0))]
    (folder / "scores").mkdir()
    run(folder / "scores", data, names, "--save-forecasts")
    board = harness.load(folder / "scores" / "harness.duckdb").leaderboard("gift-eval")
    print(board[["model", "nMASE", "nCRPS"]].to_string(index=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=2000, help="series of the made dataset")
    parser.add_argument("--turns", type=int, default=3, help="the best of so many is shown")
    parser.add_argument("--data", type=Path, default=None, help="a GIFT-Eval folder, for the scores")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        times(Path(name), options.items, options.turns)
        if options.data is not None:
            scores(Path(name), options.data.resolve())


if __name__ == "__main__":
    main()
