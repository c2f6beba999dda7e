"""The commands `harness data pull` and `harness data verify`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import DataError, UsageError, suggest
from harness.files import expanded

if TYPE_CHECKING:
    from harness_tasks.gift_eval import Row
    from harness_tasks.monash_table import MonashRow

__all__ = ["data"]

FOLDER = click.Path(file_okay=False, path_type=Path)
FETCHED = ("gift-eval", "monash")
VARIABLES = {"gift-eval": "GIFT_EVAL", "monash": "MONASH"}


@click.group()
def data() -> None:
    """Fetch and check the data of the suites."""


@data.command()
@click.argument("suite")
@click.argument("datasets", nargs=-1, metavar="[DATASET]...")
@click.option("--data", "root", type=FOLDER, help="Folder to fetch into.  [default: $GIFT_EVAL or $MONASH, else ./gift-eval or ./monash]")
@click.option("--dry-run", is_flag=True, help="Say what would be fetched, fetch nothing.")
@click.option("--force", is_flag=True, help="Fetch also what is here already.")
def pull(suite: str, datasets: tuple[str, ...], root: Path | None, dry_run: bool, force: bool) -> None:
    """Fetch datasets of SUITE; all of them when none is named.

    gift-eval comes from the HuggingFace hub. DATASET is a folder (LOOP_SEATTLE/5T), a dataset (LOOP_SEATTLE, or loop_seattle) or a
    glob ('m4_*'). HF_ENDPOINT names another hub.

    monash comes from Zenodo, a .zip for each file. DATASET is a file (m4_hourly), a dataset (m4, nn5) or a glob ('*_weekly').
    ZENODO_URL names another address.

    Files that are here already are not fetched again, so the same command finishes what was interrupted.
    """
    if suite not in FETCHED:
        why = "its data is inside the package" if suite == "quick" else "there is nothing to fetch for it"
        raise UsageError(f"got suite {suite!r}: {why}.{suggest(suite, FETCHED)} Type: harness data pull gift-eval|monash [DATASET]...")
    named = os.environ.get(VARIABLES[suite])
    target = expanded(root or named or suite)
    (_pull_gift_eval if suite == "gift-eval" else _pull_monash)(datasets, target, dry_run, force)
    if not dry_run and (not named or expanded(named).resolve() != target.resolve()):
        click.echo(f"To use it: export {VARIABLES[suite]}={target.resolve()}", err=True)


def _pull_gift_eval(datasets: Sequence[str], target: Path, dry_run: bool, force: bool) -> None:
    """Fetch dataset folders from the hub."""
    from harness.files import size_text
    from harness_tasks.gift_eval import ROWS, GiftEval
    from harness_tasks.hub import fetch, list_remote
    from harness_tasks.selection import select_rows
    from harness_tasks.verify import inspect

    rows: list[Row] = select_rows(ROWS, datasets, "gift-eval")
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
    _report(inspect(GiftEval(target), rows), len(rows), as_json=False)


def _pull_monash(datasets: Sequence[str], target: Path, dry_run: bool, force: bool) -> None:
    """Fetch files of the archive from Zenodo. A file that did not come from there by this command counts as here when it can be read."""
    from harness.files import size_text
    from harness_tasks.monash import Monash
    from harness_tasks.monash_table import MONASH
    from harness_tasks.monash_verify import inspect
    from harness_tasks.selection import select_rows
    from harness_tasks.zenodo import fetch, list_remote, noted

    rows: list[MonashRow] = select_rows(MONASH, datasets, "monash")
    suite = Monash(target)
    here = [row for row in rows if not force and (noted(row, target) or all(f.state == "ok" for f in inspect(suite, [row])))]
    todo = [list_remote(row) for row in rows if row not in here]
    click.echo(f"{len(rows)} files, {len(here)} of them here; to fetch into {target}, {size_text(sum(i.size for i in todo))}:", err=True)
    for item in todo:
        click.echo(f"  {item.row.name}  {item.file}, {size_text(item.size)}, {item.license or 'no licence said'}", err=True)
    if not todo:
        click.echo("  nothing, all of it is here", err=True)
    if dry_run:
        return
    waits = partial(click.echo, "  another command fetches it into this folder; waiting for that", err=True)
    for number, item in enumerate(todo, 1):
        click.echo(f"[{number}/{len(todo)}] {item.row.name}", err=True)
        if sys.stderr.isatty():
            with click.progressbar(length=item.size, file=sys.stderr) as bar:
                fetch(item, target, bar.update, force=force, waits=waits)
        else:
            fetch(item, target, force=force, waits=waits)
    _report(inspect(suite, rows), len(rows), as_json=False)


@data.command()
@click.argument("suite", default="gift-eval")
@click.argument("datasets", nargs=-1, metavar="[DATASET]...")
@click.option("--data", "root", type=FOLDER, help="Folder that holds the datasets.  [default: $GIFT_EVAL, $MONASH, $CGM or $SPY]")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array of objects instead of a table.")
def verify(suite: str, datasets: tuple[str, ...], root: Path | None, as_json: bool) -> None:
    """Read every value of SUITE's datasets and say what is there, what is not, and what is broken.

    SUITE is gift-eval, quick, monash, cgm or spy. Ends with exit code 3 when a dataset that is there is broken; one that is not there is no
    failure.

    Of cgm and spy, DATASET is a set or an instrument, or a glob; options may stand behind the name, as in 'cgm[unit=mmol/L]'.
    """
    from harness_tasks import monash_verify
    from harness_tasks.gift_eval import GiftEval
    from harness_tasks.monash import Monash
    from harness_tasks.plugin import SUITES
    from harness_tasks.quick import Quick
    from harness_tasks.selection import select_rows
    from harness_tasks.verify import inspect

    factories = {info.name: factory for info, factory in SUITES}
    can = ("gift-eval", "quick", "monash", "cgm", "spy")
    if suite.partition("[")[0] in ("cgm", "spy"):
        _verify_read(suite, datasets, root, as_json)
        return
    if suite not in can:
        raise UsageError(f"got suite {suite!r}; wanted one of {', '.join(can)}.{suggest(suite, can)}")
    opened = factories[suite](root)
    if isinstance(opened, Monash):
        found = select_rows(monash_verify.rows_of(opened), datasets, suite)
        _report(monash_verify.inspect(opened, found), len(found), as_json)
    else:
        opened = opened.gift_eval if isinstance(opened, Quick) else opened
        assert isinstance(opened, GiftEval)
        rows = select_rows(opened.rows, datasets, suite)
        _report(inspect(opened, rows), len(rows), as_json)


def _verify_read(text: str, datasets: tuple[str, ...], root: Path | None, as_json: bool) -> None:
    """Of the suites that read what lies in a folder: what they read, and what they left out of it."""
    from harness.plugins import load
    from harness_tasks.cgm import verify as cgm
    from harness_tasks.cgm.suite import Cgm
    from harness_tasks.spy import verify as spy
    from harness_tasks.spy.suite import Spy

    opened = load().suite(text).factory(root)
    if isinstance(opened, Cgm):
        names = cgm.select(opened, datasets)
        _report(cgm.inspect(opened, names), len(names), as_json, cgm.show, "sets")
    else:
        assert isinstance(opened, Spy)
        names = spy.select(opened, datasets)
        _report(spy.inspect(opened, names), len(names), as_json, spy.show, "instruments")


def _report(inspected: Iterable[Any], count: int, as_json: bool, show: Any = None, what: str = "dataset folders") -> None:
    """Print what the data is found to be, the reports of a suite, by its `show`; raise DataError when some of it is broken."""
    if show is None:
        from harness_tasks.verify import show

    reports = []
    for report in inspected:
        reports.append(report)
        if count > 1 and sys.stderr.isatty():
            click.echo(f"\rread {len(reports)} of {count} datasets", err=True, nl=len(reports) == count)
    if as_json:
        click.echo(json.dumps([report.record() for report in reports], indent=2))
    else:
        show(reports)
    broken = [report.name for report in reports if report.state == "broken"]
    if broken:
        raise DataError(f"{len(broken)} of {len(reports)} {what} are broken: {', '.join(broken)}. The listing says what is wrong.")
