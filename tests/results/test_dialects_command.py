"""`harness score` as it is typed: on the forecasts of real runs, on what is not there, and on what somebody has tampered with."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import shlex
import shutil
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dialect_kit import DIALECTS
from support import Done, Lab, write_dataset

TASKS = "us_births/M/short,hospital/M/short,covid_deaths/D/short,m4_hourly/H/short,bizitobs_l2c/H/short"
ALL = ",".join(DIALECTS)
SAMPLES = """
class Samples:
    def predict(self, batch):
        noise = np.stack([np.random.default_rng(s).normal(size=(40, batch.horizon)) for s in batch.seeds])
        return Forecast.from_samples(last(batch)[:, None] * (1 + 0.1 * noise))

@hookimpl
def register_models(register):
    register(ModelInfo("samples", output="samples"), Samples)
"""


def scores(done: Done) -> dict[tuple[str, str, str], dict[str, float | None]]:
    return {(s["dialect"], s["model"], s["task"]): s["scores"] for s in done.json()["scores"]}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lab, Done]:
    """Two baselines on five tasks with their forecasts kept, scored in all dialects."""
    lab = Lab(tmp_path_factory.mktemp("run"))
    made, done = lab.many(
        [
            ["run", "-m", "naive,seasonal_naive", "-t", TASKS, "--save-forecasts", "--progress", "none", "--isolation", "inprocess"],
            ["score", "--dialect", ALL, "--json"],
        ]
    )
    made.expect(0)
    return lab, done.expect(0)


def test_gift_eval_is_what_the_run_stored(run: tuple[Lab, Done]) -> None:
    lab, done = run
    stored = {(m, t, s): v for m, t, s, v in lab.query("SELECT model, task, metric, value FROM scores JOIN cells USING (result_id)")}
    found = {key: value for key, value in scores(done).items() if key[0] == "gift-eval"}
    assert len(found) == 10
    for (_, model, task), metrics in found.items():
        assert len(metrics) == 11
        for metric, value in metrics.items():
            assert value == pytest.approx(stored[model, task, metric], rel=1e-9), (model, task, metric)
    assert not [note for note in done.json()["notes"] if note.startswith("gift-eval")]


def test_monash_gives_the_published_numbers(run: tuple[Lab, Done]) -> None:
    # Where the best smoothing constant is next to 1, exponential smoothing is the naive forecast: the archive's SES on these two.
    # Source: Godahewa et al. 2021, Monash Time Series Forecasting Archive, tables of mean MASE and mean MAE.
    found = scores(run[1])
    covid, hourly = found["monash", "naive", "covid_deaths/D/short"], found["monash", "naive", "m4_hourly/H/short"]
    assert covid["mean MASE"] == pytest.approx(7.776, abs=5e-4)
    assert covid["mean MAE"] == pytest.approx(353.71, abs=5e-3)
    assert hourly["mean MASE"] == pytest.approx(11.607, abs=1e-3)
    # The season of a day is 1 in GIFT-Eval and 7 in the archive.
    gift = found["gift-eval", "naive", "covid_deaths/D/short"]["MASE[0.5]"]
    assert gift is not None
    assert gift > 40


def test_what_follows_for_the_models_over_tasks(run: tuple[Lab, Done]) -> None:
    found = scores(run[1])
    boards = {b["dialect"]: b for b in run[1].json()["aggregates"]}
    assert set(boards) == {"gift-eval", "fev", "time", "tsfm-point"}  # the archive has no aggregate
    assert {b["baseline"] for b in boards.values()} == {"seasonal_naive"}
    tasks = TASKS.split(",")

    def gmean(dialect: str, metric: str) -> float:
        ratios = [found[dialect, "naive", t][metric] / found[dialect, "seasonal_naive", t][metric] for t in tasks]  # type: ignore[operator]
        return math.exp(sum(map(math.log, ratios)) / len(ratios))

    rows = {(d, r.get("metric", ""), r["model"]): r for d, b in boards.items() for r in b["rows"]}
    assert rows["gift-eval", "", "naive"]["nMASE"] == pytest.approx(gmean("gift-eval", "MASE[0.5]"))
    assert rows["time", "", "naive"]["CRPS (norm.)"] == pytest.approx(gmean("time", "CRPS"))
    assert rows["fev", "SQL", "naive"]["skill_score"] == pytest.approx(1 - gmean("fev", "SQL"))
    assert rows["fev", "SQL", "seasonal_naive"]["skill_score"] == 0
    better = sum(found["fev", "naive", t]["SQL"] < found["fev", "seasonal_naive", t]["SQL"] for t in tasks)  # type: ignore[operator]
    equal = sum(found["fev", "naive", t]["SQL"] == found["fev", "seasonal_naive", t]["SQL"] for t in tasks)
    assert rows["fev", "SQL", "naive"]["win_rate"] == pytest.approx((better + equal / 2) / 5)
    assert rows["tsfm-point", "", "naive"]["tasks"] == 5


def test_a_pipe_is_a_file_to_write_to_and_nothing_is_written_into_the_database(run: tuple[Lab, Done]) -> None:
    lab, whole = run
    before = hashlib.sha256(lab.db.read_bytes()).hexdigest()
    done = lab.run("score", "--dialect", ALL, "--json", "-o", "/dev/stdout").expect(0, "wrote /dev/stdout")
    assert done.json() == whole.json()
    lab.run("score", "--dialect", "fev", "--csv").expect(0)
    assert hashlib.sha256(lab.db.read_bytes()).hexdigest() == before


def test_forms_and_selections(run: tuple[Lab, Done]) -> None:
    lab, whole = run
    table, text, one, file, listing, again = lab.many(
        [
            ["score", "--dialect", "fev@0.10", "-m", "naive", "-t", "hosp*"],
            ["score", "--dialect", "time,monash", "--csv"],
            ["score", "--dialect", "fev", "-m", "naive", "-t", "quick:us_births/*", "-s", "quick", "--json"],
            ["score", "--dialect", "time", "-o", "out.csv"],
            ["score", "--list"],
            ["score", "--dialect", "fev", "-m", "seasonal_naive", "--baseline", "naive", "--json"],
        ]
    )
    table.expect(0, "fev@0.10: 1 results", "hospital/M/short", "naive", "fev: quick, relative to seasonal_naive", "skill_score")
    rows = list(csv.DictReader(io.StringIO(text.expect(0).out)))
    assert len(rows) == 10 * (len(DIALECTS["time"].metrics) + len(DIALECTS["monash"].metrics))
    found = scores(whole)
    for row in rows:
        value = found[row["dialect"], row["model"], row["task"]][row["metric"]]
        assert float(row["value"]) == (pytest.approx(math.nan, nan_ok=True) if value is None else value)
    assert [(s["model"], s["task"]) for s in one.expect(0).json()["scores"]] == [("naive", "us_births/M/short")]
    (board,) = one.json()["aggregates"]
    assert {row["model"] for row in board["rows"]} == {"naive"}  # the baseline was scored too, and is not asked for
    file.expect(0, "wrote out.csv")
    assert (lab.folder / "out.csv").read_text().count("\n") == 1 + 10 * len(DIALECTS["time"].metrics)
    assert not list(lab.folder.glob("out*.tmp"))
    listing.expect(0, *DIALECTS, "TSForecasting", "0.10")
    (board,) = again.expect(0).json()["aggregates"]
    assert board["baseline"] == "naive"
    assert all(row["model"] == "seasonal_naive" for row in board["rows"])


def test_what_does_not_make_sense_is_refused_at_once(run: tuple[Lab, Done]) -> None:
    lab, _ = run
    (lab.folder / "folder.csv").mkdir(exist_ok=True)
    wanted = [
        (["--dialect", "fve"], 2, "there is no dialect 'fve'. Did you mean 'fev'?"),
        (["--dialect", "fev@0.9"], 2, "wanted fev or fev@0.10"),
        ([], 2, "no dialect given; name one or more, as in --dialect fev. There are: gift-eval, fev"),
        (["--dialect", "fev", "-m", "naiv"], 5, "no model of harness.duckdb matches 'naiv'. Did you mean 'naive'?"),
        (["--dialect", "fev", "-t", "hospital"], 0, "hospital/M/short"),  # the dataset's name will do
        (["--dialect", "fev", "-t", "nothing*"], 5, "no task of harness.duckdb matches 'nothing*'"),
        (["--dialect", "fev", "-s", "quik"], 5, "Did you mean 'quick'?"),
        (["--dialect", "fev", "--baseline", "ttm"], 2, "--baseline ttm: harness.duckdb has no result of that model here"),
        (["--dialect", "fev", "-o", "out.txt"], 2, "wanted a name in .json or .csv"),
        (["--dialect", "fev", "-o", "folder.csv"], 2, "could not write folder.csv"),
        (["--dialect", "fev", "-o", "no/such/out.csv"], 2, "could not write no/such/out.csv"),
        (["--dialect", "fev", "--data", "nowhere"], 2, "there is no such folder"),
        (["--dialect", "fev", "--db", "none.duckdb"], 2, "there is no results database at none.duckdb"),
    ]
    for (arguments, code, text), done in zip(wanted, lab.many([["score", *w[0]] for w in wanted]), strict=True):
        done.expect(code, text)
        assert code == 0 or not done.out, arguments


def test_the_command_that_is_told_makes_the_forecasts(lab: Lab) -> None:
    start = ["run", "-t", "us_births/*/short", "--progress", "none", "--isolation", "inprocess", "--db", "my own.duckdb"]
    score = ["score", "--dialect", "monash", "--db", "my own.duckdb", "--json"]
    _, none, _, some = lab.many(
        [
            [*start, "-m", "window_average[window_size=4]", "--seed", "3"],
            score,
            [*start, "-m", "naive", "-t", "us_births/M/short", "--save-forecasts"],
            score,
        ]
    )
    none.expect(5, "none of 3 results has kept forecasts", "no forecasts: window_average[window_size=4] on us_births/D/short and 2 more")
    assert none.json()["scores"] == []
    some.expect(0, "no forecasts: window_average")
    assert {s["model"] for s in some.json()["scores"]} == {"naive"}
    (command,) = [line.strip() for line in some.err.splitlines() if line.startswith("  harness run")]
    assert "-t us_births/D/short,us_births/M/short,us_births/W/short" in command
    typed = shlex.split(command)
    assert typed[0] == "harness"
    assert typed[typed.index("--seed") : typed.index("--seed") + 2] == ["--seed", "3"]
    _, now = lab.many([[*typed[1:], "--progress", "none"], score])
    assert len(now.expect(0).json()["left_out"]) == 0
    assert {(s["model"], s["seed"]) for s in now.json()["scores"]} == {("naive", 0), ("window_average[window_size=4]", 3)}


def test_parts_of_tasks_have_a_board_of_their_own(lab: Lab) -> None:
    start = ["run", "-m", "naive,seasonal_naive", "-t", "hospital/M/short", "--save-forecasts", "--progress", "none"]
    start += ["--isolation", "inprocess"]
    _, _, done = lab.many([[*start, "--limit", "5"], start, ["score", "--dialect", "time,gift-eval", "--json"]])
    parts = {s["scope"]: s["scores"] for s in done.expect(0).json()["scores"] if (s["model"], s["dialect"]) == ("naive", "gift-eval")}
    assert parts.keys() == {"", "limit=5"}
    assert parts[""] != parts["limit=5"]
    stored = lab.query(
        "SELECT value FROM scores JOIN cells USING (result_id) WHERE scope <> '' AND model = 'naive' AND metric = 'MASE[0.5]'"
    )
    assert parts["limit=5"]["MASE[0.5]"] == pytest.approx(stored[0][0], rel=1e-9)
    assert sorted((b["dialect"], b["scope"]) for b in done.json()["aggregates"]) == sorted(
        (d, s) for d in ("time", "gift-eval") for s in ("", "limit=5")
    )


def test_samples_have_another_interval_and_nothing_else(lab: Lab) -> None:
    lab.plugin("plug_samples", SAMPLES)
    _, done = lab.many(
        [
            ["run", "-m", "samples", "-t", "hospital/M/short", "--limit", "20", "--save-forecasts", "--progress", "none"],
            ["score", "--dialect", "gift-eval", "--json"],
        ]
    )
    (note,) = [n for n in done.expect(0).json()["notes"] if n.startswith("gift-eval: ")]
    assert note.startswith("gift-eval: MSIS of samples (samples) is not the stored score on 1 tasks: hospital/M/short ")
    stored = dict(lab.query("SELECT metric, value FROM scores"))
    (found,) = [s["scores"] for s in done.json()["scores"]]
    assert {m for m, v in found.items() if v != pytest.approx(stored[m], rel=1e-9)} == {"MSIS"}


def own_run(lab: Lab) -> Lab:
    """Two models on a dataset of the user's own, forecasts kept."""
    values = np.random.default_rng(0).normal(10, 2, 240).astype(np.float32).tolist()
    write_dataset(lab.folder / "data" / "us_births" / "M", [values], "M")
    options = ["-s", "gift-eval", "-t", "us_births/M/short", "--data", "data", "--save-forecasts", "--progress", "none"]
    (done,) = lab.many([["run", "-m", "naive,seasonal_naive", "--isolation", "inprocess", *options]])
    done.expect(0)
    return lab


