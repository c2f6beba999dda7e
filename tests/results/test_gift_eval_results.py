"""Published GIFT-Eval results go in however untidy they are, and own results come out in the published form."""

from __future__ import annotations

import csv
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from results_kit import spool_cell

from harness.errors import NothingMatched
from harness_results.gift_eval_check import check_folder
from harness_results.gift_eval_export import export_gift_eval, safe_folder
from harness_results.gift_eval_files import METRICS, PREFIX, Published
from harness_results.gift_eval_import import import_gift_eval
from harness_results.gift_eval_snapshot import read_snapshot, write_snapshot
from harness_results.imported import suite_tasks
from harness_results.records import model_row
from harness_results.store import DuckStore

HEADER = ["dataset", "model", *(PREFIX + metric for metric in METRICS), "domain", "num_variates"]
HOSTILE = "x'); DROP TABLE cells; -- <script>"


@pytest.fixture
def store(tmp_path: Path) -> DuckStore:
    return DuckStore(tmp_path / "harness.duckdb")


@pytest.fixture(scope="module")
def published_folder() -> Path:
    folder = Path(os.environ.get("HARNESS_TEST_DATA", Path(__file__).parents[2] / ".." / "shared" / "data")) / "published" / "gift-eval"
    if not folder.is_dir():
        pytest.skip(f"the published result files are not at {folder}; HARNESS_TEST_DATA names their parent")
    return folder.resolve()


def line(task: str, value: float = 1.5, model: str = "whoever") -> list[str]:
    return [task, model, *(repr(value + i) for i in range(11)), "Energy", "1"]


def model_folder(root: Path, name: str, rows: list[list[str]], *, header: list[str] = HEADER, file: str = "all_results.csv") -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    with (folder / file).open("w", newline="") as handle:
        csv.writer(handle, lineterminator="\n").writerows([header, *rows])
    return folder


def mase(store: DuckStore, model: str) -> dict[str, float]:
    rows = store.query("SELECT task, MASE FROM results WHERE model = $1 AND source = 'gift-eval'", [model]).to_pylist()
    return {row["task"]: row["MASE"] for row in rows}


def test_the_bundled_results_are_whole(store: DuckStore) -> None:
    start = time.perf_counter()
    done = import_gift_eval(store)
    assert time.perf_counter() - start < 15  # 2.5 s on two idle cores
    assert (done.models, done.rows, done.problems) == (121, 121 * 97, [])
    naive = mase(store, "seasonal_naive")
    assert naive["bitbrains_fast_storage/H/short"] == 1.2985124569638047
    assert len(naive) == 97
    row = store.query("SELECT * FROM models WHERE name = 'chronos-2'").to_pylist()[0]
    assert (row["source"], row["model_type"], row["testdata_leakage"]) == ("gift-eval", "pretrained", "No")
    cell = store.query("SELECT * FROM cells WHERE model = 'naive' AND task = 'electricity/15T/long'").to_pylist()[0]
    assert (cell["horizon"], cell["domain"], cell["suite"], cell["status"], cell["scope"]) == (720, "Energy", "gift-eval", "ok", "")
    start = time.perf_counter()
    ids = store.query("SELECT cell_id FROM cells LIMIT 194")["cell_id"].to_pylist()
    assert len(store.find(ids)) == 194
    assert time.perf_counter() - start < 2


def test_the_bundled_results_equal_the_published_files(published_folder: Path, tmp_path: Path) -> None:
    tasks = suite_tasks("gift-eval")
    bundled = {model.model: model for model in read_snapshot(tasks)}
    store = DuckStore(tmp_path / "files.duckdb")
    done = import_gift_eval(store, published_folder)
    assert (done.models, done.rows, done.problems) == (121, 121 * 97, [])
    assert set(bundled) == {folder.name for folder in published_folder.iterdir() if folder.is_dir()}
    rows = store.query("SELECT c.model, c.task, s.metric, s.value FROM cells c JOIN scores s USING (cell_id)").to_pylist()
    wrong = [r for r in rows if r["metric"] in METRICS and bundled[r["model"]].scores[r["task"]][r["metric"]] != r["value"]]
    assert wrong == []


def test_importing_twice_replaces(store: DuckStore, tmp_path: Path) -> None:
    folder = model_folder(tmp_path, "mine", [line("m4_daily/D/short"), line("solar/W/short")])
    import_gift_eval(store, folder)
    (folder / "all_results.csv").unlink()
    folder.rmdir()
    import_gift_eval(store, model_folder(tmp_path, "mine", [line("m4_daily/D/short", 7.0)]))
    assert mase(store, "mine") == {"m4_daily/D/short": 10.0}
    assert store.query("SELECT count(*) AS n FROM scores")["n"].to_pylist() == [11]


