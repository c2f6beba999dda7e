"""The run that makes a stored result anew, as a line to type: one rule for whatever prints such a line."""

from __future__ import annotations

import glob
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["run_command"]

DEFAULT_DB = Path("harness.duckdb")


def run_command(
    row: Mapping[str, Any],
    *,
    tasks: Sequence[str] | None = None,
    save_forecasts: bool = False,
    data: str | Path | None = None,
    db: Path | None = None,
    rerun: str = "",
) -> str:
    """The command that makes the result of a row of `cells` again; options that have their usual value are left out.

    Args:
        row: a mapping with "model" (with its parameters), "suite" and, where `tasks` is None, "task"; "mode", "budget", "seed" and
            "scope" may be there, and null.
        tasks: other tasks of the suite instead of the row's; none at all = the whole suite.
        save_forecasts: whether the forecasts are to be kept.
        data: folder of the data; None or "" = not said.
        db: the results database; None = not said.
        rerun: "failed", "stale" or "all".

    >>> run_command({"model": "ttm[context=512]", "suite": "quick", "task": "a/H/short", "seed": 3, "scope": "limit=10"})
    "harness run -m 'ttm[context=512]' -s quick -t a/H/short --seed 3 --limit 10"
    >>> run_command({"model": "naive", "suite": "quick", "task": "a"}, tasks=[], db=Path("mine.duckdb"), rerun="failed")
    'harness run -m naive -s quick --db mine.duckdb --rerun failed'
    """
    named = [str(row["task"])] if tasks is None else list(tasks)
    scope = str(row.get("scope") or "")
    options = {
        "-t": ",".join(glob.escape(task) for task in dict.fromkeys(named)),
        "--mode": "" if row.get("mode") == "zero-shot" else row.get("mode"),
        "--budget": row.get("budget"),
        "--seed": row.get("seed"),
        "--limit": scope.removeprefix("limit=").partition(",")[0] if scope.startswith("limit=") else "",
        "--save-forecasts": save_forecasts,
        "--data": data,
        "--db": "" if db == DEFAULT_DB else db,
        "--rerun": rerun,
    }
    words = ["harness", "run", "-m", str(row["model"]), "-s", str(row["suite"])]
    for name, value in options.items():
        if value:
            words += [name] if value is True else [name, str(value)]
    return shlex.join(words)