@pytest.fixture
def own_data(lab: Lab) -> Lab:
    return own_run(lab)


def test_data_is_found_where_the_run_had_it(own_data: Lab) -> None:
    (done,) = own_data.many([["score", "--dialect", f"{ALL},spy", "--json"]])
    answer = done.expect(0).json()
    assert len(answer["scores"]) == 2 * len(DIALECTS)
    assert [note for note in answer["notes"] if note.startswith("spy: no scores on us_births")]  # it scores events


def test_changed_data_is_refused_with_what_to_type(own_data: Lab) -> None:
    lab = own_data
    values = np.random.default_rng(1).normal(10, 2, 240).astype(np.float32).tolist()
    shutil.rmtree(lab.folder / "data")
    write_dataset(lab.folder / "data" / "us_births" / "M", [values], "M")
    (done,) = lab.many([["score", "--dialect", "fev", "--json"]])
    done.expect(3, "refused: naive on us_births/M/short: the data has changed since it was forecast", "all 2 results were left out")
    commands = [line.strip() for line in done.err.splitlines() if line.startswith("  harness run")]
    assert len(commands) == 2
    assert done.json()["scores"] == []
    *_, now = lab.many([*(shlex.split(command)[1:] for command in commands), ["score", "--dialect", "fev", "--json"]])
    assert len(now.expect(0).json()["scores"]) == 2