@pytest.mark.parametrize("form", ["crlf", "bom", "index", "extra", "short", "name", "case", "folder-name", "no-config", "bare"])
def test_untidy_files(store: DuckStore, tmp_path: Path, form: str) -> None:
    tasks = ["loop_seattle/H/short", "saugeen/D/short"]
    rows = [line(tasks[0]), line(tasks[1], 2.5)]
    header, file = list(HEADER), "all_results.csv"
    if form == "index":
        header, rows = ["", *header], [[str(i), *row] for i, row in enumerate(rows)]
    elif form == "extra":
        header, rows = [*header, "notes"], [[*row, "a, b"] for row in rows]
    elif form == "short":  # no domain, no num_variates
        header, rows = header[:-2], [row[:-2] for row in rows]
    elif form == "name":
        file = "results-final.CSV"
    elif form == "case":
        rows[0][0] = "LOOP_SEATTLE/H/short"
    elif form == "folder-name":
        rows[1][0] = "saugeenday/D/short"
    elif form == "bare":
        header = [name.removeprefix(PREFIX) for name in header]
    folder = model_folder(tmp_path / "all", "a model [v1]", rows, header=header, file=file)
    path = folder / file
    if form == "crlf":
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    elif form == "bom":
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    if form != "no-config":
        (folder / "config.json").write_text('{"model": "other name", "org": "me", "model_type": "pretrained"}')
    done = import_gift_eval(store, tmp_path / "all")
    assert (done.models, done.problems, done.warnings) == (1, [], [])
    assert mase(store, "a model [v1]") == dict(zip(tasks, [4.5, 5.5], strict=True))
    domains = store.query("SELECT DISTINCT domain, variates FROM cells ORDER BY ALL").to_pylist()
    assert domains == [{"domain": "Nature", "variates": 1}, {"domain": "Transport", "variates": 1}]


def test_what_is_forgiven_is_said(store: DuckStore, tmp_path: Path) -> None:
    rows = [line("m4_daily/D/short"), line("m4_daily/D/short"), line("m4_daily/D/short", 9.0), line("mars/H/short"), line("solar/W/short")]
    rows[4][5] = "n/a"
    rows[4][8] = "inf"
    model_folder(tmp_path / "all", "good", rows)
    (tmp_path / "all" / "broken").mkdir()
    (tmp_path / "all" / "broken" / "all_results.csv").write_bytes(b"\x00\x01\x02garbage")
    model_folder(tmp_path / "all", "empty", [])
    (tmp_path / "all" / "none").mkdir()
    done = import_gift_eval(store, tmp_path / "all")
    assert done.models == 1
    assert mase(store, "good") == {"m4_daily/D/short": 4.5, "solar/W/short": None}
    assert store.query("SELECT MSIS FROM results WHERE task = 'solar/W/short'").to_pylist() == [{"MSIS": float("inf")}]
    text = "\n".join(done.warnings)
    for said in ("m4_daily/D/short is there twice", "1 rows of unknown datasets", "mars/H/short", "1 cells hold no number"):
        assert said in text
    assert "1 rows are there again with equal numbers: m4_daily/D/short" in text
    assert "negative" not in text
    assert len(done.problems) == 2
    assert "wanted a column 'dataset'" in done.problems[0]


def test_negative_scores_are_said(store: DuckStore, tmp_path: Path) -> None:
    rows = [line("m4_daily/D/short"), line("solar/W/short")]
    rows[0][HEADER.index(PREFIX + "MASE[0.5]")] = "-1.5"
    rows[1][HEADER.index(PREFIX + "MSIS")] = "-inf"
    model_folder(tmp_path, "below", rows)
    said = "below: 2 numbers are negative, which none of these metrics can be: "
    named = "m4_daily/D/short (MASE[0.5] = -1.5), solar/W/short (MSIS = -inf)"
    assert import_gift_eval(store, tmp_path / "below").warnings == [said + named]


