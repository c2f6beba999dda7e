"""Results of fev go in as fev itself writes them, and become a suite with fev's own metrics."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harness.errors import DataError, HarnessError, NothingMatched, UsageError
from harness_results.fev_import import import_fev
from harness_results.plugin import register_commands
from harness_results.store import DuckStore

HORIZON, WINDOWS, SEASON = 3, 2, 4
HOSTILE = "=cmd|' /C calc'!A1 <script>\u202e\x1b[31m"


@pytest.fixture
def store(tmp_path: Path) -> DuckStore:
    return DuckStore(tmp_path / "harness.duckdb")


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Two models' rows on two tasks, made by the installed fev; the second model repeats the last value plus one."""
    fev = pytest.importorskip("fev", reason="fev is not installed: pip install 'ts-harness[test]'")
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path_factory.mktemp("fev") / "shop" / "sales_1D"
    folder.mkdir(parents=True)
    days = [f"2024-01-{day:02d}" for day in range(1, 31)]
    series = {"a": [float((day % SEASON) + day / 10) for day in range(30)], "b": [float(day * day % 7) for day in range(30)]}
    table = pa.table(
        {
            "id": list(series),
            "timestamp": pa.array([days] * 2, pa.list_(pa.string())).cast(pa.list_(pa.timestamp("ms"))),
            "target": pa.array(list(series.values()), pa.list_(pa.float64())),
        }
    )
    pq.write_table(table, folder / "data.parquet")
    rows = []
    for horizon in (HORIZON, 2 * HORIZON):
        task = fev.Task(
            dataset_path=str(folder / "data.parquet"),
            horizon=horizon,
            num_windows=WINDOWS,
            seasonality=SEASON,
            eval_metric="SQL",
            extra_metrics=["MASE", {"name": "WQL", "epsilon": 1.0}],
            quantile_levels=[0.1, 0.5, 0.9],
            task_name=f"sales/{horizon}",
        )
        for model, shift in (("Seasonal Naive", 0.0), ("plus one", 1.0)):
            forecasts = []
            for window in task.iter_windows():
                past, _ = window.get_input_data()
                last = [[float(values[-1]) + shift] * horizon for values in past["target"]]
                forecasts.append([{"predictions": v, "0.1": [x - 1 for x in v], "0.5": v, "0.9": [x + 1 for x in v]} for v in last])
            rows.append(
                task.evaluation_summary(
                    forecasts, model_name=model, training_time_s=0.5, inference_time_s=2.0, trained_on_this_dataset=bool(shift)
                )
            )
    return rows


def write(file: Path, rows: list[dict[str, Any]]) -> Path:
    """As fev's `DataFrame(rows).to_csv(index=False)` writes them."""
    with file.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(rows[0])
        writer.writerows([["" if value is None else value for value in row.values()] for row in rows])
    return file


def plain(model: str = "m", task: str = "ETT_15T", error: float | str = 0.5, **changes: Any) -> dict[str, Any]:
    """A row in the form of fev 0.10, for tests that are not about its numbers."""
    row: dict[str, Any] = {
        "model_name": model,
        "dataset_path": "autogluon/fev_datasets",
        "dataset_config": "ETT_15T",
        "horizon": 96,
        "num_windows": 20,
        "seasonality": 96,
        "eval_metric": "SQL",
        "extra_metrics": ["MASE", {"name": "WQL", "epsilon": 1.0}],
        "target": ["HUFL", "OT"],
        "task_name": task,
        "test_error": error,
        "training_time_s": 0.0,
        "inference_time_s": 4.5,
        "num_forecasts": 40,
        "trained_on_this_dataset": False,
        "fev_version": "0.10.0",
        "SQL": error,
        "MASE": 0.9,
        "WQL": 0.1,
    }
    return {**row, **changes}