def test_data_that_is_not_here_is_told_with_how_to_fetch_it(own_data: Lab) -> None:
    shutil.rmtree(own_data.folder / "data" / "us_births")
    (done,) = own_data.many([["score", "--dialect", "fev", "--json"]])
    done.expect(3, "unavailable: naive on us_births/M/short: there is no folder", "harness data pull gift-eval us_births/M")


def forecasts(lab: Lab, model: str = "naive") -> Path:
    (name,) = lab.query(f"SELECT forecasts FROM cells WHERE model = '{model}'")
    return lab.folder / name[0]


def changed(path: Path, change: Any) -> None:
    table = pq.read_table(path)
    path.unlink()
    pq.write_table(change(table), path)


def swap(name: str, values: Any) -> Any:
    return lambda table: table.set_column(table.column_names.index(name), name, values(table))


def holes(table: pa.Table) -> pa.Array:
    kind = table.schema.field("mean").type
    return pa.array([[math.nan] * kind.list_size] * len(table), kind)


def edited(table: pa.Table, name: str, edit: Any) -> pa.Array:
    """A column of lists after an edit of its values [N, Q·H]."""
    kind = table.schema.field(name).type
    return pa.array(edit(np.array(table[name].to_pylist(), np.float32)).astype(np.float32).tolist(), kind)


