"""`harness leaderboard` as it is typed, and what it makes of names, parts and missing results."""

from __future__ import annotations

import csv
import io
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from harness.errors import HarnessError, NothingMatched, StoreError, UsageError
from harness.spool import CellWriter
from harness_leaderboard import render
from harness_leaderboard.collect import baseline_notes, collect
from harness_leaderboard.columns import COLUMNS
from harness_leaderboard.plugin import rank_models, register_commands
from harness_results.gift_eval_import import import_gift_eval
from harness_results.store import DuckStore

HOSTILE = "=cmd|' /C calc'!A0<script>alert(1)</script>`x`\n| [red]b[/red] \x1b[31m"
TASKS = ("m4_hourly/H/short", "hospital/M/short", "us_births/D/short")
NUMBERS = itertools.count()
Go = Callable[..., Result]


@pytest.fixture
def store(tmp_path: Path) -> DuckStore:
    return DuckStore(tmp_path / "x.duckdb")


def add(store: DuckStore, model: str, mase: float | None, task: str = TASKS[0], suite: str = "quick", **changes: Any) -> None:
    number = next(NUMBERS)
    made = {
        "result_id": f"r{number}",
        "cell_id": f"c{number}",
        "suite": suite,
        "task": task,
        "model": model,
        "model_name": f"stored {model}",  # a model that is not installed: whether it has changed is not looked at
        "mode": "zero-shot",
        "protocol": "gift-eval/1",
        "status": "failed" if mase is None else "ok",
        "n_windows": 500,
        "predict_s": 1.0,
        "scores": {} if mase is None else {"MASE[0.5]": mase, "mean_weighted_sum_quantile_loss": mase / 2},
        "finished_at": f"2026-01-01T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}",
        "model_info": {"model_type": "statistical"},
        **changes,
    }
    CellWriter(store.spool, f"r{number}", pa.schema([("window", pa.int64())])).commit(made)


@pytest.fixture
def go(store: DuckStore) -> Go:
    cli = click.Group()
    register_commands(cli)

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(cli, ["leaderboard", *map(str, arguments), "--db", str(store.path)])
        if isinstance(result.exception, HarnessError):
            raise result.exception
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


def records(result: Result) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(result.stdout)))


@pytest.fixture
def full(store: DuckStore) -> DuckStore:
    for i, task in enumerate(TASKS):
        add(store, "seasonal_naive", 1.0 + i, task)
        add(store, "better", 0.5 + i / 2, task)
    add(store, "partial", 4.0, TASKS[0])
    add(store, "partial", None, TASKS[1])
    return store


def test_the_table_in_four_forms(full: DuckStore, go: Go, tmp_path: Path) -> None:
    text = go().stdout
    assert "quick: 3 models" in text
    assert "partial †" in text
    assert "† not all tasks" in text
    rows = records(go("--format", "csv"))
    assert list(rows[0]) == [*COLUMNS, "compared_by"]
    assert rows[0]["compared_by"] == "MASE, CRPS"
    assert [row["model"] for row in rows] == ["better", "seasonal_naive", "partial"]
    assert float(rows[0]["nMASE"]) == pytest.approx(0.5)
    assert float(rows[2]["nMASE"]) == pytest.approx(4.0)
    assert [rows[2][name] for name in ("done", "failed", "total", "model_type", "predict_s_per_1k")] == [
        "1",
        "1",
        "14",
        "statistical",
        "2.0",
    ]
    assert float(rows[2]["coverage"]) == pytest.approx(1 / 14)
    parsed = json.loads(go("--format", "json").stdout)
    for row in parsed:
        assert set(row) == {*COLUMNS, "compared_by", "own"}
        assert (row["compared_by"], row["own"]) == (["MASE", "CRPS"], {})
        for name, about in COLUMNS.items():
            assert isinstance(row[name], str) == (about.unit == ""), name
            assert row[name] is not None or about.null, name
    assert [row["model"] for row in parsed] == ["better", "seasonal_naive", "partial"]
    for name in ("board.csv", "board.json", "board.md"):
        assert go("-o", tmp_path / name).stdout == ""
    assert json.loads((tmp_path / "board.json").read_text()) == parsed
    assert (tmp_path / "board.md").read_text().count("\n| ") == 4


def test_partial_coverage_and_common(full: DuckStore, go: Go) -> None:
    rows = {row["model"]: row for row in records(go("--common", "--format", "csv"))}
    assert {row["total"] for row in rows.values()} == {"1"}
    assert float(rows["partial"]["rank_MASE"]) == 3
    add(full, "nothing", None)
    with pytest.raises(NothingMatched, match="--common"):
        go("--common")


