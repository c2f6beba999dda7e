"""Suites that are scored in a dialect of their own: own columns, verdicts, wording and pictures, in the terminal and on the page."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Shown
from spy_kit import made, write
from support import Lab

from harness.dialects import Finding
from harness.plugins import load
from harness.types import SuiteInfo
from harness_leaderboard import render, verdicts
from harness_leaderboard.aggregate import Entry, Results
from harness_leaderboard.arrays import baseline_scores
from harness_leaderboard.board import board_rows
from harness_leaderboard.page import build
from harness_leaderboard.page.payload import make_payload
from harness_leaderboard.verdicts import grouped, verdict_lines

MODELS = ("base_rate", "knows (full)", "flat")
TASKS = ("a/1d", "b/1d", "c/1d", "d/1d")


def spy_results() -> Results:
    """Three models on four tasks in the dialect `spy`: one knows something of the first three, one says one thing."""
    info = load().dialects["spy"].info
    shape = (len(MODELS), len(TASKS))
    scores = {f"spy:{name}": np.full(shape, np.nan) for name in info.metrics}
    set_ = {
        "Brier": ([0.2] * 4, [0.15, 0.16, 0.17, 0.21], [0.25] * 4),
        "log-loss": ([0.6] * 4, [0.5, 0.51, 0.52, 0.61], [0.7] * 4),
        "AUC": ([0.5] * 4, [0.7, 0.71, 0.72, 0.5], [0.5] * 4),
        "AUC low": ([0.5] * 4, [0.65, 0.66, 0.67, 0.45], [0.5] * 4),
        "AUC high": ([0.5] * 4, [0.75, 0.76, 0.77, 0.55], [0.5] * 4),
        "AUC p": ([1.0] * 4, [1e-6, 1e-6, 1e-6, 0.9], [1.0] * 4),
        "DM p": ([1.0] * 4, [1e-5, 1e-5, 1e-5, 0.8], [0.9] * 4),
        "loss against base rate": ([0.0] * 4, [-0.1, -0.09, -0.08, 0.01], [0.1] * 4),
        "MCC": ([0.0] * 4, [0.3, np.nan, 0.1, 0.0], [np.nan] * 4),
        "collapsed": ([0.0] * 4, [0.0] * 4, [1.0, 0.0, 1.0, 1.0]),
        "windows": ([500.0] * 4,) * 3,
        "events": ([250.0] * 4,) * 3,
    }
    for name, rows in set_.items():
        scores[f"spy:{name}"] = np.array(rows)
    scores["MASE[0.5]"] = np.full(shape, np.nan)  # a model that gives probabilities alone has none
    entries = [Entry(name.partition(" ")[0], "own", "full" if "(" in name else "zero-shot", "", "") for name in MODELS]
    main = ("spy:Brier", "spy:log-loss")
    bases, _, _ = baseline_scores(scores, np.zeros(shape, np.bool_), entries, "base_rate", main[0])
    tasks = [
        {"name": name, "dataset": name[0], "family": name[0], "domain": "Fin" if name < "c" else "Other", "freq": "B", "term": "1d"}
        | {"horizon": 1, "season_length": 1, "variates": 1, "kind": "event", "dialect": "spy"}
        for name in TASKS
    ]
    zeros = np.zeros(len(MODELS))
    ok, seeds = np.full(shape, "ok", "<U8"), np.ones(len(MODELS), np.int64)
    own = tuple(f"spy:{name}" for name in info.columns)
    about = {f"spy:{name}": column for name, column in info.about.items()}
    sure: dict[str, Any] = {"baseline": "base_rate", "main": main, "own": own, "about": about}
    return Results(tasks, entries, scores, bases, ok, seeds, zeros, zeros, zeros, zeros, **sure)


def page_of(results: Results) -> dict[str, Any]:
    payload = make_payload(None, results, SuiteInfo("spy", baseline="base_rate"), {"at": "2026-11-28T10:00:00"})  # type: ignore[arg-type]
    return payload | {"verdicts": build.told(verdicts.verdicts(load(), results)[0], results)}


def test_own_columns_are_means_over_the_tasks_that_have_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    results = spy_results()
    rows = {row["model"]: row for row in board_rows(results)}
    assert rows["knows (full)"]["own"]["MCC"] == pytest.approx((0.3 + 0.1 + 0.0) / 3)
    assert rows["flat"]["own"]["MCC"] is None
    assert rows["flat"]["own"]["collapsed"] == 0.75
    assert rows["knows (full)"]["nMASE"] == pytest.approx(math.prod([0.75, 0.8, 0.85, 1.05]) ** 0.25)
    lines = verdict_lines(verdicts.verdicts(load(), results)[0])
    table = render.Table("spy", list(rows.values()), notes=results.notes, verdicts=lines)
    render.print_rich(table)
    said = capsys.readouterr().out
    text = render.to_markdown(table)
    for shown in (said, text):
        assert "MASE" not in shown and "CRPS" not in shown
        assert "nBrier" in shown and "nlog-loss" in shown and "interval of nBrier" in shown.replace("\\", "")
        assert "Verdicts" in shown
    assert render.machine_note(list(rows.values())) == ["In the columns' names MASE stands for Brier, CRPS for log-loss."]


@pytest.mark.parametrize(("own", "measured", "out"), [(True, True, "AUC high"), (True, False, "95%"), (False, True, "rank_CRPS")])
def test_a_narrow_terminal_drops_ranks_then_own_columns_then_intervals(own: bool, measured: bool, out: str) -> None:
    """What goes just before: nothing that says more."""
    results = spy_results()
    rows = [row | ({} if own else {"own": {}, "compared_by": ["MASE", "CRPS"]}) for row in board_rows(results)]
    rows = rows if measured else [row | {"nMASE_low": None} for row in rows]
    drops = render._drops(rows)
    order = sorted(drops, key=lambda name: drops[name])
    assert set(order) >= {"95%", "ties", "type", "failed", "source"}
    if own and measured:
        assert order.index("rank_Brier") < order.index("collapsed") < order.index(out) < order.index("ties") < order.index("AUC")
    elif own:
        assert order[:2] == ["ties", out]
    else:
        assert order == list(render._DROPPED)


def test_tasks_of_which_the_same_is_said_stand_together() -> None:
    found, broken = verdicts.verdicts(load(), spy_results())
    assert broken == []
    assert [v.task for v in found] == list(TASKS)
    assert "knows (full) (AUC .700 [.650, .750], log-loss -0.1000)" in found[0].text
    assert "base_rate (" not in " ".join(v.text for v in found)  # the baseline is no competitor of itself
    groups = grouped(found)
    assert [[v.task for v in members] for _, members in groups] == [["a/1d", "c/1d"], ["b/1d"], ["d/1d"]]
    assert "better than the base rate: knows (full)" in groups[0][0] and "AUC" not in groups[0][0]
    assert "Collapsed" in found[0].text and "Collapsed" not in found[1].text
    lines = verdict_lines(found)
    assert lines[0].startswith("2 tasks: ") and lines[0].endswith("(a/1d, c/1d)")
    assert lines[1].startswith("b/1d: of 2 models (500 windows")
    assert lines[2].startswith("d/1d: no model is distinguishable from the base rate at 5 %")


def test_a_sentence_on_all_tasks_names_none() -> None:
    found = [Finding("of all: good (x).", short="of all: good."), Finding("worse: a (1).", "c/1d", "worse: a.")]
    assert verdict_lines(found) == ["of all: good (x).", "c/1d: worse: a (1)."]


def test_suites_of_the_usual_scores_have_no_verdicts() -> None:
    results = spy_results()
    for task in results.tasks:
        task["dialect"] = "gift-eval"
    assert verdicts.verdicts(load(), results) == ([], [])


def test_the_pages_own_columns_and_verdicts(show: Callable[..., Shown]) -> None:
    results = spy_results()
    payload = page_of(results)
    assert [score["label"] for score in payload["scores"][:3]] == ["Brier", "log-loss", "AUC"]
    shown = show(payload)
    shown.page.wait_for_selector("#s-verdicts .verdicts")
    text = shown.page.inner_text("body")
    assert "MASE" not in text and "CRPS" not in text
    assert "nBrier" in text
    heads = shown.run("[...document.querySelectorAll('#board thead button')].map(b => b.firstChild.textContent)")
    own = [score["label"] for score in payload["scores"] if score.get("own")]
    names = [name for name in own if np.isfinite(results.scores[f"spy:{name}"]).any()]  # columns without a number are not shown
    assert len(names) < len(own) and [head for head in heads if head in names] == names
    row = "[r.querySelector('.c-model').dataset.value, [...r.cells].map(c => c.dataset.value)]"
    values = f"Object.fromEntries([...document.querySelectorAll('#board tbody tr')].map(r => {row}))"
    for tasks in ([0, 1, 2, 3], [0, 1]):
        if len(tasks) == 2:
            shown.page.goto(shown.page.url + "#domain=Fin")
            shown.page.reload()
            shown.page.wait_for_selector("#board")
        found = shown.run(values)
        heads = shown.run("[...document.querySelectorAll('#board thead button')].map(b => b.firstChild.textContent)")
        for m, model in enumerate(MODELS):
            for name in names:
                known = results.scores[f"spy:{name}"][m, tasks]
                known = known[np.isfinite(known)]
                got = found[model][heads.index(name)]
                if len(known):
                    assert float(got) == pytest.approx(float(known.mean()), rel=1e-6, abs=1e-7), (model, name)
                else:
                    assert got == ""
    shown.page.wait_for_selector("#s-verdicts .verdicts")
    said = shown.page.inner_text("#s-verdicts")
    assert "a/1d" in said and "AUC .700 [.650, .750]" in said
    assert "d/1d" not in said and "no model is distinguishable" not in said  # outside of the slice
    for gone in ("steps", "calibration", "explorer"):
        assert not shown.page.locator(f"#s-{gone}").is_visible()
    title = shown.page.locator("#board th[data-key='own5'] button").get_attribute("title")
    assert title == "Matthews correlation of call and outcome; a guess has 0 (more is better); mean over the tasks that have it"
    shown.page.click("#board th[data-key='own0'] button")  # AUC: the highest first
    assert shown.run("document.querySelector('#board tbody .c-model').dataset.value") == "knows (full)"


def test_a_page_without_verdicts_has_no_such_section(show: Callable[..., Shown]) -> None:
    payload = page_of(spy_results()) | {"verdicts": [], "hidden": []}
    shown = show(payload)
    shown.page.wait_for_selector("#board")
    assert not shown.page.locator("#s-verdicts").is_visible()
    assert not shown.page.locator("nav a[href='#s-verdicts']").is_visible()
    assert shown.page.locator("#s-steps").is_visible()


SUITE = """
import pyarrow as pa
from harness.types import Event, Task
from harness.forecast import Ragged
from harness.series import Channels, SeriesSet, rolling