def widened(values: Any) -> Any:
    """Quantiles [N, 9·12] further from a median that stays."""
    return (values.reshape(-1, 9, 12) + np.arange(-4, 5, dtype=np.float32)[:, None]).reshape(values.shape)


BROKEN = {
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-40]), "cannot be read"),
    "no parquet": (lambda path: path.write_bytes(b"not a file of that kind"), "cannot be read"),
    "empty": (lambda path: path.write_bytes(b""), "cannot be read"),
    "gone": (lambda path: path.unlink(), "there is no file"),
    "nan": (lambda path: changed(path, swap("mean", holes)), "holds values that are missing or not finite"),
    "null": (
        lambda path: changed(path, swap("mean", lambda t: pa.array([None] * len(t), t.schema.field("mean").type))),
        "",  # whichever finds it first, the library or we
    ),
    "other windows": (
        lambda path: changed(path, swap("window", lambda t: pa.array([n + 1000 for n in range(len(t))], pa.int64()))),
        "holds other windows than the results database",
    ),
    "a window twice": (
        lambda path: changed(path, lambda t: pa.concat_tables([t.slice(0, 1)] * len(t))),
        "holds other windows than the results database",
    ),
    "a window more": (
        lambda path: changed(path, lambda t: pa.concat_tables([t, t.slice(0, 1)])),
        "holds 3 windows, the results database 2",
    ),
    "a window less": (lambda path: changed(path, lambda t: t.slice(1)), "windows"),
    "another horizon": (
        lambda path: changed(path, swap("mean", lambda t: pa.array([[1.0]] * len(t), pa.list_(pa.float32(), 1)))),
        "wanted",
    ),
    "float64": (
        lambda path: changed(path, swap("mean", lambda t: t["mean"].cast(pa.list_(pa.float64(), 12)))),
        "wanted window: int64",
    ),
    "texts": (lambda path: changed(path, swap("quantiles", lambda t: pa.array(["a", "b"]))), "wanted window: int64"),
    "infinite": (lambda path: changed(path, swap("quantiles", lambda t: edited(t, "quantiles", lambda v: v + math.inf))), "not finite"),
    "quantiles reversed": (
        lambda path: changed(path, swap("quantiles", lambda t: edited(t, "quantiles", lambda v: v[:, ::-1]))),
        "holds quantiles that do not rise with their levels",
    ),
    "median moved": (
        lambda path: changed(path, swap("quantiles", lambda t: edited(t, "quantiles", lambda v: v + 100))),
        "are not those that were scored: the run stored MASE[0.5] = ",
    ),
    "other tails": (
        lambda path: changed(path, swap("quantiles", lambda t: edited(t, "quantiles", widened))),
        "mean_weighted_sum_quantile_loss = ",
    ),
    "another mean": (lambda path: changed(path, swap("mean", lambda t: edited(t, "mean", lambda v: v * 1.001))), "MSE[mean] = "),
    "windows in each other's place": (
        lambda path: changed(path, swap("window", lambda t: pa.array([1, 0], pa.int64()))),
        "are not those that were scored",
    ),
    "of another result": (
        lambda path: changed(path, lambda t: t.replace_schema_metadata({"harness.result_id": "another"})),
        "holds the forecasts of another result ('another'), not those of '",
    ),
    "a column less": (lambda path: changed(path, lambda t: t.drop_columns(["mean"])), "wanted"),
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    """What `harness score` says of a database for each way to spoil one file of it."""
    lab = own_run(Lab(tmp_path_factory.mktemp("broken")))
    whole = forecasts(lab)
    for how, (spoil, _) in BROKEN.items():
        shutil.copy(lab.db, lab.folder / f"{how}.duckdb")
        shutil.copytree(whole.parent, lab.folder / f"{how}.duckdb.forecasts")
        spoil(lab.folder / f"{how}.duckdb.forecasts" / whole.name)
    done = lab.many([["score", "--dialect", "fev,gift-eval", "--json", "--db", f"{how}.duckdb"] for how in BROKEN])
    return dict(zip(BROKEN, done, strict=True))


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_file_costs_its_own_scores(broken: dict[str, Done], how: str) -> None:
    done = broken[how].expect(
        3, "refused: naive on us_births/M/short", BROKEN[how][1], "1 of 2 results were refused", "harness run -m naive", "--rerun all"
    )
    assert {s["model"] for s in done.json()["scores"]} == {"seasonal_naive"}


