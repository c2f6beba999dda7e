"""What a user types or calls works, in Python and on the command line, and costs little to start."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import GOOD, Lab, write_dataset

import harness
from harness import Batch, Forecast, HarnessError, ModelInfo, Unsupported
from harness.api import evaluate
from harness.plugins import load

TASK = "us_births/M/short"
EXPORTS = {
    "Batch", "Channels", "Column", "DataError", "DialectInfo", "Evaluation", "Forecast", "ForecastError", "HarnessError", "Metric", "Model",
    "ModelInfo", "NothingMatched", "PluginError", "Ragged", "Results", "SeriesSet", "StoreError", "Suite", "SuiteInfo", "Task",
    "TaskData", "Trainable", "Unavailable", "Unsupported", "UsageError", "evaluate", "hookimpl", "load", "rolling", "run",
}  # fmt: skip


def test_exported_names_are_exact() -> None:
    assert set(harness.__all__) == EXPORTS
    assert list(harness.__all__) == sorted(harness.__all__)
    assert set(dir(harness)) == EXPORTS | {"__version__"}
    for name in harness.__all__:
        assert name == "hookimpl" or getattr(harness, name).__name__ == name
    with pytest.raises(AttributeError, match="'harness' has no attribute 'evalute'"):
        _ = harness.evalute


def last(batch: Batch) -> Forecast:
    rows = [row[np.isfinite(row)][-1] for row in batch]
    return Forecast.from_points(np.repeat(np.array(rows, np.float32)[:, None], batch.horizon, axis=1))


class Last:
    def predict(self, batch: Batch) -> Forecast:
        return last(batch)


def test_evaluate_takes_names_objects_and_functions() -> None:
    wanted = evaluate(Last(), TASK)
    assert set(wanted.scores) >= {"MASE[0.5]", "mean_weighted_sum_quantile_loss"}
    assert (wanted.task.name, wanted.windows.num_rows, wanted.steps.num_rows) == (TASK, 2, 12)
    others = [last, lambda b: last(b).values[:, 0], lambda b: np.repeat(last(b).values, len(b.quantile_levels), axis=1)]
    for other in others:
        found = evaluate(other, TASK, batch_size=1)
        assert found.scores == wanted.scores
        assert found.windows.equals(wanted.windows)
    array = type("Array", (), {"predict": lambda _, batch: last(batch).values[:, 0], "notes": {}})()
    assert evaluate(array, TASK).scores == wanted.scores
    assert repr(wanted).startswith("<harness.Evaluation of quick:us_births/M/short: MASE[0.5] 1.4")
    assert repr(wanted).endswith("; 2 windows>")
    assert evaluate("naive", TASK).scores["MASE[0.5]"] == pytest.approx(wanted.scores["MASE[0.5]"])
    assert evaluate("window_average[window_size=1]", wanted.task).scores["MASE[0.5]"] == pytest.approx(wanted.scores["MASE[0.5]"])


def test_evaluate_says_what_is_wrong() -> None:
    with pytest.raises(HarnessError, match=r"no task matches 'us_birth/M/short'\. Did you mean 'us_births/M/short'\?"):
        evaluate(last, "us_birth/M/short")
    with pytest.raises(HarnessError, match=r"'us_births/\*' matches 3 tasks .* wanted one"):
        evaluate(last, "us_births/*")
    with pytest.raises(HarnessError, match="there is no model 'naiv'"):
        evaluate("naiv", TASK)
    with pytest.raises(HarnessError, match=r"ValueError: bad luck(.|\n)*Traceback"):
        evaluate(lambda batch: (_ for _ in ()).throw(ValueError("bad luck")), TASK)
    with pytest.raises(HarnessError, match="no weekly"):
        evaluate(lambda batch: (_ for _ in ()).throw(Unsupported("no weekly")), TASK)
    with pytest.raises(HarnessError, match="the function returned str; wanted a Forecast"):
        evaluate(lambda batch: "text", TASK)
    with pytest.raises(HarnessError, match=r"Text\.predict returned str; wanted a Forecast"):
        evaluate(type("Text", (), {"predict": lambda _, batch: "text"})(), TASK)
    with pytest.raises(HarnessError, match="the function returned NoneType; wanted a Forecast, points"):
        evaluate(lambda batch: None, TASK)


def test_evaluate_cuts_contexts_as_declared() -> None:
    seen: list[int] = []

    def model(batch: Batch) -> Forecast:
        seen.extend(batch.contexts.lengths.tolist())
        return last(batch)

    evaluate(model, TASK, info=ModelInfo("mine", max_context=5))
    assert seen == [5, 5]


def test_run_and_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = harness.run(["naive", "seasonal_naive"], tasks="us_births/*", progress="none")
    assert results.report is not None
    assert results.report.counts["ok"] == 6
    assert results.report.exit_code == 0
    again = harness.run("naive", tasks=["us_births/*"], progress="none")
    assert again.report is not None
    assert again.report.counts["cached"] == 3
    frame = harness.load("harness.duckdb").to_pandas()
    assert len(frame) == 6
    assert len(again.to_pandas()) == 3
    assert len(again.to_pandas(all=True)) == 6
    assert again.to_arrow().num_rows * 2 == again.to_arrow(all=True).num_rows
    assert repr(results) == f"<harness.Results in harness.duckdb: run {results.report.run.id}: 6 ok>"
    assert repr(again.report) == f"<harness.Report of run {again.report.run.id}: 3 ok (3 reused)>"
    assert {"suite", "task", "model", "MASE[0.5]", "MSIS", "n_windows"} <= set(frame.columns)
    long = results.to_arrow()
    assert long.num_rows == 6 * len(load().metrics)
    one = frame[(frame.model == "naive") & (frame.task == TASK)].iloc[0]
    assert one["MASE[0.5]"] == evaluate("naive", TASK).scores["MASE[0.5]"]
    assert results.sql("SELECT count(*) AS n FROM cells WHERE model = ?", ["naive"]).to_pylist() == [{"n": 3}]
    with pytest.raises(HarnessError, match="got DELETE; wanted one statement that reads"):
        results.sql("DELETE FROM cells")
    with pytest.raises(HarnessError, match=r"there is no results database at none\.duckdb"):
        harness.load("none.duckdb")


def test_results_of_a_run_are_ranked_as_it_was_run(tmp_path: Path) -> None:
    models, task = ["naive", "seasonal_naive", "drift"], "hospital/M/short"
    options: dict[str, Any] = {"tasks": task, "db": tmp_path / "r.duckdb", "progress": "none", "isolation": "inprocess"}
    harness.run(models, **options)
    part = harness.run(["naive", "seasonal_naive"], limit=3, **options)
    shown = part.leaderboard()
    assert set(shown["model"]) == {"naive", "seasonal_naive"}
    assert set(shown["scope"]) == {"limit=3"}
    assert set(part.leaderboard(limit="", models=())["scope"]) == {""}
    assert set(part.leaderboard(limit="", models="drift")["model"]) == {"drift", "seasonal_naive"}
    everything = harness.load(options["db"])
    assert set(everything.leaderboard()["model"]) == set(models)
    assert set(everything.leaderboard("quick", limit=3)["scope"]) == {"limit=3"}
    assert repr(everything) == f"<harness.Results in {options['db']}>"
    with pytest.raises(HarnessError, match="got --limit 0; wanted a number of items"):
        everything.leaderboard(limit=0)


def test_a_function_is_no_model_of_a_run() -> None:
    for model in (last, Last(), [Last]):
        with pytest.raises(HarnessError, match=r"as a model; a run takes names .* harness\.evaluate\(model, task\)"):
            harness.run(model, progress="none")


def test_a_task_of_another_suite_is_found(lab: Lab) -> None:
    hint = "'ett1/H/short' is in suite gift-eval: pass suite='gift-eval', or -s gift-eval on the command line"
    with pytest.raises(HarnessError, match=hint):
        evaluate("naive", "ett1/H/short")
    lab.models("naive", tasks="us_births/M/short,ett1/H/short").expect(5, "no task matches 'ett1/H/short'", hint)


def test_failed_cells_are_rows_without_scores(lab: Lab) -> None:
    lab.plugin("good", GOOD)
    lab.plugin("bad", GOOD.replace("good", "bad").replace("return", "raise ValueError('no')\n        return"))
    lab.models("good,bad").expect(3)
    rows = {r["model"]: r for r in harness.load(lab.db).to_pandas().to_dict("records")}
    assert rows["bad"]["status"] == "failed"
    assert math.isnan(rows["bad"]["MASE[0.5]"])
    assert rows["good"]["MASE[0.5]"] > 0


def test_replay(lab: Lab) -> None:
    lab.plugin("good", GOOD)
    where = ("-s", "gift-eval", "--data", "data")
    rng = np.random.default_rng(1).normal(size=150).cumsum()
    write_dataset(lab.folder / "data" / "us_births" / "W", [rng.tolist()], "W-SUN")
    done = lab.models("good", *where, tasks="us_births/W/short").expect(0)
    cell = done.json()["cells"][0]["id"]
    lab.run("replay", cell[:8]).expect(0, "equal within 1e-09")
    answer = lab.run("replay", cell, "--data", "data", "--json").expect(0).json()
    assert (answer["cell"], answer["equal"], answer["changed"]) == (cell, True, {})
    rng[-1] += 5
    write_dataset(lab.folder / "data" / "us_births" / "W", [rng.tolist()], "W-SUN")
    lab.run("replay", cell, "--data", "data").expect(4, "data differs: it was", "NOT equal: the largest relative difference is")
    (lab.folder / "data").rename(lab.folder / "moved")
    lab.run("replay", cell).expect(3, "the data is not here: the stored run read it from", "which is gone. Name another folder with --data")
    lab.run("replay", cell, "--data", "data").expect(2, "--data data: there is no such folder")
    next((lab.folder / "moved").rglob("*.arrow")).write_bytes(b"broken")
    lab.run("replay", cell, "--data", "moved").expect(3, "the cell could not be run again:")
    (lab.folder / "empty").mkdir()
    lab.run("replay", cell, "--data", "empty").expect(3, "the data is not here: ", "harness data pull gift-eval")
    lab.run("replay", "nope").expect(5, "no own cell in harness.duckdb has an id that begins with 'nope'", "harness ls cells")
    assert lab.query("SELECT count(*) FROM cells") == [(1,)]


def test_replay_with_parameters_and_limit(lab: Lab) -> None:
    lab.models("window_average", "-M", "window_size=5", "--limit", "3", "--seed", "4", tasks="hospital/M/short").expect(0)
    (cell,) = lab.query("SELECT cell_id FROM cells")[0]
    answer = lab.run("replay", cell, "--json").expect(0).json()
    assert (answer["equal"], answer["changed"]) == (True, {})


WHERE = """
import os
class Good:
    def __init__(self, device="none"):
        self.shift = float(device == "tpu:1") + 2 * float(os.environ["OMP_NUM_THREADS"] == "3")

    def predict(self, batch):
        return Forecast.from_points(last(batch) + self.shift)

