"""A submission to GIFT-Eval is written as its leaderboard wants it, and whatever it would be sent back for is found first."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from results_kit import spool_cell

from harness.errors import HarnessError, NothingMatched, StoreError, UsageError
from harness_results.gift_eval_check import COLUMNS, Check, check_config, check_folder, passes
from harness_results.gift_eval_export import export_gift_eval
from harness_results.gift_eval_files import METRICS
from harness_results.gift_eval_snapshot import read_snapshot
from harness_results.gift_eval_submit import folder_name, read_config, submit_gift_eval
from harness_results.imported import suite_tasks
from harness_results.plugin import register_commands
from harness_results.store import DuckStore

TASKS = suite_tasks("gift-eval")
PUBLISHED = {model.model: model for model in read_snapshot(TASKS)}
CONFIG = {
    "model_dtype": "float32",
    "model_link": "https://huggingface.co/me/mymodel",
    "code_link": "https://github.com/me/mymodel",
    "org": "me",
    "model_type": "pretrained",
    "testdata_leakage": "No",
    "replication_code_available": "Yes",
}
HOSTILE = "x'); DROP TABLE cells; <script>\u202e\x1b[31m"


def spooled(store: DuckStore, model: str, task: str, value: float = 0.5, **changes: object) -> None:
    """One own result of a whole task."""
    number = len(list(store.spool.glob("*.parquet"))) if store.spool.is_dir() else 0
    scores = {metric: value + i for i, metric in enumerate(METRICS)}
    made: dict[str, Any] = {"scores": scores, "model_name": model, "steps": False, "windows": 0, "data_fingerprint": f"f-{task}", **changes}
    spool_cell(store.spool, cell_id=f"c{number}-{model}"[:40], model=model, task=task, **made)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with all 97 tasks of `mymodel`, and of `seasonal_naive` with its published scores."""
    store = DuckStore(tmp_path_factory.mktemp("full") / "harness.duckdb")
    for i, task in enumerate(TASKS):
        spooled(store, "mymodel", task, 1 / 3 + i / 7)
        spooled(store, "seasonal_naive", task, scores=PUBLISHED["seasonal_naive"].scores[task])
    store.ingest()
    return store.path


@pytest.fixture
def store(tmp_path: Path) -> DuckStore:
    return DuckStore(tmp_path / "harness.duckdb")


@pytest.fixture
def good(full: Path, tmp_path: Path) -> Path:
    """A folder that passes."""
    done = submit_gift_eval(DuckStore(full), tmp_path / "out", "mymodel", CONFIG)
    assert passes(check_folder(done.folder, TASKS))
    return done.folder


@pytest.fixture
def go() -> Callable[..., Result]:
    import click

    from harness_leaderboard.plugin import register_commands as board

    cli = click.Group()
    register_commands(cli)
    board(cli)

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(cli, [*map(str, arguments)])
        if isinstance(result.exception, HarnessError):
            raise result.exception
        return result

    return run


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def wrong(checks: list[Check]) -> list[str]:
    return [check.name for check in checks if check.ok is False]


def test_a_whole_submission(go: Callable[..., Result], full: Path, tmp_path: Path) -> None:
    fields = [f"--config={name}={value}" for name, value in CONFIG.items()]
    result = go("submit", "gift-eval", "-m", "mymodel", "-o", tmp_path, *fields, "--db", full)
    assert result.exit_code == 0, result.output
    assert "✗" not in result.stdout
    assert "✓ good  data: seasonal_naive has the published scores on 97 of 97 tasks" in result.stdout
    folder = tmp_path / "mymodel"
    assert sorted(path.name for path in folder.iterdir()) == ["all_results.csv", "config.json"]
    raw = (folder / "all_results.csv").read_bytes()
    assert raw.count(b"\n") == 98
    assert b"\r" not in raw
    header, *rows = csv.reader(raw.decode().splitlines())
    assert (tuple(header), len(header)) == (COLUMNS, 15)
    assert [row[0] for row in rows] == sorted(TASKS)
    assert {row[1] for row in rows} == {"mymodel"}
    position = list(TASKS).index(rows[0][0])
    assert float(rows[0][2]) == 1 / 3 + position / 7
    assert json.loads((folder / "config.json").read_text()) == {"model": "mymodel", **CONFIG}
    assert go("submit", "gift-eval", "--check", folder).exit_code == 0


