"""`harness plot`: every picture from a real database, its numbers against loops and the leaderboard's, and what it says when it cannot."""

from __future__ import annotations

import doctest
import inspect
import json
import math
import shutil
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import numpy as np
import pytest
from kept import MODELS, TASKS, changed, kept_lab, results_of, rows_of, view_of
from pages import HOSTILE
from support import Done, Lab

from harness.cli.output import printable
from harness.errors import NothingMatched, UsageError
from harness.plugins import load
from harness_leaderboard.plots import PLOTS, grids, models
from harness_leaderboard.plots.files import specification
from harness_leaderboard.plots.forecasts import chosen_task
from harness_leaderboard.plots.grids import heatmap, winloss
from harness_leaderboard.plots.models import mean_ranks, rank_lines
from harness_leaderboard.plots.numbers import Numbers, Picture
from harness_results.store import DuckStore

NO_POLICY = "all models shown have all tasks"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return kept_lab(tmp_path_factory.getbasetemp())


def plots(lab: Lab, folder: Path, *commands: str, db: Path | None = None) -> list[Done]:
    """Several `harness plot`, each given as its words; OUT stands for the folder to write into."""
    words = [[word.replace("OUT", str(folder)) for word in command.split()] for command in commands]
    return lab.many([["plot", *each, "--db", str(db or lab.db)] for each in words])


def drawn(lab: Lab, folder: Path, command: str, db: Path) -> dict[str, Any]:
    """The specification that a plot of another database is drawn from."""
    plots(lab, folder, f"{command} -o OUT/it.json", db=db)[0].expect(0, "wrote")
    made: dict[str, Any] = json.loads((folder / "it.json").read_text())
    return made


DRAWN = (
    "intervals", "intervals --metric CRPS", "domains --by freq", "reliability", "pit", "steps -m naive,mean",
    "forecasts -m naive,noisy -t us_births/M/short --window 1", "influence --common",
)  # fmt: skip