class Little:
    def __init__(self, data):
        pass

    def tasks(self):
        kind = dict(freq="D", term="1d", horizon=2, season_length=1, variates=1, protocol="little/1")
        up = Event("up", 2, 0.0, "difference")
        return [
            Task("little", "sugar", "sugar", "sugar", "Health", dialect="cgm", **kind),
            Task("little", "price", "price", "price", "Fin", dialect="spy", kind="event", event=up, **kind),
        ]

    def open(self, task):
        rng = np.random.default_rng(len(task.name))
        rows = [np.clip(150 + rng.normal(0, 9, 60).cumsum(), 30, 390).astype(np.float32) for _ in range(3)]
        names, starts = pa.array(["a", "b", "c"]), np.array(["2020-01-01"] * 3, "datetime64[s]")
        series = SeriesSet(names, starts, "D", 1, Channels.from_ragged(Ragged.from_rows(rows)), fingerprint="f" * 16)
        return rolling(task, series, 14)

@hookimpl
def register_suites(register):
    register(SuiteInfo("little", baseline="naive"), Little)
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    made = Lab(tmp_path_factory.mktemp("own-dialects"))
    made.plugin("little_suite", SUITE)
    common = ("-s", "little", "--save-forecasts", "--progress", "none", "--isolation", "inprocess")
    made.many([["run", "-m", "naive,drift", *common]])[0].expect(0)
    return made


