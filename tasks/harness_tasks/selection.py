"""Choosing dataset folders by what a user calls them."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence

from harness.errors import UsageError, suggest
from harness_tasks.gift_eval import Row

__all__ = ["select_rows"]


def select_rows(rows: Sequence[Row], names: Iterable[str], suite: str) -> list[Row]:
    """The rows that any of `names` means, in the table's order; all of them when there is no name.

    A name is a folder ("LOOP_SEATTLE/5T"), a dataset ("LOOP_SEATTLE", all its folders), either as published results spell it
    ("loop_seattle/5T"), or a glob over these ("m4_*"). Letter case does not matter.

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
