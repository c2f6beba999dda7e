"""Trained models are recorded, and kept when asked for: whole or not at all, once each, and ready to be used again."""

from __future__ import annotations

import json
import os
import shlex
import signal
import time
import types
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import Lab

import harness
from harness import Batch, Forecast, ModelInfo, StoreError, UsageError, hookimpl
from harness.files import temporary_name
from harness.identity import file_digest
from harness.plugins import Plugins
from harness.saved import NO_METHOD, save_model
from harness.spool import finished, sweep
from harness.trained import TrainedModel, register

TASK = "us_births/M/short"
NET = """
class Net:
    def __init__(self, weights="", factor=1.0):
        self.factor, self.notes = factor, {}
        self.level = float(open(f"{weights}/model.bin").read()) if weights else 5.0

    def predict(self, batch):
        self.notes["windows"] = len(batch)
        HERE
        return Forecast.from_points(np.full((len(batch), batch.horizon), self.level, np.float32))

    def finetune(self, train, budget, seed, mode):
        start = 0.0 if mode == "full" else self.level
        if mode != "ttt":
            self.level = start / 2 + float(np.nanmean(train.contexts.values)) * self.factor
        self.notes |= {"loss": np.float32(0.25), "epochs": 3, "curve": np.array([1.0, np.nan]), "stopped": "early"}
        return self

    def save(self, folder):
        (folder / "deep").mkdir()
        (folder / "deep" / "config.json").write_text("{}")
        (folder / "model.bin").write_text(repr(self.level))

@hookimpl
def register_models(register):
    register(ModelInfo("net", version="7", weights_digest="0f0f", modes=("zero-shot", "finetune", "few-shot", "full", "ttt")), Net)
"""
EVERY = ("--mode", "zero-shot,finetune,few-shot:0.5,full,ttt")


@pytest.fixture
def net(lab: Lab) -> Lab:
    lab.plugin("net", NET.replace("HERE", "pass"))
    return lab


def rows(lab: Lab) -> dict[str, dict[str, Any]]:
    """{mode: row of trained}, JSON read; there is one a mode."""
    found = harness.load(lab.db).trained().to_pylist()
    for row in found:
        row |= {name: json.loads(row[name]) for name in ("params", "environment", "metrics")}
    assert len({row["mode"] for row in found}) == len(found) == len({row["id"] for row in found})
    return {row["mode"]: row for row in found}


def folders(lab: Lab) -> list[str]:
    return sorted(path.name for path in lab.folder.glob("harness.duckdb.models/*"))


def test_every_training_is_recorded(net: Lab) -> None:
    done = net.models("net[factor=2]", *EVERY, "--budget", "10steps", "--seed", "4").expect(0).json()
    cells = {c["mode"]: c for c in done["cells"]}
    found = rows(net)
    assert set(found) == {"finetune", "few-shot:0.5", "full"}, "zero-shot learns nothing, ttt nothing that stays"
    row = found["finetune"]
    wanted = {"model": "net[factor=2]", "model_name": "net", "version": "7", "suite": "quick", "task": TASK, "mode": "finetune"}
    wanted |= {"budget": "10steps", "seed": 4, "params": {"factor": 2}, "parent": "net@0f0f", "path": "", "weights_digest": ""}
    wanted |= {"cell_id": cells["finetune"]["id"], "run_id": done["run"], "folder": None}
    assert {name: row[name] for name in wanted} == wanted
    assert found["full"]["parent"] == ""
    fingerprint = net.query("SELECT DISTINCT data_fingerprint FROM cells")[0][0]
    assert row["data"] == f"{TASK} {fingerprint}"
    assert abs((datetime.fromisoformat(str(row["created"])) - datetime.now()).days) <= 1
    metrics = dict(row["metrics"])
    assert metrics.pop("fit_s") > 0
    assert metrics == {"loss": 0.25, "epochs": 3, "curve": [1.0, None], "stopped": "early"}
    assert {"python", "platform", "versions", "threads", "device", "isolation", "cpu"} <= set(row["environment"])
    assert row["environment"]["versions"]["net"] == "1.0"
    assert len({r["configuration"] for r in found.values()}) == 3
    # What was noted in training is not taken for a fact about the forecasts.
    assert net.query("SELECT DISTINCT json_extract_string(receipt, '$.notes') FROM cells") == [('{"windows":"2"}',)]
    assert folders(net) == []


