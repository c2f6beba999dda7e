"""Time and memory of `harness run` as the windows grow: `python benchmarks/growth.py [--windows 10000,100000,1000000]`.

For each size, a dataset of 20 windows a series is written in GIFT-Eval's layout into a temporary folder, in the place of `solar/W`
(horizon 8, 1,521 weeks a series), and run as whole processes: `seasonal_naive` in a child process, `naive` with `--isolation inprocess`.
Nothing is cached before. Memory is the peak of what the process holds of its own and shares with the other (RssAnon + RssShmem, sampled
50 times a second); pages of the mapped dataset, which the kernel can take back, are left out. Linux only; a million windows need 1 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

WINDOWS = 20
LENGTH = 1521  # the shortest series of which ceil(0.1 · L / 8) is 20
PART = 2000  # series written at a time
RUNS = (("seasonal_naive", "process"), ("naive", "inprocess"))


def make(folder: Path, series: int) -> None:
    """Write random walks [series, LENGTH] as HuggingFace `datasets` saves them."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = ("item_id", "start", "freq", "target")
    kinds = (pa.string(), pa.timestamp("s"), pa.string(), pa.list_(pa.float32()))
    schema = pa.schema(list(zip(names, kinds, strict=True)))
    file = "data-00000-of-00001.arrow"
    with pa.OSFile(str(folder / file), "wb") as sink, pa.ipc.new_stream(sink, schema) as stream:
        for low in range(0, series, PART):
            count = min(PART, series - low)
            values = rng.standard_normal((count, LENGTH), dtype=np.float32).cumsum(axis=1, dtype=np.float32) + np.float32(100)
            target = pa.ListArray.from_arrays(np.arange(count + 1, dtype=np.int32) * LENGTH, values.reshape(-1))  # [count, L] -> [count·L]
            start = pa.array(np.full(count, "1990-01-07", "datetime64[s]"))
            ids = pa.array([f"series {low + k}" for k in range(count)])
            stream.write_batch(pa.record_batch([ids, start, pa.array(["W-SUN"] * count), target], schema=schema))
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": file}]}))


def memory_mb(pid: int) -> float:
    """What a process holds besides mapped files, MB; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    found = [int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem"))]
    return sum(found) / 1024


def children(pid: int) -> list[int]:
    """The direct children of a process."""
    try:
        return [int(p) for task in Path(f"/proc/{pid}/task").iterdir() for p in (task / "children").read_text().split()]
    except OSError:
        return []


def run(command: list[str], environment: dict[str, str]) -> tuple[float, float, float]:
    """Run a command; return (seconds, peak MB of its process, peak MB of its largest child)."""
    begin = time.perf_counter()
    peak = largest = 0.0
    with tempfile.TemporaryFile() as said, subprocess.Popen(command, env=environment, stdout=said, stderr=said) as process:
        while process.poll() is None:
            peak = max(peak, memory_mb(process.pid))
            largest = max([largest, *map(memory_mb, children(process.pid))])
            time.sleep(0.02)
        seconds = time.perf_counter() - begin
        if process.returncode:
            said.seek(0)
            sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{said.read().decode(errors='replace')}")
    return seconds, peak, largest


def measure(windows: int) -> None:
    """Make the data of one size, run both models, print a line each."""
    with tempfile.TemporaryDirectory(prefix="growth-") as name:
        root = Path(name)
        make(root / "data" / "solar" / "W", windows // WINDOWS)
        for model, isolation in RUNS:
            db = root / f"{model}.duckdb"
            command = [sys.executable, "-m", "harness", "run", "-m", model, "-s", "gift-eval", "-t", "solar/W/short"]
            command += ["--data", str(root / "data"), "--db", str(db), "--isolation", isolation, "--progress", "none"]
            seconds, parent, worker = run(command, {**os.environ, "HARNESS_CACHE": str(root / f"cache-{model}")})
            size = db.stat().st_size / 2**20
            print(f"{windows:9,d}  {model:14s}  {isolation:9s}  {seconds:8.2f}  {windows / seconds:10,.0f}", end="  ")
            child = "-" if isolation == "inprocess" else f"{worker:.0f}"
            print(f"{parent:9.0f}  {child:>9s}  {size:7.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", default="10000,100000,1000000", help="sizes, each a multiple of 20")
    sizes = [int(size) for size in parser.parse_args().windows.split(",")]
    print("  windows  model           isolation   seconds   windows/s  parent MB  worker MB    db MB")
    for size in sizes:
        measure(size)


if __name__ == "__main__":
    main()