def cells(store: DuckStore) -> dict[tuple[str, str], dict[str, Any]]:
    rows = store.query("SELECT * FROM cells").to_pylist()
    scores = store.query("SELECT cell_id, metric, value FROM scores").to_pylist()
    found = {(row["model"], row["task"]): {**row, "scores": {}} for row in rows}
    by_id = {row["cell_id"]: row["scores"] for row in found.values()}
    for row in scores:
        by_id[row["cell_id"]][row["metric"]] = row["value"]
    return found


def test_what_fev_writes_is_taken_whole(store: DuckStore, tmp_path: Path, official: list[dict[str, Any]]) -> None:
    done = import_fev(store, write(tmp_path / "x.csv", official))
    assert (done.models, done.rows, done.problems, done.warnings) == (2, 4, [], [])
    found = cells(store)
    assert set(found) == {(row["model_name"], row["task_name"]) for row in official}
    for row in official:
        cell = found[row["model_name"], row["task_name"]]
        assert cell["scores"] == {
            "fev:test_error": row["test_error"],
            "fev:SQL": row["SQL"],
            "fev:MASE": row["MASE"],
            "fev:WQL": row["WQL"],
        }
        assert (cell["source"], cell["suite"], cell["status"], cell["dialect"]) == ("fev", "fev", "ok", "fev")
        assert (cell["horizon"], cell["season_length"], cell["variates"]) == (row["horizon"], SEASON, 1)
        assert (cell["fit_s"], cell["predict_s"], cell["n_windows"], cell["n_series"]) == (0.5, 2.0, row["num_forecasts"], 2)
        assert (cell["quantile_levels"], cell["data_fingerprint"]) == ([0.1, 0.5, 0.9], row["dataset_fingerprint"])
        assert json.loads(cell["receipt"])["trained_on_this_dataset"] is row["trained_on_this_dataset"]
    leakage = {row["name"]: row["testdata_leakage"] for row in store.query("SELECT * FROM models").to_pylist()}
    assert leakage == {"Seasonal Naive": "No", "plus one": "Yes"}


def test_the_mase_that_is_stored_is_fevs(store: DuckStore, tmp_path: Path, official: list[dict[str, Any]]) -> None:
    """By a plain loop: per item the mean error over the mean seasonal difference of its past, averaged over items, then over windows."""
    series = {"a": [float((day % SEASON) + day / 10) for day in range(30)], "b": [float(day * day % 7) for day in range(30)]}
    windows = []
    for number in range(WINDOWS):
        cut = 30 - HORIZON * (WINDOWS - number)
        items = []
        for values in series.values():
            past, future = values[:cut], values[cut : cut + HORIZON]
            scale = sum(abs(past[t] - past[t - SEASON]) for t in range(SEASON, cut)) / (cut - SEASON)
            items.append(sum(abs(y - past[-1]) for y in future) / HORIZON / scale)
        windows.append(sum(items) / len(items))
    import_fev(store, write(tmp_path / "x.csv", official))
    stored = cells(store)["Seasonal Naive", f"sales/{HORIZON}"]["scores"]["fev:MASE"]
    assert math.isclose(stored, sum(windows) / WINDOWS, rel_tol=1e-6)  # fev reads float32


@pytest.mark.parametrize("form", ["order", "bom", "crlf", "missing", "semicolon", "older", "extra", "utf-16"])
def test_files_of_other_forms(store: DuckStore, tmp_path: Path, form: str) -> None:
    rows = [plain("m", "a"), plain("m", "b", 0.25)]
    if form == "order":
        rows = [dict(reversed(row.items())) for row in rows]
    elif form == "missing":
        rows = [{name: row[name] for name in ("model_name", "task_name", "test_error", "MASE", "SQL", "horizon")} for row in rows]
    elif form == "older":
        rows = [{"num_rolling_windows": row.pop("num_windows"), "target_column": row.pop("target"), **row} for row in rows]
    elif form == "extra":
        rows = [{**row, "SQL[0.1]": 0.125, "instance_type": "g5.2xlarge"} for row in rows]
    file = write(tmp_path / "x.csv", rows)
    if form == "semicolon":
        with file.open("w", newline="") as handle:
            csv.writer(handle, delimiter=";").writerows([list(rows[0]), *(list(row.values()) for row in rows)])
    elif form == "bom":
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    elif form == "crlf":
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    elif form == "utf-16":
        file.write_bytes(file.read_text().encode("utf-16"))
    assert import_fev(store, file).problems == []
    found = cells(store)
    assert {key: cell["scores"]["fev:test_error"] for key, cell in found.items()} == {("m", "a"): 0.5, ("m", "b"): 0.25}
    cell = found["m", "a"]
    assert (cell["horizon"], cell["scores"]["fev:MASE"]) == (96, 0.9)
    if form != "missing":
        assert (cell["variates"], cell["freq"], cell["family"]) == (2, "15T", "ETT")
    if form == "extra":
        assert cell["scores"]["fev:SQL[0.1]"] == 0.125
        assert json.loads(cell["receipt"])["instance_type"] == "g5.2xlarge"