def test_groups_and_conditions(full: DuckStore, go: Go) -> None:
    rows = records(go("--by", "domain", "--format", "csv"))
    assert float(rows[0]["Econ/Fin"]) == pytest.approx(0.5)
    assert rows[2]["Healthcare"] == ""
    assert "Healthcare" in go("--by", "domain").stdout
    assert records(go("--where", "domain = 'Healthcare'", "--format", "csv"))[0]["total"] == "5"
    with pytest.raises(UsageError, match="--where"):
        go("--where", "nonsense = 1")


def test_names_select_rows_and_leave_ranks(full: DuckStore, go: Go) -> None:
    where = ("--where", "name in ('m4_hourly/H/short', 'hospital/M/short')")
    rows = records(go("-m", "part*,better", "--format", "csv", *where))
    assert [row["model"] for row in rows] == ["better", "partial"]
    assert rows == [row for row in records(go("--format", "csv", *where)) if row["model"] != "seasonal_naive"]
    with pytest.raises(NothingMatched, match="Did you mean 'better'"):
        go("-m", "beter")


def test_own_results_beside_published_ones(full: DuckStore, go: Go, published_db: Path) -> None:
    shutil.copy(published_db, full.path)
    rows = records(go("--format", "csv"))
    assert len(rows) == 121 + 3
    chronos = next(row for row in rows if row["model"] == "chronos-2")
    assert (chronos["source"], chronos["total"], chronos["coverage"]) == ("gift-eval", "14", "1.0")
    own = {row["model"]: row for row in rows if row["source"] == "own"}
    assert float(own["seasonal_naive"]["nMASE"]) == 1  # one's own baseline where it was run
    add(full, "later", 1.0, "hospital/M/short", suite="other")
    assert "later" not in go("-s", "quick").stdout


def test_the_published_baseline_stands_in(store: DuckStore, go: Go) -> None:
    add(store, "mine", 0.5)
    assert "To add them: harness run -m seasonal_naive -s quick" in " ".join(go().stdout.split())
    import_gift_eval(store)
    mine = next(row for row in records(go("--format", "csv")) if row["model"] == "mine")
    published = store.query("SELECT MASE FROM results WHERE model = 'seasonal_naive' AND task = $1", [TASKS[0]])["MASE"][0].as_py()
    assert float(mine["nMASE"]) == pytest.approx(0.5 / published)


def test_the_mean_over_seeds_and_modes_apart(store: DuckStore, go: Go) -> None:
    add(store, "seasonal_naive", 1.0)
    add(store, "net", 1.0, seed=0)
    add(store, "net", 3.0, seed=1)
    add(store, "net", 0.5, mode="finetune", budget="10m")
    rows = {row["model"]: row for row in records(go("--format", "csv"))}
    assert (float(rows["net"]["nMASE"]), rows["net"]["seeds"], rows["net"]["done"]) == (2.0, "2", "1")
    assert float(rows["net (finetune 10m)"]["nMASE"]) == 0.5


def test_a_stale_result_is_left_out(store: DuckStore, go: Go) -> None:
    add(store, "seasonal_naive", 1.0)
    add(store, "mine", 9.0)
    add(store, "mine", 2.0)
    assert [float(row["nMASE"]) for row in records(go("--format", "csv"))] == [1.0, 2.0]


def test_parts_of_tasks_only_where_there_is_nothing_else(store: DuckStore, go: Go) -> None:
    add(store, "seasonal_naive", 1.0, scope="limit=2")
    add(store, "mine", 2.0, scope="limit=2")
    store.ingest()
    import_gift_eval(store)
    result = go()
    assert "Only parts of the tasks were run (limit=2)" in " ".join(result.stdout.split())
    assert [float(row["nMASE"]) for row in records(go("--format", "csv"))] == [1.0, 2.0]
    add(store, "whole", 3.0)
    result = go()
    assert "2 results of parts of tasks" in " ".join(result.stdout.split())
    assert "mine" not in result.stdout


def test_a_limit_is_found_in_any_spelling(store: DuckStore, go: Go) -> None:
    add(store, "seasonal_naive", 1.0, scope="limit=0.5")
    add(store, "mine", 2.0, scope="limit=0.5")
    add(store, "mine", 3.0, scope="limit=10")
    add(store, "whole", 4.0)
    for spelling in (".5", "0.50", "0.5"):
        assert [row["model"] for row in records(go("--limit", spelling, "--format", "csv"))] == ["seasonal_naive", "mine"]
    assert [row["scope"] for row in records(go("--limit", "10", "--format", "csv"))] == ["limit=10"]
    with pytest.raises(UsageError, match="got --limit many; wanted a number of items"):
        go("--limit", "many")