def test_the_file_of_another_cell_is_refused(own_data: Lab) -> None:
    lab = own_data
    shutil.copy(forecasts(lab, "seasonal_naive"), forecasts(lab))
    (done,) = lab.many([["score", "--dialect", "fev", "--json"]])
    done.expect(3, "refused: naive on us_births/M/short", "holds the forecasts of another result", "--rerun all")
    assert [s["model"] for s in done.json()["scores"]] == ["seasonal_naive"]


def test_files_of_before_ids_were_written_are_scored(own_data: Lab) -> None:
    lab = own_data
    metadata = pq.read_metadata(forecasts(lab)).metadata
    assert [(metadata[b"harness.result_id"].decode(), metadata[b"harness.cell_id"].decode())] == lab.query(
        "SELECT result_id, cell_id FROM cells WHERE model = 'naive'"
    )
    changed(forecasts(lab), lambda table: table.replace_schema_metadata(None))
    changed(forecasts(lab, "seasonal_naive"), lambda table: table.replace_schema_metadata(None))
    assert b"harness.result_id" not in (pq.read_metadata(forecasts(lab)).metadata or {})
    shutil.copy(forecasts(lab, "seasonal_naive"), lab.folder / "other.parquet")
    done, *_ = lab.many([["score", "--dialect", "fev", "--json"]])
    assert len(done.expect(0).json()["scores"]) == 2
    shutil.copy(lab.folder / "other.parquet", forecasts(lab))
    (done,) = lab.many([["score", "--dialect", "fev", "--json"]])
    done.expect(3, "refused: naive on us_births/M/short: its kept forecasts are not those that were scored: the run stored MASE[0.5] = ")
    with duckdb.connect(str(lab.db)) as con:  # scores of others than the run's, which nothing is compared with
        con.execute("DELETE FROM scores")
    (done,) = lab.many([["score", "--dialect", "fev", "--json"]])
    assert len(done.expect(0).json()["scores"]) == 2


