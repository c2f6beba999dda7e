"""A leaderboard of a stranger's in place of the built-in one."""

from __future__ import annotations

import pytest
from support import GOOD, Lab

BOARDS = {
    "fewer_options": ("def leaderboard(suite):", 'print("mine")', "TypeError"),
    "raises": ("def leaderboard(**_):", 'raise KeyError("models")', "KeyError: 'models'"),
    "ends": ("def leaderboard(**_):", "sys.exit(7)", "SystemExit: 7"),
    "works": ("def leaderboard(suite, models, limit, db):", 'print("mine", suite, models, limit, db.name)', ""),
}


@pytest.mark.parametrize("kind", BOARDS)
def test_a_finished_run_stays_finished(lab: Lab, kind: str) -> None:
    head, body, error = BOARDS[kind]
    source = f"import click\n@hookimpl\ndef register_commands(cli):\n    @cli.command()\n    {head}\n        {body}\n"
    lab.plugin("aaa_board", GOOD + source)  # its name comes before the built-in one's
    done = lab.run("run", "-m", "good", "-t", "us_births/M/short")
    if error:
        done.expect(0, "no table: 'leaderboard' is the command of a plugin", error, "harness ls cells", "1 ok")
        assert done.out == ""
    else:
        done.expect(0, "1 ok")
        assert done.out == "mine quick ['good']  harness.duckdb\n"
    assert lab.query("SELECT count(*) FROM cells") == [(1,)]
