"""What this package registers: the DuckDB store, the scoring dialects and the commands about results.

Heavy imports are inside the functions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.hookspecs import hookimpl

if TYPE_CHECKING:
    import click

    from harness.dialects import Dialect
    from harness.store import Store
    from harness.types import DialectInfo


@hookimpl(trylast=True)
def open_store(path: Path, readonly: bool) -> Store | None:
    """The answer for any path that no other plugin claims."""
    from harness_results.store import DuckStore

    return DuckStore(path, readonly=readonly)


@hookimpl
def register_dialects(register: Callable[[DialectInfo, Callable[[], Any]], None]) -> None:
    """The built-in ones."""
    from harness_results.dialects.infos import BUILT_IN

    for module, info in BUILT_IN.items():
        register(info, partial(_dialect, module))


def _dialect(module: str) -> Dialect:
    import importlib

    made: Dialect = importlib.import_module(f"harness_results.dialects.{module}").DIALECT
    return made


@hookimpl
def register_commands(cli: click.Group) -> None:
    """`harness sql`, `harness db`, `harness import`, `harness export`."""
    from harness_results.commands import add_to

    add_to(cli)
