"""Real plugins in a throw-away folder, and the real command run beside them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import forked
import pyarrow as pa

__all__ = ["GOOD", "HEADER", "Done", "Lab", "write_dataset"]

HEADER = """
import os, sys, time, signal, threading, subprocess
import numpy as np
from harness import Batch, Forecast, ModelInfo, SuiteInfo, Metric, Unsupported, hookimpl

def last(batch):
    rows = [r[np.isfinite(r)] for r in batch]
    return np.array([[float(r[-1]) if len(r) else 0.0] * batch.horizon for r in rows], np.float32)
"""
"""The head of a plugin's source: imports, and `last(batch)`, the last value of each window as points [N, H]."""

GOOD = """
class Good:
    def predict(self, batch):
        return Forecast.from_points(last(batch))

@hookimpl
def register_models(register):
    register(ModelInfo("good"), Good)
"""
"""A plugin with one model that does nothing wrong."""


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output, read as JSON."""
        return json.loads(self.out)

    def cells(self) -> dict[tuple[str, str], dict[str, Any]]:
        """{(model, task): cell} of `harness run --json`."""
        return {(c["model"], c["task"]): c for c in self.json()["cells"]}

    def expect(self, code: int, *texts: str) -> Done:
        """Assert the exit code, and that each text is in what was printed, spaces and line ends aside."""
        said = " ".join((self.out + " " + self.err).split())
        assert self.code == code, f"exit code {self.code}, wanted {code}\n{self.out}\n{self.err}"
        for text in texts:
            assert " ".join(text.split()) in said, f"{text!r} is not in:\n{self.out}\n{self.err}"
        assert "Traceback (most recent call last)" not in self.err, self.err
        return self


class Lab:
    """A working folder; the plugins made here are found by every command run here, in parent and child."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = folder / "site"
        self.site.mkdir()
        self.db = folder / "harness.duckdb"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("HARNESS_", "GIFT_EVAL"))}
        path = os.pathsep.join(filter(None, [str(self.site), os.environ.get("PYTHONPATH")]))
        self.env |= {"PYTHONPATH": path, "HARNESS_CACHE": str(folder / "cache"), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}

    def plugin(self, name: str, source: str, header: str = HEADER, entry: str = "") -> Path:
        """Make a distribution `name` 1.0 with one module of that name and one entry point; return the module's file."""
        path = self.site / f"{name}.py"
        path.write_text(textwrap.dedent(header) + textwrap.dedent(source))
        info = self.site / f"{name}-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[harness]\n{name} = {entry or name}\n")
        return path

    def command(self, *arguments: str) -> list[str]:
        """The real command."""
        return [str(Path(sys.executable).with_name("harness")), *arguments]

    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start the command and do not wait."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env={**self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 90) -> Done:
        """Run the command to its end, in a fork where that is the same as a start."""
        whole = {**self.env, **(env or {})}
        if forked.can_run(whole):
            code, out, err, in_time = forked.run(self.command(*arguments), self.folder, whole, timeout)
            assert in_time, f"harness {' '.join(arguments)} took longer than {timeout} s\n{out}\n{err}"
            return Done(code, out, err)
        process = self.start(*arguments, env=env)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"harness {' '.join(arguments)} took longer than {timeout} s\n{out}\n{err}") from None
        return Done(process.returncode, out, err)

    def python(self, source: str, fresh: bool = True) -> Done:
        """Run a Python program beside the plugins; one that is not `fresh` may find libraries imported already."""
        if not fresh and forked.can_run(self.env):
            code, out, err, in_time = forked.run(["-c"], self.folder, self.env, 90, textwrap.dedent(source))
            assert in_time, f"a program took longer than 90 s\n{out}\n{err}"
            return Done(code, out, err)
        made = subprocess.run(
            [sys.executable, "-P", "-c", textwrap.dedent(source)],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        return Done(made.returncode, made.stdout, made.stderr)

    def many(self, commands: list[list[str]]) -> list[Done]:
        """Run commands one after the other in one process, since starting one costs more than most commands."""
        made = self.python(
            f"""
            import contextlib, io, json
            from harness.cli import main
            answers = []
            for arguments in json.loads({json.dumps(commands)!r}):
                out, err = io.StringIO(), io.StringIO()
                with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                    try:
                        main(arguments)
                    except SystemExit as error:
                        code = error.code
                    except BaseException as error:
                        code = repr(error)
                answers.append([code, out.getvalue(), err.getvalue()])
            print(json.dumps(answers))
        """,
            fresh=False,
        ).expect(0)
        return [Done(code, out, err) for code, out, err in made.json()]

    def models(self, models: str, *arguments: str, tasks: str = "us_births/M/short", **options: Any) -> Done:
        """`harness run -m MODELS -t TASKS --json`."""
        return self.run("run", "-m", models, "-t", tasks, "--json", *arguments, **options)

    def query(self, sql: str, db: Path | None = None) -> list[tuple[Any, ...]]:
        """Rows of the results database."""
        with duckdb.connect(str(db or self.db), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def tables(self, db: Path | None = None) -> dict[str, list[tuple[Any, ...]]]:
        """The scores, windows and steps of all current cells, in an order of their own: what must not depend on how it was made."""
        name = "c.suite, c.task, c.model, c.seed"
        current = "JOIN cells c USING (result_id) WHERE c.superseded_by IS NULL"
        return {
            "scores": self.query(f"SELECT {name}, s.metric, s.value FROM scores s {current} ORDER BY ALL", db),
            "windows": self.query(f"SELECT {name}, w.* EXCLUDE (result_id) FROM windows w {current} ORDER BY ALL", db),
            "steps": self.query(f"SELECT {name}, t.* EXCLUDE (result_id) FROM steps t {current} ORDER BY ALL", db),
        }

    def leftovers(self) -> list[str]:
        """Files of the spool that should not be there when nothing runs."""
        spool = self.db.with_name(self.db.name + ".spool")
        return sorted(p.name for p in spool.glob("*.tmp")) + sorted(p.name for p in spool.glob("*.parquet")) if spool.is_dir() else []


def write_dataset(
    folder: Path,
    targets: list[Any],
    freq: str,
    start: datetime = datetime(2015, 1, 4),
    kind: pa.DataType | None = None,
) -> Path:
    """A dataset folder as `save_to_disk` leaves it, for `--data`."""
    n = len(targets)
    table = pa.table(
        {
            "item_id": pa.array([f"item-{i}" for i in range(n)], pa.string()),
            "start": pa.array([start] * n, pa.timestamp("s")),
            "freq": pa.array([freq] * n, pa.string()),
            "target": pa.array(targets, kind or pa.list_(pa.float32())),
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    file = "data-00000-of-00001.arrow"
    with pa.OSFile(str(folder / file), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": file}]}))
    return folder
