"""What the suite `spy` finds in a folder: for each instrument its sessions, how its prices were adjusted, and what is odd in them."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from harness.errors import DataError, Unavailable, UsageError, suggest
from harness_tasks.spy.prices import Prices
from harness_tasks.spy.sessions import LONG_WEEKEND, gaps
from harness_tasks.spy.suite import Spy

__all__ = ["InstrumentReport", "inspect", "select", "show"]


@dataclass
class InstrumentReport:
    """An instrument as it is. `state` is "ok", "missing" or "broken"; then `error` says why.

    Attributes:
        first, last: dates of its sessions.
        adjustment: "factors", "adjusted close", "splits and dividends" or "none"; factors: the factor file.
        largest: the log return from close to close that is furthest from 0, on `largest_on`; a reader refuses those above 0.4.
        breaks: where more than four days lie between two sessions, the longest of so many days, after `break_after`.
        no_volume: sessions of which no volume is known.
    """

    name: str
    state: str
    source: str = ""
    factors: str = ""
    adjustment: str = ""
    sessions: int = 0
    first: str = ""
    last: str = ""
    largest: float = 0.0
    largest_on: str = ""
    breaks: int = 0
    longest_break: int = 0
    break_after: str = ""
    no_volume: int = 0
    notes: tuple[str, ...] = ()
    error: str = ""

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def select(suite: Spy, names: Sequence[str]) -> list[str]:
    """The instruments that any of `names` or globs means, in the suite's order; all of them when there is none.

    Raises:
        UsageError: a name that means nothing; suggests a near one.
    """
    there = list(dict.fromkeys(task.dataset for task in suite.tasks()))
    for name in names:
        if not any(fnmatch.fnmatchcase(one.lower(), name.lower()) for one in there):
            raise UsageError(f"suite spy has no instrument {name!r}.{suggest(name, there)} To see all: harness data verify spy")
    return [one for one in there if not names or any(fnmatch.fnmatchcase(one.lower(), name.lower()) for name in names)]


def inspect(suite: Spy, names: Sequence[str]) -> Iterator[InstrumentReport]:
    """Read every instrument whole."""
    for name in names:
        report = InstrumentReport(name, "ok")
        try:
            prices = suite._read(name)  # the package's own: it reads an instrument once
        except Unavailable as error:
            report.state, report.error = "missing", error.reason
        except DataError as error:
            report.state, report.error = "broken", str(error)
        else:
            place = suite._places[name]
            report.source, report.factors = str(place.path), str(place.factors or "")
            _describe(report, prices)
        yield report


def _describe(report: InstrumentReport, prices: Prices) -> None:
    report.adjustment, report.notes, report.sessions = prices.adjustment, prices.notes, len(prices)
    report.first, report.last = str(prices.date[0]), str(prices.date[-1])
    moves, found = np.diff(np.log(prices.close)), gaps(prices.date)
    if len(moves):
        at = int(np.abs(moves).argmax())
        report.largest, report.largest_on = float(moves[at]), str(prices.date[at + 1])
    report.breaks = len(found)
    if found:
        longest = max(found, key=lambda gap: gap.days)
        report.longest_break, report.break_after = longest.days, longest.before
    report.no_volume = int(np.isnan(prices.volume).sum())


def show(reports: Sequence[InstrumentReport]) -> None:
    """Print the reports for people: a line for each thing that is to be known of an instrument."""
    from harness.cli.output import printable

    for report in reports:
        print(f"{printable(report.name)}: {report.state}")
        for name, text in _facts(report):
            print(f"  {name:<9} {printable(text)}")


def _facts(f: InstrumentReport) -> Iterator[tuple[str, str]]:
    if f.state != "ok":
        yield "error", f.error
        return
    yield "source", f.source
    yield "sessions", f"{f.sessions:,} from {f.first} to {f.last}"
    how = {"factors": f"by the factor file {f.factors}", "none": "not adjusted: as they are in the file"}
    how["splits and dividends"] = "by the columns of splits and dividends"
    yield "prices", how.get(f.adjustment, f"by the column of the {f.adjustment}")
    yield "jumps", f"the largest log return is {f.largest:+.3f}, on {f.largest_on}"
    longest = f", the longest {f.longest_break} days after {f.break_after}" if f.breaks else ""
    yield "breaks", f"{f.breaks:,} of more than {LONG_WEEKEND} days between sessions{longest}"
    if f.no_volume:
        yield "volume", f"unknown of {f.no_volume:,} sessions"
    for note in f.notes:
        yield "note", note
