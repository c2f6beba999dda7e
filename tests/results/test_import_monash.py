"""The published results of the Monash archive: what is bundled, tables of one's own, and where on a leaderboard they stand."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from harness.cli import build
from harness.errors import DataError, UsageError
from harness_results.dialects.infos import MONASH
from harness_results.gift_eval_import import import_gift_eval
from harness_results.imported import suite_tasks
from harness_results.monash_files import dataset_task, read_snapshot, read_table
from harness_results.monash_import import ABOUT, REISSUED, import_monash
from harness_results.store import DuckStore
from harness_tasks.monash_table import MONASH as TABLE

EVALUATED = [row.name for row in TABLE if row.evaluated]


@pytest.fixture
def store(tmp_path: Path) -> DuckStore:
    return DuckStore(tmp_path / "harness.duckdb")


@pytest.fixture(scope="module")
def oracles() -> Path:
    folder = Path(os.environ.get("HARNESS_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data") / "oracles"
    if not (folder / "monash_mean_mase.csv").is_file():
        pytest.skip(f"the archive's published tables are not at {folder}; HARNESS_TEST_DATA names its parent")
    return folder


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(build(), list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def scores_of(store: DuckStore, model: str) -> dict[tuple[str, str], float]:
    sql = "SELECT c.task, s.metric, s.value FROM cells c JOIN scores s USING (result_id) WHERE c.model = $1"
    return {(row["task"], row["metric"]): row["value"] for row in store.query(sql, [model]).to_pylist()}


def test_what_is_bundled(store: DuckStore) -> None:
    done = import_monash(store)
    assert (done.models, done.rows) == (12, 503)
    assert "issued again" in done.warnings[0] and set(REISSUED) <= set(EVALUATED)
    stored = store.query("SELECT DISTINCT source, suite, mode, protocol, dialect, scope, status FROM cells").to_pylist()
    assert stored == [
        {
            "source": "monash",
            "suite": "monash",
            "mode": "published",
            "protocol": "monash/1",
            "dialect": "monash",
            "scope": "",
            "status": "ok",
        }
    ]
    ets = scores_of(store, "ETS")
    assert {task for task, _ in ets} == set(EVALUATED)
    assert {metric for _, metric in ets} == {"monash:mean MASE", "monash:mean MAE"}
    assert ets["hospital", "monash:mean MASE"] == 0.765
    assert ets["rideshare_without_missing", "monash:mean MASE"] == 4.04
    assert ets["bitcoin_without_missing", "monash:mean MAE"] == 1.1e18
    assert ("m4_hourly", "monash:mean MAE") not in ets
    assert ("tourism_monthly", "monash:mean MASE") not in scores_of(store, "FFNN"), "a doubtful cell is left out"
    row = store.query("SELECT * FROM models WHERE name = 'ETS'").to_pylist()[0]
    assert (row["source"], row["model_type"], json.loads(row["info"])["metrics"]) == ("monash", "statistical", "mean MASE, mean MAE")
    assert set(store.query("SELECT name FROM models")["name"].to_pylist()) == set(ABOUT)


def test_the_bundled_numbers_are_those_of_the_printed_tables(oracles: Path) -> None:
    tasks = suite_tasks("monash")
    bundled = read_snapshot(tasks)
    for file, metric in (("monash_mean_mase.csv", "mean MASE"), ("monash_mae_raw.csv", "mean MAE")):
        printed = read_table(oracles / file, tasks, metric)
        wrong = {key for key, values in printed.items() if bundled.get(key, {}).get(metric) != values[metric]}
        assert wrong == ({("FFNN", "tourism_monthly")} if metric == "mean MASE" else set())
        lines = list(csv.reader((oracles / file).read_text(encoding="utf-8").splitlines()))[1:]
        assert {dataset_task(line[0], tasks) for line in lines} == {task for _, task in printed}
        total = sum(float(cell) for line in lines for cell in line[1:13] if cell.strip() not in ("", "-"))
        assert total == pytest.approx(sum(values[metric] for values in printed.values()), rel=1e-12)


def test_each_name_means_the_file_that_was_evaluated() -> None:
    for name in EVALUATED:
        assert dataset_task(name, EVALUATED) == dataset_task(f"{name}_dataset.tsf", EVALUATED) == name
    names = {"KDD Cup": "kdd_cup_2018_without_missing", "Kaggle Daily": "kaggle_web_traffic_without_missing", "M4Q": "m4_quarterly"}
    names |= {"CIF 2016": "cif_2016", "Aus. Electricity Demand": "australian_electricity_demand", "Saugeen River Flow": "saugeenday"}
    assert {name: dataset_task(name, EVALUATED) for name in names} == names
    assert dataset_task("weather forecast", EVALUATED) is None


def test_importing_again_replaces(store: DuckStore, tmp_path: Path) -> None:
    import_monash(store)
    table = tmp_path / "mine.csv"
    table.write_text("dataset,ETS,Mine,note\nHospital,0.7,0.6,x\nM4 Weekly,-,0.5,\n")
    done = import_monash(store, table)
    assert (done.models, done.rows) == (2, 3)
    assert scores_of(store, "ETS") == {("hospital", "monash:mean MASE"): 0.7}
    assert scores_of(store, "Mine") == {("hospital", "monash:mean MASE"): 0.6, ("m4_weekly", "monash:mean MASE"): 0.5}
    assert len(scores_of(store, "SES")) > 60


def test_a_table_of_results_with_other_metrics(store: DuckStore, tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("model,task,median MASE,monash:mean sMAPE\r\nA,hospital,0.5,\r\nA,us_births,,0.2\r\n")
    assert import_monash(store, table).rows == 2
    assert scores_of(store, "A") == {("hospital", "monash:median MASE"): 0.5, ("us_births", "monash:mean sMAPE"): 0.2}
    table.write_text("dataset,A\nhospital,3\n")
    import_monash(store, table, "mean MAE")
    assert scores_of(store, "A") == {("hospital", "monash:mean MAE"): 3}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has 0 lines"),
        ("dataset,A\n", "has 1 lines"),
        ("dataset,A\nhospitl,1\n", r"line 2: suite monash has no dataset 'hospitl'\. Did you mean 'hospital'"),
        ("dataset,A\nhospital,x\n", "line 2, column A: got 'x'; wanted a number of at least 0"),
        ("dataset,A\nhospital,-1\n", "got '-1'"),
        ("dataset,A\nhospital,inf\n", "got 'inf'"),
        ("dataset,A\nhospital,1\nHospital,2\n", "line 3: mean MASE of A on hospital stands in the table twice"),
        ("dataset,A,A\nhospital,1,2\n", "a column name stands there twice"),
        ("dataset\nhospital\n", "a column for each model"),
        ("task,model,MASE\nhospital,A,1\n", "'MASE' is no metric of the dialect monash"),
        ("task,model,mean MASE\nhospital,A\n", "line 2: got 'hospital,A'; wanted 3 fields"),
    ],
)
def test_broken_tables(text: str, words: str, store: DuckStore, tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        import_monash(store, table)
    assert str(table) in str(caught.value)
    assert not store.path.exists() or store.query("SELECT count(*) AS n FROM cells")["n"].to_pylist() == [0]


def test_what_is_no_table(store: DuckStore, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be read .*--from FILE"):
        import_monash(store, tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"dataset,A\xff\n")
    with pytest.raises(DataError, match="no text in UTF-8"):
        import_monash(store, tmp_path / "b.csv")
    with pytest.raises(UsageError, match=r"got metric 'mean MAS'.*Did you mean 'mean MASE'"):
        import_monash(store, tmp_path / "b.csv", "mean MAS")


def test_on_the_leaderboard_of_their_own_protocol_alone(tmp_path: Path) -> None:
    """Beside own results of the suite, divided by the same baseline; never beside GIFT-Eval's results of the same data."""
    import harness_leaderboard.collect as board

    db = tmp_path / "t.duckdb"
    result = run("import", "monash", "--db", str(db))
    assert "12 models, 503 results imported" in result.stdout
    assert "harness leaderboard -s monash" in result.stdout
    (tmp_path / "gift").mkdir()
    (tmp_path / "gift" / "all_results.csv").write_text("dataset,model,eval_metrics/MASE[0.5]\nhospital/M/short,other,0.1\n")
    store = DuckStore(db)
    assert import_gift_eval(store, tmp_path / "gift").rows == 1
    ours = board.collect(store, "monash", baseline="SES")
    assert {entry.source for entry in ours.entries} == {"monash"} and len(ours.entries) == 12
    assert ours.main == tuple(f"monash:{name}" for name in MONASH.metrics[:2]) == ("monash:mean MASE", "monash:mean MAE")
    names = [task["name"] for task in ours.tasks]
    ses, ets = (next(i for i, e in enumerate(ours.entries) if e.model == name) for name in ("SES", "ETS"))
    at = names.index("hospital")
    assert ours.mase[ets, at] / ours.baseline_mase[at] == pytest.approx(0.765 / 0.813)
    assert np.array_equal(ours.mase[ses], ours.baseline_mase, equal_nan=True)
    assert np.isnan(ours.crps[ets, names.index("m4_hourly")]), "MAE of M4 was not published in what is bundled"
    theirs = board.collect(store, "gift-eval")
    assert {entry.source for entry in theirs.entries} == {"gift-eval"}
    assert {task["protocol"] for task in theirs.tasks}.isdisjoint({task["protocol"] for task in ours.tasks})


def test_the_command_takes_a_table_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("dataset,Mine\nhospital,3\n")
    db = tmp_path / "t.duckdb"
    result = run("import", "monash", "--from", str(tmp_path / "mine.csv"), "--metric", "mean MAE", "--json", "--db", str(db))
    assert json.loads(result.stdout)["models"] == 1
    assert scores_of(DuckStore(db), "Mine") == {("hospital", "monash:mean MAE"): 3}