def test_hostile_names_are_text(store: DuckStore, go: Go) -> None:
    add(store, "seasonal_naive", 1.0)
    add(store, HOSTILE, 2.0)
    add(store, "x" * 10_000, 3.0)
    add(store, "-lead", 4.0)
    table = go().stdout
    assert "\x1b" not in table
    assert "[red]" in table  # shown, not obeyed
    assert max(map(len, table.splitlines())) < 250
    rows = records(go("--format", "csv"))
    names = [row["model"] for row in rows]
    assert names[0] == "seasonal_naive"
    assert names[1].startswith("'=cmd|")
    assert names[3] == "'-lead"
    assert all("\n" not in name and "\x1b" not in name for name in names)
    markdown = go("--format", "md").stdout
    line = next(text for text in markdown.splitlines() if "cmd" in text)
    assert "<script>" not in line
    assert line.replace(r"\|", "").count("|") == markdown.splitlines()[3].count("|")
    assert r"\`x\`" in line


def test_nothing_to_show(store: DuckStore, go: Go, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="harness run"):
        go()
    store.check()
    with pytest.raises(NothingMatched, match="no results yet"):
        go()
    add(store, "mine", 1.0, suite="mine")
    assert "mine: 1 model, 1 task" in go().stdout
    with pytest.raises(NothingMatched, match=r"no results of suite 'quick'.*it holds: mine"):
        go("-s", "quick")
    add(store, "mine", 1.0, suite="yours")
    with pytest.raises(UsageError, match=r"name one with -s .*: mine, yours"):
        go()
    for name in ("x.pdf", "x", "x.txt", "x.htm"):
        with pytest.raises(UsageError, match=r"\.html, \.csv, \.md or \.json"):
            go("-s", "mine", "-o", tmp_path / name)
    with pytest.raises(StoreError, match="choose another file with -o"):
        go("-s", "mine", "-o", tmp_path / "no" / "x.csv")


