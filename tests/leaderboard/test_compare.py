"""`harness compare`: its numbers by plain loops, its words, and what it makes of few tasks, gaps and hostile names."""

from __future__ import annotations

import csv
import doctest
import itertools
import json
import math
import shutil
import sys
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import click
import duckdb
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from scipy import stats

import harness
from harness.errors import HarnessError, NothingMatched, UsageError
from harness.spool import CellWriter
from harness_leaderboard import choose, compare_words
from harness_leaderboard.aggregate import Entry, Results
from harness_leaderboard.bootstrap import difference, told_apart, units_of
from harness_leaderboard.choose import choose_metric, choose_model
from harness_leaderboard.collect import collect
from harness_leaderboard.columns import NUMBERS
from harness_leaderboard.compare import compare, flat, summary
from harness_leaderboard.compare_windows import compare_windows
from harness_leaderboard.compare_words import share, verdict, without
from harness_leaderboard.plugin import register_commands
from harness_results.csv_import import import_csv
from harness_results.csv_scores import read_scores
from harness_results.fev_import import import_fev
from harness_results.store import DuckStore

NAN, INF = math.nan, math.inf
MASE, CRPS = "MASE[0.5]", "mean_weighted_sum_quantile_loss"
TASKS = ("m4_hourly/H/short", "hospital/M/short", "us_births/D/short")
COUNTER = itertools.count()
COSTS = {f.name for f in fields(Results) if f.default is f.default_factory is MISSING} - {
    *("tasks", "entries", "scores", "baselines", "status", "seeds"),
}
"""What else `Results` wants; no part of a comparison."""
HOSTILE = "=cmd|' /C calc'!A0<script>alert(1)</script>\n\x1b[31m\u202e" + "x" * 10_000
Go = Callable[..., Result]


def make(mase: Any, families: str = "", sources: str = "", stale: Any = None) -> Results:
    """Models a, b, c, … with these scores [M][R]; the baseline scores 2 on every task."""
    scores = np.array(mase, np.float64)
    count, tasks = scores.shape
    families = families or "abcdefghijklmnopqrstuvwxyz"[:tasks]
    about = [
        {"name": f"t{r}", "family": f, "domain": "XY"[r % 2], "term": "short", "freq": "D", "horizon": 1} for r, f in enumerate(families)
    ]
    names = [
        Entry("abcdef"[m], (sources or "o" * count)[m].replace("o", "own").replace("g", "gift-eval"), "zero-shot", "", "")
        for m in range(count)
    ]
    return Results(
        tasks=about,
        entries=names,
        scores={MASE: scores, CRPS: scores / 2},
        baselines={MASE: np.full(tasks, 2.0), CRPS: np.ones(tasks)},
        status=np.where(np.isnan(scores), "", "ok"),
        seeds=np.ones(count, np.int64),
        stale=stale,
        **{name: np.zeros(count) for name in COSTS},
    )


