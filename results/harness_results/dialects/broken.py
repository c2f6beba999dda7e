"""Dialects that fail, which are strangers' as often as not: each costs its own scores, and it is said whose it is and what to type."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.cli.output import printable
from harness.dialects import Dialect
from harness.dialects.registered import make
from harness.errors import PluginError
from harness.plugins import Registered
from harness.types import DialectInfo

__all__ = ["Broken", "failure", "make_all", "said"]


@dataclass(frozen=True)
class Broken:
    """That a dialect failed: on a cell, on the board of a suite, or as a whole, where `on` is empty."""

    dialect: str
    reason: str
    on: Mapping[str, Any] = field(default_factory=dict)


def make_all(asked: Iterable[Registered[DialectInfo]]) -> tuple[list[Dialect], list[Broken]]:
    """The dialects that can be made, and what is wrong with the others."""
    made, broken = [], []
    for entry in asked:
        try:
            made.append(make(entry))
        except PluginError as error:
            broken.append(Broken(entry.info.name, str(error)))
    return made, broken


def said(broken: Sequence[Broken]) -> list[str]:
    """A line for each reason, with the first result that it was found on."""
    grouped: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for each in broken:
        grouped[each.reason].append(each.on)
    lines = []
    for reason, (first, *others) in grouped.items():
        place = " of ".join(printable(first[name], 80) for name in ("task", "suite") if first.get(name))
        which = f" on {place}" if place else ""
        whose = f"{printable(first['model'], 80)}{which}" if first.get("model") else place
        where = f" [{whose}{f' and {len(others)} more' if others else ''}]" if whose else ""
        lines.append(f"failed: {printable(reason, 1000)}{where}")
    return lines


def failure(broken: Sequence[Broken], asked: Mapping[str, Registered[DialectInfo]], working: Sequence[str]) -> str:
    """For the end of a command: which dialects failed, whose they are, and what to type."""
    names = list(dict.fromkeys(each.dialect for each in broken))
    entries = [asked[name] for name in names]
    whose = ", ".join(f"'{e.info.name}' of plugin '{printable(e.plugin)}' ({printable(e.distribution)} {e.version})" for e in entries)
    count = f"{len(names)} of {len(asked)} dialects failed: {whose}"
    if working:
        return f"{count}; the reasons are above. To do without: --dialect {','.join(working)}"
    reasons = "; ".join(dict.fromkeys(printable(each.reason, 1000) for each in broken if not each.on)) or "the reasons are above"
    return f"{count}; {reasons}. To see all dialects: harness ls dialects"
