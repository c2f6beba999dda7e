"""`harness run -m seasonal_naive -s gift-eval` beside the official way, both as whole processes that take turns.

    GIFT_EVAL=/data/gift-eval python benchmarks/run_gift_eval.py [--turns 2] [--ours 5] [TASK ...]

Every configuration whose data is there is run (or the named ones: `m4_hourly/H/short`). A turn is the official script
(`official_gift_eval.py`: gluonts and statsforecast) once, then the harness a few times, each time with a new database; the clock runs from
the start of the process to its end, imports and writing of results included. Before the first turn the harness runs once, unmeasured, so
that both find their byte code and the hashes of the data cached. Printed are the seconds, the ratio of the medians, and how far the
eleven metrics of the two are apart. Exit code 1 when they differ by more than 1e-6 of the value.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOLERANCE = 1e-6

Table = dict[str, dict[str, float]]


def seconds(command: list[str], said: Path) -> float:
    """Wall time of a process; its standard output goes to the file."""
    # Without the variable: a user's Python caches byte code, and so does that of the packages.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with said.open("w") as out, said.with_suffix(".err").open("w+") as errors:
        begin = time.perf_counter()
        code = subprocess.run(command, stdout=out, stderr=errors, env=environment, check=False).returncode
        took = time.perf_counter() - begin
        if code:
            errors.seek(0)
            sys.exit(f"{' '.join(command)} ended with {code}:\n{errors.read()}")
    return took


def read(path: Path) -> Table:
    """{task: {metric: value}} of a file in the leaderboard's format."""
    with path.open(newline="") as file:
        return {row["dataset"]: {k: float(v) for k, v in row.items() if k.startswith("eval_metrics/")} for row in csv.DictReader(file)}


def difference(ours: Table, official: Table) -> tuple[float, str]:
    """The largest relative difference, and where it is.

    Raises:
        SystemExit: not the same tasks.
    """
    if ours.keys() != official.keys():
        sys.exit(f"the two ran different tasks: {sorted(ours.keys() ^ official.keys())}")
    worst = (0.0, "nowhere")
    for task, scores in official.items():
        for metric, value in scores.items():
            gap = abs(ours[task][metric] - value) / max(abs(value), 1e-12)
            # NaN compares as neither, and must count as a difference.
            worst = max(worst, (gap if gap == gap else float("inf"), f"{task} {metric.removeprefix('eval_metrics/')}"))
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--ours", type=int, default=5, help="runs of the harness in each turn")
    parser.add_argument("tasks", nargs="*")
    options = parser.parse_args()
    if not os.environ.get("GIFT_EVAL"):
        print("left out: it needs GIFT_EVAL, the folder with GIFT-Eval's datasets: export GIFT_EVAL=...")
        return
    script = str(Path(__file__).with_name("official_gift_eval.py"))
    times: dict[str, list[float]] = {"official": [], "harness": []}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)

        def ours(number: int) -> float:
            command = [sys.executable, "-m", "harness", "run", "-m", "seasonal_naive", "-s", "gift-eval", "--progress", "none"]
            command += ["--db", str(folder / f"{number}.duckdb"), *(["-t", ",".join(options.tasks)] if options.tasks else [])]
            return seconds(command, folder / "ours.txt")

        ours(0)
        for _ in range(options.turns):
            times["official"].append(seconds([sys.executable, script, *options.tasks], folder / "official.csv"))
            for _ in range(options.ours):
                times["harness"].append(ours(len(times["harness"]) + 1))
        exported = folder / "exported"
        command = [sys.executable, "-m", "harness", "export", "gift-eval", str(exported), "--db", str(folder / "1.duckdb")]
        seconds(command, folder / "export.txt")
        official = read(folder / "official.csv")
        gap, where = difference(read(exported / "seasonal_naive" / "all_results.csv"), official)

    middle = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        print(f"{name:10s} {middle[name]:8.2f} s  ({', '.join(f'{value:.2f}' for value in values)})")
    print(f"{'ratio':10s} {middle['official'] / middle['harness']:8.1f}    of the medians, {len(official)} configurations")
    print(f"{'largest difference of a metric':s} {gap:.1e} of its value: {where}")
    if gap > TOLERANCE:
        sys.exit(f"the metrics differ by more than {TOLERANCE:g} of their value")


if __name__ == "__main__":
    main()
