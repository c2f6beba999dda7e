"""A result that no longer holds is shown as stale, and never mixed silently with fresh ones."""

from __future__ import annotations

from support import Lab

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
