"""What the commands of both trainings have in common: options, loggers, signals, the record. What is heavy is imported when one runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from harness.cli.complete import progress_kinds
from harness.cli.run import db_option
from harness.errors import StoreError, UsageError
from harness.files import expanded

if TYPE_CHECKING:
    from harness.loggers import Logger
    from harness.trained import TrainedModel

__all__ = ["check_folders", "loggers", "training_options", "work"]

F = TypeVar("F", bound=Callable[..., Any])
PATH = click.Path(path_type=Path)

FIRST = (
    click.option(
        "--weights", default="", show_default=False, metavar="FOLDER",
        help="Weights to start from.  [default: the published ones, where they were pulled]",
    ),
    click.option(
        "--adapter", default="", show_default=False, metavar="FOLDER",
        help="Low-rank factors for these weights to go on training, instead of new ones.",
    ),
    click.option(
        "-o", "--output", "folder", required=True, type=PATH, metavar="FOLDER",
        help="Where the outcome goes; checkpoints go to FOLDER-checkpoints.",
    ),
)  # fmt: skip
LAST = (
    click.option("--rank", type=click.IntRange(0), default=8, help="Of the low-rank factors; 0 trains all weights."),
    click.option("--seed", type=click.IntRange(0), default=0, help="Of all that is drawn by chance."),
    click.option("--dtype", type=click.Choice(["float32", "bfloat16"]), default="float32", help="What the weights are held in."),
    click.option("--device", default="cpu", help="cpu or cuda."),
    click.option("--merge", is_flag=True, help="Write whole weights with the factors merged in; the factors go to `adapter` beside them."),
    click.option(
        "--resume/--fresh", default=None,
        help="Go on though settings differ; begin anew.  [default: go on with the same settings]",
    ),
    click.option(
        "--log", default="", show_default=False, metavar="NAMES",
        help="Loggers beside curve.csv: tensorboard, mlflow, wandb, or several with commas.",
    ),
    db_option,
    click.option("--progress", default="auto", metavar="KIND", shell_complete=progress_kinds, help="auto, rich, plain or none; on stderr."),
)  # fmt: skip


def training_options(own: tuple[Callable[[Any], Any], ...]) -> Callable[[F], F]:
    """The options of a training: what it starts from and where it goes, its own, and those that all have."""

    def decorate(command: F) -> F:
        every: tuple[Callable[[Any], Any], ...] = (*FIRST, *own, *LAST)
        for option in reversed(every):
            command = option(command)
        return command

    return decorate


def check_folders(**given: str) -> None:
    """Raise UsageError where a folder that an option names is not there; "" is none."""
    for option, value in given.items():
        if value and not os.path.isdir(expanded(value)):  # noqa: PTH112 - Path's raises for a text too long to be a path
            raise UsageError(f"--{option} {value}: there is no such folder")


def loggers(names: str) -> str:
    """The loggers of `--log` that are to be opened: curve.csv is written in any case. Raises UsageError as `harness.loggers.require`."""
    from harness.loggers import require

    return ",".join(name for name in require(names) if name != "csv")


class Ended(Protocol):
    """What a training reports."""

    @property
    def done(self) -> bool:
        """False: it was stopped."""

    @property
    def steps(self) -> int:
        """How far it came."""


R = TypeVar("R", bound=Ended)


def work(
    train: Callable[..., R],
    recorded: Callable[[R], TrainedModel],
    *,
    name: str,
    folder: Path,
    settings: Mapping[str, Any],
    log: str,
    db: Path,
    progress: str,
) -> R:
    """Train by a command, and record what came of it. Nothing else fails where the record cannot be written: it is told.

    Args:
        train: is given say, stop and watch.
        name: of the command.
        log: as `loggers` returns it.

    Raises:
        KeyboardInterrupt: it was stopped by a signal; a checkpoint is written.
    """
    from harness.progress import make_progress
    from harness_time_r1.training.surroundings import stopping

    shown = make_progress(progress)
    with ExitStack() as stack:
        stack.callback(shown.close)
        watch = _watch(stack, log, name, folder, settings, shown.message)
        stop = stack.enter_context(stopping(shown.message))
        report = train(say=shown.message, stop=stop, watch=watch)
        if not report.done:
            shown.message(f"stopped after step {report.steps}; the same command goes on from there")
            raise KeyboardInterrupt
        _record(recorded(report), db, shown.message)
    return report


def _watch(
    stack: ExitStack, log: str, name: str, folder: Path, settings: Mapping[str, Any], say: Callable[[str], None]
) -> Callable[[int, Mapping[str, float]], None]:
    """Writes rows to loggers, which are opened with the first of them: before, the folder must be known to be of this training."""
    from harness.loggers import open_logger
    from harness_time_r1.training.place import checkpoint_folder

    opened: list[Logger] = []

    def watch(step: int, row: Mapping[str, float]) -> None:
        if log and not opened:
            made = open_logger(
                log, project="harness-time-r1", run_name=folder.resolve().name, folder=checkpoint_folder(folder), params=settings,
                notes=f"harness {name}", step=max(step - 1, 0), say=say,
            )  # fmt: skip
            opened.append(stack.enter_context(made))
        for logger in opened:
            logger.log(step, row)

    return watch


def _record(trained: TrainedModel, db: Path, say: Callable[[str], None]) -> None:
    from harness.trained import register

    try:
        done = register(db, trained)
        say(f"recorded as {done} in {db}; to train it again and compare: harness replay {done[:12]}")
    except StoreError as error:  # the weights are written, and good
        say(f"not recorded: {error}")
