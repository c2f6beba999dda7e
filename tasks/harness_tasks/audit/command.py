"""The command `harness audit contamination`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import GATE_FAILED, HarnessError, NothingMatched, Unavailable
from harness.files import expanded

if TYPE_CHECKING:
    from harness.series import TaskData
    from harness_tasks.audit.search import Match, Seen

__all__ = ["audit"]

PATH = click.Path(path_type=Path)
EVERY = 30.0
"""Seconds between two lines of progress where stderr is no terminal."""


@click.group()
def audit() -> None:
    """Look for what would make results worth less than they seem."""


@audit.command()
@click.option("--corpus", "corpora", type=PATH, multiple=True, required=True, help="Folder or file of a training corpus.")
@click.option("-s", "--suite", "--suites", multiple=True, default=["quick"], metavar="LIST", help="Suites: gift-eval,quick.")
@click.option("-t", "--tasks", multiple=True, metavar="GLOBS", help="Only these tasks: 'm4_*,ett1/*/short'.")
@click.option("--data", type=PATH, help="Folder of the suite's data; gift-eval also reads GIFT_EVAL.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object: what was looked at, tasks and matches.")
@click.option("-o", "--output", type=PATH, help="CSV file to write: a row for each match and task.")
def contamination(
    corpora: tuple[Path, ...],
    suite: tuple[str, ...],
    tasks: tuple[str, ...],
    data: Path | None,
    as_json: bool,
    output: Path | None,
) -> int:
    """Find the series of tasks inside training corpora by what they hold, whatever they are called there.

    Found are copies and parts of them, also scaled (by a negative number too), moved up or down or in time, stored as float64, float32
    or whole numbers; most of the rounded ones. Corpora may be .arrow, .feather, .parquet, .csv, .csv.gz, .tsf, .npy and .npz files.

    Ends with exit code 4 when a series was found, with 0 when none was.
    """
    from harness.files import write_whole
    from harness_tasks.audit.corpora import corpus_files, other_kinds
    from harness_tasks.audit.report import Datasets, match_rows, task_rows, to_csv
    from harness_tasks.audit.search import Seen, index_of, search, unite

    files = [file for corpus in corpora for file in corpus_files(expanded(corpus))]
    opened = _open(suite, tasks, data)
    datasets = Datasets.of(opened)
    click.echo(f"{len(opened)} tasks with {len(datasets.series)} series; {len(files)} files of corpora", err=True)
    for corpus in corpora:
        if others := other_kinds(expanded(corpus)):
            told = ", ".join(f"{count} {kind}" for kind, count in others.items())
            click.echo(f"not looked at in {corpus}, as these kinds of files are not read: {told}", err=True)
    index = index_of(datasets.series)
    seen = Seen()
    progress = _Progress(len(files), seen)
    matches = unite(list(search(index, datasets.series, dict.fromkeys(files), seen, progress)))
    progress.end()
    rows = task_rows(datasets, matches, index.known())
    listed = match_rows(datasets, matches) if as_json or output else []
    if output:
        write_whole(output, to_csv(listed))
    if as_json:
        _print_json(corpora, seen, rows, listed)
    else:
        _print(rows, matches, seen, len(datasets.series) - len(index.known()))
    return GATE_FAILED if matches else 0


def _open(suite: Sequence[str], globs: Sequence[str], data: Path | None) -> list[TaskData]:
    """The tasks whose data is here.

    Raises:
        NothingMatched: no such task, or the data of none is here.
    """
    from harness.plan import open_suites
    from harness.plugins import load
    from harness.selection import select_tasks, split_list

    suites = open_suites(load(), split_list(suite), data)
    chosen = select_tasks([task for each in suites.values() for task in each.tasks()], globs)
    opened, absent = [], []
    for task in chosen:
        try:
            opened.append(suites[task.suite].open(task))
        except Unavailable as error:
            absent.append((task, error))
    if absent:
        first: HarnessError = absent[0][1]
        click.echo(f"{len(absent)} of {len(chosen)} tasks are not looked for, as their data is not here: {first}", err=True)
    if not opened:
        fix = "Name its folder with --data, or fetch it: harness data pull"
        raise NothingMatched(f"the data of none of {len(chosen)} tasks is here. {fix}")
    return opened


class _Progress:
    """Lines on stderr, one that changes on a terminal."""

    def __init__(self, files: int, seen: Seen) -> None:
        self.files, self.seen = files, seen
        self.begin = self.last = time.monotonic()
        self.live = sys.stderr.isatty()

    def __call__(self, file: Path) -> None:
        now = time.monotonic()
        if now - self.last >= (0.2 if self.live else EVERY):
            self.last = now
            click.echo(f"{self._said()}, in {file.name}"[:120].ljust(120) + ("\r" if self.live else ""), err=True, nl=not self.live)

    def end(self) -> None:
        click.echo(f"{self._said()} in {time.monotonic() - self.begin:.1f} s".ljust(120), err=True)

    def _said(self) -> str:
        seen = self.seen
        return f"read {seen.files} of {self.files} files, {seen.series:,} series, {seen.values:,} values"


def _print(rows: Sequence[dict[str, Any]], matches: Sequence[Match], seen: Seen, hidden: int) -> None:
    from harness.cli.output import print_table

    shown = [{**row, "labels": f"{100 * row['label_share']:.1f}%" if row["found"] else "", "where": _short(row["where"])} for row in rows]
    found = {match.channel for match in matches}
    notes = [
        f"{len(found)} different test series were found among {seen.series:,} series of {seen.files} files.",
        "found: series in a corpus; with_labels: those of which labels are there, not only contexts; labels: share of all of the task.",
    ]
    if hidden:
        notes.append(f"checkable: the other {hidden} series hold too little to be told from others, and cannot be found.")
    columns = ["task", "series", "checkable", "found", "with_labels", "labels", "rounded", "where"]
    print_table(shown, columns, drop=("rounded", "where", "checkable"), notes=notes)


def _short(where: Sequence[str]) -> str:
    """The first of some files, by its last parts."""
    first = "/".join(Path(where[0]).parts[-3:]) if where else ""
    return first + (f" and {len(where) - 1} more" if len(where) > 1 else "")


def _print_json(corpora: Sequence[Path], seen: Seen, rows: Sequence[dict[str, Any]], listed: Sequence[dict[str, Any]]) -> None:
    from dataclasses import asdict

    from harness.cli.output import print_json

    print_json({"corpora": [str(corpus) for corpus in corpora], "looked_at": asdict(seen), "tasks": list(rows), "matches": list(listed)})