def test_pictures_of_dialects_from_kept_forecasts(lab: Lab) -> None:
    db = ("--db", str(lab.db))
    where = [("--where", f"name = '{name}'") for name in ("sugar", "price")]
    answers = lab.many(
        [
            ["plot", "error-grid", *where[0], "-m", "drift", "--grid", "parkes[2]", "-o", "grid.json", *db],
            ["plot", "error-grid", *where[0], "-o", "grid.svg", "--dark", *db],
            ["plot", "roc", *where[1], "-o", "roc.json", *db],
            ["plot", "reliability", *where[1], "-t", "price", "-o", "rel.json", "--width", "300", *db],
            ["plot", "error-grid", *where[1], "-o", "x.svg", *db],
            ["plot", "error-grid", *where[0], "--grid", "parkes", "-o", "x.svg", *db],
            ["plot", "error-grid", *where[0], "--window", "best", "-o", "x.svg", *db],
            ["plot", "intervals", *where[0], "--grid", "parkes", "-o", "x.svg", *db],
            ["plot", "reliability", *where[0], "-t", "sugar", "-o", "x.svg", *db],
            ["leaderboard", *where[1], "--format", "json", *db],
        ]
    )
    for answer in answers[:4]:
        answer.expect(0, "wrote")
    answers[4].expect(2, "the picture error-grid is of tasks that are scored in cgm; suite 'little' is scored in the dialect 'spy'")
    answers[5].expect(2, "got the grid 'parkes'; wanted one of Clarke[ega]")
    answers[6].expect(2, "got --window for the picture error-grid")
    answers[7].expect(2, "got --grid for the picture intervals")
    answers[8].expect(2, "got --task for the picture reliability")
    grid, roc, rel = (json.loads((lab.folder / f"{name}.json").read_text()) for name in ("grid", "roc", "rel"))
    stored = dict(
        lab.query("SELECT metric, value FROM scores s JOIN cells c USING (result_id) WHERE c.model = 'drift' AND c.task = 'sugar'")
    )
    told = " · ".join(f"{zone} {stored[f'cgm:Parkes[2] {zone}']:.1f} %" for zone in "ABCDE")
    assert grid["title"]["subtitle"][1] == f"mean over patients: {told}"
    assert "drift, Parkes[2]" in grid["title"]["text"]
    assert "42 forecasts at step 2" in grid["title"]["subtitle"][0]
    areas = dict(lab.query("SELECT c.model, s.value FROM scores s JOIN cells c USING (result_id) WHERE s.metric = 'spy:AUC'"))
    names = {row["model"] for layer in roc["layer"] for row in layer["data"]["values"] if "model" in row}
    assert names == {f"{model}, area {area:.3f}" for model, area in areas.items()}
    assert rel["width"] == rel["height"] == 300
    assert answers[9].expect(0).json()[0]["compared_by"] == ["Brier", "log-loss"]
    assert "Verdict: price: " in answers[9].err and "MASE stands for Brier" in answers[9].err
    assert (lab.folder / "grid.svg").read_text().startswith("<svg")


