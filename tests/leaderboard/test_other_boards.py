"""A leaderboard of a stranger's beside the built-in one."""

from __future__ import annotations

from support import GOOD, Lab


def test_a_strangers_command_of_the_same_name_is_refused_and_the_run_stays_finished(lab: Lab) -> None:
    source = "import click\n@hookimpl\ndef register_commands(cli):\n    @cli.command()\n    def leaderboard(**_):\n        print('mine')\n"
    lab.plugin("aaa_board", GOOD + source)  # its name comes before the built-in one's
    done = lab.run("run", "-m", "good", "-t", "us_births/M/short")
    done.expect(0, "1 ok")
    lab.run("ls", "plugins").expect(0, "it replaces the command 'leaderboard', which is there already; rename it")
    assert "quick: 1 model, " in done.out
    assert "mine" not in done.out
    assert lab.query("SELECT count(*) FROM cells") == [(1,)]