CONFIGS = {
    '{"extra": "x", "org": "us"}': ({"org": "us"}, "left out of config.json: extra: a str; wanted an object"),
    '{"extra": ["x"]}': ({}, "extra: a list; wanted an object"),
    '{"extra": 7}': ({}, "extra: a int; wanted an object"),
    '{"extra": {"a": [1, {"b": true}], "c": null}}': ({"extra": {"a": [1, {"b": True}], "c": None}}, ""),
    '{"extra": {"size": %s, "n": 9223372036854775807}}' % ("9" * 4000): (
        {"extra": {"n": 2**63 - 1}},
        "extra.size: a number of more than 64 bits",
    ),
    '{"org": %s}' % ("9" * 5000): ({}, "config.json cannot be read"),
    '{"a": [[[[[[1]]]]]], "b": [[[[[1]]]]]}': ({"a": [[[[[]]]]], "b": [[[[[1]]]]]}, "a: more than 6 deep"),
    "[" * 200_000: ({}, "config.json cannot be read"),
    json.dumps({"org": "x" * 10_001, "link": "y" * 10_000}): ({"link": "y" * 10_000}, "org: a text of more than 10,000 characters"),
    '{"%s": 1, "org": "us"}' % ("x" * 10_001): ({"org": "us"}, "a name of more than 10,000 characters"),
    '{"a": NaN, "b": [1e999], "org": "us"}': ({"a": None, "b": [None], "org": "us"}, "a: no finite number, b: no finite number"),
    '["a"]': ({}, "config.json is left out: it holds a list; wanted an object"),
    '{"org": "\\ud800\\u0000x"}': ({"org": "?x"}, ""),
}


@pytest.mark.parametrize("text", CONFIGS, ids=[text[:30] for text in CONFIGS])
def test_of_a_strangers_config_plain_values_are_stored(store: DuckStore, tmp_path: Path, text: str) -> None:
    folder = model_folder(tmp_path, "theirs", [line("m4_daily/D/short")])
    (folder / "config.json").write_text(text)
    wanted, said = CONFIGS[text]
    done = import_gift_eval(store, folder)
    assert done.rows == 1
    assert said in "".join(done.warnings) if said else not done.warnings
    assert all(len(warning) < 500 for warning in done.warnings)
    (row,) = store.query("SELECT info, org, link FROM models").to_pylist()
    assert json.loads(row["info"]) == wanted
    assert (row["org"], row["link"]) == (wanted.get("org", ""), wanted.get("link", ""))


def test_what_is_not_plain_is_left_out_of_any_model(caplog: pytest.LogCaptureFixture) -> None:
    row = model_row({"name": "m", "org": "us", "when": Path("a"), "extra": {"deep": [[[[[[1]]]]]]}, "modes": ("a", "b")}, "m", "own")
    assert json.loads(row["info"]) == {"name": "m", "org": "us", "when": "a", "extra": {"deep": [[[[]]]]}, "modes": ["a", "b"]}
    assert "left out of what is known of model 'm': extra.deep: more than 6 deep" in caplog.text


@pytest.mark.parametrize("name", ["all_results.csv", "config.json"])
@pytest.mark.parametrize("kind", ["device", "pipe", "large", "folder"])
def test_what_is_no_small_file_is_refused(store: DuckStore, tmp_path: Path, name: str, kind: str) -> None:
    folder = model_folder(tmp_path, "theirs", [line("m4_daily/D/short")])
    (folder / "config.json").write_text('{"org": "us"}')
    spoil(folder / name, kind)
    said = "holds 64,000,001 bytes; wanted at most 64,000,000" if kind == "large" else "is no regular file"
    if name == "config.json":
        done = import_gift_eval(store, folder)
        assert done.rows == 1 and len(done.warnings) == 1
        assert said in done.warnings[0]
    elif kind == "large":
        assert said in import_gift_eval(store, folder).problems[0]
    else:
        with pytest.raises(NothingMatched, match="no CSV file"):
            import_gift_eval(store, folder)
    checks = {check.name: check for check in check_folder(folder, suite_tasks("gift-eval"))}
    assert checks[name].ok is False and said in checks[name].detail


def spoil(path: Path, kind: str) -> None:
    """Put something in the place of a file that cannot be read whole."""
    path.unlink()
    if kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            file.truncate(64_000_001)


def test_a_link_to_a_file_is_read(store: DuckStore, tmp_path: Path) -> None:
    folder = model_folder(tmp_path, "theirs", [line("m4_daily/D/short")])
    (folder / "all_results.csv").rename(tmp_path / "elsewhere.csv")
    (folder / "all_results.csv").symlink_to(tmp_path / "elsewhere.csv")
    assert import_gift_eval(store, folder).rows == 1


def test_one_file_and_nothing(store: DuckStore, tmp_path: Path) -> None:
    folder = model_folder(tmp_path, HOSTILE.replace("/", ""), [line("m4_daily/D/short", model="=1+1")])
    assert import_gift_eval(store, folder / "all_results.csv").models == 1
    assert len(mase(store, folder.name)) == 1
    (tmp_path / "nothing").mkdir()
    for path in (tmp_path / "nothing", tmp_path / "absent"):
        with pytest.raises(NothingMatched, match=r"all_results\.csv"):
            import_gift_eval(store, path)


