"""How many requests a served model answers, and in what memory: `python benchmarks/serving.py [--seconds 30] [--connections 64]`.

`harness serve-model` on loopback, asked by wrk for the same forecast again and again: one series of 200 values, 24 steps, nine levels.
Printed: requests a second, latencies, errors, how many windows went into a call of the model, and the resident memory of server and worker
before and after. Server, worker and wrk share the machine's cores. Exit code 1 when an answer was no forecast. Needs wrk.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import numpy as np


def body(length: int, horizon: int) -> str:
    """A request for one hourly series."""
    values = np.round(50 + 10 * np.sin(np.arange(length) * math.tau / 24) + np.random.default_rng(0).normal(size=length), 3)
    return json.dumps({"series": [{"target": values.tolist(), "start": "2024-01-01"}], "horizon": horizon, "freq": "H"})


def script(folder: Path, text: str) -> Path:
    """What wrk sends, and what it prints in the end: one line of JSON."""
    path = folder / "post.lua"
    path.write_text(
        f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = [[{text}]]\n'
        "done = function(summary, latency, requests)\n"
        '  io.write(string.format("JSON {\\"requests\\": %d, \\"us\\": %d, \\"p50\\": %d, \\"p90\\": %d, \\"p99\\": %d, \\"max\\": %d, '
        '\\"status\\": %d, \\"connect\\": %d, \\"read\\": %d, \\"write\\": %d, \\"timeout\\": %d}\\n", summary.requests, summary.duration, '
        "latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max, summary.errors.status, "
        "summary.errors.connect, summary.errors.read, summary.errors.write, summary.errors.timeout))\nend\n"
    )
    return path


def resident(pid: int) -> float:
    """MB of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def worker_of(pid: int) -> int:
    """The worker that a server has started."""
    children = [c for task in Path(f"/proc/{pid}/task").iterdir() for c in (task / "children").read_text().split()]
    return int(children[0])


def metrics(port: int) -> dict[str, float]:
    """The samples of `/metrics`."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="seasonal_naive")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--length", type=int, default=200)
    parser.add_argument("--horizon", type=int, default=24)
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is not here, nothing was measured; to install it: apt-get install wrk")
        return
    command = [sys.executable, "-m", "harness", "serve-model", options.model, "--port", "0", "--threads", "1"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        port = next(int(found[1]) for line in server.stderr if (found := re.search(r":(\d+)/v1/forecast", line)))
        pids = {"server": server.pid, "worker": worker_of(server.pid)}
        url = f"http://127.0.0.1:{port}/v1/forecast"
        with tempfile.TemporaryDirectory() as folder:
            file = script(Path(folder), body(options.length, options.horizon))
            wrk = ["wrk", "-t1", f"-c{options.connections}", "--timeout", "10s", "-s", str(file), url]
            subprocess.run([*wrk, "-d2s"], check=True, capture_output=True)  # not counted: caches are filled, regions of memory grow
            before, first, load = {name: resident(pid) for name, pid in pids.items()}, metrics(port), os.getloadavg()[0]
            done = subprocess.run([*wrk, f"-d{options.seconds}s"], check=True, capture_output=True, text=True)
        after, last = {name: resident(pid) for name, pid in pids.items()}, metrics(port)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("JSON "))[5:])
    errors = {name: found[name] for name in ("status", "connect", "read", "write", "timeout")}
    names = ("harness_batch_windows_sum", "harness_batch_windows_count", "harness_model_seconds_sum", "process_cpu_seconds_total")
    counted = {name: last[name] - first[name] for name in names}
    calls = counted["harness_batch_windows_count"]
    print(f"{options.model}: {options.connections} connections, {found['us'] / 1e6:.1f} s, load of the machine before: {load:.1f}")
    print(f"  requests   {found['requests']}, {found['requests'] / found['us'] * 1e6:.0f} a second; errors {errors}")
    print(
        f"  processor  {counted['process_cpu_seconds_total'] / found['requests'] * 1e3:.2f} ms of the server for each, the worker's aside"
    )
    p50, p90, p99, longest = (found[name] / 1000 for name in ("p50", "p90", "p99", "max"))
    print(f"  latency    p50 {p50:.1f} ms, p90 {p90:.1f}, p99 {p99:.1f}, longest {longest:.1f}")
    windows, seconds = counted["harness_batch_windows_sum"] / calls, counted["harness_model_seconds_sum"] / calls
    print(f"  batches    {windows:.1f} windows in a call of the model, which takes {seconds * 1e3:.2f} ms")
    for name in pids:
        print(f"  {name:9s}  {before[name]:.1f} MB before, {after[name]:.1f} MB after")
    other = {key: n for key, n in last.items() if "requests_total" in key and "/v1/forecast" in key and 'status="200"' not in key}
    print(f"  other answers: {other or 'none'} (499: wrk hung up at its end); exit code {server.returncode}")
    if sum(errors.values()) or server.returncode:
        sys.exit(1)


if __name__ == "__main__":
    main()
