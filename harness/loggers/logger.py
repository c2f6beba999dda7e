"""What a training writes its numbers to: the interface, and which loggers there are."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from harness.errors import UsageError, describe, suggest
from harness.loggers.contract import Number, Sink, Start, Status
from harness.loggers.plain import flat, without_secrets

__all__ = ["KINDS", "Logger", "open_logger", "read_names", "require"]


class Kind(NamedTuple):
    """A logger's package: what must be importable, and what to install; both "" where nothing is needed."""

    module: str = ""
    install: str = ""


KINDS: dict[str, Kind] = {
    "csv": Kind(),
    "tensorboard": Kind("tensorboard", "tensorboard"),
    "mlflow": Kind("mlflow", "mlflow-skinny"),
    "wandb": Kind("wandb", "wandb"),
}
"""The loggers by name."""


class Logger:
    """The loggers of one training. No method raises for what a logger does; one that fails is named once, by `say`, and dropped.

    As a context manager it is finished at the end: "done", or "interrupted" (KeyboardInterrupt), or "failed" (any other exception).
    """

    def __init__(self, sinks: Mapping[str, Sink], say: Callable[[str], object]) -> None:
        self._sinks, self._say, self._open = dict(sinks), say, True

    @property
    def names(self) -> tuple[str, ...]:
        """The loggers that are still written to."""
        return tuple(self._sinks)

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Write a step's numbers.

        Args:
            step: from 0 or 1, not falling; the same step again adds names to it.
            values: numbers, also of numpy, and tensors of one; NaN and infinities are passed on, what is no number is left out.
        """
        if found := _numbers(values):
            self._each(lambda sink: sink.log(step, found))

    def finish(self, status: Status = "done", metrics: Mapping[str, Any] | None = None, artifacts: Sequence[Path] = ()) -> None:
        """End the run: once, the first call counts.

        Args:
            metrics: the outcome's numbers.
            artifacts: small files to keep with the run, where a logger keeps files (mlflow, wandb); what is not there is left out.
        """
        if not self._open:
            return
        self._open = False
        last, kept = _numbers(metrics or {}), [path for path in artifacts if path.is_file()]
        self._each(lambda sink: sink.finish(status, last, kept))

    def _each(self, do: Callable[[Sink], object]) -> None:
        for name, sink in list(self._sinks.items()):
            try:
                do(sink)
            except (Exception, SystemExit) as error:
                del self._sinks[name]
                self._say(f"the logger {name} failed and is left out from here on: {without_secrets(describe(error))[:500]}")
                if self._open:  # whatever it holds is let go; it may fail again
                    with contextlib.suppress(Exception, SystemExit):
                        sink.finish("failed", {}, [])

    def __enter__(self) -> Logger:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        del error, trace
        self.finish("done" if kind is None else "interrupted" if issubclass(kind, KeyboardInterrupt) else "failed")


def _numbers(values: Mapping[str, Any]) -> dict[str, Number]:
    """What is a number: whole ones stay whole."""
    found: dict[str, Number] = {}
    for name, value in values.items():
        if isinstance(value, str | bytes):
            continue
        with contextlib.suppress(Exception):  # a stranger's object
            number = float(value)
            found[str(name)] = int(value) if isinstance(value, int) and math.isfinite(number) else number
    return found


def read_names(text: str) -> tuple[str, ...]:
    """The loggers that a text names, each once: "csv,mlflow"; "" names none.

    >>> read_names("mlflow, csv,mlflow")
    ('mlflow', 'csv')

    Raises:
        UsageError: there is none of a name.
    """
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in KINDS:
            raise UsageError(
                f"there is no logger {name!r}; wanted {', '.join(KINDS)}, or several with commas: csv,mlflow.{suggest(name, KINDS)}"
            )
    return names


def require(names: str) -> tuple[str, ...]:
    """The loggers that a text names, once their packages are known to be there. Imports none of them.

    Raises:
        UsageError: there is no such logger, or its package is not installed; says what to type.
    """
    found = read_names(names)
    missing = {name: KINDS[name].install for name in found if KINDS[name].module and find_spec(KINDS[name].module) is None}
    if missing:
        package = "a package that is" if len(missing) == 1 else "packages that are"
        raise UsageError(
            f"the logger {' and '.join(missing)} needs {package} not installed; type: pip install {' '.join(missing.values())}"
        )
    return found


def open_logger(
    names: str,
    *,
    project: str,
    run_name: str,
    folder: Path,
    params: Mapping[str, Any] | None = None,
    notes: str = "",
    step: int = 0,
    say: Callable[[str], object] | None = None,
) -> Logger:
    """Open the loggers that a text names, before a training begins.

    Args:
        names: "csv,mlflow"; "" opens none, and the logger then does nothing.
        project: MLflow's experiment, Weights & Biases' project; MLFLOW_EXPERIMENT_NAME and WANDB_PROJECT go before it.
        run_name: what the run is called.
        folder: where local files go: `curve.csv`, `tensorboard/`, `mlruns/`, `wandb/`. Made if it is not there.
        params: what the training was asked for; nested names are joined by dots, what is called a key, a token or a password is left out.
        notes: some words on the run.
        step: the last step that is done, for a training that goes on; numbers of later steps in the files of before are dropped.
        say: told once of each logger that fails later; stderr unless given.

    Raises:
        UsageError: no such logger, its package is not installed, or it cannot be started (a server that does not answer); says which.
    """
    wanted = require(names)
    start = Start(project, run_name, flat(params or {}), folder, without_secrets(notes), step)
    sinks: dict[str, Sink] = {}
    for name in wanted:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            sinks[name] = _open(name, start)
        except (Exception, SystemExit) as error:
            for sink in sinks.values():
                with contextlib.suppress(Exception, SystemExit):
                    sink.finish("failed", {}, [])
            hint = f"; wanted {HINTS[name]}, or other loggers than {names}"
            raise UsageError(f"the logger {name} could not be started: {without_secrets(describe(error))[:500]}{hint}") from None
    return Logger(sinks, say or _to_stderr)


HINTS = {
    "csv": "a folder that can be written",
    "tensorboard": "a folder that can be written",
    "mlflow": "MLFLOW_TRACKING_URI of a server that answers, or unset for a local folder",
    "wandb": "WANDB_MODE=offline, or a login (wandb login)",
}
"""What would be right where a logger cannot be started."""


def _open(name: str, start: Start) -> Sink:
    """The logger of a name; imports its package."""
    from harness.loggers import local, servers

    made: dict[str, Callable[[Start], Sink]] = {
        "csv": local.Csv,
        "tensorboard": local.TensorBoard,
        "mlflow": servers.MLflow,
        "wandb": servers.Wandb,
    }
    return made[name](start)


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