def test_a_snapshot_keeps_every_digit(tmp_path: Path) -> None:
    rows: dict[str, dict[str, float | None]] = {"m4_daily/D/short": {metric: 1 / 3 + i for i, metric in enumerate(METRICS)}}
    rows["m4_daily/D/short"]["MSIS"] = float("inf")
    file = tmp_path / "published" / "x.parquet"
    write_snapshot([Published("m", rows, {"org": "me"})], file)
    again = read_snapshot(suite_tasks("gift-eval"), file)
    assert (again[0].model, again[0].scores, again[0].config) == ("m", rows, {"org": "me"})


def spooled(store: DuckStore, model: str, task: str = "m4_hourly/H/short", **changes: object) -> None:
    number = len(list(store.spool.glob("*.parquet"))) if store.spool.is_dir() else 0
    scores = {metric: 0.1 + i for i, metric in enumerate(METRICS)} | {"MSIS": None, "MAPE[0.5]": "inf"}
    made: dict[str, Any] = {"scores": scores, "model_name": model, "steps": False, **changes}
    spool_cell(store.spool, cell_id=f"c{number}", model=model, task=task, **made)


def test_export_is_what_the_leaderboard_takes(store: DuckStore, tmp_path: Path) -> None:
    info = {"model_type": "statistical", "org": "me", "extra": {"testdata_leakage": "No", "code_link": "https://example.org"}}
    spooled(store, 'a, "b"', "solar/W/short", models=info)
    spooled(store, 'a, "b"', "m4_hourly/H/short")
    spooled(store, "partial", scope="limit=2")
    spooled(store, "broken", status="failed")
    done = export_gift_eval(store, tmp_path / "out")
    assert [(e.model, e.rows, e.total) for e in done] == [('a, "b"', 2, 97)]
    with (done[0].folder / "all_results.csv").open(newline="") as handle:
        header, *rows = csv.reader(handle)
    assert header == HEADER
    assert [row[:2] for row in rows] == [["m4_hourly/H/short", 'a, "b"'], ["solar/W/short", 'a, "b"']]  # in the order of the suite
    assert rows[0][2:] == ["0.1", "1.1", "2.1", "3.1", "inf", "5.1", "", "7.1", "8.1", "9.1", "10.1", "Econ/Fin", "1"]
    config = json.loads((done[0].folder / "config.json").read_text())
    assert list(config) == [
        "model",
        "model_type",
        "model_dtype",
        "model_link",
        "code_link",
        "org",
        "testdata_leakage",
        "replication_code_available",
    ]
    assert (config["model"], config["testdata_leakage"], config["code_link"]) == ('a, "b"', "No", "https://example.org")
    again = DuckStore(tmp_path / "again.duckdb")
    import_gift_eval(again, tmp_path / "out")
    assert again.query("SELECT MASE FROM results WHERE task = 'solar/W/short'").to_pylist() == [{"MASE": 3.1}]


def test_export_by_name_and_with_seeds(store: DuckStore, tmp_path: Path) -> None:
    spooled(store, "ttm[context=512]")
    spooled(store, "naive", seed=0)
    spooled(store, "naive", seed=1)
    spooled(store, "scale")
    spooled(store, "scale", mode="finetune", budget="10m")
    names = [e.folder.name for e in export_gift_eval(store, tmp_path / "a", ["ttm[context=512]"])]
    assert names == ["ttm[context=512]"]
    names = sorted(e.folder.name for e in export_gift_eval(store, tmp_path / "b", ["nai*"]))
    assert names == ["naive-seed0", "naive-seed1"]
    names = sorted(e.folder.name for e in export_gift_eval(store, tmp_path / "d", ["scale"]))
    assert names == ["scale", "scale-finetune-10m"]
    with pytest.raises(NothingMatched, match=r"Did you mean 'naive'.*harness run -m naiv -s gift-eval"):
        export_gift_eval(store, tmp_path / "c", ["naiv"])
    with pytest.raises(NothingMatched, match="quick"):
        export_gift_eval(store, tmp_path / "c", suite="quick")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/abs", "..", ".", "", "a\0b", "x" * 10_000, "CON", "con.txt", "a\nb", "..\\..\\x", "é" * 500]
)
def test_no_name_leaves_the_folder(name: str, tmp_path: Path) -> None:
    folder = safe_folder(name, set())
    target = (tmp_path / folder).resolve()
    assert target.parent == tmp_path.resolve()
    assert len(os.fsencode(folder)) < 100
    assert folder.lower().partition(".")[0] != "con"
    target.mkdir()


def test_names_that_collide_get_folders_of_their_own() -> None:
    taken: set[str] = set()
    names = [safe_folder(name, taken) for name in ("a/b", "a:b", "A_B", "x" * 200, "x" * 201)]
    assert len({name.casefold() for name in names}) == 5