def test_the_configuration_is_that_of_the_training(net: Lab) -> None:
    def made(*options: str) -> tuple[str, str]:
        net.models("net", "--mode", "full", "--rerun", "all", "--isolation", "inprocess", *options).expect(0)
        (row, *_) = harness.load(net.db).trained().to_pylist()
        return row["configuration"], row["id"]

    first, again = made(), made()
    assert first[0] == again[0]
    assert first[1] != again[1], "two runs train two models"
    metric = "@hookimpl\ndef register_metrics(register):\n"
    metric += "    register(Metric('mine', lambda s: s['mine.n'], statistics=lambda b: {'mine.n': b.labels[:, 0] * 0.0 + 1}))\n"
    net.plugin("mine", metric)
    assert made()[0] == first[0], "scoring decides nothing that is learnt"
    others = {made(*options)[0] for options in (("--seed", "1"), ("--budget", "x"), ("-M", "factor=3"), ("-M", "factor=4"))}
    assert len(others | {first[0]}) == 5


def test_weights_that_are_only_named_are_the_parent_by_name(net: Lab) -> None:
    net.plugin("net", NET.replace("HERE", "pass").replace("if weights else", "if weights.startswith('/') else").replace('"0f0f"', '""'))
    net.models("net,net[weights=r2]", "--mode", "finetune").expect(0)
    assert net.query("SELECT parent FROM trained ORDER BY parent") == [("net",), ("net[weights=r2]",)]


def test_saved_models_are_used_again(net: Lab) -> None:
    done = net.models("net", *EVERY, "--save-models").expect(0).json()
    cells = {c["mode"]: c for c in done["cells"]}
    found = rows(net)
    assert folders(net) == sorted(row["id"] for row in found.values())
    for row in found.values():
        assert row["path"] == f"harness.duckdb.models/{row['id']}"
        assert row["folder"] == str(net.folder / row["path"])
        assert sorted(p.relative_to(row["folder"]).as_posix() for p in Path(row["folder"]).rglob("*.*")) == [
            "deep/config.json",
            "model.bin",
        ]
        assert row["weights_digest"] == file_digest(row["folder"]) != ""
        assert "unsaved" not in row["metrics"]
    row = found["full"]
    use = net.run("show", row["id"][:10]).expect(0, f"trained {row['id']}", "configuration", "fit_s", "loss").out
    (line,) = [line.split(maxsplit=1)[1] for line in use.splitlines() if line.startswith("  use ")]
    assert line == f"harness run -m net -M net:weights={row['folder']} -s quick -t {TASK}"
    words = shlex.split(line)[1:]
    (made,) = net.run(*words, "--mode", "zero-shot", "--json").expect(0).json()["cells"]
    assert made["scores"] == cells["full"]["scores"]
    assert made["scores"] != cells["finetune"]["scores"]
    # Training from there says so.
    net.run(*words, "--mode", "finetune", "--seed", "9", "--json").expect(0)
    (second,) = [r for r in harness.load(net.db).trained().to_pylist() if r["seed"] == 9]
    assert second["parent"] == f"net@{row['weights_digest']}"
    # The line for that one names its own weights alone, and what was removed is said to be.
    net.run(*words, "--mode", "finetune", "--seed", "8", "-M", "factor=2", "--save-models", "--json").expect(0)
    (third,) = [r for r in harness.load(net.db).trained().to_pylist() if r["seed"] == 8]
    assert f"-m 'net[factor=2]' -M net:weights={third['folder']}" in net.run("show", third["id"], "--json").expect(0).json()[0]["use"]
    (Path(third["folder"]) / "model.bin").unlink()
    (Path(third["folder"]) / "deep" / "config.json").unlink()
    (Path(third["folder"]) / "deep").rmdir()
    Path(third["folder"]).rmdir()
    shown = net.run("show", third["id"], "--json").expect(0).json()[0]
    assert (shown["use"], shown["gone"]) == ("", f"there is nothing at {third['folder']}; the weights were moved or removed")