def test_a_submission_that_is_imported_has_the_same_numbers(go: Callable[..., Result], full: Path, good: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.duckdb"
    go("import", "gift-eval", "--db", other)
    go("import", "gift-eval", good, "--db", other)
    boards = [
        {row["model"]: row for row in json.loads(go("leaderboard", "-s", "gift-eval", "--format", "json", "--db", db).stdout)}
        for db in (full, other)
    ]
    assert boards[0]["mymodel"]["source"] == "own"
    assert boards[1]["mymodel"]["source"] == "gift-eval"
    assert boards[1]["mymodel"]["done"] == 97
    for name in ("nMASE", "nCRPS"):
        assert math.isclose(boards[0]["mymodel"][name], boards[1]["mymodel"][name], rel_tol=1e-12)
    # By a plain loop over what was spooled.
    ratios = [
        (1 / 3 + i / 7 + METRICS.index("MASE[0.5]")) / (PUBLISHED["seasonal_naive"].scores[task]["MASE[0.5]"] or math.nan)
        for i, task in enumerate(TASKS)
    ]
    assert math.isclose(boards[1]["mymodel"]["nMASE"], math.exp(sum(map(math.log, ratios)) / 97), rel_tol=1e-12)


def test_export_and_submission_write_the_same(full: Path, good: Path, tmp_path: Path) -> None:
    exported = export_gift_eval(DuckStore(full), tmp_path / "export", ["mymodel"])[0].folder
    assert (exported / "all_results.csv").read_bytes() == (good / "all_results.csv").read_bytes()


def test_what_is_missing_is_said_with_the_command(go: Callable[..., Result], store: DuckStore, tmp_path: Path) -> None:
    spooled(store, "my[k=1]", "m4_hourly/H/short", seed=3)
    spooled(store, "my[k=1]", "solar/W/short", seed=3, scores={"MASE[0.5]": 1.0, "MSIS": "inf"})
    spooled(store, "my[k=1]", "solar/D/short", seed=3, status="failed", reason="out of memory")
    spooled(store, "my[k=1]", "solar/H/short", seed=3, scope="limit=2")
    store.ingest()
    result = go("submit", "gift-eval", "-m", "my[k=1]", "-o", tmp_path / "out", "--json", "--db", store.path)
    assert result.exit_code == 4
    found = json.loads(result.stdout)[0]
    assert (found["passes"], Path(found["folder"])) == (False, tmp_path / "out" / "my-k-1")
    checks = {check["name"]: check for check in found["checks"]}
    assert checks["rows"]["detail"].startswith("2 of 97; missing: bitbrains")
    assert len(checks["rows"]["tasks"]) == 95
    assert checks["rows"]["fix"] == f"harness run -m 'my[k=1]' -s gift-eval --seed 3 --db {store.path}"
    assert "solar/D/short: out of memory" in checks["failed"]["detail"]
    assert checks["failed"]["fix"] == f"harness run -m 'my[k=1]' -s gift-eval -t solar/D/short --seed 3 --db {store.path} --rerun failed"
    assert "1 of the missing rows were run with --limit" in checks["parts of tasks"]["detail"]
    assert "solar/W/short (MSE[mean] = nothing" in checks["metrics"]["detail"]
    assert "MSIS = inf" in checks["metrics"]["detail"]
    assert checks["config: org"]["fix"] == "--config org='Our Lab'"
    assert checks["config: testdata_leakage"]["detail"] == "is empty; wanted Yes, No"
    assert checks["config: testdata_leakage"]["fix"] == "--config testdata_leakage=Yes or --config testdata_leakage=No"
    assert checks["data"]["ok"] is None
    assert checks["data"]["fix"].startswith("harness run -m seasonal_naive -s gift-eval")
    assert (tmp_path / "out" / "my-k-1" / "all_results.csv").read_text().count("\n") == 3
    text = go("submit", "gift-eval", "-m", "my[k=1]", "-o", tmp_path / "out", "--db", store.path)
    assert text.exit_code == 4
    assert "✗ wrong  rows: 2 of 97" in text.stdout
    assert "not ready" in text.stderr


def test_one_model_of_one_kind(store: DuckStore, tmp_path: Path) -> None:
    for seed in (0, 1):
        spooled(store, "net", "solar/W/short", seed=seed)
    spooled(store, "net", "solar/W/short", mode="finetune", budget="10m", models={"model_type": "zero-shot"})
    spooled(store, "x" * 9000, "solar/W/short")
    spooled(store, HOSTILE, "solar/W/short")
    with pytest.raises(
        UsageError, match=r"results of 3 kinds.*finetune 10m seed 0; zero-shot seed 0; zero-shot seed 1. Name one with --mode and --seed"
    ):
        submit_gift_eval(store, tmp_path, "net")
    with pytest.raises(UsageError, match="2 kinds"):
        submit_gift_eval(store, tmp_path, "net", mode="zero-shot")
    with pytest.raises(NothingMatched, match="it has: finetune 10m"):
        submit_gift_eval(store, tmp_path, "net", seed=2)
    with pytest.raises(NothingMatched, match=r"Did you mean 'net'.*harness run -m nett -s gift-eval"):
        submit_gift_eval(store, tmp_path, "nett")
    assert submit_gift_eval(store, tmp_path, "net", mode="zero-shot", seed=1).model == "net"
    tuned = submit_gift_eval(store, tmp_path, "net", mode="finetune")
    assert tuned.folder.name == "net-finetune-10m"
    assert by_name(tuned.checks)["mode"].fix == "--config model_type=fine-tuned"
    assert "mode" not in wrong(submit_gift_eval(store, tmp_path, "net", {"model_type": "fine-tuned"}, mode="finetune").checks)
    for model in ("x" * 9000, HOSTILE):
        done = submit_gift_eval(store, tmp_path, model)
        assert done.folder.parent == tmp_path
        assert by_name(done.checks)["folder name"].ok
        assert by_name(done.checks)["column model"].ok


def test_the_name_is_chosen_and_stays_a_folder(store: DuckStore, tmp_path: Path) -> None:
    spooled(store, "net", "solar/W/short")
    done = submit_gift_eval(store, tmp_path, "net", {"model": "Net-1.0"})
    assert json.loads((done.folder / "config.json").read_text())["model"] == done.folder.name == "Net-1.0"
    assert by_name(done.checks)["column model"].ok
    for name in ("../x", "/abs", "a/b", "..", "con"):
        with pytest.raises(UsageError, match="wanted the name of a folder"):
            submit_gift_eval(store, tmp_path / "deep", "net", {"model": name})
    assert not (tmp_path / "x").exists()
    assert "folder name" in wrong(submit_gift_eval(store, tmp_path, "net", {"model": "Net (new)"}).checks)
    assert [folder_name(name) for name in ("ttm[context=512]", "a b", "…", "CON", "-x-")] == [
        "ttm-context-512",
        "a-b",
        "model",
        "_CON",
        "x",
    ]


def test_fields_of_the_config(go: Callable[..., Result], tmp_path: Path) -> None:
    assert read_config(["testdata_leakage=no", "org=a=b", "model_type=Zero-Shot"]) == {
        "testdata_leakage": "No",
        "org": "a=b",
        "model_type": "zero-shot",
    }
    with pytest.raises(UsageError, match="Did you mean 'testdata_leakage'"):
        read_config(["testdata_leak=No"])
    with pytest.raises(UsageError, match="wanted FIELD=VALUE"):
        read_config(["org"])
    with pytest.raises(UsageError, match="wanted a model and a folder"):
        go("submit", "gift-eval", "-m", "naive")
    with pytest.raises(UsageError, match="leave out"):
        go("submit", "gift-eval", "--check", tmp_path, "-m", "naive")
    with pytest.raises(UsageError, match="no such folder"):
        go("submit", "gift-eval", "--check", tmp_path / "absent")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"model_type": "transformer"}, ["config: model_type"]),
        ({"model_type": "Pretrained"}, ["config: model_type"]),
        ({"testdata_leakage": True}, ["config: testdata_leakage"]),
        ({"model_type": "zero-shot", "testdata_leakage": "Yes"}, ["config: zero-shot"]),
        ({"model_type": "zero-shot"}, []),
        ({"code_link": ""}, ["config: code_link"]),
        ({"code_link": "", "replication_code_available": "No"}, []),
        ({"code_link": "TBD"}, ["config: code_link"]),
        ({"model_link": "To your HF model link"}, ["config: model_link"]),
        ({"model_link": ""}, []),
        ({"org": " "}, ["config: org"]),
        ({"org": 3}, ["config: org"]),
        ({"model": "other"}, ["config: model"]),
        ({"extra": 1}, ["config: other fields"]),
    ],
)
def test_every_field_is_checked(change: dict[str, Any], found: list[str]) -> None:
    assert wrong(check_config({"model": "m", **CONFIG, **change}, "m")) == found


