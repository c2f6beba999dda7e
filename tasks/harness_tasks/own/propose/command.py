"""The command `harness new suite`. What is heavy is imported when it runs."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

__all__ = ["new_suite"]


@click.command("suite")
@click.argument("name")
@click.option("--from", "table", type=click.Path(path_type=Path), default=None, metavar="PATH", help="Data of yours.")
@click.option("--into", type=click.Path(path_type=Path), default=Path(), show_default="the working folder", help="Folder to make it in.")
def new_suite(name: str, table: Path | None, into: Path) -> None:
    """Make a suite file, NAME.yaml, with a small made-up table beside it: it runs at once, and its comments say what to change.

    With --from it describes what is there: a CSV, Parquet or .tsf file, a folder of such tables alike, one that `datasets` saved, or one in
    GIFT-Eval's layout. Columns, frequency and season are proposed from the first rows.
    """
    from harness_tasks.own.propose.suite import make_suite

    made = make_suite(name, into, table)
    path = os.path.relpath(made.path) if not made.path.is_absolute() else str(made.path)
    path = shlex.quote(path if os.sep in path else os.path.join(".", path))  # noqa: PTH118
    click.echo(f"made {path}" + (f" and {made.files[1]}" if len(made.files) > 1 else "") + ". Next:")
    for note in made.notes:
        click.echo(f"  # {note}")
    click.echo(f"  harness ls tasks -s {path}")
    click.echo(f"  harness run -m naive,seasonal_naive -s {path}")
    click.echo(f"  harness leaderboard -s {name}")
