"""Tables of published scores go in, wide or long, and what is doubtful in them is an error that names the line."""

from __future__ import annotations

import csv
import doctest
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harness import directions
from harness.directions import declared_directions, lower_is_better
from harness.errors import DataError, HarnessError, NothingMatched, UsageError
from harness.plugins import load
from harness_results.connection import opened
from harness_results.csv_columns import FIELDS, find_columns, metric_name
from harness_results.csv_import import import_csv, source_name
from harness_results.csv_scores import read_scores
from harness_results.dialects.infos import BUILT_IN
from harness_results.gift_eval_export import export_gift_eval
from harness_results.gift_eval_files import METRICS, PREFIX
from harness_results.gift_eval_import import import_gift_eval
from harness_results.plugin import register_commands
from harness_results.store import DuckStore

HOSTILE = '=HYPERLINK("http://x") \'); DROP TABLE cells; -- <script>\u202e\x1b[31m'


@pytest.fixture
def store(tmp_path: Path) -> DuckStore:
    return DuckStore(tmp_path / "harness.duckdb")


@pytest.fixture
def go(tmp_path: Path) -> Callable[..., Result]:
    import click

    from harness_leaderboard.plugin import register_commands as board

    cli = click.Group()
    register_commands(cli)
    board(cli)

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(cli, [*map(str, arguments), "--db", str(tmp_path / "harness.duckdb")])
        if isinstance(result.exception, HarnessError):
            raise result.exception
        return result

    return run


def write(tmp_path: Path, text: str, name: str = "table.csv") -> Path:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


def scores(store: DuckStore) -> dict[tuple[str, str, str], float]:
    rows = store.query("SELECT c.model, c.task, s.metric, s.value FROM cells c JOIN scores s USING (cell_id)").to_pylist()
    return {(row["model"], row["task"], row["metric"]): row["value"] for row in rows}


WIDE = "model,dataset,horizon,MASE,pinball\na,ETTh1,96,1.5,0.25\na,ETTh1,192,1.75,\nb,ETTh1,96,nan,0.5\n"
LONG = "Method;data set;h;measure;score\na;ETTh1;96;MASE;1,5\na;ETTh1;96;pinball;0,25\na;ETTh1;192;MASE;1,75\nb;ETTh1;96;pinball;0,5\n"
EXPECTED = {
    ("a", "ETTh1/96", "MASE[0.5]"): 1.5,
    ("a", "ETTh1/96", "pinball"): 0.25,
    ("a", "ETTh1/192", "MASE[0.5]"): 1.75,
    ("b", "ETTh1/96", "pinball"): 0.5,
}


@pytest.mark.parametrize("text", [WIDE, LONG, WIDE.replace(",", "\t"), WIDE.replace("\n", "\r\n"), "\ufeff" + WIDE, "\n\n" + WIDE + "\n"])
def test_wide_and_long_tables_say_the_same(store: DuckStore, tmp_path: Path, text: str) -> None:
    done = import_csv(store, read_scores(write(tmp_path, text), "paper"), "here")
    assert (done.models, done.rows) == (2, 3)
    assert scores(store) == EXPECTED
    row = store.query("SELECT * FROM cells WHERE task = 'ETTh1/192'").to_pylist()[0]
    assert (row["source"], row["suite"], row["dataset"], row["horizon"], row["mode"]) == ("here", "paper", "ETTh1", 192, "published")


