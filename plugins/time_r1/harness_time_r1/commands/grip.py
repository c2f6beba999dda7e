"""`harness time-r1 grip`: reinforcement learning on the training part of a task. What is heavy is imported when it runs."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness_time_r1.training.card import use
from harness_time_r1.training.shell import check_folders, loggers, training_options, work

if TYPE_CHECKING:
    from harness_time_r1.grip.training import Report

__all__ = ["grip"]

OWN = (
    click.option("-s", "--suite", default="quick", help="Suite of the task to learn from."),
    click.option("-t", "--task", required=True, help="The task: its training part, which no test label is in."),
    click.option("--data", type=click.Path(path_type=Path), default=None, show_default=False, help="Folder of the suite's data."),
    click.option("--context", type=click.IntRange(1), default=96, help="Steps of look-back, at most."),
    click.option("--timestamps", type=click.Choice(["shown", "relative", "hidden"]), default="shown", help="How rows are named."),
    click.option("--digits", type=click.IntRange(1, 9), default=4, help="Significant digits of the spread of the values."),
    click.option("--windows", type=click.IntRange(1), default=1000, help="Windows to learn from, at most."),
    click.option("--validation", type=click.IntRange(0), default=32, help="Held-out windows to choose the best checkpoint by, at most."),
    click.option("--steps", type=click.IntRange(1), default=500, help="Steps of the optimiser."),
    click.option("--variant", type=click.Choice(["bounded", "paper_literal", "released"]), default="bounded", help="Of the rewards."),
    click.option("--sampling", type=click.Choice(["cluster", "local", "uniform"]), default="cluster", help="Which answers are kept."),
    click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="Another setting of GRIP: --set group=8; docs list them."),
)


@click.command()
@training_options(OWN)
def grip(
    folder: Path,
    data: Path | None,
    steps: int,
    variant: str,
    sampling: str,
    rank: int,
    seed: int,
    changes: tuple[str, ...],
    resume: bool | None,
    log: str,
    db: Path,
    progress: str,
    **more: Any,
) -> int:
    """Train a language model to forecast by reinforcement learning: GRIP, with the rewards of Time-R1.

    The same command goes on after an interruption, with the same numbers as without one. Ctrl-C writes a checkpoint first.

    harness time-r1 grip --weights qwen2.5-7b -t us_births/D/short -o my-grip --device cuda --dtype bfloat16
    """
    from harness_time_r1.grip.record import Given, record
    from harness_time_r1.grip.settings import changed

    given = Given(data=str(data or ""), **more)
    check_folders(weights=given.weights, adapter=given.adapter)
    settings = changed(changes, {"steps": steps, "variant": variant, "sampling": sampling, "rank": rank, "seed": seed})
    log = loggers(log)
    report = work(
        partial(given.train, settings, folder, resume=resume),
        lambda done: record(done, settings, given, sys.argv),
        name="time-r1 grip", folder=folder, settings=vars(settings), log=log, db=db, progress=progress,
    )  # fmt: skip
    asked = {"context": given.context, "timestamps": given.timestamps, "digits": given.digits}
    click.echo(f"{_ended(report)}\nTo use it: {use(report.folder, given.weights, factors=report.adapter, asked=asked)}")
    return 0


def _ended(report: Report) -> str:
    known = report.before is not None and report.after is not None
    earned = f"; mean reward of held-out answers {report.before:.3f} → {report.after:.3f}" if known else ""
    return f"{report.folder}: {report.steps:,} steps, the weights of step {report.chosen:,}{earned}"
