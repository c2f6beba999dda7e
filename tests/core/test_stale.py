"""A result that no longer holds is shown as stale, and never mixed silently with fresh ones."""

from __future__ import annotations

from typing import Any

import duckdb
from support import Lab, write_dataset

MODEL = """
class Shifted:
    def predict(self, batch):
        return Forecast.from_points(last(batch) + SHIFT)

@hookimpl
def register_models(register):
    register(ModelInfo("shifted", license="MIT"), Shifted)
"""
RUN = ("run", "-m", "shifted,seasonal_naive", "-t", "us_births/M/short,us_births/W/short")


def test_stale_results_are_shown_and_made_anew(lab: Lab) -> None:
    lab.plugin("shifty", MODEL.replace("SHIFT", "0"))
    assert lab.run(*RUN).code == 0
    assert "stale" not in lab.run("leaderboard").out

    lab.plugin("shifty", MODEL.replace("SHIFT", "1"))
    board = lab.run("leaderboard").out
    assert "shifted † ⚠" in board
    assert "⚠ 2 results are stale" in " ".join(board.split())
    rows = {row["model"]: row for row in lab.run("leaderboard", "--format", "json").json()}
    assert rows["shifted"]["stale"] == 2
    assert rows["seasonal_naive"]["stale"] == 0
    cells = lab.run("ls", "cells", "--json").json()
    assert {c["stale"] for c in cells if c["model"] == "shifted"} == {"source"}
    assert {c["stale"] for c in cells if c["model"] == "seasonal_naive"} == {""}

    again = lab.run(*RUN)
    assert "stale 2" in again.err
    assert "stale" not in lab.run("leaderboard").out
    old = [c for c in lab.run("ls", "cells", "--json").json() if c["stale"]]
    assert len(old) == 2
    assert all(c["stale"].startswith("superseded by ") for c in old)


def test_an_undone_change_makes_the_old_result_current_again(lab: Lab) -> None:
    def score() -> float:
        (row,) = [r for r in lab.run("leaderboard", "--format", "json").json() if r["model"] == "shifted"]
        return float(row["nMASE"])

    lab.plugin("shifty", MODEL.replace("SHIFT", "0"))
    lab.run(*RUN)
    first = score()
    lab.plugin("shifty", MODEL.replace("SHIFT", "100"))
    lab.run(*RUN)
    assert score() != first
    lab.plugin("shifty", MODEL.replace("SHIFT", "0"))
    assert "to run 0" in lab.run(*RUN).err
    assert score() == first


def test_data_is_looked_at_where_the_run_had_it(lab: Lab) -> None:
    def stale(*arguments: str, **env: str) -> set[str]:
        board = lab.run("leaderboard", "-s", "gift-eval", "--format", "json", *arguments, env=env).json()
        cells = lab.run("ls", "cells", "--json", *arguments, env=env).json()
        assert sum(row["stale"] for row in board) == sum(bool(cell["stale"]) for cell in cells)
        return {cell["stale"] for cell in cells}

    for name, last in (("mine", 98), ("other", 97)):
        write_dataset(lab.folder / name / "us_births" / "W", [[*map(float, range(98)), float(last)]], "W-SUN")
    task = ("-s", "gift-eval", "-t", "us_births/W/short")
    lab.run("run", "-m", "naive,seasonal_naive", *task, "--data", "mine").expect(0)
    other = str(lab.folder / "other")
    assert stale() == {""}
    assert stale(GIFT_EVAL=other) == {""}
    assert stale("--data", other) == {"data"}
    lab.run("leaderboard", "--data", "nowhere").expect(2, "--data nowhere: there is no such folder")

    write_dataset(lab.folder / "mine" / "us_births" / "W", [[*map(float, range(98)), -1.0]], "W-SUN")
    assert stale() == {"data"}
    (lab.folder / "mine").rename(lab.folder / "gone")
    assert stale() == {""}  # it cannot be told