def test_tasks_of_a_declared_suite_have_its_facts(store: DuckStore, tmp_path: Path) -> None:
    text = (
        "model,task,domain,CRPS\nx,LOOP_SEATTLE/5T/short,wrong,0.5\nx,saugeenday/D/short,,0.25\n"
        "x,kdd_cup_2018_with_missing/H/long,,1\nx,moon/H/short,,2\n"
    )
    table = read_scores(write(tmp_path, text), "gift-eval")
    import_csv(store, table, "paper")
    found = {row["task"]: row for row in store.query("SELECT * FROM cells").to_pylist()}
    assert set(found) == {"loop_seattle/5T/short", "saugeen/D/short", "kdd_cup_2018/H/long"}
    assert (found["loop_seattle/5T/short"]["domain"], found["kdd_cup_2018/H/long"]["horizon"]) == ("Transport", 720)
    assert {key[2] for key in scores(store)} == {"mean_weighted_sum_quantile_loss"}
    assert table.warnings == ["1 rows of no task of the suite left out, such as 'moon/H/short' in line 5"]
    parts = "model,dataset,freq,term,MASE\nx,Solar,10t,long,0.5\n"
    assert list(read_scores(write(tmp_path, parts), "gift-eval").cells) == [("x", "solar/10T/long", "published", 0)]
    with pytest.raises(DataError, match=r"no result of suite 'gift-eval'.*'moon/H/short' in line 2"):
        read_scores(write(tmp_path, "model,task,MASE\nx,moon/H/short,1\n"), "gift-eval")


