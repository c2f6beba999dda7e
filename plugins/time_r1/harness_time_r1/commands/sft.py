"""`harness time-r1 sft`: supervised fine-tuning on a folder of samples. What is heavy is imported when it runs."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness_time_r1.training.card import use
from harness_time_r1.training.shell import check_folders, loggers, training_options, work

if TYPE_CHECKING:
    from harness_time_r1.sft.settings import Report

__all__ = ["sft"]

OWN = (
    click.option(
        "--data", required=True, type=click.Path(path_type=Path), metavar="FOLDER", help="The samples, as `harness time-r1 data` writes."
    ),
    click.option("--epochs", type=float, default=1.0, help="How often each sample is seen."),
    click.option("--steps", type=click.IntRange(1), default=None, help="Steps, instead of epochs."),
    click.option("--learning-rate", type=float, default=5e-5, help="At its peak; it falls to zero."),
    click.option("--warmup", type=float, default=0.03, help="Share of the steps in which the rate rises."),
    click.option("--dropout", type=float, default=0.05, help="Before the factors."),
    click.option("--batch", type=click.IntRange(1), default=4, help="Samples at once."),
    click.option("--accumulate", type=click.IntRange(1), default=1, help="Batches to a step."),
    click.option(
        "--max-length", type=click.IntRange(1), default=None, help="Tokens of a sample, longer ones are left out.  [default: all it takes]"
    ),
    click.option("--validation", type=float, default=0.1, help="Share of the samples that is set aside to judge by."),
    click.option("--every", type=click.IntRange(1), default=25, help="Steps between checkpoints."),
    click.option("--recompute", is_flag=True, help="Compute activations again instead of keeping them: less memory, more time."),
)


@click.command()
@training_options(OWN)
def sft(
    weights: str,
    adapter: str,
    folder: Path,
    data: Path,
    steps: int | None,
    max_length: int | None,
    device: str,
    resume: bool | None,
    log: str,
    db: Path,
    progress: str,
    **settings: object,
) -> int:
    """Fine-tune a language model on samples of reasoning and forecast, by trl, with low-rank factors.

    The same command goes on after an interruption, with the same weights as without one. Ctrl-C writes a checkpoint first.

    harness time-r1 sft --weights qwen2.5-7b --data samples -o my-sft --device cuda --dtype bfloat16
    """
    from harness_time_r1.sft.dataset import asked_of, load
    from harness_time_r1.sft.record import record
    from harness_time_r1.sft.settings import Training
    from harness_time_r1.sft.train import train

    check_folders(weights=weights, adapter=adapter)
    how, log = Training(steps=steps or 0, max_length=max_length or 0, **settings), loggers(log)  # type: ignore[arg-type]
    samples = load(data)
    asked = asked_of(samples)
    report = work(
        partial(train, weights, samples, how, folder, adapter=adapter, device=device, resume=resume),
        lambda done: record(done, how, weights, data, asked, adapter=adapter, device=device, command=sys.argv),
        name="time-r1 sft", folder=folder, settings=vars(how), log=log, db=db, progress=progress,
    )  # fmt: skip
    click.echo(f"{_ended(report)}\nTo use it: {use(report.folder, weights, factors=report.adapter, asked=asked)}")
    return 0


def _ended(report: Report) -> str:
    losses = report.losses
    judged = f"; loss of the validation part {losses['before']:.4f}, then {losses['after']:.4f}" if "after" in losses else ""
    return f"{report.folder}: {report.steps} steps, {report.samples} samples{judged}"