@pytest.fixture(scope="module")
def specifications(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """{command: the specification that it draws from}, all made by one process."""
    folder = tmp_path_factory.mktemp("drawn")
    made = {}
    for number, answer in enumerate(plots(lab, folder, *(f"{command} -o OUT/{k}.json" for k, command in enumerate(DRAWN)))):
        assert answer.expect(0, "wrote").out == ""
        made[DRAWN[number]] = json.loads((folder / f"{number}.json").read_text())
    return made


def rows(made: dict[str, Any]) -> list[dict[str, Any]]:
    return list(made["data"]["values"])


def numbers_of(db: Path, **options: Any) -> Numbers:
    view = view_of(db, **options)
    return Numbers(load(), DuckStore(db, readonly=True), view, view.results.main[0])


def test_worked_numbers() -> None:
    assert doctest.testmod(models, extraglobs={"np": np}) == (0, 3)
    assert doctest.testmod(grids, extraglobs={"np": np}) == (0, 1)


def test_every_plot_is_there() -> None:
    from harness_leaderboard.charts import PICTURES

    assert {made.chart for made in PLOTS.values()} == set(PICTURES)
    for kind, made in PLOTS.items():
        module, _, function = made.makes.partition(":")
        found = import_module(f"harness_leaderboard.plots.{module}")
        assert function in found.__all__, kind
        assert set(inspect.signature(getattr(found, function)).parameters) == {"numbers", *made.options} - {"metric"}, kind


def test_importing_the_list_of_plots_is_cheap() -> None:
    script = "import sys, harness_leaderboard.plots; print([n for n in ('numpy', 'altair', 'scipy', 'duckdb') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_kind_becomes_every_kind_of_file(lab: Lab, tmp_path: Path) -> None:
    pictures = [f"{kind} --width 500 --scale 1 -o OUT/{kind}.png" for kind in PLOTS]
    sharp = [f"intervals --width 600 --scale {k} -o OUT/{k}.png" for k in (1, 3)]
    files = [f"pit --dark -o OUT/pit.{file}" for file in ("svg", "pdf", "html", "json")]
    answers = plots(lab, tmp_path, *pictures, *sharp, *files)
    for kind, answer in zip(PLOTS, answers, strict=False):
        answer.expect(0, f"wrote {tmp_path}/{kind}.png")
        content = (tmp_path / f"{kind}.png").read_bytes()
        assert content.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", content[16:24])
        assert 350 < width < 800 and height > 80, (kind, width, height)
    for answer in answers[len(PLOTS) :]:
        answer.expect(0, "wrote")
    svg = (tmp_path / "pit.svg").read_text()
    assert ElementTree.fromstring(svg).tag.endswith("svg") and "#0d1117" in svg
    assert (tmp_path / "pit.pdf").read_bytes().startswith(b"%PDF")
    assert not list(tmp_path.glob("*.tmp"))
    # A PNG is as wide and as sharp as asked.
    one, three = (struct.unpack(">II", (tmp_path / f"{k}.png").read_bytes()[16:24]) for k in (1, 3))
    assert abs(one[0] - 600) <= 2
    assert three == pytest.approx((3 * one[0], 3 * one[1]), abs=3)


def test_intervals_are_the_leaderboards(lab: Lab, specifications: dict[str, Any]) -> None:
    made = specifications["intervals"]
    board = {row["model"]: row for row in lab.run("leaderboard", "--format", "json").expect(0).json()}
    assert {row["model"] for row in rows(made)} == set(MODELS) == set(board)
    for row in rows(made):
        expected = board[row["model"]]
        for name, column in (("value", "nMASE"), ("low", "nMASE_low"), ("high", "nMASE_high"), ("letters", "letters")):
            assert row[name] == pytest.approx(expected[column]) if isinstance(row[name], float) else row[name] == expected[column]
    assert [row["order"] for row in rows(made)] == sorted(row["order"] for row in rows(made))
    assert [row["value"] for row in rows(made)] == sorted(row["value"] for row in rows(made))
    families = {task["family"] for task in results_of(lab.db).tasks if task["name"] in TASKS}
    assert (
        f"5 models (5 over some of the tasks only), 14 tasks; 95 % intervals over {len(families)} dataset families" in made["description"]
    )


def test_another_score(lab: Lab, specifications: dict[str, Any]) -> None:
    made = specifications["intervals --metric CRPS"]
    board = {row["model"]: row["nCRPS"] for row in lab.run("leaderboard", "--format", "json").json()}
    assert {row["model"]: row["value"] for row in rows(made)} == pytest.approx(board)
    text = json.dumps(made)
    assert "nCRPS (1 = baseline" in text and "MASE" not in text


def test_domains_are_geometric_means_of_each_group(lab: Lab, specifications: dict[str, Any]) -> None:
    made = specifications["domains --by freq"]
    results = results_of(lab.db)
    often = Counter(task["freq"] for task in results.tasks)
    assert {row["group"] for row in rows(made)} == {f"{freq} · {count} tasks" for freq, count in often.items()}
    for row in rows(made):
        m = rows_of(results, row["model"])
        ratios = [
            results.mase[m, r] / results.baseline_mase[r]
            for r, task in enumerate(results.tasks)
            if task["freq"] == row["group"][0] and not math.isnan(results.mase[m, r])
        ]
        expected = math.exp(math.fsum(map(math.log, ratios)) / len(ratios)) if ratios else None
        assert row["value"] == (pytest.approx(expected) if ratios else None)
    assert [tick for tick in made["spec"]["layer"][1]["encoding"]["x"]["axis"]["values"] if tick == 1] == [1]


def test_who_beats_whom_is_counted_by_a_loop(lab: Lab) -> None:
    picture = winloss(numbers_of(lab.db))
    results = results_of(lab.db)
    assert len(picture.rows) == len(MODELS) ** 2
    for row in picture.rows:
        if row["model"] == row["other"]:
            assert row["share"] is None
            continue
        a, b = (results.mase[rows_of(results, row[name])] for name in ("model", "other"))
        pairs = [(x, y) for x, y in zip(a, b, strict=True) if not math.isnan(x) and not math.isnan(y)]
        ties = sum(x == y or (x > 0 and y > 0 and abs(math.log(x / y)) < 1e-6) for x, y in pairs)
        wins = sum(x < y and abs(math.log(x / y)) > 1e-6 for x, y in pairs)
        assert (row["wins"], row["ties"], row["losses"]) == (wins, ties, len(pairs) - wins - ties)
        assert row["share"] == (wins + ties / 2) / len(pairs)


def test_the_heat_map_says_what_is_missing(lab: Lab) -> None:
    picture = heatmap(numbers_of(lab.db))
    results = results_of(lab.db)
    found = {(row["model"], row["task"]): row for row in picture.rows}
    assert len(found) == len(results.tasks) * len(MODELS)
    assert found["fails", "us_births/W/short"]["status"] == "failed" and math.isnan(found["fails", "us_births/W/short"]["ratio"])
    assert found["naive", "us_births/D/short"]["status"] == "missing"
    for (model, task), row in found.items():
        m, r = rows_of(results, model), next(r for r, known in enumerate(results.tasks) if known["name"] == task)
        if row["status"] == "ok":
            assert row["ratio"] == results.mase[m, r] / results.baseline_mase[r]
    order = [row["task"] for row in sorted(picture.rows, key=lambda row: row["task_order"]) if row["model"] == "naive"]
    domains = [next(task["domain"] for task in results.tasks if task["name"] == name) for name in order]
    assert len([1 for one, other in zip(domains[:-1], domains[1:], strict=True) if one != other]) == len(set(domains)) - 1


def test_calibration_is_a_mean_over_tasks_that_all_have(lab: Lab, specifications: dict[str, Any]) -> None:
    made = specifications["reliability"]
    found = {(row["model"], row["level"]): row["coverage"] for row in rows(made)}
    counted: dict[tuple[str, str], tuple[int, list[int]]] = {}
    sql = "SELECT c.model, c.task, s.n, s.hits FROM steps s JOIN cells c USING (result_id) WHERE c.scope = ''"
    for model, task, n, hits in lab.query(sql):
        total, below = counted.get((model, task), (0, [0] * 9))
        counted[model, task] = total + n, [a + b for a, b in zip(below, hits, strict=True)]
    assert len(found) == 9 * len(MODELS)
    common = {task for task in TASKS if all((model, task) in counted for model in MODELS)}
    assert 0 < len(common) < len(TASKS)  # one model fails
    assert f"{len(common)} tasks that all of them have" in made["description"]
    for (model, level), coverage in found.items():
        q = round(10 * level) - 1
        shares = [hits[q] / n for (other, task), (n, hits) in counted.items() if other == model and task in common]
        assert coverage == pytest.approx(math.fsum(shares) / len(shares))
    bins = rows(specifications["pit"])
    for model in MODELS:
        mine = [row for row in bins if row["model"] == model]
        assert math.fsum(row["share"] for row in mine) == pytest.approx(1)
        assert [row["bin"] for row in mine][:2] == ["0–0.1", "0.1–0.2"] and mine[-1]["bin"] == "0.9–1"
        assert mine[0]["share"] == pytest.approx(found[model, 0.1])
        assert mine[-1]["share"] == pytest.approx(1 - found[model, 0.9])


def test_cost_is_fitting_and_predicting(lab: Lab, tmp_path: Path) -> None:
    db = changed(lab, tmp_path, "UPDATE cells SET fit_s = 100 WHERE model = 'mean'")
    made = drawn(lab, tmp_path, "pareto", db=db)
    assert "seconds to fit and predict, per 1,000 forecasts" in json.dumps(made)
    sql = (
        "SELECT model, 1000 * sum(coalesce(fit_s, 0) + predict_s) / sum(n_windows) FROM cells WHERE scope = '' AND status = 'ok' GROUP BY 1"
    )
    with duckdb.connect(str(db), read_only=True) as connection:
        expected = dict(connection.execute(sql).fetchall())
    assert {row["model"]: row["cost"] for row in rows(made)} == pytest.approx(expected)
    assert max(expected, key=lambda name: expected[name]) == "mean"


def test_what_differs_by_rounding_is_equal(lab: Lab, tmp_path: Path) -> None:
    """Three models whose scores differ in the twelfth digit, always in the same order, are no finding."""
    statements = []
    for k in range(3):
        statements += copies(f"twin-{k}", k, f"s.value * (1 + {k} * 1e-12)")
    db = changed(lab, tmp_path, *statements)
    for row in rows(drawn(lab, tmp_path, "winloss --common -m twin-0,twin-1,twin-2", db=db)):
        assert row["share"] in (None, 0.5) and row["wins"] in (None, 0)
    made = drawn(lab, tmp_path, "critical --common -m twin-0,twin-1,twin-2", db=db)
    assert "they cannot be told apart as a whole (all are equal)" in made["description"]
    assert {row["rank"] for row in rows(made) if row["part"] == "model"} == {2.0}


def copies(name: str, k: int, value: str) -> list[str]:
    """Statements that give a published model the results of `mean`, its scores changed."""
    return [
        f"INSERT INTO cells SELECT * REPLACE (md5('r{k}' || result_id) AS result_id, md5('c{k}' || cell_id) AS cell_id, "
        f"'{name}' AS model, 'published' AS source) FROM cells WHERE model = 'mean' AND source = 'own' AND scope = ''",
        f"INSERT INTO scores SELECT md5('r{k}' || result_id), s.* EXCLUDE (result_id) REPLACE ({value} AS value) "
        "FROM scores s JOIN cells c USING (result_id) WHERE c.model = 'mean' AND c.source = 'own' AND c.scope = ''",
    ]


def test_the_names_of_other_scores() -> None:
    picture = Picture([{"model": "a", "order": 0, "value": 0.5, "low": 0.4, "high": 0.6, "letters": "", "source": "own"}], "t", "s")
    text = json.dumps(specification("intervals", picture, label="fev:MASE"))
    assert "nfev:MASE (1 = baseline" in text and "nMASE" not in text


def test_errors_by_step_of_one_task_and_of_several(lab: Lab, specifications: dict[str, Any], tmp_path: Path) -> None:
    sql = (
        "SELECT s.step, s.scaled_error / s.n_scaled FROM steps s JOIN cells c USING (result_id) "
        "WHERE c.model = 'naive' AND c.scope = '' AND "
    )
    db = changed(lab, tmp_path, "DELETE FROM cells WHERE task <> 'us_births/M/short'")
    where = "us_births/M/short"
    command = ["plot", "steps", "-m", "naive,mean", "--where", f"name = '{where}'", "-o", str(tmp_path / "one.json"), "--db", str(db)]
    lab.run(*command).expect(0)
    one = json.loads((tmp_path / "one.json").read_text())
    mine = {row["position"]: row["value"] for row in rows(one) if row["model"] == "naive"}
    assert mine == pytest.approx(dict(lab.query(sql + f"c.task = '{where}'")))
    assert "step of the horizon" in json.dumps(one) and len(mine) == 12
    several = specifications["steps -m naive,mean"]
    assert "over 5 tasks" in several["description"] and "tenth of the horizon" in json.dumps(several)
    mean = {t: [] for t in range(10)}
    for task in TASKS:
        curve = dict(lab.query(sql + f"c.task = '{task}'"))
        horizon = len(curve)
        for t in range(10):
            # Each step takes 1/H of the horizon; a tenth is the mean of what falls into it. Long horizons have 48 points.
            points = min(48, horizon)
            groups = [[curve[s + 1] for s in range(horizon) if s * points // horizon == p] for p in range(points)]
            values = [sum(group) / len(group) for group in groups]
            overlap = [max(0.0, min((p + 1) / points, (t + 1) / 10) - max(p / points, t / 10)) for p in range(points)]
            mean[t].append(math.fsum(v * o for v, o in zip(values, overlap, strict=True)) / math.fsum(overlap))
    mine = {row["position"]: row["value"] for row in rows(several) if row["model"] == "naive"}
    expected = {t + 1.0: math.exp(math.fsum(map(math.log, values)) / len(values)) for t, values in mean.items()}
    assert mine == pytest.approx(expected, rel=0.02)  # groups of 480 steps hold as many labels each, but for missing ones


def test_a_forecast_is_what_was_kept(lab: Lab, specifications: dict[str, Any]) -> None:
    import pyarrow.parquet as pq

    task = "us_births/M/short"
    found = rows(specifications[f"forecasts -m naive,noisy -t {task} --window 1"])
    ((name,),) = lab.query(f"SELECT forecasts FROM cells WHERE model = 'naive' AND task = '{task}'")
    (row,) = [row for row in pq.read_table(lab.db.parent / name).to_pylist() if row["window"] == 1]
    quantiles = np.array(row["quantiles"]).reshape(9, 12)
    mine = [row for row in found if row.get("model") == "naive"]
    assert [row["y"] for row in mine if row["part"] == "median"] == quantiles[4].tolist()
    for band, low, high in (("0.1–0.9", 0, 8), ("0.3–0.7", 2, 6)):
        parts = [row for row in mine if row.get("band") == band]
        assert ([row["low"] for row in parts], [row["high"] for row in parts]) == (quantiles[low].tolist(), quantiles[high].tolist())
    assert len([row for row in found if row["part"] == "label"]) == 12
    assert [row["x"] for row in found if row["part"] == "context"][-1] == 0
    assert {row["model"] for row in found if "model" in row} == {"naive", "noisy"}


def test_places_and_ranks(lab: Lab, specifications: dict[str, Any]) -> None:
    made = specifications["influence --common"]
    places = {row["model"]: row["place"] for row in rows(made)}
    board = lab.run("leaderboard", "--common", "--format", "json").json()
    assert len(places) == len(MODELS)
    assert sorted(places, key=lambda name: places[name]) == [row["model"] for row in sorted(board, key=lambda row: row["nMASE"])]
    assert all(row["best"] <= row["place"] <= row["worst"] for row in rows(made))


def test_mean_ranks_are_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    draw = np.random.default_rng(1)
    scores = draw.integers(0, 5, (7, 40)).astype(float)
    expected = np.mean([stats.rankdata(scores[:, block]) for block in range(40)], axis=0)
    np.testing.assert_allclose(mean_ranks(scores), expected)


@pytest.mark.parametrize("seed", range(20))
def test_bars_join_exactly_the_pairs_within_the_distance(seed: int) -> None:
    draw = np.random.default_rng(seed)
    ranks = np.round(draw.uniform(1, 10, draw.integers(1, 14)), 1).tolist()
    distance = float(draw.uniform(0.1, 5))
    lines = rank_lines(ranks, distance)
    for i, a in enumerate(ranks):
        for b in ranks[:i]:
            assert any(low <= min(a, b) and max(a, b) <= high for low, high, _ in lines) == (abs(a - b) <= distance)
    for k, (low, high, level) in enumerate(lines):
        assert high - low <= distance
        assert all(level != other or high < start or end < low for start, end, other in lines[:k])


def test_the_models_of_a_picture(lab: Lab, tmp_path: Path) -> None:
    """The best that have all tasks and one's own, those that were named, or as many as was said; names are told apart by source."""
    statements = []
    for k in range(14):
        statements += copies("naive" if k == 0 else f"other-{k:02}", k, f"s.value * (0.05 + {k} / 1000)")
    db = changed(lab, tmp_path, *statements)
    asked = ["", "--top 3", "-m naive,other-13", "-m naive,other-13 --top 1"]
    plots(lab, tmp_path, *(f"intervals --common {words} -o OUT/{k}.json" for k, words in enumerate(asked)), db=db)
    made = [json.loads((tmp_path / f"{k}.json").read_text()) for k in range(len(asked))]
    found, top, named, only = ([row["model"] for row in rows(each)] for each in made)
    assert found[:10] == ["naive [published]", *(f"other-{k:02}" for k in range(1, 10))]
    assert set(found[10:]) == {"naive [own]", "seasonal_naive", "mean", "noisy", "fails"}
    assert top[:3] == found[:3] and len(top) == 8
    assert sorted(named) == ["naive [own]", "naive [published]", "other-13"]
    assert only == ["naive [published]"]


REFUSED = [
    ("intervals -o OUT/x.gif", 2, "wanted a name that ends in .png, .svg, .pdf, .html, .json"),
    ("intervals -o OUT/x", 2, "wanted a name that ends in"),
    ("intervals", 2, "Missing option '-o'"),
    ("nothing -o OUT/x.png", 2, "'nothing' is not one of 'intervals'"),
    ("intervals -m naiv -o OUT/x.png", 5, "Did you mean 'naive'?"),
    ("intervals --metric MAZE -o OUT/x.png", 2, "Did you mean 'MASE'?"),
    ("intervals -t us_births/M/short -o OUT/x.png", 2, "got --task for the picture intervals"),
    ("steps --metric CRPS -o OUT/x.png", 2, "got --metric for the picture steps"),
    ("steps --by freq -o OUT/x.png", 2, "got --by for the picture steps"),
    ("steps --windows variate=0 -o OUT/x.png", 2, "kept of whole tasks"),
    ("forecasts --windows variate=0 -o OUT/x.png", 2, "kept of whole tasks"),
    ("forecasts -t us_birth/M/short -o OUT/x.png", 2, "Did you mean 'us_births/M/short'?"),
    ("forecasts --window wurst -o OUT/x.png", 2, "Did you mean 'worst'?"),
    ("forecasts -t us_births/M/short --window 2 -o OUT/x.png", 5, "they run from 0 to 1"),
    ("forecasts -t us_births/M/short --window 99999999999999999999 -o OUT/x.png", 5, "they run from 0 to 1"),
    ("forecasts -m fails -t us_births/W/short -o OUT/x.png", 5, "none of these models has kept forecasts of us_births/W/short"),
    ("critical -m naive,mean -o OUT/x.png", 5, "wants three"),
    ("winloss -m naive -o OUT/x.png", 5, "wants two"),
    ("policies -m naive,mean -o OUT/x.png", 5, NO_POLICY),
    ("intervals --width 5 -o OUT/x.png", 2, "--width"),
    ("intervals -o OUT/gone/x.png", 2, "could not write"),
]
"""(words of a command, exit code, what it says)."""


@pytest.fixture(scope="module")
def refused(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Done]]:
    """The folder that was to be written into, and what each command answered."""
    folder = tmp_path_factory.mktemp("refused")
    commands = [command for command, _, _ in REFUSED]
    return folder, dict(zip(commands, plots(lab, folder, *commands), strict=True))


@pytest.mark.parametrize(("command", "code", "said"), REFUSED)
def test_what_cannot_be_drawn_is_said(refused: tuple[Path, dict[str, Done]], command: str, code: int, said: str) -> None:
    folder, answers = refused
    answers[command].expect(code, said)
    assert not list(folder.iterdir())


def test_without_forecasts_the_command_that_keeps_them(lab: Lab, tmp_path: Path) -> None:
    db = changed(lab, tmp_path, "UPDATE cells SET forecasts = ''")
    answer = plots(lab, tmp_path, "forecasts -t us_births/M/short -o OUT/x.png", db=db)[0]
    answer.expect(5, "no forecasts of us_births/M/short are kept", "-s quick -t us_births/M/short --save-forecasts")
    shutil.rmtree(db.with_name(db.name + ".forecasts"))
    db.unlink()
    db = changed(lab, tmp_path)
    for file in db.with_name(db.name + ".forecasts").iterdir():
        file.write_bytes(b"PAR1")
    plots(lab, tmp_path, "forecasts -t us_births/M/short -o OUT/x.png", db=db)[0].expect(5, "cannot be read", "--rerun all")


def test_published_results_alone_have_no_steps(lab: Lab, tmp_path: Path) -> None:
    db = changed(lab, tmp_path, "UPDATE cells SET source = 'published'")
    answers = plots(lab, tmp_path, *(f"{kind} -s quick -o OUT/x.png" for kind in ("steps", "reliability", "pit", "forecasts")), db=db)
    for answer in answers:
        answer.expect(5, "harness run -m naive")


def test_one_model_apart_from_none(lab: Lab, tmp_path: Path) -> None:
    db = changed(lab, tmp_path, "UPDATE cells SET forecasts = '' WHERE model <> 'naive'")
    answers = plots(lab, tmp_path, "forecasts --window apart -o OUT/x.png", "forecasts --window best -o OUT/x.json", db=db)
    answers[0].expect(5, "one model alone has kept forecasts")
    answers[1].expect(0)


def test_a_file_that_was_there_stays_when_drawing_fails(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("before")
    plots(lab, tmp_path, "policies -m naive -o OUT/x.png")[0].expect(5, NO_POLICY)
    assert (tmp_path / "x.png").read_text() == "before"


def test_hostile_names_are_text_in_every_file(lab: Lab, tmp_path: Path) -> None:
    """Models and a task get names that are no names; every picture is drawn, and nothing in it is markup or program."""
    db = changed(lab, tmp_path)
    bad = [name for name in HOSTILE if "\ud83d" not in name and "\x00" not in name]
    with duckdb.connect(str(db)) as connection:
        for model, name in zip(MODELS, (bad[0], bad[1], bad[4], bad[12]), strict=False):
            connection.execute("UPDATE cells SET model = $1, model_name = $1 WHERE model = $2", [name, model])
        connection.execute("UPDATE cells SET domain = $1, family = $2 WHERE task = 'us_births/M/short'", [bad[0], bad[13]])
        connection.execute("UPDATE windows SET item_id = $1", [bad[1]])
    kinds = [kind for kind in PLOTS if kind not in ("critical",)]
    options = ("--baseline", printable(bad[12]))
    pages = ("intervals", "forecasts")
    files = [f"{kind}.svg" for kind in kinds] + [f"{kind}.html" for kind in pages]
    commands = [["plot", file.partition(".")[0], *options, "-o", str(tmp_path / file), "--db", str(db)] for file in files]
    for command, answer in zip(commands, lab.many(commands), strict=True):
        assert answer.code == 0, (command, answer)
    seen = ""
    for kind in kinds:
        svg = (tmp_path / f"{kind}.svg").read_text()
        seen += svg
        tags = {node.tag.rpartition("}")[2] for node in ElementTree.fromstring(svg).iter()}
        assert tags <= {"svg", "g", "path", "text", "tspan", "rect", "line", "defs", "clipPath", "linearGradient", "stop"}, tags
    for kind in pages:
        page = (tmp_path / f"{kind}.html").read_text()
        assert "<img" not in page.partition("<script")[0] and "<h1" not in page
        data = page.partition('<script id="specification" type="application/json">')[2].partition("</script>")[0]
        assert "<" not in data and json.loads(data)["data"]["values"]
    assert "&lt;script&gt;" in seen and "x" * 61 not in seen


def test_a_page_of_a_picture_asks_for_nothing(lab: Lab, tmp_path: Path, chromium: Any) -> None:
    plots(lab, tmp_path, "intervals --dark -o OUT/x.html", "critical -o OUT/y.html", "forecasts -o OUT/z.html")
    for name in ("x", "y", "z"):
        page = chromium.new_page()
        said: list[str] = []
        page.on("console", lambda message, said=said: said.append(message.text))
        page.on("pageerror", lambda error, said=said: said.append(str(error)))
        page.on("request", lambda request, said=said: said.append(request.url) if not request.url.startswith("file:") else None)
        page.goto((tmp_path / f"{name}.html").as_uri())
        page.wait_for_selector("#picture svg text")
        assert "seasonal_naive" in page.inner_text("#picture")
        assert said == []
        page.close()


def test_nothing_has_a_score(lab: Lab, tmp_path: Path) -> None:
    db = changed(lab, tmp_path, "DELETE FROM scores")
    with pytest.raises(NothingMatched, match="no model shown has an nMASE"):
        numbers_of(db).drawn()


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("a/D/short", "a/D/short"),
        ("a/H/*", "a/H/long"),
        ("mine:b*", "b/D"),
        ("hers", "b/D"),
        ("[ab]/D", "b/D"),
        ("odd[1]", "odd[1]"),  # a name before a pattern
    ],
)
def test_a_pattern_that_one_task_fits_names_it(given: str, found: str) -> None:
    assert chosen_task(with_tasks(), None, given) == found


def test_a_pattern_that_several_tasks_fit_is_refused() -> None:
    several = r"-t a/\*: 2 tasks fit, and this picture is of one\. Name one: a/D/short, a/H/long$"
    with pytest.raises(UsageError, match=several):
        chosen_task(with_tasks(), None, "a/*")
    kept: Any = SimpleNamespace(cells={"a/H/long": {}, "b/D": {}})
    with pytest.raises(UsageError, match=r"-t a\*: 2 tasks fit, .* Name one with kept forecasts: a/H/long$"):
        chosen_task(with_tasks(), kept, "a*")
    with pytest.raises(UsageError, match=r"-t \*: 14 tasks fit, .*: a/D/short, .* and 8 more$"):
        chosen_task(with_tasks(10), None, "*")
    with pytest.raises(UsageError, match=r"-t c\*: mine has no such task here\..* Tasks with kept forecasts: a/H/long, b/D$"):
        chosen_task(with_tasks(), kept, "c*")


def with_tasks(more: int = 0) -> Any:
    """What `chosen_task` looks at of a view."""
    names = {"a/D/short": "a", "a/H/long": "a", "b/D": "hers", "odd[1]": "odd"} | {f"z{i:02d}": "z" for i in range(more)}
    tasks = [{"name": name, "dataset": dataset} for name, dataset in names.items()]
    return SimpleNamespace(view=SimpleNamespace(suite="mine"), results=SimpleNamespace(tasks=tasks))