def random_pair(shift: float = 0.0, tasks: int = 24, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.exp(random.normal([[0], [shift]], 0.2, (2, tasks)))


@pytest.mark.parametrize("module", [choose, compare_words])
def test_worked_numbers(module: Any) -> None:
    result = doctest.testmod(module)
    assert (result.failed, result.attempted > 0) == (0, True)


def test_the_summary_by_plain_loops() -> None:
    mine, other = random_pair()
    mine[0], mine[1], other[1], mine[2], other[3], mine[4] = NAN, 0.0, 1.0, other[2], INF, 0.0
    other[4] = 0.0
    families = list("aabbccddeeffgghhiijjkkll")
    row = summary(mine, other, families)
    logs, wins, ties, losses = [], 0, 0, 0
    for a, b in zip(mine, other, strict=True):
        if math.isnan(a) or math.isnan(b):
            continue
        wins, ties, losses = wins + (a < b), ties + (a == b), losses + (a > b)
        if a > 0 and b > 0 and math.isfinite(a) and math.isfinite(b):
            logs.append(math.log(a / b))
    assert [row[k] for k in ("tasks", "wins", "ties", "losses", "undefined")] == [23, wins, ties, losses, 3]
    assert ties == 2
    assert row["ratio"] == pytest.approx(math.exp(sum(logs) / len(logs)))
    assert row["difference"] == pytest.approx(row["ratio"] - 1)
    assert (row["effective_families"], row["families"]) == (10, 12)  # 20 pairs with a ratio: 400 / (8 · 4 + 4)


def test_the_interval_is_that_of_the_bootstrap_and_decides() -> None:
    families = list("aabbccddeeffgghhiijjkkll")
    for shift, expected in ((0.5, "better"), (0.0, "undecided"), (-0.5, "worse")):
        mine, other = random_pair(shift)
        row = summary(mine, other, families)
        gap = difference(np.log(mine), np.log(other), units_of(families))
        assert (math.log1p(row["low"]), math.log1p(row["high"]), row["p"]) == pytest.approx((gap.low, gap.high, gap.p))
        assert row["verdict"] == expected
        assert (row["low"] <= 0 <= row["high"]) == (expected == "undecided")
        back = summary(other, mine, families)
        assert (back["wins"], back["ties"], back["losses"]) == (row["losses"], row["ties"], row["wins"])
        assert back["ratio"] == pytest.approx(1 / row["ratio"])


@pytest.mark.parametrize("tasks", [1, 7])
def test_one_family_is_too_few(tasks: int) -> None:
    found = compare(make([[1.0] * tasks, [4.0] * tasks], "a" * tasks), 0, 1, MASE)
    assert found["whole"]["verdict"] == "too few"
    assert math.isnan(found["whole"]["low"])
    assert found["tests"]["families"] == 1
    words = verdict(found["whole"], "a", "b", "s", "nMASE")
    assert words.startswith("Too few to tell whether a or b is better on s: 1 family, ")
    assert "one or two dataset families (or nearly) say too little of others. The nMASE of a is 75 % lower; it wins" in words
    assert "better than" not in words
    assert "family" not in found["drivers"]  # nothing is left without the only one


def test_few_families_have_a_wide_interval_and_it_is_said() -> None:
    found = compare(make([[1.0, 2.0, 1.5], [1.6, 2.2, 1.5]]), 0, 1, MASE)
    gaps = np.log([1 / 1.6, 2 / 2.2, 1.0])
    row = found["whole"]
    assert row["p"] == pytest.approx(stats.ttest_1samp(gaps, 0).pvalue)
    assert (row["verdict"], row["effective_families"]) == ("undecided", 3)
    said = compare_words.unit_note(row)
    assert said == "The interval is Student's t, and wide: 3 families of these sizes weigh as much as 3 of one size."
    assert compare_words.test_lines(found["tests"], row, "a", "b")[0].startswith("Student's t over 3 families: p ")


def test_equal_models_tie() -> None:
    mine, _ = random_pair()
    found = compare(make([mine, mine * (1 + 1e-9)]), 0, 1, MASE)
    assert (found["whole"]["verdict"], found["whole"]["ties"]) == ("equal", 24)
    assert found["drivers"]["for"] == found["drivers"]["against"] == []
    assert "have the same nMASE on s: they tie on all tasks" in verdict(found["whole"], "a", "b", "s", "nMASE")
    assert found["tests"]["wilcoxon_p"] == found["tests"]["sign_p"] == 1


def test_scores_are_relative_to_the_baseline_on_common_tasks() -> None:
    found = compare(make([[1.0, 4.0, NAN], [2.0, 2.0, 9.0]]), 0, 1, MASE)
    assert (found["whole"]["score_a"], found["whole"]["score_b"]) == pytest.approx((1.0, 1.0))
    assert found["coverage"] == {"only_a": [], "only_b": ["t2"], "neither": 0, "stale_a": 0, "stale_b": 0}
    numbers = flat(found, "nMASE")
    assert numbers["only_B"] == 1
    assert list(numbers) == list(NUMBERS)
    assert all(not math.isnan(value) or NUMBERS[name].null for name, value in numbers.items())


def test_nothing_in_common_is_said() -> None:
    with pytest.raises(NothingMatched, match=r"no task for which both have a MASE: a has 1, b has 1 of 2"):
        compare(make([[1.0, NAN], [NAN, 1.0]]), 0, 1, MASE)


def test_only_zeros_have_no_ratio_and_still_win() -> None:
    whole = compare(make([[0.0] * 7, [1.0] * 7]), 0, 1, MASE)["whole"]
    assert (whole["wins"], whole["undefined"], whole["verdict"]) == (7, 7, "too few")
    assert "without a ratio" in verdict(whole, "a", "b", "s", "nMASE")


def test_drivers_add_up_and_the_strongest_family_is_left_out() -> None:
    random = np.random.default_rng(1)
    mine, other = np.exp(random.normal(0, 0.02, (2, 20)))
    mine[[0, 1]] = other[[0, 1]] / 10
    families = list("aabcdefghijklmnopqrs")
    found = compare(make([mine, other], "".join(families)), 0, 1, MASE)
    drivers = found["drivers"]
    assert [row["task"] for row in drivers["for"][:2]] == ["t0", "t1"] or [row["task"] for row in drivers["for"][:2]] == ["t1", "t0"]
    assert drivers["for"][0]["adds"] == pytest.approx(-math.log(10) / 20)
    assert (drivers["family"], len(drivers["for"]), len(drivers["against"])) == ("a", 5, 5)
    assert drivers["without"] == pytest.approx(summary(mine[2:], other[2:], families[2:]))
    assert all(row["adds"] > 0 for row in drivers["against"])
    changed = without(drivers, {**found["whole"], "verdict": "better"}, "a", "nMASE")
    assert "The family 'a' adds" in changed
    assert "the verdict changes, they cannot be told apart" in changed
    assert without(drivers, {**found["whole"], "verdict": drivers["without"]["verdict"]}, "a", "n").endswith("the verdict stays.")


def test_groups_are_summaries_of_their_tasks() -> None:
    mine, other = random_pair()
    found = compare(make([mine, other]), 0, 1, MASE)
    assert list(found["groups"]) == ["domain"]  # one term only: no table of it
    row = found["groups"]["domain"][1]
    assert row == pytest.approx({"group": "Y", **summary(mine[1::2], other[1::2], list("bdfhjlnprtvx"))})


def test_rank_tests_are_over_families() -> None:
    mine, other = random_pair(0.3)
    families = list("aabbccddeeffgghhiijjkkll")
    found = compare(make([mine, other], "".join(families)), 0, 1, MASE)["tests"]
    gaps = np.log(mine / other).reshape(12, 2).mean(axis=1)
    assert found["families"] == 12
    assert found["wilcoxon_p"] == pytest.approx(stats.wilcoxon(gaps).pvalue)
    assert found["sign_p"] == pytest.approx(stats.binomtest(int((gaps < 0).sum()), 12).pvalue)


def test_stale_results_are_counted() -> None:
    stale = np.array([[True, True, False], [False, False, True]])
    found = compare(make([[1.0, 1, 1], [2.0, NAN, 2]], stale=stale), 0, 1, MASE)
    assert (found["coverage"]["stale_a"], found["coverage"]["stale_b"]) == (1, 1)


def test_shares_in_words() -> None:
    assert [share(x) for x in (-0.0003, -0.5, 0.0996, 9.0, NAN, INF)] == [
        "0.03 % lower",
        "50 % lower",
        "10 % higher",
        "10 times as high",
        "without a ratio",
        "inf times as high",
    ]


def test_names_choose_source_and_mode() -> None:
    results = make(np.ones((5, 1)), sources="oggoo")
    entries = [
        ("m", "own", "zero-shot"),
        ("m", "gift-eval", "published"),
        ("p@q", "gift-eval", "published"),
        ("n", "own", "finetune"),
        ("n", "own", "full"),
    ]
    results.entries = [Entry(model, source, mode, "", "", model) for model, source, mode in entries]
    assert choose_model(results, "m") == (0, "m: own results; for the imported ones: 'm@gift-eval'")
    assert choose_model(results, "m@gift-eval") == (1, "")
    assert choose_model(results, "m@own") == (0, "")
    assert choose_model(results, "m", ["gift-eval"]) == (1, "")
    assert choose_model(results, "p@q")[0] == choose_model(results, "p@q@gift-eval")[0] == 2
    assert choose_model(results, "n (full)") == (4, "")
    with pytest.raises(UsageError, match=r"'n' names 2 results; name one: 'n \(finetune\)', 'n \(full\)'"):
        choose_model(results, "n")
    with pytest.raises(NothingMatched, match="Did you mean 'p@q'"):
        choose_model(results, "p@")
    with pytest.raises(NothingMatched, match=r"no results of model 'm@elsewhere'\. Did you mean 'm@gift-eval'"):
        choose_model(results, "m@elsewhere")
    with pytest.raises(NothingMatched) as caught:
        choose_model(results, HOSTILE)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


def test_metrics_are_found_by_short_names() -> None:
    results = make([[1.0], [1.0]])
    results.scores |= {"MAE[0.5]": np.ones((2, 1)), "MSE[mean]": np.ones((2, 1)), "MSE[0.5]": np.ones((2, 1))}
    found = [choose_metric(results, name) for name in ("MASE", "crps", "MAE", "MSE[mean]")]
    assert found == [MASE, CRPS, "MAE[0.5]", "MSE[mean]"]
    with pytest.raises(UsageError, match=r"names 2 metrics; name one: MSE\[0.5\], MSE\[mean\]"):
        choose_metric(results, "MSE")
    with pytest.raises(UsageError, match="Did you mean 'MASE'"):
        choose_metric(results, "MSAE")
    results.scores = {"fev:MASE": np.ones((2, 1)), "fev:WQL": np.ones((2, 1)), "a:b:ND[0.5]": np.ones((2, 1))}
    assert [choose_metric(results, name) for name in ("MASE", "wql", "fev:WQL", "ND", "nd[0.5]")] == [
        *("fev:MASE", "fev:WQL", "fev:WQL", "a:b:ND[0.5]", "a:b:ND[0.5]"),
    ]
    results.scores |= {"paper:MASE": np.ones((2, 1))}
    with pytest.raises(UsageError, match="names 2 metrics; name one: fev:MASE, paper:MASE"):
        choose_metric(results, "MASE")


@pytest.mark.parametrize("typed", ["MASE", "CRPS", "mase", "MASE[0.5]", "nonsense", HOSTILE])
def test_what_was_typed_is_not_suggested(typed: str) -> None:
    results = make([[1.0], [1.0]])
    results.scores = {"MSIS": np.ones((2, 1)), "own": np.ones((2, 1))}
    with pytest.raises(UsageError, match="there is no such metric") as caught:
        choose_metric(results, typed)
    assert f"Did you mean '{typed}'" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_the_verdict_is_that_of_the_leaderboards_letters(published_results: Results) -> None:
    results = published_results
    families = [str(task["family"]) for task in results.tasks]
    chosen = np.random.default_rng(0).choice(len(results.entries), 12, replace=False)
    logs = np.log(results.mase[chosen])
    signs = {1: "better", -1: "worse", 0: "undecided"}
    apart = told_apart(logs, units_of(families))
    for i, j in itertools.combinations(range(12), 2):
        assert summary(results.mase[chosen[i]], results.mase[chosen[j]], families)["verdict"] == signs[int(apart[i, j])]
    assert len(set(apart[np.triu_indices(12, 1)].tolist())) == 3


# ── the command ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def store(tmp_path: Path) -> DuckStore:
    return DuckStore(tmp_path / "x.duckdb")


def add(store: DuckStore, model: str, mase: float, task: str = TASKS[0], **changes: Any) -> None:
    number = next(COUNTER)
    row = {
        "result_id": f"r{number}",
        "cell_id": f"c{number}",
        "suite": "quick",
        "task": task,
        "model": model,
        "model_name": f"stored {model}",  # not installed: whether it has changed is not looked at
        "mode": "zero-shot",
        "protocol": "gift-eval/1",
        "status": "ok",
        "scores": {MASE: mase, CRPS: mase / 2},
        "finished_at": f"2026-01-01T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}",
        **changes,
    }
    CellWriter(store.spool, f"r{number}", pa.schema([("window", pa.int64())])).commit(row)


def runner(db: Path) -> Go:
    cli = click.Group()
    register_commands(cli)

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(cli, ["compare", *map(str, arguments), "--db", str(db)], standalone_mode=False)
        if isinstance(result.exception, HarnessError):
            raise result.exception
        assert result.exception is None, result.exception
        return result

    return run


@pytest.fixture
def go(store: DuckStore) -> Go:
    return runner(store.path)


def test_published_models_with_own_ones(store: DuckStore, go: Go, published_db: Path) -> None:
    shutil.copy(published_db, store.path)
    found = json.loads(go("TurkForecast-FM-Chronos2-LoRA-v1", "chronos-2", "-s", "gift-eval", "--json").stdout)
    assert found["verdict"] == "undecided"
    assert found["numbers"]["nMASE_A"] == pytest.approx(0.6582, abs=5e-5)
    assert found["numbers"]["nMASE_B"] == pytest.approx(0.6978, abs=5e-5)
    assert found["numbers"]["nMASE_ratio"] == pytest.approx(0.6582 / 0.6978, abs=2e-4)
    assert found["drivers"]["for"][0]["task"] == "covid_deaths/D/short"
    assert found["groups"]["term"][1]["verdict"] == "equal"  # medium and long are those of the model it was made from
    add(store, "chronos-2", 0.5)
    text = go("chronos-2", "chronos-2@gift-eval", "-s", "quick").stdout
    assert "Too few to tell whether chronos-2 (own) or chronos-2 (gift-eval) is better on quick" in text
    assert "Diebold-Mariano" not in text
    said = " ".join(go("chronos-2", "naive", "-s", "quick").stdout.split())
    assert "chronos-2: own results; for the imported ones: 'chronos-2@gift-eval'" in said
    assert "† Only naive (gift-eval) has 13 tasks, which are left out" in said
    assert go("chronos-2", "naive@gift-eval", "-s", "quick", "--metric", "CRPS").stdout.count("nCRPS") >= 2


def test_gates_end_with_code_four(store: DuckStore, go: Go) -> None:
    for task in TASKS:
        add(store, "old", 1.0, task)
        add(store, "new", 1.1, task)
    assert go("new", "old", "--fail-if", "difference>20%").return_value == 0
    result = go("new", "old", "--fail-if", "difference > 5%", "--fail-if", "wins>2")
    assert result.return_value == 4
    assert result.stderr.strip() == "gate difference > 5%: new against old has difference 0.1"
    result = go("new", "old", "--json", "--fail-if", "difference_low>0", "--where", "horizon = 48")  # one task: no interval
    assert result.return_value == 4
    assert json.loads(result.stdout)["breaches"] == ["gate difference_low>0: new against old has no difference_low"]
    with pytest.raises(UsageError, match="Did you mean 'difference'"):
        go("new", "old", "--fail-if", "diference>1")


def test_what_cannot_be_compared_is_said(store: DuckStore, go: Go) -> None:
    add(store, "mine", 1.0)
    add(store, "other", 1.0, TASKS[1])
    with pytest.raises(UsageError, match="both names are of the same results"):
        go("mine", "mine@own")
    with pytest.raises(NothingMatched, match="Did you mean 'mine'"):
        go("mien", "other")
    with pytest.raises(NothingMatched, match="no task for which both have"):
        go("mine", "other")
    with pytest.raises(UsageError, match="--where"):
        go("mine", "other", "--where", "nonsense = 1")


def test_parts_of_a_suite_and_of_tasks(store: DuckStore, go: Go) -> None:
    for i, task in enumerate(TASKS):
        add(store, "old", 1.0, task)
        add(store, "new", 0.5 + i, task)
        add(store, "old", 1.0, task, scope="limit=2")
        add(store, "new", 3.0, task, scope="limit=2")
    add(store, "new", 1.5, TASKS[0], seed=1)  # the mean of two seeds is 1.0

    def numbers(*arguments: str) -> dict[str, Any]:
        return dict(json.loads(go("new", "old", "--json", *arguments).stdout)["numbers"])

    assert numbers()["nMASE_ratio"] == pytest.approx((1.0 * 1.5 * 2.5) ** (1 / 3))
    one = numbers("--where", f"name = '{TASKS[1]}'")
    assert (one["tasks"], one["nMASE_ratio"], one["nMASE_A"]) == (1, pytest.approx(1.5), None)  # no baseline
    assert numbers("--limit", "2")["nMASE_ratio"] == pytest.approx(3.0)
    assert numbers("--metric", "CRPS")["nCRPS_ratio"] == pytest.approx((1.0 * 1.5 * 2.5) ** (1 / 3))
    assert "6 results of parts of tasks are left out" in " ".join(go("new", "old").stdout.split())


def test_hostile_names_are_text(store: DuckStore, go: Go) -> None:
    add(store, HOSTILE, 1.0)
    add(store, "plain", 2.0)
    for result in (go(HOSTILE, "plain"), go("plain", HOSTILE)):
        assert "\x1b" not in result.stdout
        assert "\u202e" not in result.stdout
        assert max(map(len, result.stdout.splitlines())) < 500
    assert json.loads(go(HOSTILE, "plain", "--json").stdout)["a"]["label"].startswith("=cmd")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    db = tmp_path_factory.mktemp("compare") / "x.duckdb"
    harness.run(
        "naive,drift", db=db, progress="none", tasks="covid_deaths/D/short,us_births/D/short,bizitobs_l2c/H/short", isolation="inprocess"
    )
    return db


def test_diebold_mariano_from_stored_windows_by_loops(ran: Path) -> None:
    store = DuckStore(ran)
    results = collect(store, "quick")
    names = [entry.model for entry in results.entries]
    a, b = names.index("naive"), names.index("drift")
    for metric, sums in ((MASE, ("scaled_error", "n_scaled")), (CRPS, ("quantile_loss", "n"))):
        found = compare_windows(store, results, a, b, metric)
        assert found["tasks"]
        for row in found["tasks"]:
            losses = []
            for model in (a, b):
                (cell,) = results.cells[model, row["task"]]
                windows = store.query("SELECT * FROM main.windows WHERE result_id = $1", [cell.result_id]).to_pylist()
                at: dict[Any, list[float]] = {}
                for window in windows:
                    if window[sums[1]]:
                        total = window[sums[0]]
                        pair = at.setdefault(window["cutoff"], [0.0, 0.0])
                        pair[0] += sum(total) / len(total) if isinstance(total, list) else total
                        pair[1] += window[sums[1]]
                losses.append([at[cutoff][0] / at[cutoff][1] for cutoff in sorted(at)])
            assert (row["reach"], row["cutoffs"]) == (1, len(losses[0]))  # windows one after the other
            expected = stats.ttest_rel(*losses)  # which the test is for windows that do not overlap
            assert (row["statistic"], row["p"]) == pytest.approx((expected.statistic, expected.pvalue))
        assert found["a_better"] + found["b_better"] + found["undecided"] == len(found["tasks"])
        assert found["no_answer"]["covid_deaths/D/short"] == "1 cutoff, wanted 8"
    assert compare_windows(store, results, a, b, "MSIS")["tasks"] == []


def test_diebold_mariano_is_told(ran: Path) -> None:
    go = runner(ran)
    text = " ".join(go("naive", "drift", "-s", "quick").stdout.split())
    assert "naive and drift cannot be told apart on quick" in text
    assert "Student's t over 3 families" in text
    found = json.loads(go("naive", "drift", "--json").stdout)
    assert set(found["tests"]["diebold_mariano"]) == {"a_better", "b_better", "undecided", "tasks", "no_answer"}
    same = json.loads(go("drift", "naive", "--json").stdout)["tests"]["diebold_mariano"]
    assert same["a_better"] == found["tests"]["diebold_mariano"]["b_better"]


def fev_rows(model: str, factor: float) -> list[dict[str, Any]]:
    """A model's rows on nine tasks as fev writes them."""
    return [
        {
            "model_name": model, "dataset_path": "x", "dataset_config": f"set{i}_1D", "horizon": 8, "num_windows": 2, "seasonality": 7,
            "eval_metric": "SQL", "task_name": f"task{i}", "test_error": 0.5 * factor**i, "inference_time_s": 1.0, "fev_version": "0.10.0",
            "SQL": 0.5 * factor**i, "MASE": 1.0 * factor**i, "WQL": 0.1 * factor**i,
        }
        for i in range(1, 10)
    ]  # fmt: skip


def test_a_suite_of_fev_is_compared_by_its_own_metrics(store: DuckStore, go: Go, tmp_path: Path) -> None:
    rows = [row for model, factor in (("seasonal_naive", 1.0), ("better", 0.9)) for row in fev_rows(model, factor)]
    with (tmp_path / "fev.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    import_fev(store, tmp_path / "fev.csv")
    mean = sum(range(1, 10)) / 9 * math.log(0.9)
    for arguments, full in (((), "fev:MASE"), (("--metric", "MASE"), "fev:MASE"), (("--metric", "wql"), "fev:WQL")):
        found = json.loads(go("better", "seasonal_naive", "-s", "fev", "--json", *arguments).stdout)
        assert (found["metric"], found["verdict"]) == (full, "better")
        short = full.partition(":")[2]
        assert found["numbers"][f"n{short}_ratio"] == pytest.approx(math.exp(mean))
        assert go("better", "seasonal_naive", "-s", "fev", *arguments, "--fail-if", f"n{short}_ratio<1").return_value == 4
    said = " ".join(go("better", "seasonal_naive", "-s", "fev").stdout.split())
    assert f"better is better than seasonal_naive on fev: its nMASE is {-100 * math.expm1(mean):.0f} % lower (95 % interval" in said
    with pytest.raises(NothingMatched, match=r"'fev', which has published results alone; published results have no windows"):
        go("better", "seasonal_naive", "-s", "fev", "--windows", "slot = 0")


def test_metrics_that_nobody_ranks_by_are_refused_with_the_reason(store: DuckStore, go: Go, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("model,task,WAPE,accuracy,glow\na,t,1,0.5,3\nb,t,2,0.6,4\n")
    import_csv(store, read_scores(tmp_path / "t.csv", "paper"), "paper")
    assert json.loads(go("a", "b", "-s", "paper", "--json").stdout)["numbers"]["nWAPE_ratio"] == pytest.approx(0.5)
    with pytest.raises(UsageError, match=r"--metric Accuracy: a lower accuracy is not better; compare by another: WAPE$"):
        go("a", "b", "-s", "paper", "--metric", "Accuracy")
    with pytest.raises(
        UsageError, match=r"whether a lower glow is better is not known; if it is, import the table again with --lower 'glow'"
    ):
        go("a", "b", "-s", "paper", "--metric", "glow")
    (tmp_path / "t.csv").write_text("model,task,glow\na,t,3\nb,t,4\n")
    import_csv(store, read_scores(tmp_path / "t.csv", "other"), "other")
    with pytest.raises(UsageError, match=r"nothing to compare by: of glow it is not known that lower is better; .*--lower 'glow'"):
        go("a", "b", "-s", "other")


def test_slices_are_those_of_the_leaderboard(ran: Path) -> None:
    go = runner(ran)

    def of(*arguments: str) -> dict[str, Any]:
        return dict(json.loads(go("naive", "drift", "--json", *arguments).stdout))

    whole, half = of(), of("--windows", "slot < 4")
    assert half["numbers"]["difference"] != pytest.approx(whole["numbers"]["difference"])
    assert "on quick (windows where slot < 4)" in half["words"]
    tested = {row["task"]: row["cutoffs"] for row in whole["tests"]["diebold_mariano"]["tasks"]}
    assert set(half["tests"]["diebold_mariano"]["no_answer"].values()) == {"4 cutoffs, wanted 8", "1 cutoff, wanted 8"}
    assert min(tested.values()) >= 8
    assert whole["numbers"]["nMASE_B"] is None  # no seasonal_naive here
    assert of("--baseline", "drift")["numbers"]["nMASE_B"] == pytest.approx(1.0)
    assert of("--common")["numbers"]["tasks"] == whole["numbers"]["tasks"]
    assert not any("baseline" in note for note in whole["notes"])


def test_cutoffs_that_one_of_two_lacks_are_gaps(ran: Path, tmp_path: Path) -> None:
    db = shutil.copy(ran, tmp_path / "copy.duckdb")
    task = "us_births/D/short"
    with duckdb.connect(str(db)) as connection:
        chosen = "result_id IN (SELECT result_id FROM cells WHERE task = $1 AND model = $2)"
        connection.execute(f"DELETE FROM windows WHERE slot = 3 AND {chosen}", [task, "naive"])
        connection.execute(f"UPDATE windows SET n_scaled = 0, scaled_error = NULL WHERE slot = 5 AND {chosen}", [task, "drift"])
    results = collect(DuckStore(ran), "quick")
    names = [entry.model for entry in results.entries]
    pair = names.index("naive"), names.index("drift")
    before = {row["task"]: row for row in compare_windows(DuckStore(ran), results, *pair, MASE)["tasks"]}[task]
    after = {row["task"]: row for row in compare_windows(DuckStore(db), results, *pair, MASE)["tasks"]}[task]
    assert (after["cutoffs"], after["reach"]) == (before["cutoffs"] - 2, before["reach"])


def test_two_models_are_compared_without_scipy(ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "scipy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "scipy", None)  # importing it fails
    found = json.loads(runner(ran)("naive", "drift", "--json").stdout)
    assert 0 < found["numbers"]["p_wilcoxon"] <= 1
    assert all(0 <= row["p"] <= 1 for row in found["tests"]["diebold_mariano"]["tasks"])


def test_windows_of_scores_that_no_plugin_computes_are_refused(store: DuckStore, go: Go) -> None:
    for model in ("mine", "other"):
        add(store, model, 1.0, "task1", suite="fev", dialect="fev", protocol="fev:x", scores={"fev:MASE": 1.0, "fev:SQL": 1.0})
    with pytest.raises(NothingMatched, match=r"whose scores fev:MASE, fev:SQL no plugin here computes from windows; leave --windows out"):
        go("mine", "other", "-s", "fev", "--windows", "slot = 0")