def test_a_score_that_is_there_twice_names_its_lines(store: DuckStore, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1 scores are there twice: MASE\[0.5\] of 'a' on 't': 1 in line 2, 2 in line 4"):
        read_scores(write(tmp_path, "model,task,MASE\na,t,1\nb,t,1\na,t,2\n"), "s")
    quoted = 'model,task,MASE\n"a\nb",t,1\nc,t,1\n"a\nb",t,1\n'  # lines of the file, not rows
    with pytest.raises(DataError, match="1 in line 3, 1 in line 6"):
        read_scores(write(tmp_path, quoted), "s")
    with pytest.raises(DataError, match="twice"):
        read_scores(write(tmp_path, "model,task,metric,value\na,t,MASE,1\na,t,eval_metrics/MASE[0.5],1\n"), "s")
    text = "model,task,MASE,seed\na,t,1,0\na,t,2,1\n"
    import_csv(store, read_scores(write(tmp_path, text), "s"), "x")
    assert store.query("SELECT seed, MASE FROM results ORDER BY seed").to_pylist() == [{"seed": 0, "MASE": 1.0}, {"seed": 1, "MASE": 2.0}]


def test_columns_are_guessed_and_overruled(tmp_path: Path) -> None:
    header = ["", "Algorithm", "model", "Dataset", "notes", "rank", "MASE", "err=2", "score"]
    sample = [["0", "x", "y", "d", "1, maybe", "3", "n/a", "0.5", "0.1"]]
    columns = find_columns(header, sample, {})
    assert columns.fields == {"model": 2, "dataset": 3}
    assert columns.metrics == {5: "rank", 6: "MASE[0.5]", 7: "err=2", 8: "score"}
    assert columns.notes == ["column 'Algorithm' is left out, as 'model' is the model"]
    text = ",".join(header) + "\n0,x,y,d,maybe,3,n/a,0.5,0.1\n"
    table = read_scores(
        write(tmp_path, text), "s", ["Algorithm=model", "rank=-", "MASE=mine:MASE", "err=2=RMSE[mean]", "model=domain", "score=-"]
    )
    assert list(table.cells) == [("x", "d", "published", 0)]
    assert (table.metrics, list(table.values)) == (["mine:MASE", "RMSE[mean]"], [0.5])
    assert next(iter(table.cells.values()))["domain"] == "y"
    for assignment in ("Methd=model", "Algorithm", "Algorithm=", "=model"):
        with pytest.raises(UsageError, match="wanted COLUMN=NAME"):
            read_scores(tmp_path / "table.csv", "s", [assignment])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("model,task,MASE\n", "no result of suite"),
        ("a,b\n1,2\n", "no column names the models.*--map COLUMN=model"),
        ("model,MASE\na,1\n", "no column names the tasks"),
        ("model,task,words\na,t,hello\n", "no column holds scores"),
        ("model,task,MASE,MASE[0.5]\na,t,1,2\n", "columns 'MASE' and 'MASE.0.5.' are both the score"),
        ("model,task,MASE\na,t,1\nb,t", "line 3: got 2 cells, wanted 3"),
        ("model,task,MASE\na,b,t,1\n", "line 2: got 4 cells"),
        ('model,task,MASE\na,t,1\n"b,t,2\nc,t,3\n', "not a CSV table"),
        ("model,task,MASE,seed\na,t,1,x\n", "line 2: got seed 'x'"),
        (f"model,task,MASE\n{'a' * 200_000},t,1\n", "not a CSV table.*field limit"),
    ],
)
def test_what_is_no_table_of_scores(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_scores(write(tmp_path, text), "s")


def test_no_file_and_no_name(go: Callable[..., Result], tmp_path: Path) -> None:
    with pytest.raises(NothingMatched, match="no such file"):
        go("import", "csv", tmp_path / "absent.csv", "-s", "s")
    with pytest.raises(UsageError, match="is a folder; wanted a CSV file"):
        go("import", "csv", tmp_path, "-s", "s")
    file = write(tmp_path, WIDE)
    with pytest.raises(UsageError, match="empty suite"):
        go("import", "csv", file, "-s", " ")
    with pytest.raises(UsageError, match="that of own results"):
        go("import", "csv", file, "-s", "s", "--source", "own")
    with pytest.raises(UsageError, match="another import"):
        source_name(tmp_path / "gift-eval.csv")
    assert source_name(tmp_path / "gift-eval.csv", "paper") == "paper"
    assert not (tmp_path / "harness.duckdb").exists()
    (tmp_path / "noise.csv").write_bytes(bytes(range(256)) * 99)
    with pytest.raises(DataError):
        go("import", "csv", tmp_path / "noise.csv", "-s", "s")


def test_no_number_is_no_score_and_no_score_a_failure(store: DuckStore, tmp_path: Path) -> None:
    cells = ["nan", "inf", "-inf", "", "n/a", "1_0", "0x1", "1e999"]
    text = "model,task,MASE\n" + "".join(f"m,t{i},{cell}\n" for i, cell in enumerate(cells)) + "m,good,-0.5\n"
    table = read_scores(write(tmp_path, text), "s")
    assert table.warnings == ["8 cells without a finite number are no scores, such as 'nan' in line 2"]
    import_csv(store, table, "x")
    assert scores(store) == {("m", "good", "MASE[0.5]"): -0.5}
    states = store.query("SELECT status, count(*) AS n FROM cells GROUP BY status ORDER BY status").to_pylist()
    assert states == [{"status": "failed", "n": 8}, {"status": "ok", "n": 1}]
    import_csv(store, read_scores(write(tmp_path, "model,task,MASE\nm,t,nan\n"), "none"), "x")
    assert store.query("SELECT status FROM cells WHERE suite = 'none'").to_pylist() == [{"status": "failed"}]


def test_importing_again_replaces_models_of_this_source_only(store: DuckStore, tmp_path: Path) -> None:
    for source in ("one", "two"):
        import_csv(store, read_scores(write(tmp_path, "model,task,MASE\na,t,1\na,u,1\nb,t,1\n"), "s"), source)
    import_csv(store, read_scores(write(tmp_path, "model,task,MASE\na,t,3\n"), "s"), "one")
    rows = store.query("SELECT source, model, task, MASE FROM results ORDER BY ALL").to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("one", "a", "t", 3.0),
        ("one", "b", "t", 1.0),
        ("two", "a", "t", 1.0),
        ("two", "a", "u", 1.0),
        ("two", "b", "t", 1.0),
    ]


