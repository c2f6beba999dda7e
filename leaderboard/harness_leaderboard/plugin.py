"""What this package registers: the command `harness leaderboard`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def register_commands(cli: click.Group) -> None:
    """`harness leaderboard`."""
    from harness_leaderboard.commands import leaderboard

    cli.add_command(leaderboard)