def edit(folder: Path, change: Callable[[list[list[str]]], object]) -> None:
    file = folder / "all_results.csv"
    with file.open(newline="") as handle:
        rows = list(csv.reader(handle))
    change(rows)
    with file.open("w", newline="") as handle:
        csv.writer(handle, lineterminator="\n").writerows(rows)


def put(row: int, column: int, text: str) -> Callable[[list[list[str]]], None]:
    def change(rows: list[list[str]]) -> None:
        rows[row][column] = text

    return change


@pytest.mark.parametrize(
    ("change", "found", "said"),
    [
        (lambda rows: rows.pop(5), ["rows"], "96 of 97"),
        (lambda rows: rows.append(rows[5]), ["names of rows"], "more than once"),
        (put(5, 0, "BITBRAINS_RND/5T/LONG"), ["rows", "names of rows"], "no such task"),
        (put(5, 1, "other"), ["column model"], "'other'"),
        (put(5, 2, "nan"), ["metrics"], "MSE[mean] = nan"),
        (put(5, 3, "inf"), ["metrics"], "MSE[0.5] = inf"),
        (put(5, 4, "-1"), ["metrics"], "= -1"),
        (put(5, 4, ""), ["metrics"], "= nothing"),
        (put(5, 13, "Nature"), ["column domain"], "in 1 rows"),
        (put(5, 14, "7"), ["column num_variates"], "in 1 rows"),
        (put(0, 5, "MASE"), ["columns"], "not wanted: MASE"),
        (lambda rows: [row.append("x") for row in rows], ["columns"], "got 16"),
        (lambda rows: [row.insert(0, "") for row in rows], ["columns"], "one without a name"),
        (lambda rows: [row.reverse() for row in rows], ["columns"], "another order"),
        (lambda rows: [row.pop() for row in rows], ["columns"], "missing: num_variates"),
        (lambda rows: rows.clear(), ["all_results.csv"], "is empty"),
        (put(0, 0, "data"), ["columns", "rows"], "no column 'dataset'"),
    ],
)
def test_every_fault_of_a_table_is_found(good: Path, change: Callable[[list[list[str]]], object], found: list[str], said: str) -> None:
    edit(good, change)
    checks = check_folder(good, TASKS)
    assert wrong(checks) == found
    assert said in " ".join(check.detail for check in checks if check.ok is False)


