"""Documentation and code say the same: hooks, generated pages, and every example in the pages runs."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

import harness
from harness import hookspecs
from harness.mappings import mapping
from harness.plugins import Plugins
from harness.trained import TrainedModel, register

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
HOOKS = {name: f for name, f in vars(hookspecs).items() if hasattr(f, "harness_spec")}
BLOCK = re.compile(r"<!-- run: (?P<name>[a-z-]+) -->\n```(?P<language>\w+)\n(?P<code>.*?)\n```", re.DOTALL)
EXAMPLES = {m["name"]: m for path in sorted(DOCS.glob("*.md")) for m in BLOCK.finditer(path.read_text(encoding="utf-8"))}
SQL = [name for name, m in EXAMPLES.items() if m["language"] == "sql"]


@pytest.mark.parametrize("name", HOOKS)
def test_hook_has_a_section_with_its_arguments(name: str) -> None:
    found = re.findall(rf"^## {name}\((.*)\)$", (DOCS / "hooks.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert found == [", ".join(inspect.signature(HOOKS[name]).parameters)], f"docs/hooks.md needs one section '## {name}(its arguments)'"


def test_no_hook_is_documented_that_does_not_exist() -> None:
    assert set(re.findall(r"^## (\w+)\(", (DOCS / "hooks.md").read_text(encoding="utf-8"), re.MULTILINE)) == set(HOOKS)


@pytest.mark.parametrize("name", HOOKS)
def test_hook_has_a_test(name: str) -> None:
    # A test says which hook it is about by its name.
    wanted = f"def test_hook_{name}("
    assert any(wanted in path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/test_*.py")), (
        f"no test below tests/ has '{wanted}'"
    )


def test_generated_pages_are_fresh() -> None:
    command = [sys.executable, str(DOCS / "generate.py"), "--check"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, "PYTHONWARNINGS": ""})
    assert done.returncode == 0, done.stderr


def test_every_column_of_the_store_has_a_meaning() -> None:
    from harness_results.schema import TABLES

    missing = [f"{table}.{name}" for table, columns in TABLES.items() for name, (_, text) in columns.items() if not text]
    assert missing in ([], ["meta.value"])


def test_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed; type: pip install 'ts-harness[docs]'")
    pytest.importorskip("mkdocstrings", reason="mkdocstrings is not installed; type: pip install 'ts-harness[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path.relative_to(tmp_path).as_posix(): path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")}
    assert "from_quantiles" in pages["api/index.html"]
    loaded = [u for text in pages.values() for u in re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)', text)]
    assert loaded == [], "a page must not ask another host for anything"


def module_of(name: str, modules: pytest.MonkeyPatch) -> types.ModuleType:
    """An example as a module."""
    module = types.ModuleType(f"example_{name}")
    modules.setitem(sys.modules, module.__name__, module)
    exec(compile(EXAMPLES[name]["code"], f"docs example {name}", "exec"), module.__dict__)
    return module


def registered(name: str, modules: pytest.MonkeyPatch) -> tuple[types.ModuleType, Plugins]:
    """An example, registered beside the plugins of this environment."""
    module, plugins = module_of(name, modules), Plugins()
    plugins.register(module, f"example_{name}")
    return module, plugins


def test_every_example_is_run() -> None:
    assert set(EXAMPLES) - set(SQL) == {
        "model",
        "fallback",
        "trainable",
        "saved",
        "register",
        "retrain",
        "logger",
        "checks",
        "suite",
        "metric",
        "dialect",
        "dialect-check",
        "dialect-in-python",
        "command",
        "wrapper",
    }
    assert len(SQL) >= 7


def test_model_example_forecasts_whatever_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    module, plugins = registered("model", monkeypatch)
    assert plugins.models["bootstrap"].info.output == "samples"
    one, other = (harness.evaluate(module.Bootstrap(20), "us_births/M/short", batch_size=n).scores for n in (1, 2))
    assert one == other
    assert 0 < one["MASE[0.5]"] < 10


def test_fallback_example_says_what_is_not_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    _, plugins = registered("fallback", monkeypatch)
    batch = harness.Batch.from_contexts([[1, 2, 4], [5, np.nan, 7], [3], [np.nan, np.nan]], horizon=2)
    made = plugins.pm.hook.predict(model=plugins.models["guarded"].factory(), batch=batch)
    assert made.values[:, 0].tolist() == [[6, 6], [7, 7], [3, 3], [0, 0]]
    assert made.fallback.tolist() == [0, 1, 1, 1]


def test_trainable_example_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    module, plugins = registered("trainable", monkeypatch)
    train = harness.Batch.from_contexts([[1, 2, 4, 8, 16]], horizon=2)
    fitted = plugins.pm.hook.finetune(model=module.Scale(), train=train, budget="", seed=0, mode="finetune")
    assert plugins.pm.hook.predict(model=fitted, batch=train).values.tolist() == [[[32, 32]]]


def test_saved_example_passes_its_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.testing import checks

    module, plugins = registered("saved", monkeypatch)
    ran = [check for check in checks("level", plugins=plugins) if check.name != "light_import"]  # an example is no package
    assert {"finetune", "save"} <= {check.name for check in ran}
    for check in ran:
        check()
    model = module.Level()
    model.level = 10.0
    train = harness.Batch.from_contexts([[1, 2, 3]], horizon=2)
    assert [module.Level().finetune(train, "", 0, mode).level for mode in ("full", "finetune")] == [2.0, 1.0]


def test_register_example_records(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    module_of("register", monkeypatch)
    (row,) = harness.load().trained().to_pylist()
    assert (row["model"], row["mode"], row["data"]) == ("naive[season=7]", "pretrain", "my corpus, version 3")
    assert row["metrics"] == '{"loss": 0.12}'


def test_retrain_example_trains_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module, plugins = registered("retrain", monkeypatch)
    made = register(tmp_path / "r.duckdb", module.learn(tmp_path / "weights", 4, 3))
    (row,) = harness.load(tmp_path / "r.duckdb").trained().to_pylist()
    assert row["id"] == made
    record = {**row, "environment": mapping(row["environment"])}
    again = plugins.pm.hook.retrain(record=record, folder=tmp_path / "again")
    assert (again.seed, again.metrics) == (3, {"loss": 0.25})
    assert (tmp_path / "again" / "model.bin").read_text() == (tmp_path / "weights" / "model.bin").read_text()
    assert plugins.pm.hook.retrain(record={**record, "mode": "full"}, folder=tmp_path / "no") is None


def test_logger_example_writes_its_curve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    module_of("logger", monkeypatch)
    assert (tmp_path / "runs" / "curve.csv").read_text() == "step,loss\n1,1.0\n2,0.5\n3,0.3333333333333333\n"


def test_checks_example_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_of("checks", monkeypatch)
    (mark,) = module.test_conformance.pytestmark
    assert len(mark.args[1]) > 5
    for check in mark.args[1]:
        module.test_conformance(check)


def test_suite_example_reads_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, plugins = registered("suite", monkeypatch)
    (tmp_path / "ramp.csv").write_text("\n".join(map(str, range(60))))
    suite = plugins.suites["folder"].factory(tmp_path)
    (task,) = suite.tasks()
    assert len(suite.open(task)) == 4
    monkeypatch.setattr("harness.api.load_plugins", lambda: plugins)
    assert harness.evaluate("drift", task, data=tmp_path).scores["MAE[0.5]"] == pytest.approx(0, abs=1e-4)


def test_metric_example_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    _, plugins = registered("metric", monkeypatch)
    monkeypatch.setattr("harness.api.load_plugins", lambda: plugins)
    scores = harness.evaluate("naive", "us_births/M/short").scores
    assert scores["RMSE[0.5]"] == pytest.approx(scores["MSE[0.5]"] ** 0.5)
    # Births are counted in hundreds: every error is far beyond 1, where the loss is |error| − 0.5.
    assert scores["huber"] == pytest.approx(scores["MAE[0.5]"] - 0.5, rel=1e-6)


def test_dialect_example_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.dialects import Board, Forecasts, dialect

    _, plugins = registered("dialect", monkeypatch)
    found = dialect("per-series@1", plugins)
    series = [[9, 9, 2, 4, np.nan, 8], [5, 5, 1, 3], [5, 5, np.nan, np.nan]]
    ahead = [[[1, 4.5], [2, 4], [3, 4]], [[0, 0], [6, 4], [9, 9]], [[0, 2], [1, 2], [2, 2]], [[0, 0], [0, 0], [0, 0]]]
    made = Forecasts.from_arrays(series, [0, 0, 1, 2], [2, 4, 2, 2], ahead, [0.1, 0.5, 0.9], block=3)
    # First series: 2, 4 and 8 by 2, 4 and 4, of which 4 is below its interval; second: 1 and 3 by 1 and 2, and 3 is above; third: nothing.
    assert found.score(made) == pytest.approx(
        {"sMAPE": ((0 + 0 + 200 * 4 / 12) / 3 + (0 + 200 / 5) / 2) / 2, "coverage": (2 / 3 + 1 / 2) / 2}
    )
    nothing = Forecasts.from_arrays([[1.0]], [], [], np.empty((0, 3, 2)), [0.1, 0.5, 0.9])
    assert all(map(np.isnan, found.score(nothing).values()))
    with pytest.raises(harness.PluginError, match="dialect 'per-series', while scoring: coverage needs the quantile levels"):
        found.score(Forecasts.from_arrays(series, [0], [2], [[[1, 4]]], [0.5]))
    assert found.aggregate is not None
    board = Board(["a", "b"], ["x", "y"], {"sMAPE": np.array([[3.0, np.nan], [1.0, 3.0]])}, None)
    assert found.aggregate(board) == ([{"model": "b", "sMAPE": 2.0}, {"model": "a", "sMAPE": 3.0}], [])


def test_dialect_check_example_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    _, plugins = registered("dialect", monkeypatch)
    monkeypatch.setattr("harness.dialects.registered.load", lambda: plugins)
    module_of("dialect-check", monkeypatch).test_per_series()


def test_dialect_in_python_example_prints_its_number(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    module_of("dialect-in-python", monkeypatch)
    assert capsys.readouterr().out == "1.0\n"


def test_wrapper_example_changes_forecasts(monkeypatch: pytest.MonkeyPatch) -> None:
    _, plugins = registered("wrapper", monkeypatch)
    batch = harness.Batch.from_contexts([[3, 2, 1, -5]], horizon=2)
    naive: Any = plugins.model("naive").factory()
    assert naive.predict(batch).values.min() < 0
    assert plugins.pm.hook.predict(model=naive, batch=batch).values.min() == 0
    assert "example_wrapper" in plugins.wrappers()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("docs") / "harness.duckdb"
    tasks = "hospital/M/short,saugeen/M/short,us_births/*"
    harness.run(["naive", "seasonal_naive"], tasks=tasks, db=path, progress="none", isolation="inprocess")
    # No model of the core's own environment learns: a row as a run with --mode full would leave it.
    record = TrainedModel("naive", mode="full", suite="quick", task="us_births/D/short", metrics={"fit_s": 1.5}, cell_id="c", run_id="r")
    register(path, record)
    return path


def test_command_example_reads_the_store(monkeypatch: pytest.MonkeyPatch, database: Path) -> None:
    cli = click.Group()
    module_of("command", monkeypatch).register_commands(cli)
    done = CliRunner().invoke(cli, ["worst", "--db", str(database)])
    assert done.exit_code == 0, done.output
    assert "'task': 'us_births/D/short'" in done.output


@pytest.mark.parametrize("name", SQL)
def test_query_example_answers(name: str, database: Path) -> None:
    found = harness.load(database).sql(EXAMPLES[name]["code"])
    assert found.num_rows > 0 or name == "failed"
    assert all(column.null_count == 0 for column in found.columns)