RAISING = """
class Raising:
    def tasks(self):
        raise RuntimeError("no tasks today")

@hookimpl
def register_suites(register):
    register(SuiteInfo("other", baseline="shifted"), lambda data: Raising())
"""


def test_a_suite_that_raises_hides_nothing_of_others(lab: Lab) -> None:
    lab.plugin("shifty", MODEL.replace("SHIFT", "0"))
    lab.run(*RUN).expect(0)
    with duckdb.connect(str(lab.db)) as con:
        con.execute("UPDATE cells SET suite = 'other' WHERE task = 'us_births/W/short'")
    lab.plugin("shifty", MODEL.replace("SHIFT", "1"))
    lab.plugin("raising", RAISING)
    cells = lab.run("ls", "cells", "--json").expect(0).json()
    assert {(c["suite"], c["stale"]) for c in cells if c["model"] == "shifted"} == {("quick", "source"), ("other", "")}
    rows = {row["model"]: row for row in lab.run("leaderboard", "-s", "other", "--format", "json").expect(0).json()}
    assert (rows["shifted"]["nMASE"], rows["shifted"]["total"]) == (1.0, 1)
    lab.run("export", "gift-eval", "-s", "other").expect(3, "suite 'other' raised RuntimeError", "no tasks today")


def test_why_a_plan_makes_a_result_anew(lab: Lab) -> None:
    lab.plugin("shifty", MODEL.replace("SHIFT", "0"))
    lab.run(*RUN).expect(0)
    lab.plugin("shifty", MODEL.replace("SHIFT", "1"))
    said = lab.python("""
        from pathlib import Path
        from harness.plan import make_plan
        from harness.plugins import load
        from harness.spec import make_spec
        from harness.stale import why

        plugins = load()
        store = plugins.store(Path("harness.duckdb"))
        made = make_plan(plugins, make_spec(models="shifted,seasonal_naive", suite=None, tasks="us_births/[MW]/short"), store)
        reasons = why(plugins, store, made.stale)
        assert set(reasons) == {cell.id for cell in made.todo}, reasons
        print(sorted(reasons.values()))
    """).expect(0)
    assert said.out == "['source', 'source']\n"


def test_a_stale_baseline_is_passed_over(lab: Lab) -> None:
    def board() -> dict[tuple[str, str], dict[str, Any]]:
        done = lab.run("leaderboard", "-s", "quick", "--format", "json").expect(0)
        notes.append(" ".join(done.err.split()))
        return {(row["model"], row["source"]): row for row in done.json()}

    notes: list[str] = []
    lab.run("run", "-m", "naive,seasonal_naive", "-t", "us_births/M/short").expect(0)
    with duckdb.connect(str(lab.db)) as con:  # as if the plugin had been another, with other numbers
        con.execute("UPDATE cells SET identity = json_merge_patch(identity, '{\"source\": \"old\"}') WHERE model = 'seasonal_naive'")
        con.execute("UPDATE scores SET value = 2 * value WHERE result_id IN (SELECT result_id FROM cells WHERE model = 'seasonal_naive')")
    rows = board()
    assert (rows["seasonal_naive", "own"]["stale"], rows["naive", "own"]["stale"]) == (1, 0)
    assert [row["baseline_stale"] for row in rows.values()] == [1, 1]
    assert "⚠ The baseline 'seasonal_naive' has only a stale result for 1 task" in notes[-1]
    assert "naive † ⚠" in lab.run("leaderboard").out.replace("seasonal_naive", "")
    lab.run("import", "gift-eval").expect(0)
    after = board()
    assert "'seasonal_naive' are stale for 1 task; the published ones are taken instead" in notes[-1]
    assert {row["baseline_stale"] for row in after.values()} == {0}
    assert after["seasonal_naive", "own"]["nMASE"] > 1.5
    assert abs(after["naive", "own"]["nMASE"] / rows["naive", "own"]["nMASE"] - 2) < 0.1