def test_hostile_text_is_text(go: Callable[..., Result], store: DuckStore, tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    with file.open("w", newline="") as handle:
        csv.writer(handle).writerows([["model", "task", HOSTILE], [HOSTILE, HOSTILE, "1"], ["n" * 10_000, "../../etc/passwd", "2"]])
    shown = go("import", "csv", file, "-s", HOSTILE, "--source", HOSTILE, "--dry-run")
    assert "\x1b" not in shown.stdout + shown.stderr
    assert "\u202e" not in shown.stdout + shown.stderr
    done = go("import", "csv", file, "-s", HOSTILE, "--source", HOSTILE)
    assert "\x1b" not in done.stdout + done.stderr
    assert scores(store) == {(HOSTILE, HOSTILE, HOSTILE): 1.0, ("n" * 10_000, "../../etc/passwd", HOSTILE): 2.0}


def test_a_dry_run_stores_nothing(go: Callable[..., Result], tmp_path: Path) -> None:
    file = write(tmp_path, WIDE)
    result = go("import", "csv", file, "-s", "gift-evl", "--dry-run")
    assert "score MASE[0.5]" in result.stdout
    assert "4 scores of 3 results would be stored as source 'table'" in result.stdout
    assert "Did you mean 'gift-eval'?" in result.stderr
    assert not (tmp_path / "harness.duckdb").exists()
    facts = json.loads(go("import", "csv", file, "-s", "paper", "--dry-run", "--json").stdout)
    assert (facts["models"], facts["tasks"], facts["scores"]) == (["a", "b"], ["ETTh1/192", "ETTh1/96"], 4)
    assert {"column": "dataset", "taken_as": "dataset"} in facts["columns"]


def test_the_leaderboard_of_a_table(go: Callable[..., Result], tmp_path: Path) -> None:
    """nMASE of the leaderboard = the geometric mean of ratios, by hand."""
    text = "model,task,MASE,CRPS\nseasonal_naive,t,2,1\nseasonal_naive,u,4,1\nm,t,1,0.5\nm,u,1,2\n"
    go("import", "csv", write(tmp_path, text), "-s", "paper", "--source", "authors")
    rows = {row["model"]: row for row in json.loads(go("leaderboard", "-s", "paper", "--format", "json").stdout)}
    assert math.isclose(rows["m"]["nMASE"], math.sqrt(1 / 2 * 1 / 4))
    assert math.isclose(rows["m"]["nCRPS"], 1.0)
    assert rows["m"]["source"] == "authors"


def test_a_table_of_gift_eval_gives_the_numbers_of_its_import(tmp_path: Path) -> None:
    """The same all_results.csv, by its own import and as a table."""
    lines = [["dataset", "model", *(PREFIX + metric for metric in METRICS), "domain", "num_variates"]]
    for task, start in (("m4_hourly/H/short", 0.1), ("solar/W/short", 1 / 3)):
        lines.append([task, "mine", *(repr(start + i) for i in range(11)), "Energy", "1"])
    folder = tmp_path / "mine"
    folder.mkdir()
    with (folder / "all_results.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows(lines)
    one, two = DuckStore(tmp_path / "one.duckdb"), DuckStore(tmp_path / "two.duckdb")
    import_gift_eval(one, folder)
    import_csv(two, read_scores(folder / "all_results.csv", "gift-eval"), "table")
    assert scores(one) == scores(two)
    same = "SELECT * EXCLUDE (source, result_id, cell_id) FROM results ORDER BY task"
    assert one.query(same).to_pylist() == two.query(same).to_pylist()
    with pytest.raises(NothingMatched):
        export_gift_eval(two, tmp_path / "out")  # imported results are nobody's own


def test_many_scores_keep_their_places(store: DuckStore, tmp_path: Path) -> None:
    """More cells than go into the database at once; every score is looked up again."""
    wanted = {(f"m{m}", f"t{t}", f"k{k}"): m + t / 1000 + k / 1_000_000 for m in range(3) for t in range(7000) for k in range(2)}
    lines = [f"{model},{task},{metric},{value!r}" for (model, task, metric), value in reversed(wanted.items())]
    import_csv(store, read_scores(write(tmp_path, "model,task,metric,value\n" + "\n".join(lines)), "s"), "x")
    assert scores(store) == wanted


def test_names_of_metrics() -> None:
    assert [metric_name(text) for text in ("mase", " eval_metrics/MSIS", "crps", "WQL", "MASE[0.5]", "smape")] == [
        "MASE[0.5]",
        "MSIS",
        "mean_weighted_sum_quantile_loss",
        "WQL",
        "MASE[0.5]",
        "sMAPE[0.5]",
    ]
    others: list[Any] = [name for names in FIELDS.values() for name in names]
    assert len(set(others)) == len(others)
    assert not set(others) & set(FIELDS)


def test_what_nobody_knows_to_be_lower_is_better_ranks_nobody(go: Callable[..., Result], store: DuckStore, tmp_path: Path) -> None:
    file = write(tmp_path, "model,task,MASE,my score,accuracy,bias[0.5]\na,x,1,2,3,4\nb,x,2,1,4,5\n")
    wanted = "no model is ranked by my score: whether lower is better is not known; if it is, import again with --lower 'my score'"
    done = go("import", "csv", file, "-s", "mine")
    assert wanted in done.stderr
    assert "no model is ranked by accuracy, bias[0.5]: lower is not better" in done.stderr
    assert len(scores(store)) == 8
    assert declared_directions(store, "mine") == {}
    done = go("import", "csv", file, "-s", "mine", "--lower", "my score,accuracy", "--higher", "mase", "--dry-run", "--json")
    assert json.loads(done.stdout)["directions"] == {"my score": "min", "accuracy": "min", "MASE[0.5]": "max"}
    assert declared_directions(store, "mine") == {}
    done = go("import", "csv", file, "-s", "mine", "--lower", "my score", "--higher", "accuracy")
    assert "my score" not in done.stderr
    declared = declared_directions(store, "mine")
    assert declared == {"my score": "min", "accuracy": "max"}
    assert lower_is_better("my score", declared=declared) is True
    assert declared_directions(store, "other") == {}
    go("import", "csv", file, "-s", "mine", "--source", "another", "--lower", "accuracy,my score")
    assert declared_directions(store, "mine") == {"my score": "min", "accuracy": "none"}
    assert lower_is_better("accuracy", declared=declared_directions(store, "mine")) is False
    for options, message in (
        (["--lower", "my scor"], r"--lower 'my scor': no such metric. Did you mean 'my score'\? Its metrics: MASE"),
        (["--lower", "MASE", "--higher", "MASE[0.5]"], "got both --lower and --higher for 'MASE"),
    ):
        with pytest.raises(UsageError, match=message):
            go("import", "csv", file, "-s", "mine", *options)


def test_strange_receipts_declare_nothing(store: DuckStore, tmp_path: Path) -> None:
    table = read_scores(write(tmp_path, "model,task,odd\na,x,1\na,y,1\na,z,1\n"), "mine", lower=["odd"])
    import_csv(store, table, "mine")
    with opened(store.path, write=True, wait=store.wait) as con:
        for task, receipt in (("x", '{"directions": ["odd"]}'), ("y", '{"directions": {"odd": 3, "even": "up"}}'), ("z", "[1]")):
            con.execute("UPDATE cells SET receipt = $1 WHERE task = $2", [receipt, task])
    assert declared_directions(store, "mine") == {}


def test_directions_that_are_known() -> None:
    found = doctest.testmod(directions)
    assert found.attempted == 2
    assert found.failed == 0
    plugins = load()
    for name, metric in plugins.metrics.items():
        assert lower_is_better(name, plugins) is (metric.info.direction == "min")
    # Errors are known without the plugins, too; what is not one is not taken for one.
    assert all(lower_is_better(metric) for metric in METRICS)
    for info in BUILT_IN.values():
        assert all(lower_is_better(f"{info.name}:{metric}", plugins) for metric in info.metrics[:2])  # models are compared by these
    for info in (info for info in BUILT_IN.values() if info.name not in ("cgm", "spy")):
        counts = {metric for metric in info.metrics if not lower_is_better(metric)}
        assert counts <= {"MASE series", "series"}
    for metric in ("", "[]", "a:b:MASE", "mean error", "ME", "MPE", "neg_mean_absolute_error", "score", "lossless", "coverage[0.9]"):
        assert lower_is_better(metric) is (True if metric == "a:b:MASE" else None)
    for metric in ("accuracy", "R2", "F1 score", "Win rate", "skill_score", "mean accuracy"):
        assert lower_is_better(metric) is False
