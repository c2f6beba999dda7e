"""What this package registers: the DuckDB store and the commands about results. Heavy imports are inside the functions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl

if TYPE_CHECKING:
    import click

    from harness.store import Store


@hookimpl(trylast=True)
def open_store(path: Path, readonly: bool) -> Store | None:
    """The answer for any path that no other plugin claims."""
    from harness_results.store import DuckStore

    return DuckStore(path, readonly=readonly)


@hookimpl
def register_commands(cli: click.Group) -> None:
    """`harness sql`, `harness db`, `harness import`, `harness export`."""
    from harness_results.commands import add_to

    add_to(cli)