def test_weights_count_by_content_and_not_by_name(net: Lab) -> None:
    weights = net.folder / "weights"
    weights.mkdir()
    (weights / "model.bin").write_text("100.0")
    run = (f"net[weights={weights}]", "--mode", "zero-shot,full")
    first = {c["mode"]: c["id"] for c in net.models(*run).expect(0).json()["cells"]}
    assert all(c["cached"] for c in net.models(*run).expect(0).json()["cells"])
    (weights / "model.bin").write_text("200.0")
    second = net.models(*run).expect(0).json()["cells"]
    assert all(not c["cached"] and c["id"] != first[c["mode"]] for c in second)
    assert net.models(f"net[weights={weights}]").expect(0).json()["cells"][0]["scores"]["MAE[0.5]"] == second[0]["scores"]["MAE[0.5]"]
    # The record of the superseded cell stays.
    assert net.query("SELECT count(*), count(DISTINCT configuration) FROM trained") == [(2, 2)]
    assert net.query("SELECT count(*) FROM cells WHERE superseded_by IS NOT NULL") == [(2,)]


ASKED: tuple[tuple[tuple[str, ...], dict[str, str]], ...] = (
    (("--save-models",), {}),
    ((), {"HARNESS_SAVE_MODELS": "1"}),
    ((), {"HARNESS_RUN_SAVE_MODELS": "1"}),
    (("-C", "run.yaml"), {}),
)


def test_asked_for_later_a_model_is_trained_again_and_kept(net: Lab) -> None:
    """Each way to ask has a seed of its own, whose model was trained and not kept before."""
    (net.folder / "run.yaml").write_text("save-models: true\n")
    run, seeds = ("net", "--mode", "full,zero-shot", "--isolation", "inprocess"), ",".join(map(str, range(len(ASKED))))
    net.models(*run, "--seed", seeds).expect(0)
    assert folders(net) == []
    for seed, (options, env) in enumerate(ASKED):
        cells = net.models(*run, "--seed", str(seed), *options, env=env).expect(0).json()["cells"]
        assert {c["mode"]: c["cached"] for c in cells} == {"full": False, "zero-shot": True}, (options, env)
        assert len(folders(net)) == seed + 1
    assert net.query("SELECT path <> '', count(*) FROM trained GROUP BY ALL ORDER BY ALL") == [(False, 4), (True, 4)]
    assert net.query("SELECT count(*), count(DISTINCT cell_id) FROM cells") == [(8, 8)]
    for options, env in ASKED:
        again = net.models(*run, "--seed", seeds, *options, env=env).expect(0).json()["cells"]
        assert [c["cached"] for c in again] == [True] * 8
    assert len(folders(net)) == 4


BAD = {
    "none": ("    def saved(self, folder): pass", NO_METHOD),
    "raises": (
        "    def save(self, folder):\n        (folder / 'half.bin').write_text('x')\n        raise ValueError('no room')",
        "ValueError: no room",
    ),
    "exits": ("    def save(self, folder): sys.exit(3)", "it called sys.exit(3)"),
    "nothing": ("    def save(self, folder): (folder / 'empty').mkdir()", "save(folder) wrote no file"),
}


@pytest.mark.parametrize("isolation", ["process", "inprocess"])
def test_a_model_that_cannot_be_saved_keeps_its_result(lab: Lab, isolation: str) -> None:
    start, end = NET.index("    def save("), NET.index("@hookimpl")
    for name, (method, _) in BAD.items():
        lab.plugin(
            name, (NET[:start] + method + "\n\n" + NET[end:]).replace("HERE", "pass").replace('ModelInfo("net"', f'ModelInfo("{name}"')
        )
    run = (",".join(BAD), "--mode", "full,finetune", "--save-models", "--progress", "plain", "--isolation", isolation)
    done = lab.models(*run).expect(0, *(f"the trained {name} is not kept:" for name in BAD), *(reason for _, reason in BAD.values()))
    assert done.err.count("is not kept") == done.err.count("(said once)") == len(BAD)
    found = harness.load(lab.db).trained().to_pylist()
    assert sorted((row["model"], row["mode"]) for row in found) == sorted((name, mode) for name in BAD for mode in ("full", "finetune"))
    for row in found:
        metrics = json.loads(row["metrics"])
        assert (row["path"], row["folder"], row["weights_digest"]) == ("", None, "")
        assert BAD[row["model"]][1] in metrics["unsaved"]
        assert metrics["loss"] == 0.25
    assert folders(lab) == []
    again = lab.models(*run).expect(0).cells()
    assert {model for (model, _), cell in again.items() if cell["cached"]} == {"none"}, "to try again is of use where something failed"


def test_the_record_holds_whatever_becomes_of_the_cell(lab: Lab) -> None:
    lab.plugin("net", NET.replace("HERE", "raise ValueError('after training')"))
    lab.models("net", "--mode", "full", "--save-models").expect(3, "after training")
    row = rows(lab)["full"]
    assert Path(row["folder"], "model.bin").exists()
    assert lab.query("SELECT status FROM cells JOIN trained USING (cell_id)") == [("failed",)]