@hookimpl
def register_models(register):
    register(ModelInfo("good", devices=("cpu", "tpu")), Good)
"""


def test_replay_is_where_the_run_was(lab: Lab) -> None:
    lab.plugin("good", WHERE)
    lab.models("good", "--device", "tpu:1", "--threads", "3").expect(0)
    (cell,) = lab.query("SELECT cell_id FROM cells WHERE device = 'tpu:1' AND threads = 3")[0]
    assert lab.run("replay", cell, "--json").expect(0).json()["equal"] is True


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (GOOD.replace("return", "raise ValueError('bad luck')\n        return"), "could not be run again: ValueError: bad luck"),
        (GOOD.replace("return", "raise Unsupported('no births')\n        return"), "could not be run again: no births"),
        (GOOD.replace("good", "other"), "good on quick:us_births/M/short cannot be run here: there is no model 'good'"),
    ],
)
def test_a_cell_that_cannot_be_replayed(lab: Lab, source: str, says: str) -> None:
    lab.plugin("good", GOOD)
    cell = lab.models("good").expect(0).json()["cells"][0]["id"]
    lab.plugin("good", source)
    lab.run("replay", cell).expect(3, says)


def test_show_and_ls(lab: Lab) -> None:
    done = lab.models("naive,window_average[window_size=3]").expect(0).json()
    cell = done["cells"][0]
    shown = {
        "naive": ["model naive", "harness-baselines"],
        cell["id"][:10]: [f"cell {cell['id']}", "MASE[0.5]", "versions"],
        TASK: [f"task {TASK} suite", "horizon 12"],
        "MASE[0.5]": ["metric MASE[0.5]"],
        done["run"]: [f"run {done['run']}", "complete"],
    }
    for answer, texts in zip(lab.many([["show", name] for name in shown]), shown.values(), strict=True):
        answer.expect(0, *texts)
    kinds = ("models", "suites", "metrics", "dialects", "plugins", "hooks", "runs", "cells", "tasks")
    lists = lab.many([["ls", kind, "--json"] for kind in kinds] + [["ls", kind] for kind in kinds] + [["show", TASK, "--json"]])
    assert {thing["kind"] for thing in lists[-1].json()} == {"task", "cell"}
    for kind, listed, table in zip(kinds, lists[:9], lists[9:18], strict=True):
        rows = listed.expect(0).json()
        assert rows, kind
        assert all(isinstance(row["name"], str) for row in rows), kind
        table.expect(0, rows[0]["name"][:12] if kind == "cells" else rows[0]["name"])
    tasks = lists[8].json()
    assert {(t["suite"], t["available"]) for t in tasks if t["suite"] != "time-r1"} == {  # of a plugin, which may be here
        *(("quick", True), ("gift-eval", False), ("monash", False)),
        *((suite, there) for suite in ("cgm", "spy") for there in (True, False)),  # a sample, and sets that are not here
    }
    missing = [t for t in tasks if not t["available"]]
    assert all(t["reason"] for t in missing)
    pulled = ("gift-eval", "monash")
    assert all(t["fetch"].startswith(f"harness data pull {t['suite']}") for t in missing if t["suite"] in pulled)
    assert [sum(t["suite"] == suite for t in tasks) for suite in ("gift-eval", "quick")] == [97, 17]


def test_doctor_and_completion(lab: Lab) -> None:
    lab.models("naive").expect(0)
    lab.run("doctor").expect(0, "self-test: MASE[0.5] of seasonal_naive on hospital/M/short", "harness.duckdb: 1 cells")
    lab.run("doctor", env={"GIFT_EVAL": "/nowhere"}).expect(1, "✗ GIFT_EVAL=/nowhere: there is no such folder", "see the lines marked ✗")
    *known, unknown = lab.many([["completion", shell] for shell in ("bash", "zsh", "fish", "tcsh")])
    for answer in known:
        answer.expect(0, "_HARNESS_COMPLETE")
    unknown.expect(2, "tcsh")


def test_configuration_file_environment_and_flags(lab: Lab) -> None:
    config = "models: [naive, drift]\ntasks: us_births/M/short\nseed: 1\nsave-forecasts: true\ndb: from_file.duckdb\ntimeout:\n"
    (lab.folder / "run.yaml").write_text(config)

    def cells(*arguments: str, env: dict[str, str] | None = None) -> list[tuple[str, int]]:
        done = lab.run("run", *arguments, "--json", env=env).expect(0)
        return [(c["model"], c["seed"]) for c in done.json()["cells"]]

    assert cells("-C", "run.yaml") == [("naive", 1), ("drift", 1)]
    assert lab.query("SELECT DISTINCT seed, forecasts <> '' FROM cells", lab.folder / "from_file.duckdb") == [(1, True)]
    assert cells("-C", "run.yaml", "-m", "mean", "--seed", "2") == [("mean", 2)]
    assert cells("-C", "run.yaml", env={"HARNESS_RUN_SEEDS": "3"}) == [("naive", 3), ("drift", 3)]
    env = {"HARNESS_RUN_MODELS": "naive,mean", "HARNESS_RUN_TASKS": TASK, "HARNESS_DB": "named.duckdb", "HARNESS_RUN_PROGRESS": "none"}
    assert cells(env=env) == [("naive", 0), ("mean", 0)]
    assert (lab.folder / "named.duckdb").exists()
    lab.run("run", env={**env, "HARNESS_RUN_LIMIT": "no"}).expect(2, "got --limit no")


def test_starting_is_cheap(lab: Lab) -> None:
    heavy = ["torch", "pandas", "gluonts", "datasets", "statsforecast", "duckdb", "rich.progress", "scipy", "sklearn"]
    for arguments in (["--help"], ["run", "--help"], ["ls", "models", "--json"], ["ls", "suites", "--json"]):
        done = lab.python(f"""
            import contextlib, io, json, sys
            from harness.cli import main
            with contextlib.redirect_stdout(io.StringIO()):
                try:
                    main({arguments!r})
                except SystemExit as error:
                    assert not error.code, error.code
            print(json.dumps([m for m in {heavy!r} if m in sys.modules]))
        """).expect(0)
        assert done.json() == [], arguments
    assert lab.python("import harness, sys; print(json.dumps('numpy' in sys.modules))".replace("json.dumps", "str")).out == "False\n"


def test_version_and_module() -> None:
    import subprocess
    import sys

    made = subprocess.run([sys.executable, "-m", "harness", "--version"], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == f"harness, version {harness.__version__}"


def test_output_can_be_cut_off(lab: Lab) -> None:
    import subprocess

    program = lab.command("ls", "tasks")[0]
    made = subprocess.run(
        f"{program} ls tasks | head -n 2", shell=True, cwd=lab.folder, env=lab.env, capture_output=True, text=True, check=True
    )
    assert made.stderr == ""
    assert len(made.stdout.splitlines()) == 2


def test_json_is_all_there_is_on_stdout(lab: Lab) -> None:
    lab.plugin("good", GOOD)
    lab.plugin("talks", "@hookimpl\ndef cell_finished(cell, outcome): print('a cell is done')\n")
    done = lab.models("good")
    assert json.loads(done.out)["counts"]["ok"] == 1
    assert "a cell is done" in done.err


def test_terminals_of_all_kinds(lab: Lab) -> None:
    lab.plugin("good", GOOD)
    lab.plugin("bad", GOOD.replace("good", "bad").replace("return", "raise ValueError('[red]no[/] größer')\n        return"))
    narrow = {"PYTHONIOENCODING": "ascii", "COLUMNS": "40", "NO_COLOR": "1"}
    lab.run("run", "-m", "good,bad", "-t", TASK, "--progress", "rich", env=narrow).expect(3, "ValueError: [red]no[/] gr??er")
    lab.run("ls", "models", env=narrow).expect(0, "good")
