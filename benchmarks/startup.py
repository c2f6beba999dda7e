"""How long `harness --help` and the lists take, and what they must not import: `python benchmarks/startup.py [--runs 10]`.

Whole processes, the median of the runs after one that is not counted. Exit code 1 when a command imports one of `HEAVY` or takes longer
than `LIMIT` seconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

COMMANDS = (["--help"], ["ls", "models"], ["ls", "models", "--json"], ["ls", "suites"], ["--version"])
HEAVY = ("torch", "pandas", "gluonts", "datasets", "statsforecast", "numba", "transformers", "duckdb", "matplotlib")
LIMIT = 0.35


def run(command: list[str], *flags: str) -> tuple[float, str]:
    """(seconds, standard error) of a `harness` process."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}  # a user's Python caches byte code
    whole = [sys.executable, *flags, "-m", "harness", *command]
    begin = time.perf_counter()
    done = subprocess.run(whole, capture_output=True, text=True, env=environment, check=False)
    took = time.perf_counter() - begin
    if done.returncode:
        sys.exit(f"{' '.join(whole)} ended with {done.returncode}:\n{done.stderr}")
    return took, done.stderr


def imported(command: list[str]) -> set[str]:
    """Top-level packages that the command imports."""
    _, log = run(command, "-X", "importtime")
    lines = [line.rpartition("|")[2].strip() for line in log.splitlines() if line.startswith("import time:")]
    return {name.partition(".")[0] for name in lines}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    problems = []
    for command in COMMANDS:
        heavy = sorted(imported(command) & set(HEAVY))
        times = sorted(run(command)[0] for _ in range(runs))
        middle = statistics.median(times)
        name = " ".join(["harness", *command])
        print(
            f"{name:28s} {middle:6.3f} s  (fastest {times[0]:.3f}, slowest {times[-1]:.3f})  imports {', '.join(heavy) or 'nothing heavy'}"
        )
        problems += [f"{name} imports {each}" for each in heavy]
        if middle > LIMIT:
            problems.append(f"{name} took {middle:.3f} s; wanted {LIMIT} s")
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