def test_a_record_that_cannot_be_written_leaves_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugins, module = Plugins(), types.ModuleType("mine")
    module.register_models = hookimpl(lambda register: register(ModelInfo("mine", modes=("full",)), Saved))  # type: ignore[attr-defined]
    plugins.register(module, "mine")
    monkeypatch.setattr("harness.api.load_plugins", lambda: plugins)
    asked: list[bool] = []

    def full(folder: Path, record: Any) -> Path:
        asked.append((tmp_path / "x.duckdb.models" / record["id"]).exists())
        raise StoreError("the disk is full")

    monkeypatch.setattr("harness.spool.write_trained", full)
    options: dict[str, Any] = {"db": tmp_path / "x.duckdb", "progress": "none", "isolation": "inprocess", "tasks": TASK}
    run = harness.run("mine", modes="full", save_models=True, **options)
    assert run.report is not None
    assert run.report.problem == "the disk is full"
    assert asked == [True]
    assert list((tmp_path / "x.duckdb.models").iterdir()) == []


class Saved:
    """A model that learns nothing and can be saved."""

    def predict(self, batch: Batch) -> Forecast:
        return Forecast.from_points(np.zeros((len(batch), batch.horizon)))

    def finetune(self, train: Batch, budget: str, seed: int) -> Saved:
        return self

    def save(self, folder: Path) -> None:
        (folder / "model.bin").write_text("x")


def test_lists_and_shows(net: Lab) -> None:
    done = net.models("net", *EVERY, "--save-models").expect(0).json()
    found = rows(net)
    table, listed, tuned, by_task, suite, other, cell, nothing, gone, limited = net.many(
        [
            ["ls", "trained"],
            ["ls", "trained", "--json"],
            ["ls", "trained", "few-shot:*", "--json"],
            ["ls", "trained", TASK, "--json"],
            ["ls", "trained", "-s", "quick", "--json"],
            ["ls", "trained", "-s", "gift-eval", "--json"],
            ["show", next(c["id"] for c in done["cells"] if c["mode"] == "full"), "--json"],
            ["ls", "trained", "nope"],
            ["ls", "trained", "--db", "none.duckdb"],
            ["show", "nope"],
        ]
    )
    table.expect(0, *(row["id"][:12] for row in found.values()), *found, TASK, "net@0f0f")
    lines = listed.expect(0).json()
    assert {line["name"]: line["mode"] for line in lines} == {row["id"]: mode for mode, row in found.items()}
    assert all(line["metrics"]["loss"] == 0.25 and line["fit_s"] == line["metrics"]["fit_s"] > 0 for line in lines)
    assert [line["mode"] for line in tuned.expect(0).json()] == ["few-shot:0.5"]
    assert len(by_task.expect(0).json()) == len(suite.expect(0).json()) == 3
    assert other.expect(0).json() == []
    (shown,) = cell.expect(0).json()
    assert shown["trained"] == [found["full"]["id"]]
    nothing.expect(5, "none of the 3 trained matches 'nope'")
    gone.expect(2, "there is no results database at none.duckdb")
    limited.expect(5, "there is no model, suite, task, metric, dialect, run or cell 'nope', and no trained model.")
    assert harness.load(net.db).trained().num_rows == 3


def test_a_runs_results_show_its_own_trained_models(net: Lab) -> None:
    net.models("net", "--mode", "finetune").expect(0)
    net.python("""
        import harness
        run = harness.run("net", tasks="us_births/M/short", modes="full", save_models=True, progress="none")
        assert [row["mode"] for row in run.trained().to_pylist()] == ["full"], run.trained()
        assert [row["mode"] for row in run.trained(all=True).to_pylist()] == ["full", "finetune"]
        assert run.trained().column("folder")[0].as_py().endswith(run.trained().column("id")[0].as_py())
    """).expect(0)


