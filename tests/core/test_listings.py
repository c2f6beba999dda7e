"""What `harness ls` says of plugins."""

from __future__ import annotations

from support import Lab

LISTENER = """
@hookimpl
def run_finished(run):
    pass
"""


def test_every_plugin_names_its_distribution(lab: Lab) -> None:
    lab.plugin("listener", LISTENER)
    rows = {row["name"]: row for row in lab.run("ls", "plugins", "--json").expect(0).json()}
    assert (rows["listener"]["distribution"], rows["listener"]["version"], rows["listener"]["hooks"]) == ("listener", "1.0", "run_finished")
    assert rows["leaderboard"]["distribution"] == "ts-harness"
    assert [name for name, row in rows.items() if not row["distribution"]] == ["harness.defaults"]
