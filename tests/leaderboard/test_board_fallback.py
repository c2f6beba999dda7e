"""How a leaderboard shows forecasts that are not the model's own: table, CSV, JSON, gates, slices of windows, and the page."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from browser import Shown
from pages import array, make_payload
from support import Lab

from harness.api import load as load_results
from harness.plugins import load
from harness_leaderboard.board import board_rows
from harness_leaderboard.page.payload import make_payload as payload_of
from harness_leaderboard.view import open_view
from harness_results.store import DuckStore

TASKS = ("bizitobs_l2c/H/short", "us_births/W/short")
LINE = "fallback: share of the forecasts that is not the model's own"

PLUGIN = """
class Stumbles:
    '''One more than the last value; in each third window the last value itself, which is not its own.'''
    def __init__(self, often: float = 1.0):
        self.often = often

    def predict(self, batch):
        bad = (batch.window_ids % 3 == 0) & (batch.freq == "H" or self.often == 1)
        return Forecast.from_points(last(batch) + ~bad[:, None], fallback=bad * self.often)

@hookimpl
def register_models(register):
    register(ModelInfo("stumbles"), Stumbles)
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A database with two models that stumble, one of them only on one task, and by a half, and two that do not."""
    lab = Lab(tmp_path_factory.mktemp("fallback"))
    lab.plugin("mine", PLUGIN)
    common = ("-s", "quick", "-t", ",".join(TASKS), "--progress", "none", "--isolation", "inprocess")
    (done,) = lab.many([["run", "-m", "stumbles,stumbles[often=0.5],naive,seasonal_naive", *common, "--seed", "0"]])
    done.expect(0, LINE)
    return lab


def shares(lab: Lab, model: str, condition: str = "true") -> float:
    """The mean over all windows, added up one by one."""
    sql = f"SELECT w.fallback FROM windows w JOIN cells c USING (result_id) WHERE c.model = '{model}' AND {condition}"
    found = [share for (share,) in lab.query(sql)]
    return float(np.mean(found))


def test_the_table_has_the_column_where_a_model_shown_has_a_share(lab: Lab) -> None:
    board = ["leaderboard", "-s", "quick"]
    whole, without, markdown, plain, csv_form, json_form, gate, passed = lab.many(
        [
            board,
            [*board, "-m", "naive,seasonal_naive"],
            [*board, "--format", "md"],
            [*board, "--format", "csv", "-m", "naive"],
            [*board, "--format", "csv"],
            [*board, "--format", "json"],
            [*board, "-m", "stumbles", "--fail-if", "fallback>0.1"],
            [*board, "-m", "naive", "--fail-if", "fallback>0"],
        ]
    )
    share = {name: shares(lab, name) for name in ("stumbles", "stumbles[often=0.5]", "naive")}
    assert share["naive"] == 0 < share["stumbles[often=0.5]"] < share["stumbles"]
    whole.expect(0, LINE, f"{100 * share['stumbles']:.1f}%", f"{100 * share['stumbles[often=0.5]']:.1f}%", "0.0%")
    markdown.expect(0, LINE, "| fallback |")
    assert "fallback" not in without.expect(0).out
    rows = {row["model"]: row for row in csv.DictReader(io.StringIO(csv_form.expect(0).out))}
    for name, mean in share.items():
        assert float(rows[name]["fallback"]) == pytest.approx(mean, rel=1e-12), name
    (row,) = (row for row in csv.DictReader(io.StringIO(plain.expect(0).out)) if row["model"] == "naive")
    assert row["fallback"] == "0.0", "a program finds the column whatever is shown"
    assert {row["model"]: row["fallback"] for row in json_form.json()}["naive"] == 0
    gate.expect(4)
    passed.expect(0)


def test_notebooks_have_it(lab: Lab) -> None:
    table = load_results(lab.db).leaderboard("quick").set_index("model")
    assert table["fallback"]["stumbles"] == pytest.approx(shares(lab, "stumbles"))
    assert table["fallback"]["naive"] == 0


def test_slices_of_tasks_and_windows_count_their_own(lab: Lab) -> None:
    store = DuckStore(lab.db, readonly=True)

    def rows(**options: Any) -> dict[str, Any]:
        return {row["model"]: row["fallback"] for row in board_rows(open_view(load(), store, "quick", **options).results)}

    assert rows(where="freq = 'W'") == {
        "stumbles": pytest.approx(shares(lab, "stumbles", "freq = 'W'")),
        "stumbles[often=0.5]": 0,
        "naive": 0,
        "seasonal_naive": 0,
    }
    for condition in ("slot >= 1", "true"):
        assert rows(windows=condition)["stumbles"] == pytest.approx(shares(lab, "stumbles", condition))
    assert rows(windows="fallback = 0")["stumbles"] == 0, "only forecasts of its own"
    assert rows(windows="fallback > 0")["stumbles"] == 1


def test_what_was_stored_before_is_not_known(lab: Lab, tmp_path: Path) -> None:
    copy = Path(shutil.copy(lab.db, tmp_path / "copy.duckdb"))
    with duckdb.connect(str(copy)) as con:
        con.execute("UPDATE cells SET fallback = NULL WHERE model = 'naive' OR (model = 'stumbles' AND freq = 'H')")
    store = DuckStore(copy, readonly=True)
    rows = {row["model"]: row["fallback"] for row in board_rows(open_view(load(), store, "quick").results)}
    assert rows["naive"] is None
    assert rows["stumbles"] == pytest.approx(shares(lab, "stumbles", "freq = 'W'")), "over the windows of which it is known"
    said = lab.many([["leaderboard", "-s", "quick", "--db", str(copy)]])[0].expect(0, LINE).out
    assert [line for line in said.splitlines() if "naive" in line and "–" in line]


def test_the_pages_payload_says_it_only_where_it_is(lab: Lab) -> None:
    plugins, store = load(), DuckStore(lab.db, readonly=True)
    for windows, told in (("", True), ("fallback = 0", False)):
        results = open_view(plugins, store, "quick", windows=windows).results
        payload = payload_of(store, results, plugins.suite("quick").info, {"at": "", "by": "", "db": "", "command": ""})
        assert (payload["fallback"] is not None) == told
        json.dumps(payload)
    of = {cell["cell_id"]: cell.get("fallback") for cell in payload["receipts"]["cells"].values()}
    stored = dict(lab.query("SELECT cell_id, fallback FROM cells"))
    assert of == {cell: share or None for cell, share in stored.items()}


def test_the_page_shows_the_column_and_follows_the_slice(show: Callable[..., Shown]) -> None:
    payload = make_payload(models=6, own=3, gaps=False)
    m, r = len(payload["models"]), len(payload["tasks"])
    fallen, answered = np.zeros((m, r)), np.zeros((m, r))
    answered[3:] = 1000
    fallen[4, :2] = 250  # of the first family alone
    fallen[5] = 0.1
    payload["fallback"] = {"fallen": array(fallen, "f4"), "answered": array(answered, "f4")}
    shown = show(payload)
    found = dict(zip(shown.names(), shown.column("fallback"), strict=True))
    assert found == {"model-000": "–", "model-001": "–", "model-002": "–", "own-3": "0.0 %", "own-4": "2.8 %", "own-5": "< 0.1 %"}
    assert "Fallback: share of a model’s forecasts that is not its own" in shown.text("#legend")
    shown.page.click("#board tbody tr[data-model='4'] th button, #board tbody tr[data-model='4'] td button")
    assert "2.8 % of its forecasts are not its own" in shown.text("#panel-body")
    shown.page.keyboard.press("Escape")
    (domain,) = {task["domain"] for task in payload["tasks"] if task["family"] == "family1"}
    other = show(payload, f"#domain={domain}")
    assert dict(zip(other.names(), other.column("fallback"), strict=True))["own-4"] == "0.0 %"
    fallen[5] = 0
    payload["fallback"]["fallen"] = array(fallen, "f4")
    for hash, there in (("", True), (f"#domain={domain}", False)):
        page = show(payload, hash).page
        assert page.locator("#board th[data-key=fallback]").count() == there
    payload["fallback"] = None
    page = show(payload).page
    assert page.locator("#board th[data-key=fallback]").count() == 0
    assert "Fallback" not in page.locator("#legend").inner_text()