EDITS = (
    "horizon = 0",
    "horizon = NULL",
    "horizon = -3",
    "horizon = 2147483647",
    "quantile_levels = NULL",
    "quantile_levels = []",
    "quantile_levels = [NULL]",
    "quantile_levels = [0.9, 0.1]",
    "quantile_levels = ['nan'::DOUBLE]",
)


def test_what_no_forecast_can_have_is_refused(own_data: Lab) -> None:
    for number, edit in enumerate(EDITS):
        kept = forecasts(own_data).relative_to(own_data.folder).parts[0]
        shutil.copytree(own_data.folder / kept, own_data.folder / str(number) / kept)
        path = shutil.copy(own_data.db, own_data.folder / str(number))
        with duckdb.connect(str(path)) as con:
            con.execute(f"UPDATE cells SET {edit} WHERE model = 'naive'")
    answers = own_data.many([["score", "--dialect", "fev", "--json", "--db", f"{number}/harness.duckdb"] for number in range(len(EDITS))])
    for edit, done in zip(EDITS, answers, strict=True):
        done.expect(3, "refused: naive on us_births/M/short: the ")
        assert [s["model"] for s in done.json()["scores"]] == ["seasonal_naive"], edit


def test_a_strangers_names_are_text_and_no_path(own_data: Lab) -> None:
    lab, name = own_data, "=1+1<b>\x1b[31m\u202e" + "x" * 10_000
    secret = lab.folder / "secret.parquet"
    shutil.copy(forecasts(lab), secret)
    with duckdb.connect(str(lab.db)) as con:
        con.execute("UPDATE cells SET model = $1, forecasts = '../secret.parquet' WHERE model = 'naive'", [name])
    refused, text = lab.many([["score", "--dialect", "time"], ["score", "--dialect", "time", "-m", "seasonal_naive", "--csv"]])
    refused.expect(3, "there is no file harness.duckdb.forecasts/secret.parquet")
    text.expect(0)
    shutil.move(secret, lab.folder / "harness.duckdb.forecasts" / "secret.parquet")
    table, text = lab.many([["score", "--dialect", "time"], ["score", "--dialect", "time", "--csv"]])
    assert "\x1b" not in table.expect(0).out
    assert "\u202e" not in table.out
    row = next(row for row in csv.DictReader(io.StringIO(text.expect(0).out)) if "xxx" in row["model"])
    assert row["model"].startswith("'=1+1<b>")
    assert len(row["model"]) > 10_000


