"""Speed of reading `.tsf` files beside sktime and gluonts: `python benchmarks/tsf.py [--megabytes N] [--peers-megabytes N]`.

Four shapes of files: many short series of one decimal, many of whole numbers with gaps, a few long ones of three decimals, and one of six.
Ours reads a file of 100 MB into arrays, once on one thread and once on as many as there are cores (at most four), and once as a stream,
which says its peak memory. The peers read a smaller file of the same shape, since they take minutes and gigabytes for the large one; speeds
are of megabytes of text. sktime counts twice: with the data frame that it returns, a row a value, and with its nested frame alone. The
readers take turns and the best turn counts; wall and CPU seconds both, since the machine may be doing other work.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from harness_tasks.tsf import read_batches, read_tsf, reader, write_tsf

SHAPES = {  # name: (values of a series, decimals, share of missing values)
    "short, 1 decimal": (60, 1, 0.0),
    "short, whole, gaps": (60, 0, 0.05),
    "long, 3 decimals": (300_000, 3, 0.0),
    "long, 6 decimals": (1_000_000, 6, 0.0),
}
PEERS = {"sktime": "sktime", "gluonts": "gluonts"}
Readers = dict[str, tuple[Callable[[Path], object], Path]]
Times = dict[str, tuple[float, float, float]]


def make(path: Path, shape: str, megabytes: float) -> int:
    """Write a file of about this size; returns its values."""
    length, decimals, gaps = SHAPES[shape]
    rng = np.random.default_rng(0)
    count = max(1, round(megabytes * 1e6 / length / (4.5 + decimals + (decimals > 0))))
    total = count * length
    whole = np.abs(rng.normal(1000, 600, total)).round(decimals).astype(np.float32)
    whole[rng.random(total) < gaps] = np.nan
    starts = np.full(count, np.datetime64("2015-07-01", "s"))
    write_tsf(path, list(whole.reshape(count, length)), starts=starts, frequency="daily")
    return total


def peers() -> dict[str, Callable[[Path], object]]:
    """The readers that are installed; says how to install the others."""
    found: dict[str, Callable[[Path], object]] = {}
    for module, package in PEERS.items():
        if importlib.util.find_spec(module) is None:
            print(f"{module} is not installed (pip install {package}); it is left out")
    if importlib.util.find_spec("sktime"):
        load = importlib.import_module("sktime.datasets").load_tsf_to_dataframe
        found["sktime"] = lambda path: load(str(path))
        found["sktime, nested frame"] = lambda path: load(str(path), return_type="default_tsf")
    if importlib.util.find_spec("gluonts"):
        from gluonts.dataset.repository._tsf_reader import TSFReader

        found["gluonts"] = lambda path: TSFReader(path).read()
    return found


def ours(path: Path, threads: int) -> object:
    """Read a file whole with so many threads."""
    reader.THREADS = threads
    return read_tsf(path)


def timed(readers: Readers, turns: int) -> Times:
    """{reader: (wall seconds, CPU seconds, megabytes)}, the best of its turns."""
    best: Times = {}
    for _ in range(turns):
        for name, (read, path) in readers.items():
            wall, cpu = time.perf_counter(), time.process_time()
            read(path)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            old = best.get(name, (wall, cpu, 0.0))
            best[name] = (min(old[0], wall), min(old[1], cpu), path.stat().st_size / 1e6)
    return best


def show(times: Times, cores: int) -> None:
    """Print a line for each reader, and how much faster ours is: by CPU time on one thread, by wall time on all."""
    size, wall, cpu = (list(zip(*times.values(), strict=True))[k] for k in (2, 0, 1))
    one, several = size[0] / cpu[0], size[min(cores, 2) - 1] / wall[min(cores, 2) - 1]
    print(f"{'':22} {'MB':>5} {'wall, s':>8} {'CPU, s':>8} {'MB/s CPU':>9} {'1 thread, CPU':>14} {f'{cores} threads, wall':>16}")
    for name, (w, c, mb) in times.items():
        print(f"{name:22} {mb:5.0f} {w:8.2f} {c:8.2f} {mb / c:9.1f} {one / (mb / c):13.1f}x {several / (mb / w):15.1f}x")


def stream(path: Path) -> None:
    """Read a file as batches and print the memory that this took; for a process of its own."""

    def peak() -> float:  # not ru_maxrss, which begins with the parent's
        return next(int(line.split()[1]) / 1024 for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))

    before = peak()
    rows = sum(len(batch) for batch in read_batches(path))
    print(f"{rows} series streamed, peak memory {peak() - before:+.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=100)
    parser.add_argument("--peers-megabytes", type=float, default=10)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--stream", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stream:
        stream(options.stream)
        return
    warnings.simplefilter("ignore")
    others = peers()
    cores = min(4, os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder) / "large.tsf", Path(folder) / "small.tsf"
        for shape in SHAPES:
            values = make(large, shape, options.megabytes)
            make(small, shape, options.peers_megabytes)
            print(f"\n{shape}: {large.stat().st_size / 1e6:.0f} MB, {values} values")
            readers: Readers = {f"ours, {n} thread{'s' * (n > 1)}": (partial(ours, threads=n), large) for n in sorted({1, cores})}
            times = timed(readers, options.turns)
            show(times | timed({name: (read, small) for name, read in others.items()}, max(1, options.turns - 1)), cores)
            child = [sys.executable, __file__, "--stream", str(large)]
            print(subprocess.run(child, capture_output=True, text=True, check=True).stdout.strip())


if __name__ == "__main__":
    main()