@pytest.mark.parametrize("error", ["nan", "", "inf", "1_0", "n/a"])
def test_a_row_without_an_error_is_a_failed_result(store: DuckStore, tmp_path: Path, error: str) -> None:
    done = import_fev(store, write(tmp_path / "x.csv", [plain("m", "a", error), plain("m", "b")]))
    found = cells(store)
    assert (found["m", "a"]["status"], found["m", "b"]["status"]) == ("failed", "ok")
    assert (error or "blank") in found["m", "a"]["reason"]
    assert "fev:test_error" not in found["m", "a"]["scores"]
    assert any("1 results have no test_error" in line for line in done.warnings)


def test_importing_twice_replaces_and_leaves_other_models(store: DuckStore, tmp_path: Path) -> None:
    import_fev(store, write(tmp_path / "x.csv", [plain("m", "a"), plain("m", "b"), plain("other", "a", 0.75)]))
    import_fev(store, write(tmp_path / "x.csv", [plain("m", "a", 0.125)]))
    errors = {key: cell["scores"]["fev:test_error"] for key, cell in cells(store).items()}
    assert errors == {("m", "a"): 0.125, ("other", "a"): 0.75}
    assert store.query("SELECT count(*) AS n FROM scores")["n"].to_pylist() == [8]
    assert sorted(store.query("SELECT name FROM models")["name"].to_pylist()) == ["m", "other"]


def test_tasks_of_one_name_are_told_apart(store: DuckStore, tmp_path: Path) -> None:
    rows = [plain("m", "", task_name=""), plain("m", "", 0.25, task_name="", horizon=48), plain("n", "", 0.75, task_name="")]
    import_fev(store, write(tmp_path / "x.csv", rows))
    found = cells(store)
    assert len({task for _, task in found}) == 2
    assert all(task.startswith("ETT_15T@") for _, task in found)
    horizons = {(model, cell["horizon"]): task for (model, task), cell in found.items()}
    assert horizons["m", 96] == horizons["n", 96] != horizons["m", 48]
    other = DuckStore(tmp_path / "other.duckdb")
    import_fev(other, write(tmp_path / "y.csv", rows[::-1]))
    assert set(cells(other)) == set(found)  # names do not depend on the order


def test_another_definition_of_a_stored_task_is_refused(store: DuckStore, tmp_path: Path) -> None:
    import_fev(store, write(tmp_path / "x.csv", [plain("m", "a")]))
    for changes in ({"horizon": 48}, {"extra_metrics": ["MASE", "WQL"]}):
        file = write(tmp_path / "y.csv", [plain("n", "a", **changes)])
        with pytest.raises(UsageError, match=r"y\.csv, line 2: task 'a' is in suite 'fev' already.*--suite fev-2"):
            import_fev(store, file)
    assert set(cells(store)) == {("m", "a")}
    assert import_fev(store, file, "fev-2").rows == 1
    import_fev(store, write(tmp_path / "y.csv", [plain("m", "a", horizon=48)]))  # the only model with the old one is replaced
    assert [cell["horizon"] for cell in cells(store).values() if cell["suite"] == "fev"] == [48]