def test_a_dialect_that_draws_says_so(lab: Lab) -> None:
    lab.run("plot", "--help").expect(0, "error-grid cgm: forecasts of the last step", "roc spy: of an event")
    assert Path(lab.db).exists()


def test_a_page_counts_the_tasks_and_families_that_have_results(show: Callable[..., Shown]) -> None:
    results = spy_results()
    results.status[:, 3] = ""
    for scores in (*results.scores.values(), *results.baselines.values()):
        scores[..., 3] = np.nan
    shown = show(page_of(results) | {"hidden": []})
    shown.page.wait_for_selector("#board")
    facts = shown.page.inner_text("#facts")
    assert "3 of 4 tasks with results" in facts and "3 dataset families" in facts
    verdict = shown.page.inner_text("#verdict")
    assert "over 3 dataset families" in verdict and "All are on the same 3 of 4 tasks." in verdict
    assert "different tasks" not in verdict
    shown.draw_all()
    assert "Over the 3 of 4 tasks for which the baseline has a result." in shown.page.inner_text("#s-policies")


def test_errors_by_step_are_only_of_suites_compared_by_mase() -> None:
    results = spy_results()
    for task in results.tasks:
        task["kind"] = "values"
    assert page_of(results)["hidden"] == ["steps"]
    results.main = ("MASE[0.5]", "MASE[0.5]")
    assert page_of(results)["hidden"] == []


def test_a_suite_with_options_has_the_baseline_of_the_suite() -> None:
    assert build._suite(load(), "spy[since=2015]").baseline == "base_rate"
    assert build._suite(load(), "nobody's").name == "nobody's"


def test_tasks_are_counted_in_the_folder_of_the_runs(lab: Lab) -> None:
    """Of a suite that lists what lies in a folder, its sample, which is not there, is not missing."""
    write(made(3000), lab.folder / "mine" / "shop.csv")
    lab.run("run", "-m", "base_rate,always_up", "-s", "spy", "-t", "*direction/1d/return", "--data", "mine", "--mode", "full").expect(0)
    first = lab.run("leaderboard", "-s", "spy").expect(0).out.splitlines()[0]
    assert first.rstrip() == "spy: 2 models, 39 tasks"  # three instruments: this, and the two that the suite knows
