"""What `harness ls` says of plugins."""

from __future__ import annotations

import os
import signal
import time

from support import GOOD, Lab

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


def test_cells_are_found_by_what_people_call_them(lab: Lab) -> None:
    lab.plugin(
        "bad",
        GOOD.replace("good", "bad").replace("    def predict", "    def __init__(self): raise ValueError('bad luck')\n    def predict"),
    )
    done = lab.models("naive,window_average[window_size=3],bad", tasks="us_births/[MW]/short").expect(3).json()
    ids = {(c["model"], c["task"]): c["id"] for c in done["cells"]}
    whole = ids["naive", "us_births/M/short"]
    patterns = ["naive", "window_average[window_size=3]", "*/M/*", "quick:us_births/W/short", "failed", whole[:9], "b*"]
    found = [len(answer.expect(0).json()) for answer in lab.many([["ls", "cells", pattern, "--json"] for pattern in patterns])]
    assert found == [2, 2, 3, 3, 2, 1, 2]
    table, nothing, kinds, shown, task = lab.many(
        [["ls", "cells"], ["ls", "cells", "nope"], ["ls"], ["show", ids["bad", "us_births/M/short"][:12]], ["show", "us_births/M/short"]]
    )
    assert whole[:12] in table.expect(0).out
    assert whole[:13] not in table.out
    nothing.expect(5, "none of the 6 cells matches 'nope'")
    assert (
        kinds.expect(0).out
        == "harness ls KIND, which is one of: models, suites, tasks, metrics, dialects, plugins, hooks, runs, cells, trained\n"
    )

    shown.expect(0, "ValueError: bad luck", "Traceback")
    lines = [line.split(maxsplit=1) for line in shown.out.splitlines() if line.startswith("  ") and line[2] != " "]
    facts = {line[0]: line[-1] for line in lines}
    assert {"seed", "reason", "log", "receipt"} <= set(facts)
    unmeasured = {name: facts.get(name) for name in ("output", "peak_rss_mb", "batch_size", "predict_s")}
    assert not {"0", "", "output"} & set(unmeasured.values()), unmeasured
    assert unmeasured["batch_size"] is None  # no batch was forecast

    text = task.expect(0).out
    assert text.count("task us_births/M/short") == 2  # of two suites
    assert [line.split()[:2] for line in text.splitlines() if line.startswith(" naive")] == [["naive", "ok"]]
    assert text.count("ValueError: bad luck") >= 1
    assert "failed: bad (cell " in text
    assert "receipt" not in text


def test_a_reason_that_all_tasks_share_is_said_once(lab: Lab) -> None:
    text = " ".join(lab.run("ls", "tasks").expect(0).out.split())
    assert text.count("no data folder is given; set GIFT_EVAL") == 1
    assert "97 tasks of gift-eval are not available: no data folder is given" in text
    assert "13 tasks of spy are not available: set SPY or --data" in text
    assert "fetch with: harness data pull gift-eval" in text


def test_a_run_whose_process_is_gone_was_killed(lab: Lab) -> None:
    lab.plugin("slow", GOOD.replace("good", "slow").replace("return", "time.sleep(60)\n        return"))
    process = lab.start("run", "-m", "slow", "-t", "us_births/M/short", "--progress", "none")

    def states() -> list[str]:
        listed = lab.run("ls", "runs", "--json")
        return [run["status"] for run in listed.json()] if listed.code == 0 and listed.out else []

    try:
        end = time.monotonic() + 30
        while states() != ["running"] and time.monotonic() < end:
            time.sleep(0.1)
        assert states() == ["running"]
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert states() == ["killed"]
    (run,) = lab.run("ls", "runs", "--json").json()
    lab.run("show", run["name"]).expect(0, "status killed")
