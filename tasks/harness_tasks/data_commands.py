"""The commands `harness data pull` and `harness data verify`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import DataError, UsageError, suggest

if TYPE_CHECKING:
    from harness_tasks.gift_eval import GiftEval, Row

__all__ = ["data"]

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group()
def data() -> None:
    """Fetch and check the data of the suites."""


@data.command()
@click.argument("suite")
@click.argument("datasets", nargs=-1, metavar="[DATASET]...")
@click.option("--data", "root", type=FOLDER, help="Folder to fetch into.  [default: $GIFT_EVAL, else ./gift-eval]")
@click.option("--dry-run", is_flag=True, help="Say what would be fetched, fetch nothing.")
@click.option("--force", is_flag=True, help="Fetch also what is here already.")
def pull(suite: str, datasets: tuple[str, ...], root: Path | None, dry_run: bool, force: bool) -> None:
    """Fetch datasets of SUITE from the HuggingFace hub; all of them when none is named.

    DATASET is a folder (LOOP_SEATTLE/5T), a dataset (LOOP_SEATTLE, or loop_seattle) or a glob ('m4_*'). Files that are here
    already are not fetched again, so the same command finishes what was interrupted. HF_ENDPOINT names another hub.
    """
    from harness.cli.output import size_text
    from harness_tasks.gift_eval import ROWS, GiftEval
    from harness_tasks.hub import fetch, list_remote
    from harness_tasks.selection import select_rows

    if suite != "gift-eval":
        why = "its data is inside the package" if suite == "quick" else "there is nothing to fetch for it"
        raise UsageError(f"got suite {suite!r}: {why}.{suggest(suite, ['gift-eval'])} Type: harness data pull gift-eval [DATASET]...")
    rows = select_rows(ROWS, datasets, suite)
    named = os.environ.get("GIFT_EVAL")
    target = (root or Path(named or "gift-eval")).expanduser()
    remote = list_remote(rows)
    todo = [item for item in remote if force or not item.here(target)]
    click.echo(f"{len(rows)} dataset folders, {size_text(sum(i.size for i in remote))}; to fetch into {target}:", err=True)
    for item in todo:
        click.echo(f"  {item.row.folder}  {len(item.files)} files, {size_text(item.size)}", err=True)
    if not todo:
        click.echo("  nothing, all of it is here", err=True)
    if dry_run:
        return
    for number, item in enumerate(todo, 1):
        click.echo(f"[{number}/{len(todo)}] {item.row.folder}", err=True)
        fetch(item, target, force)
    _report(GiftEval(target), rows, as_json=False)
    if not named or Path(named).expanduser().resolve() != target.resolve():
        click.echo(f"To use it: export GIFT_EVAL={target.resolve()}", err=True)


@data.command()
@click.argument("suite", default="gift-eval")
@click.argument("datasets", nargs=-1, metavar="[DATASET]...")
@click.option("--data", "root", type=FOLDER, help="Folder that holds the datasets.  [default: $GIFT_EVAL]")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array of objects instead of a table.")
def verify(suite: str, datasets: tuple[str, ...], root: Path | None, as_json: bool) -> None:
    """Read every value of SUITE's datasets and say what is there, what is not, and what is broken.

    Ends with exit code 3 when a dataset that is there is broken; one that is not there is no failure.
    """
    from harness_tasks.plugin import SUITES
    from harness_tasks.selection import select_rows

    factories = {info.name: factory for info, factory in SUITES}
    if suite not in factories:
        raise UsageError(f"got suite {suite!r}; wanted one of {', '.join(factories)}.{suggest(suite, factories)}")
    opened = factories[suite](root)
    _report(opened, select_rows(opened.rows, datasets, suite), as_json)


def _report(suite: GiftEval, rows: Sequence[Row], as_json: bool) -> None:
    """Print what the folders hold; raise DataError when one is broken."""
    from harness_tasks.verify import inspect, show

    findings = []
    for finding in inspect(suite, rows):
        findings.append(finding)
        if len(rows) > 1 and sys.stderr.isatty():
            click.echo(f"\rread {len(findings)} of {len(rows)} dataset folders", err=True, nl=len(findings) == len(rows))
    if as_json:
        click.echo(json.dumps([finding.record() for finding in findings], indent=2))
    else:
        show(findings)
    broken = [finding.name for finding in findings if finding.state == "broken"]
    if broken:
        raise DataError(
            f"{len(broken)} of {len(findings)} dataset folders are broken: {', '.join(broken)}. The listing says what is wrong."
        )
