"""`harness new suite`: a suite file to start from, with a small table beside it or for a table of the user's own.

The table is made up: four shops, their sales of 400 days, with a week in them. The same numbers each time.
"""

from __future__ import annotations

import json
import math
import random
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from harness import frequency
from harness.errors import DataError, UsageError
from harness.files import need_text, other_than_file
from harness.plugins import load
from harness_tasks.own.propose.look import Look

__all__ = ["MadeSuite", "make_suite"]

SHOPS = (("north", 120.0), ("east", 80.0), ("south", 200.0), ("harbour", 45.0))
DAYS = 400
HORIZONS = {"S": 60, "T": 60, "H": 24, "D": 14, "B": 10, "W": 8, "M": 12, "Q": 4, "A": 3}
NOTED = 5
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Characters that a header of text does not have; those from 0x80 to 0x9f are signs of cp1252 read as latin-1."""
SEASONS = {"S": "a minute is 60", "T": "a day is 1440 divided by the multiple", "H": "a day is 24", "D": "a week is 7", "W": "a year is 52"}


@dataclass(frozen=True)
class MadeSuite:
    """What was made: the suite file, all files, and what is to be looked at."""

    path: Path
    files: tuple[str, ...]
    notes: tuple[str, ...]


def make_suite(name: str, into: Path, table: Path | None = None) -> MadeSuite:
    """Make a suite file.

    Args:
        name: of the suite and its file.
        into: an existing folder.
        table: what to describe: a CSV, Parquet or .tsf file, or a folder as `sources` takes; None = a small table is made.

    Raises:
        UsageError: a name that is none or is taken, a file that is there already, no such table.
        DataError: the table cannot be read.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        plain = re.sub(r"[^a-z0-9]+", "-", name.removesuffix(".yaml").removesuffix(".yml").lower()).strip("-")
        hint = f" Perhaps: harness new suite {plain}" if plain else ""
        raise UsageError(f"got the name {name!r}; wanted small letters, digits, '-' and '_', as in my-shop.{hint}")
    if name in load().suites:
        raise UsageError(f"got the name {name!r}, which a suite of a plugin has; choose another, as in my-{name}")
    if not into.is_dir():
        raise UsageError(f"there is no folder {into}; make it first, or choose another with --into")
    if table is not None and not table.exists():
        raise UsageError(f"--from {table}: there is no such file or folder; wanted a CSV, Parquet or .tsf file, or a folder of data")
    if table is not None and not table.is_dir() and (what := other_than_file(table)):
        raise UsageError(f"--from {table}: is {what}; wanted a CSV, Parquet or .tsf file, or a folder of data")
    if table is not None:
        need_text(table.resolve())
    texts, notes = _example(name) if table is None else _described(name, into, table)
    for file in texts:
        if (into / file).exists():
            raise UsageError(f"{into / file} is there already; choose another name, another folder with --into, or move it away")
    try:
        with tempfile.TemporaryDirectory(dir=into, prefix=".harness-new-") as workshop:  # whole or not at all
            for file, text in texts.items():
                made = Path(workshop) / file
                made.write_text(text, encoding="utf-8")
                if table is not None:
                    _readable(made, table)
                made.chmod(0o666 & ~_umask(into))
            for file in reversed(texts):
                shutil.move(Path(workshop) / file, into / file)
    except OSError as error:
        raise UsageError(f"{into / name}.yaml cannot be made: {error.strerror or error}; choose another folder with --into") from None
    return MadeSuite(into / f"{name}.yaml", tuple(texts), tuple(notes))


def _readable(made: Path, table: Path) -> None:
    """Refuse a description that nobody could read, as one of a file whose first bytes look like a table's by chance."""
    from harness_tasks.own.places import load as load_yaml

    try:
        load_yaml(made)
    except DataError as error:
        said = str(error).partition(": ")[2]
        raise DataError(f"{table}: what was read of it is no text that YAML can hold ({said}); wanted a table of text") from None


def _umask(folder: Path) -> int:
    """Bits that files in a folder like this should not have."""
    return ~folder.stat().st_mode & 0o066


def example_table() -> str:
    """The made-up table."""
    rng = random.Random(7)
    rows = ["date,shop,sales,promotion"]
    for shop, level in SHOPS:
        for day in range(DAYS):
            when = date(2023, 1, 1) + timedelta(day)
            promotion = int(rng.random() < 0.08)
            week = 1 + 0.3 * math.sin(2 * math.pi * (when.weekday() - 3) / 7)
            value = level * week * (1 + 0.0005 * day) * (1 + 0.35 * promotion) * math.exp(0.1 * rng.gauss(0, 1))
            rows.append(f"{when},{shop},{value:.1f},{promotion}")
    return "\n".join(rows) + "\n"


