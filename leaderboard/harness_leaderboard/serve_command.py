"""The command `harness serve`. Only click is imported here; the rest inside the command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.run import db_option
from harness_leaderboard.options import view_options

if TYPE_CHECKING:
    from harness_leaderboard.serve import Board

__all__ = ["serve"]


@click.command()
@view_options
@click.option("--port", type=click.IntRange(0, 65535), default=8765, help="Port on 127.0.0.1; 0 = any free one.")
@click.option("--open", "browser", is_flag=True, help="Open the page in the browser.")
@db_option
def serve(port: int, browser: bool, db: Path, **chosen: Any) -> int:
    """Serve the leaderboard's page on this machine, following the database while a run goes on.

    It reads only, and answers to localhost alone. /data.json is what the page is drawn from, /leaderboard.json the table's rows.
    """
    from harness.errors import UsageError
    from harness_leaderboard.serve import make_server

    board = _board(db, chosen)
    board.get("/")  # an error is better said here than in the browser
    try:
        server = make_server(board, port)
    except OSError as error:
        raise UsageError(f"port {port} of 127.0.0.1 cannot be used: {error.strerror}; choose another with --port, 0 for any") from error
    with server:
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        click.echo(f"serving {db} at {url} (Ctrl-C ends it)", err=True)
        if browser:
            click.launch(url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("ended", err=True)
    return 0


def _board(db: Path, chosen: dict[str, Any]) -> Board:
    from harness.errors import StoreError
    from harness.plugins import load
    from harness_leaderboard.board import board_rows
    from harness_leaderboard.page.build import build_page, view_payload
    from harness_leaderboard.page.render import payload_json
    from harness_leaderboard.render import to_json
    from harness_leaderboard.serve import Board
    from harness_leaderboard.view import View, open_view

    if not db.exists():
        raise StoreError(f"there is no results database at {db}; make one with `harness run`, or name another with --db")
    plugins = load()
    store = plugins.store(db, readonly=True)

    def view() -> View:
        return open_view(plugins, store, **chosen)

    def rows() -> str:
        shown = view()
        return to_json(board_rows(shown.results, shown.shown))

    return Board(
        db,
        {
            "/": ("html", lambda: build_page(plugins, store, view(), live=True)),
            "/data.json": ("json", lambda: payload_json(view_payload(plugins, store, view()))),
            "/leaderboard.json": ("json", rows),
        },
    )