def test_faults_of_files(good: Path) -> None:
    (good / "notes.txt").write_text("x")
    assert wrong(check_folder(good, TASKS)) == ["files"]
    (good / "notes.txt").unlink()
    text = (good / "all_results.csv").read_bytes()
    (good / "all_results.csv").write_bytes(b"\xef\xbb\xbf" + text)
    assert "byte order mark" in by_name(check_folder(good, TASKS))["all_results.csv"].detail
    (good / "all_results.csv").write_bytes(text.replace(b"\n", b"\r\n"))
    assert passes(check_folder(good, TASKS))
    (good / "all_results.csv").write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in by_name(check_folder(good, TASKS))["all_results.csv"].detail
    (good / "all_results.csv").write_bytes(text[: len(text) // 2])
    assert {"rows", "metrics"} <= set(wrong(check_folder(good, TASKS)))
    (good / "all_results.csv").unlink()
    for config in ("{", "[1]", "[" * 100_000, ""):
        (good / "config.json").write_text(config)
        assert {"files", "all_results.csv", "config.json"} == set(wrong(check_folder(good, TASKS)))


def test_other_data_is_noticed(store: DuckStore, tmp_path: Path) -> None:
    right = PUBLISHED["seasonal_naive"].scores
    for i, task in enumerate(["solar/W/short", "m4_hourly/H/short", "ett1/H/short"]):
        spooled(store, "net", task)
        scores = {**right[task], "MASE[0.5]": (right[task]["MASE[0.5]"] or 0) * (1 + (0, 1e-6, 0.01)[i])}
        spooled(store, "seasonal_naive", task, scores=scores)
    check = by_name(submit_gift_eval(store, tmp_path, "net").checks)["data"]
    assert (check.ok, check.tasks) == (False, ("ett1/H/short",))
    assert "on 1 of 3 tasks compared" in check.detail
    assert "ett1/H/short (MASE[0.5]" in check.detail
    other = DuckStore(tmp_path / "other.duckdb")
    spooled(other, "net", "solar/W/short", data_fingerprint="changed")
    spooled(other, "seasonal_naive", "solar/W/short")
    check = by_name(submit_gift_eval(other, tmp_path, "net").checks)["data"]
    assert (check.ok, "0 of 1 tasks" in check.detail) == (None, True)  # the gauge was measured on data that the model did not see


def test_stale_results_are_told(store: DuckStore, tmp_path: Path) -> None:
    """A stored result of the installed `naive` with an identity that is not today's."""
    spooled(store, "naive", "solar/W/short", identity={"source_digest": "of long ago"}, params={})
    check = by_name(submit_gift_eval(store, tmp_path, "naive").checks)["fresh"]
    assert (check.ok, check.tasks) == (False, ("solar/W/short",))
    assert check.fix == f"harness run -m naive -s gift-eval -t solar/W/short --db {store.path}"


def test_a_folder_that_cannot_be_written(store: DuckStore, tmp_path: Path) -> None:
    spooled(store, "net", "solar/W/short")
    (tmp_path / "file").write_text("kept")
    with pytest.raises(StoreError, match=r"could not write.*choose another folder with -o"):
        submit_gift_eval(store, tmp_path / "file", "net")
    assert (tmp_path / "file").read_text() == "kept"
    (tmp_path / "out" / "net" / "all_results.csv").mkdir(parents=True)
    with pytest.raises(StoreError, match="could not write"):
        submit_gift_eval(store, tmp_path / "out", "net")
    assert [path.name for path in (tmp_path / "out" / "net").iterdir()] == ["all_results.csv"]  # no half-written file beside it


def test_the_published_folders(go: Callable[..., Result]) -> None:
    """Of 121, those with another set of columns, a blank domain or another file name are known; so are four cells without a number."""
    folder = Path(os.environ.get("HARNESS_TEST_DATA", Path(__file__).parents[2] / ".." / "shared" / "data")) / "published" / "gift-eval"
    if not folder.is_dir():
        pytest.skip(f"the published result files are not at {folder}; HARNESS_TEST_DATA names their parent")
    result = go("submit", "gift-eval", "--check", folder, "--json")
    assert result.exit_code == 4
    found = {Path(row["folder"]).name: [c["name"] for c in row["checks"] if c["ok"] is False] for row in json.loads(result.stdout)}
    assert len(found) == 121
    assert sum(not names for names in found.values()) == 59
    table = {
        name
        for name, names in found.items()
        if {"columns", "column domain", "column num_variates", "files", "rows", "names of rows"} & set(names)
    }
    assert len(table) == 17
    assert table >= {"Samay", "TimeRouter", "Migas-1.0", "TTM-R2-Finetuned", "Toto_Open_Base_1.0", "Taichu-TimeSeries-Agent"}
    assert [name for name, names in found.items() if "metrics" in names] == ["crossformer"]
    assert found["chronos-2"] == ["column model", "config: model"]  # 'Chronos-2' in the folder 'chronos-2'
    assert found["TimesFM-2.5"] == []
    lines = go("submit", "gift-eval", "--check", folder)
    assert "✓ good  TimesFM-2.5" in lines.stdout
    assert "59 of 121 folders pass" in lines.stderr