def test_the_hook_ranks_what_is_asked_for_and_the_baseline(full: DuckStore) -> None:
    rows = rank_models(full, "", ["partial"], "")
    assert rows is not None
    assert [row["model"] for row in rows] == ["seasonal_naive", "partial"]
    every = rank_models(full, "quick", [], "")
    assert every is not None
    assert len(every) == 3


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160])
def test_a_narrow_terminal_cuts_no_name_and_no_number(full: DuckStore, go: Go, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.cli.output.PIPED", width)
    text = go().stdout
    lines = text.splitlines()
    assert max(map(len, lines)) <= width + 1
    assert any(line.startswith(" partial † ") for line in lines)
    head = next(line for line in lines if line.startswith(" model")).split()
    assert {"model", "nMASE", "nCRPS", "tasks", "failed"} <= set(head)  # one of them has failed
    assert "0.5000" in text
    gone = [name for name in ("type", "s/1k", "win_rate", "rank_CRPS", "rank_MASE", "source") if name not in head]
    said = " ".join(text.split())
    assert (f"left out, as a line has {width} characters" in said) == bool(gone)
    for name in gone:
        assert f"{name}" in said.partition("left out")[2].partition("--format csv")[0]
    assert gone == {120: ["type", "s/1k"], 160: []}.get(width, gone)


def test_groups_that_do_not_fit_go_on_in_another_table(full: DuckStore, go: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.cli.output.PIPED", 60)
    text = go("--by", "domain").stdout
    assert "nMASE by domain (1 of 2)" in text
    for group in ("Econ/Fin", "Healthcare", "Nature", "Sales", "Web/CloudOps"):
        assert text.count(f" {group} ") == 1
    assert text.count(" partial † ") == 2
    assert text.count("† not all tasks") == 1
    assert max(map(len, text.splitlines())) <= 61


def test_a_name_finds_its_modes_and_a_name_of_nobody_is_said(full: DuckStore, go: Go) -> None:
    add(full, "net", 1.0, mode="finetune")
    add(full, "net", 2.0)
    for pattern, found in (("net", ["net", "net (finetune)"]), ("net (finetune)", ["net (finetune)"]), ("net (f*", ["net (finetune)"])):
        assert sorted(row["model"] for row in records(go("-m", pattern, "--format", "csv"))) == found
    result = go("-m", "net,beter", "--format", "csv")
    assert "No model matches 'beter'. Did you mean 'better'?" in result.stderr
    assert "No model matches 'beter'. Did you mean 'better'?" in " ".join(go("-m", "net,beter").stdout.split())


def test_chosen_models_are_compared_on_tasks_they_have(full: DuckStore, go: Go) -> None:
    assert "quick: 3 models, 14 of 17 tasks" in go().stdout
    text = go("-m", "partial").stdout
    assert "quick: 1 of 3 models, 2 of 17 tasks (those that the models shown have)" in text
    assert "1/2" in text
    result = go("-m", "partial,better", "--format", "csv")
    assert [(row["done"], row["total"]) for row in records(result)] == [("3", "3"), ("1", "3")]
    assert "3 of 17 tasks" in result.stderr
    import_gift_eval(full)
    assert records(go("-m", "chronos-2", "--format", "csv"))[0]["total"] == "14"
    assert "harness leaderboard -s quick --common" in " ".join(go().stdout.split())


def test_one_line_for_one_cause(store: DuckStore, go: Go) -> None:
    add(store, "mine", 0.5)
    add(store, "mine", 0.5, TASKS[1])
    add(store, "seasonal_naive", 1.0)
    said = " ".join(go().stdout.split()).partition("mine †")[2]
    assert said.count("‡") == 2  # the row and its explanation
    assert "'seasonal_naive' has no result for 1 of the 2 tasks with results" in said
    assert f"To add them: harness run -m seasonal_naive -s quick -t {TASKS[1]}" in said
    assert said.count("† not all tasks") == 1
    assert "No model has all" in said


def test_a_command_to_type_names_the_folder_of_the_runs(store: DuckStore, go: Go) -> None:
    add(store, "mine", 0.5, receipt={"data_folder": "/my data"})
    add(store, "mine", 0.5, TASKS[1], receipt={"data_folder": "/my data"})
    said = " ".join(go().stdout.split())
    assert "-s quick --data '/my data'" in said or f"-t {TASKS[0]},{TASKS[1]} --data '/my data'" in said
    assert "/my data" not in go("--format", "md").stdout  # what is passed on says nothing of this machine
    add(store, "mine", 0.5, TASKS[2], receipt={"data_folder": "/elsewhere"})
    assert "--data" not in go().stdout


def test_models_that_were_skipped_everywhere_are_named_below(full: DuckStore, go: Go) -> None:
    why = "no forecasts are kept. To make them: harness run -t "
    for task in TASKS:
        add(full, "ens", None, task, status="skipped", reason=why + task)
    add(full, "sometimes", 1.0, TASKS[0])
    add(full, "sometimes", None, TASKS[1], status="skipped", reason="too long")
    text = go().stdout
    said = " ".join(text.split())
    assert "quick: 4 models, 14 of 17 tasks" in said
    assert not [line for line in text.splitlines() if line.startswith(" ens ")]
    assert [line for line in text.splitlines() if line.startswith(" sometimes † ")]
    assert "Left out, as skipped in every task: ens (no forecasts are kept)." in said
    assert "Left out" not in go("-m", "better").stdout
    alone = go("-m", "ens").stdout
    assert "quick: 0 of 4 models" in alone
    assert "ens (no forecasts are kept)" in alone
    assert "ens" in [row["model"] for row in records(go("--format", "csv"))]
    assert "| ens " not in go("--format", "md").stdout


def test_ranks_over_fewer_tasks_stand_in_brackets_and_what_is_lacking_is_said(store: DuckStore, go: Go) -> None:
    where = ("--where", "name in ('m4_hourly/H/short', 'hospital/M/short', 'us_births/D/short')")
    for task in TASKS:
        add(store, "seasonal_naive", 1.0, task)
        add(store, "better", 0.5, task)
    add(store, "partial", 0.1)
    add(store, "partial", None, TASKS[1])
    text = go(*where).stdout
    (line,) = [line for line in text.splitlines() if line.startswith(" partial")]
    assert line.split()[7:10] == ["(1.00)", "(1.00)", "(100.0%)"]
    (line,) = [line for line in text.splitlines() if line.startswith(" better")]
    assert line.split()[6:9] == ["1.00", "1.00", "100.0%"]
    said = " ".join(text.split())
    assert "† not all tasks: partial lacks 2 of 3 (67 %: 1 failed, 1 not run); means are over those that a model has." in said
    assert "Ranks and win rates in brackets are over those too, against the models that have all." in said


def test_one_model_alone_has_no_rank(store: DuckStore, go: Go) -> None:
    add(store, "mine", 0.5, suite="mine")
    line = next(line for line in go("-s", "mine").stdout.splitlines() if line.startswith(" mine"))
    assert line.split()[2:10] == ["own", "–", "–", "–", "–", "–", "–", "–"]


def test_why_there_are_no_intervals(store: DuckStore, go: Go) -> None:
    for task in TASKS:
        add(store, "mine", 0.5, task)
    said = " ".join(go().stdout.split())
    assert "No intervals: they are of nMASE, for which the baseline has no result here (below)." in said
    command = f"harness run -m seasonal_naive -s quick -t {','.join(TASKS)} --db {store.path}"
    assert f"To add them: {command}" in said
    assert "--db" not in go("--format", "md").stdout  # what is passed on names no folder
    add(store, "seasonal_naive", 1.0)
    said = " ".join(go().stdout.split())
    assert "No intervals: the tasks for which the baseline has a result (below) are of one or two dataset families" in said


def test_nobody_is_ranked_by_a_metric_of_unknown_direction(store: DuckStore, go: Go, tmp_path: Path) -> None:
    from harness_results.csv_import import import_csv
    from harness_results.csv_scores import read_scores

    table = tmp_path / "t.csv"
    table.write_text("model,task,accuracy,loss of mine\ngood,a,0.9,1\nbad,a,0.2,4\ngood,b,0.8,2\nbad,b,0.1,5\n")
    import_csv(store, read_scores(table, "paper"), "t")
    said = go("-s", "paper")
    assert "Nobody is ranked: of accuracy, loss of mine it is not known that lower is better" in " ".join(said.stdout.split())


def test_a_gate_is_over_the_whole_suite_and_wants_every_model(full: DuckStore, go: Go) -> None:
    held = go("-s", "quick", "-m", "partial", "--fail-if", "coverage<1")  # without the gate: only the tasks that it has
    assert "gate coverage<1: partial has coverage" in held.stderr
    with pytest.raises(NothingMatched, match=r"no model matches 'my_modle'"):
        go("-s", "quick", "-m", "partial,my_modle", "--fail-if", "nMASE>5")


def test_models_with_the_same_tasks_compare_as_they_are(store: DuckStore, go: Go) -> None:
    for task in TASKS[:2]:
        add(store, "seasonal_naive", 1.0, task)
        add(store, "mine", 0.5, task)
    text = go().stdout
    assert "† all on the same 2 of 14 tasks." in text
    assert "No model has all" not in text and "--common" not in text and "(1.00)" not in text
    assert "No intervals: the tasks are of one or two dataset families" in " ".join(text.split())
    add(store, "mine", 0.5, TASKS[2])
    assert "No model has all" in " ".join(go().stdout.split())


def test_a_limit_that_nobody_ran_names_those_there_are(store: DuckStore, go: Go) -> None:
    add(store, "mine", 0.5, scope="limit=7")
    with pytest.raises(NothingMatched, match="no results of suite 'quick' with --limit 11; there are some with --limit 7"):
        go("-s", "quick", "--limit", "11")


def test_a_baseline_that_failed_is_to_be_mended(store: DuckStore, go: Go) -> None:
    add(store, "mine", 0.5)
    add(store, "seasonal_naive", None)
    said = " ".join(go().stdout.split())
    assert "'seasonal_naive' failed for 1 of the 1 task with results, which has no ratio" in said
    assert f"-t {TASKS[0]}" in said and "--rerun failed" in said


def test_tasks_of_others_that_the_baseline_lacks_are_said_and_a_model_that_has_them(store: DuckStore, go: Go) -> None:
    add(store, "seasonal_naive", 1.0)
    add(store, "mine", 0.5)
    import_gift_eval(store)
    results = collect(store, "quick")
    own = [m for m, entry in enumerate(results.entries) if entry.source == "own"]
    kept = next(r for r, task in enumerate(results.tasks) if task["name"] == TASKS[0])
    results.baselines = {
        name: np.where(np.arange(len(results.tasks)) == kept, results.scores[name][own[0]], np.nan) for name in results.scores
    }
    (line,) = baseline_notes(results, "quick")
    assert line.startswith("‡ The baseline 'seasonal_naive' has no result for 13 of the 14 tasks with results")
    assert "the means are over 1. " in line and "--baseline " in line


def test_a_suite_with_brackets_is_quoted(store: DuckStore, go: Go) -> None:
    for task in ("a", "b"):
        add(store, "mine", 0.5, task, suite="s[stride=12]")
    add(store, "other", 0.5, "a", suite="s[stride=12]")
    assert "harness leaderboard -s 's[stride=12]' --common" in " ".join(go().stdout.split())


def test_a_score_of_two_words_stands_in_brackets() -> None:
    rows: list[dict[str, Any]] = [{"compared_by": ["mean MASE", "mean MAE"]}]
    assert [render._named(name, rows) for name in ("nMASE", "rank_CRPS", "model")] == ["n(mean MASE)", "rank_(mean MAE)", "model"]