def test_a_model_that_one_benchmark_says_leaks_leaks(store: DuckStore, tmp_path: Path) -> None:
    import_fev(store, write(tmp_path / "x.csv", [plain("m", "a", trained_on_this_dataset=True)]))
    import_fev(store, write(tmp_path / "x.csv", [plain("m", "b")]), "second")
    row = store.query("SELECT * FROM models").to_pylist()[0]
    assert (row["testdata_leakage"], json.loads(row["info"])["trained_on_tasks"]) == ("Yes", ["fev:a"])


def test_one_broken_file_stops_no_other(store: DuckStore, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    write(folder / "good.csv", [plain("m", "a"), plain("m", "a")])
    write(folder / "again.csv", [plain("n", "a", 0.25), plain("n", "a", 0.75)])
    (folder / "binary.csv").write_bytes(bytes(range(256)) * 20)
    (folder / "empty.csv").write_text("")
    (folder / "header.csv").write_text("model_name,test_error\n")
    (folder / "other.csv").write_text("a,b\n1,2\n")
    whole = (folder / "good.csv").read_text()
    (folder / "truncated.csv").write_text(whole[: whole.index("MASE', {") + 4])
    done = import_fev(store, tmp_path)  # finds the folder `results`
    assert list(cells(store)) == [("m", "a")]
    text = "\n".join(done.problems)
    assert len(done.problems) == 6
    for said in (
        "'n' has task 'a' twice with different numbers (first in again.csv, line 2)",
        "is empty",
        "no column 'model_name'",
        "truncated.csv",
    ):
        assert said in text
    assert done.warnings == ["good.csv, line 3: the same result as in good.csv, line 2"]


def test_hostile_names_are_text(store: DuckStore, tmp_path: Path) -> None:
    rows = [plain(HOSTILE, "x'); DROP TABLE cells; --"), plain("n" * 10_000, "t" * 10_000, dataset_config="../../etc")]
    rows[0]["extra_metrics"] = "[" * 3000
    rows[0]["target"] = "__import__('os').system('true')"
    import_fev(store, write(tmp_path / "x.csv", rows))
    assert set(cells(store)) == {(HOSTILE, "x'); DROP TABLE cells; --"), ("n" * 10_000, "t" * 10_000)}


@pytest.fixture
def go(tmp_path: Path) -> Callable[..., Result]:
    import click

    from harness_leaderboard.plugin import register_commands as board

    cli = click.Group()
    register_commands(cli)
    board(cli)

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(cli, [*map(str, arguments), "--db", str(tmp_path / "x.duckdb")])
        if isinstance(result.exception, HarnessError):
            raise result.exception
        return result

    return run


def test_the_command_and_the_leaderboard(go: Callable[..., Result], tmp_path: Path) -> None:
    file = write(tmp_path / "x.csv", [plain("Seasonal Naive", "a"), plain("better", "a", 0.25), plain("better", "b", "nan")])
    result = go("import", "fev", file)
    assert "2 models, 3 results imported" in result.stdout
    assert "1 results have no test_error" in result.stderr
    assert json.loads(go("import", "fev", file, "--json").stdout)["rows"] == 3
    rows = {row["model"]: row for row in json.loads(go("leaderboard", "-s", "fev", "--format", "json").stdout)}
    assert set(rows) == {"Seasonal Naive", "better"}
    assert (rows["better"]["done"], rows["better"]["failed"], rows["better"]["total"]) == (1, 1, 2)
    assert rows["better"]["testdata_leakage"] == "No"


def test_what_is_no_file(go: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "absent"):
        with pytest.raises(NothingMatched, match="wanted a CSV file or a folder"):
            go("import", "fev", path)
    with pytest.raises(UsageError, match="fetch it first"):
        go("import", "fev", "https://example.org/results.csv")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="none of the 1"):
        go("import", "fev", tmp_path / "bad.csv")
    assert not (tmp_path / "x.duckdb").exists()
