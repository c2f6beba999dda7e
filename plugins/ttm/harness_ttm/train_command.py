"""The command `harness train`. What is heavy is imported when it runs."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.complete import progress_kinds
from harness.cli.run import db_option
from harness.errors import UsageError, suggest
from harness_ttm.shipped import SHIPPED, needs_torch

__all__ = ["train"]

TRAINABLE = ("ttm",)


@click.command()
@click.argument("model")
@click.option(
    "-C",
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    show_default=False,
    help="The recipe, a YAML file; every key is in docs/training.md.  [default: the recipe of the shipped weights]",
)
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path),
    help="Folder for weights, curve and model card, with FOLDER-checkpoints beside it.  [default: the recipe's name, or my-ttm]",
)
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Another value of the recipe: --set data.shards=4.")
@click.option(
    "--log",
    default="",
    show_default=False,
    metavar="NAMES",
    help="Loggers beside curve.csv: tensorboard, mlflow, wandb, or several with commas; the recipe's key `log`.",
)
@click.option("--steps", type=click.IntRange(1), default=None, help="Steps, instead of the recipe's.")
@click.option("--time", "duration", default="", show_default=False, metavar="TIME", help="As many steps as fit into a time: 90, 30m, 2h.")
@click.option("--device", default="cpu", help="cpu, cuda or cuda:N; under torchrun each process takes the GPU of its local rank.")
@click.option("--threads", type=click.IntRange(1, 4096), default=None, help="Threads of torch.  [default: torch's own]")
@click.option("--resume/--fresh", default=None, help="Go on though the recipe differs; start anew.  [default: go on with the same recipe]")
@db_option
@click.option("--progress", default="auto", metavar="KIND", shell_complete=progress_kinds, help="auto, rich, plain or none; on stderr.")
@click.option("--dry-run", is_flag=True, help="Check the recipe, say what would be done, and stop.")
def train(
    model: str,
    config: Path | None,
    folder: Path | None,
    changes: tuple[str, ...],
    log: str,
    steps: int | None,
    duration: str,
    device: str,
    threads: int | None,
    resume: bool | None,
    db: Path,
    progress: str,
    dry_run: bool,
) -> int:
    """Train MODEL from nothing, as a recipe says: ttm.

    The same command goes on after an interruption, with the same numbers as without one. Ctrl-C writes a checkpoint first. Several
    processes: torchrun --nproc-per-node 2 -m harness train ttm -C recipe.yaml

    A first try, in ten minutes: harness train ttm -o my-ttm --time 10m --set compile=false
    """
    if model not in TRAINABLE:
        raise UsageError(f"got model {model!r}; wanted {', '.join(TRAINABLE)}.{suggest(model, TRAINABLE)}")
    from harness.budget import parse_duration
    from harness.loggers import require

    if log:
        changes = (*changes, f"log={','.join(dict.fromkeys(['csv', *require(log)]))}")  # before torch, which takes its time
    needs_torch("training")

    seconds = parse_duration(duration)
    if seconds is not None and seconds > 366 * 86400:
        raise UsageError(f"got --time {duration}; wanted at most a year")
    if seconds is not None and steps is not None:
        raise UsageError(f"got --steps {steps} and --time {duration}; wanted one of them")
    if steps is not None:
        changes = (*changes, f"steps={steps}")
    from harness_ttm.train.session import Options, limit_threads, run

    limit_threads(threads)
    folder = folder or Path(config.stem if config else "my-ttm")
    return run(Options(config or SHIPPED / "recipe.yaml", folder, changes, device, resume, seconds, dry_run, db, progress))
