"""What this package registers: the ranking of models and the command `harness leaderboard`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.hookspecs import hookimpl

if TYPE_CHECKING:
    import click

    from harness.store import Store


@hookimpl
def register_commands(cli: click.Group) -> None:
    """`harness leaderboard`, `serve`, `compare`, `parity` and `plot`."""
    from harness_leaderboard.commands import leaderboard
    from harness_leaderboard.compare_command import compare
    from harness_leaderboard.parity_command import parity
    from harness_leaderboard.plot_command import plot
    from harness_leaderboard.serve_command import serve

    cli.add_command(leaderboard)
    cli.add_command(serve)
    cli.add_command(compare)
    cli.add_command(parity)
    cli.add_command(plot)


@hookimpl(trylast=True)
def rank_models(store: Store, suite: str, models: list[str], limit: str) -> list[dict[str, Any]] | None:
    """The leaderboard's rows, best nMASE first; ranks are among all models of the store, whichever are returned."""
    from harness.plugins import load
    from harness.stale import stale_results
    from harness.suites import stored_name
    from harness_leaderboard.board import board_rows
    from harness_leaderboard.collect import collect, default_suite

    suite = stored_name(load(), suite) if suite else default_suite(store)
    results = collect(store, suite, limit=limit, stale=stale_results(load(), store, suite))
    wanted = {*models, results.baseline}
    shown = {(entry.label, entry.source) for entry in results.entries if not models or entry.model in wanted}
    return board_rows(results, shown)
