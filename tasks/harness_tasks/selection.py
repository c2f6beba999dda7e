"""Choosing dataset folders by what a user calls them."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from harness.errors import UsageError, suggest

__all__ = ["Named", "select_rows"]


class Named(Protocol):
    """A row of a suite's table."""

    @property
    def folder(self) -> str:
        """What it is called, unlike all others."""

    @property
    def aliases(self) -> tuple[str, ...]:
        """What a user may call it, alone or with others."""


R = TypeVar("R", bound=Named)


def select_rows(rows: Sequence[R], names: Iterable[str], suite: str) -> list[R]:
    """The rows that any of `names` means, in the table's order; all of them when there is no name.

    In GIFT-Eval a name is a folder ("LOOP_SEATTLE/5T"), a dataset ("LOOP_SEATTLE", all its folders), either as published results spell it
    ("loop_seattle/5T"); in the Monash archive a file ("m4_hourly") or a dataset ("m4", all its files). Or it is a glob over these
    ("m4_*"). Letter case does not matter.

    Raises:
        UsageError: a name that means nothing; suggests a near one.
    """
    chosen: set[str] = set()
    wanted = [name.strip().strip("/") for name in names]
    for name in wanted:
        found = {row.folder for row in rows if any(fnmatch.fnmatchcase(alias.lower(), name.lower()) for alias in row.aliases)}
        if not found:
            hint = suggest(name.lower(), {alias.lower() for row in rows for alias in row.aliases})
            raise UsageError(f"suite {suite} has no dataset {name!r}.{hint} To see all: harness data verify {suite}")
        chosen |= found
    return [row for row in rows if not wanted or row.folder in chosen]