def test_registered_models(tmp_path: Path) -> None:
    db, weights = tmp_path / "r.duckdb", tmp_path / "weights"
    weights.mkdir()
    (weights / "model.safetensors").write_bytes(b"x")
    made = TrainedModel("naive", path=weights, params={"a": 1}, data="corpus 3f2a", metrics={"loss": 0.5, "bad": float("nan")}, seed=3)
    first = register(db, made)
    store = harness.load(db).store
    assert register(store, made) == first, "the same configuration at the same path is one record"
    other = register(db, TrainedModel("naive", path=weights, params={"a": 2}, environment={"gpu": "none"}, created="2030-01-02T03:04:05"))
    unknown = register(str(db), TrainedModel("no such model", version="3"))
    assert len({first, other, unknown}) == 3
    found = {row["id"]: row for row in harness.load(db).trained().to_pylist()}
    assert set(found) == {first, other, unknown}
    row = found[first]
    assert (row["model"], row["mode"], row["task"], row["parent"], row["cell_id"], row["run_id"]) == (
        "naive[a=1]",
        "pretrain",
        "",
        "",
        "",
        "",
    )
    assert (row["path"], row["folder"], row["weights_digest"]) == (str(weights), str(weights), file_digest(str(weights)))
    assert json.loads(row["metrics"]) == {"loss": 0.5, "bad": None}
    assert row["version"] not in ("", "3")
    assert found[other]["created"] == datetime(2030, 1, 2, 3, 4, 5)
    assert json.loads(found[other]["environment"])["gpu"] == "none"
    assert (found[unknown]["version"], found[unknown]["folder"]) == ("3", None)
    assert next(iter(found)) == other, "newest first"
    beside = tmp_path / "r.duckdb.models" / "mine"
    beside.mkdir(parents=True)
    (beside / "model.bin").write_text("x")
    inside = register(db, TrainedModel("naive", path=beside))
    (row,) = [row for row in harness.load(db).trained().to_pylist() if row["id"] == inside]
    assert (row["path"], row["folder"]) == ("r.duckdb.models/mine", str(beside))
    with pytest.raises(UsageError, match=r"there is nothing at .*nowhere; save the weights first"):
        register(db, TrainedModel("naive", path=tmp_path / "nowhere"))
    with pytest.raises(UsageError, match=r"got a trained model called 'net\[a=1\]'; wanted the name of a model"):
        register(db, TrainedModel("net[a=1]"))
    with pytest.raises(StoreError, match="mkdir"):
        register(tmp_path / "no" / "x.duckdb", TrainedModel("naive"))


class Slow:
    def save(self, folder: Path) -> None:
        (folder / "half.bin").write_text("x")
        raise KeyboardInterrupt


def test_an_interrupt_while_saving_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        save_model(Slow(), tmp_path / "models" / "one")
    assert list((tmp_path / "models").iterdir()) == []
    (tmp_path / "file").write_text("")
    assert "could not be written" in save_model(Slow(), tmp_path / "file" / "one")


def test_half_saved_models_of_dead_processes_are_swept(tmp_path: Path) -> None:
    mine = temporary_name(tmp_path / "model")
    gone = mine.with_name(mine.name.replace(f".{os.getpid()}.", ".999999999."))
    for path in (mine, gone, tmp_path / "whole"):
        (path / "deep").mkdir(parents=True)
        (path / "deep" / "half.bin").write_text("x")
    (link := gone.with_name(gone.name.replace("model", "link"))).symlink_to(tmp_path / "whole")
    assert sweep(tmp_path, folders=True) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([mine.name, "whole"])
    assert (tmp_path / "whole" / "deep" / "half.bin").exists()
    assert not link.is_symlink()


def _killed(lab: Lab, moment: Path, *run: str) -> None:
    """Start a run and kill it once a file is there."""
    process = lab.start("run", "-m", "net", "-t", TASK, "--json", *run)
    end = time.monotonic() + 60
    while not moment.exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert moment.exists()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    moment.unlink()
    end = time.monotonic() + 30
    while time.monotonic() < end:  # the worker goes with it, in its own time
        owners = [path.name.split(".")[-2] for path in lab.folder.rglob("*.tmp")]
        if not any(Path(f"/proc/{pid}").exists() for pid in owners):
            break
        time.sleep(0.1)