def test_help_loads_nothing_heavy(lab: Lab) -> None:
    done = lab.python("""
        import sys
        from harness.cli import main
        try:
            main(["score", "--help"])
        except SystemExit:
            pass
        print([m for m in ("pyarrow", "pandas", "duckdb", "harness.dialects.contract") if m in sys.modules])
    """)
    done.expect(0, "--dialect", "[]")


def test_the_table_of_the_documentation_is_a_run(run: tuple[Lab, Done]) -> None:
    columns = (
        ("gift-eval", "MASE[0.5]"), ("fev", "MASE"), ("monash", "mean MASE"), ("time", "MASE"),
        ("gift-eval", "mean_weighted_sum_quantile_loss"), ("fev", "WQL"), ("time", "CRPS"), ("tsfm-point", "MSE"),
    )  # fmt: skip
    page = (Path(__file__).parents[2] / "docs" / "dialects.md").read_text(encoding="utf-8")
    table = page.partition("a test compares them with a run -->")[2].strip().split("\n\n")[0].splitlines()[2:]
    found = scores(run[1])
    shown = {(task, model): numbers for task, model, *numbers in ([c.strip() for c in line.strip("|").split("|")] for line in table)}
    assert shown == {
        (task, model): [f"{found[dialect, model, task][metric]:.4g}" for dialect, metric in columns]
        for task in TASKS.split(",")
        for model in ("naive", "seasonal_naive")
    }
    for each in DIALECTS.values():
        _, _, section = page.partition(f"\n## {each.name}\n")
        section = section.partition("\n## ")[0]
        assert section.lstrip().startswith(f"Version {each.version}."), each.name
        own = f"{each.name}.md"  # a suite's own dialect is told of on the suite's page
        told = section + ((Path(__file__).parents[2] / "docs" / own).read_text(encoding="utf-8") if f"({own}#" in section else "")
        for metric in each.metrics:
            bare = metric.removeprefix("mean ").removeprefix("median ").split("[")[0]
            assert each.name == "gift-eval" or bare in told or all(word in told for word in bare.split()), (each.name, metric)
