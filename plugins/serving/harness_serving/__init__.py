"""`harness serve-model`: any registered model as an HTTP service. Importing this package costs click alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def register_commands(cli: click.Group) -> None:
    """`harness serve-model`."""
    from harness_serving.command import serve_model

    cli.add_command(serve_model)