def test_killed_while_saving_and_killed_after(lab: Lab) -> None:
    run = ("--mode", "full", "--save-models")
    wait = "if os.environ.get('WAIT') == 'WHERE': open('there', 'w').close(); time.sleep(60)"
    source = NET.replace("HERE", wait.replace("WHERE", "predict"))
    source = source.replace('        (folder / "model.bin")', f'        {wait.replace("WHERE", "save")}\n        (folder / "model.bin")')
    lab.plugin("net", source)
    there = lab.folder / "there"
    lab.env["WAIT"] = "save"
    _killed(lab, there, *run)
    half = folders(lab)
    assert len(half) == 1
    assert half[0].endswith(".tmp")
    assert list(lab.folder.glob("harness.duckdb.spool/trained-*")) == []
    lab.env["WAIT"] = "predict"
    _killed(lab, there, *run)
    (kept,) = folders(lab)  # the half one was swept, a whole one is there
    assert Path(lab.folder, "harness.duckdb.models", kept, "model.bin").exists()
    (record,) = lab.folder.glob("harness.duckdb.spool/trained-*.json")
    assert record.name == f"trained-{kept}.json"
    lab.env["WAIT"] = ""
    assert lab.run("ls", "trained", "--json").expect(0).json()[0]["name"] == kept, "nothing that was learnt is lost"
    lab.run("run", "-m", "net", "-t", TASK, "--json", *run).expect(0)
    assert lab.query("SELECT count(*), count(DISTINCT id), count(DISTINCT cell_id), count(DISTINCT run_id) FROM trained") == [(2, 2, 1, 2)]
    assert sorted(lab.query("SELECT id FROM trained")) == [(name,) for name in folders(lab)]
    assert lab.leftovers() == []
    assert sorted(lab.folder.rglob("*.tmp")) == []
    assert finished(lab.folder / "harness.duckdb.spool") == []


def test_a_worker_that_is_killed_while_it_saves_leaves_nothing(lab: Lab) -> None:
    lines = NET.replace("HERE", "pass").splitlines()
    at = next(i for i, line in enumerate(lines) if "model.bin" in line and "write" in line)
    lab.plugin("net", "\n".join([*lines[:at], "        os.kill(os.getpid(), signal.SIGKILL)", *lines[at:]]))
    lab.models("net", "--mode", "full", "--save-models").expect(3, "the worker was ended by SIGKILL")
    assert folders(lab) == []
    assert rows(lab) == {}


def test_a_worker_that_dies_between_saving_and_answering_leaves_nothing(lab: Lab) -> None:
    """Weights that no record names would lie there for ever."""
    code = NET.replace("HERE", "pass") + "\n\nimport harness.saved as saved\nreal = saved.save_model\n"
    code += "def then_die(model, path):\n    real(model, path)\n    import os\n    os._exit(1)\n"
    code += "saved.save_model = then_die\n"
    lab.plugin("net", code)
    done = lab.models("net", "--mode", "finetune", "--save-models").expect(3).json()
    assert [cell["status"] for cell in done["cells"]] == ["failed"]
    assert folders(lab) == []


def test_a_result_says_which_weights_it_is_of(net: Lab) -> None:
    """What a model declares of the weights that it ships with is not said of others, and not of what was trained from nothing."""
    declared = NET.replace("HERE", "pass").replace(
        'weights_digest="0f0f"',
        'weights_digest="0f0f", model_type="zero-shot", weights="in the package", training_corpora=("made",), parameters=7',
    )
    net.plugin("net", declared)
    (net.folder / "mine").mkdir()
    (net.folder / "mine" / "model.bin").write_text("4.0")
    net.models("net", *EVERY).expect(0)
    net.models(f"net[weights={net.folder / 'mine'}]", "--mode", "zero-shot,finetune").expect(0)
    found = {}
    for model, mode, digest, text in net.query("SELECT model, mode, weights_digest, receipt::VARCHAR FROM cells"):
        receipt = json.loads(text)
        found["own" if "[" in model else "shipped", mode] = (digest, receipt["weights"], receipt["parameters"], receipt["training_corpora"])
    own, shipped = file_digest(str(net.folder / "mine")), ("0f0f", "in the package", 7, ["made"])
    assert found["shipped", "zero-shot"] == found["shipped", "finetune"] == found["shipped", "ttt"] == shipped
    assert found["shipped", "full"] == ("", "", 7, [])
    assert found["own", "zero-shot"] == found["own", "finetune"] == (own, "", None, [])
    board = net.run("leaderboard", "--format", "json").expect(0).json()
    assert {row["model"].replace(str(net.folder), ""): row["model_type"] for row in board} == {
        "net": "zero-shot",
        "net (ttt)": "zero-shot",
        "net (finetune)": "fine-tuned",
        "net (few-shot:0.5)": "fine-tuned",
        "net (full)": "deep-learning",
        "net[weights=/mine]": "",
        "net[weights=/mine] (finetune)": "fine-tuned",
    }