def _example(name: str) -> tuple[dict[str, str], list[str]]:
    table = f"{name}.csv"
    text = f"""\
# A suite of your own. All keys: docs/suites.md. To run it: harness run -m naive,seasonal_naive -s ./{name}.yaml
name: {name}
summary: daily sales of four shops (made up)
license: CC0-1.0

defaults:                      # what all tasks share; a task may say otherwise
  source: {table}              # beside this file; a folder or a pattern as sales-*.parquet will do
  columns:
    id: shop                   # which series a row belongs to; leave out where there is one series
    time: date                 # ISO 8601; other ways are declared by time_format
  freq: D                      # S, T (minutes), H, D, B, W, M, Q, A, with a number before: 15T
  season_length: 7             # the step at which Seasonal Naive looks back
  domain: Sales

tasks:
  - name: sales
    columns:
      target: sales            # several columns, [a, b], are variates of an item
      known: [promotion]       # known for the days to come too; past: [...] for what is not
    horizons: [7, 28]          # two tasks, sales/7 and sales/28; one alone: horizon: 7
    windows: auto              # as GIFT-Eval: a tenth of the shortest series; or a number

  # The probability that sales in 7 days are at least a tenth above today's:
  # - name: rise
  #   columns: {{target: sales}}
  #   horizon: 7
  #   event: {{name: rise, step: 7, above: 0.1, relative: ratio, inclusive: true}}
"""
    return {f"{name}.yaml": text, table: example_table()}, []


def _described(name: str, into: Path, table: Path) -> tuple[dict[str, str], list[str]]:
    from harness_tasks.own.propose.sources import look_at_source

    found = look_at_source(table)
    look = found.look
    try:
        source = table.resolve().relative_to(into.resolve())
    except ValueError:
        source = table.resolve()
    notes = list(found.notes)
    if look is not None and (wrong := next((name for name in look.names if CONTROL.search(name)), None)) is not None:
        raise DataError(f"--from {table}: the column {wrong[:40]!r} has characters that are no text; wanted a table of text or Parquet")
    if look is not None:
        if not look.time:
            notes.append("no column of times was found: rows are taken in their order; say columns: {time: ...} if there is one")
        if not look.targets:
            notes.append("no column of numbers was found: say columns: {target: ...}")
        notes += look.notes[:NOTED]
    freq = found.freq or (look.freq if look else "")
    if not freq:
        notes.append("how far apart the times are could not be told: mend freq")
    freq = freq or "D"
    base = frequency.split(freq)[1]
    horizon = found.horizon or (max(1, min(HORIZONS[base], (look.longest - 1) // 3)) if look else HORIZONS[base])
    text = "\n".join(_lines(name, str(source), found.keys, look, freq, horizon) + [f"    {line}" for line in found.comments]) + "\n"
    return {f"{name}.yaml": text}, notes


def _lines(name: str, source: str, keys: Sequence[str], look: Look | None, freq: str, horizon: int) -> list[str]:
    """The suite file of a source, whose data says itself what is what where there is no `look`."""
    base = frequency.split(freq)[1]
    lines = [
        f"# Proposed from the first rows of {_quoted(source)}: read it, and mend what is not so. All keys: docs/suites.md",
        f"name: {name}",
        "",
        "tasks:",
        f"  - name: {_plain(look.targets[0]) if look and look.targets and not look.wide else name}",
        f"    source: {_quoted(source)}",
        *(f"    {key}" for key in keys),
        *(_columns(source, look) if look else ()),
        f"    freq: {freq}",
    ]
    lines += [f"    snap: {look.snap:g}"] if look and look.snap else []
    lines += [f"    horizon: {horizon}", "    windows: auto"]
    season, alike = look.season if look else (0, 0.0)
    told = f"    season_length: {season:<12}# it shows in the values: their autocorrelation at this lag is {alike:.2f}"
    lines.append(told if season else f"    # season_length: steps of a season; {SEASONS.get(base, 'of M a year is 12')}")
    return lines


def _columns(source: str, look: Look) -> list[str]:
    """How a table is written, and which of its columns mean what."""
    rest = [c for c in look.names if c and c not in (look.id, look.time, *look.targets)]
    others = "" if look.wide else ", ".join(map(_quoted, rest[:12]))
    usual = "\t" if ".tsv" in Path(source).name.lower() else ","  # what is taken where the file says nothing
    csv = _said(
        (look.separator != usual, f"separator: {_quoted(look.separator)}"),
        (look.decimal == ",", 'decimal: ","'),
        (look.encoding != "utf-8", f"encoding: {look.encoding}"),
        (look.missing, f"missing: [{', '.join(_quoted(word) for word in look.missing)}]"),
    )
    target = _quoted(look.targets[0]) if look.targets else "COLUMN"
    return _said(
        (csv, f"    csv: {{{', '.join(csv)}}}"),
        (look.wide, "    layout: wide               # a column for each series"),
        (look.nested, "    layout: nested             # a row for each series"),
        (not look.wide or look.time, "    columns:"),
        (look.id, f"      id: {_quoted(look.id)}"),
        (look.time, f"      time: {_quoted(look.time)}"),
        (not look.wide, f"      target: {target}"),
        (others, f"      # also there: {others}; known for the future: known: [...], up to today: past: [...]"),
        (look.time_format, f"    time_format: {_quoted(look.time_format)}"),
    )


def _said(*lines: tuple[object, str]) -> list[str]:
    """Those lines that there is a reason for, (reason, line) each."""
    return [line for reason, line in lines if reason]


def _plain(text: str) -> str:
    """A column's name as the name of a task."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("-._+") or "value"


def _quoted(text: str) -> str:
    """Text as a YAML scalar; what does not show is written by its number, as YAML refuses some of it and ends lines at some."""
    if re.fullmatch(r"[A-Za-z_./][A-Za-z0-9_./-]*", text):
        return text
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in json.dumps(text, ensure_ascii=False))
