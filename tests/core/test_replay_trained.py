"""`harness replay HASH`: a recorded training is done again, and what differs is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support import Lab

import harness
from harness import UsageError
from harness.cli.replay import _one_training
from harness.identity import weight_digests
from harness.retrained import compare, noted
from harness.trained import TrainedModel, register

TASK = "us_births/M/short"
NET = """
class Net:
    def __init__(self, factor=1.0): self.factor, self.notes, self.level = factor, {}, 5.0

    def predict(self, batch):
        return Forecast.from_points(np.full((len(batch), batch.horizon), self.level, np.float32))

    def finetune(self, train, budget, seed, mode):
        self.level = float(np.nanmean(train.contexts.values)) * self.factor + seed
        if budget.endswith("s") and not budget.endswith("steps"):
            self.level += time.time_ns() % 1000 / 1e4
        self.notes |= {"loss": self.level / 7, "curve": [1.0, self.level], "epochs": 3, "seconds": time.time()}
        return self

    def save(self, folder):
        (folder / "model.bin").write_text(repr(self.level))
        (folder / "README.md").write_text(f"trained at {time.time_ns()}")

@hookimpl
def register_models(register):
    register(ModelInfo("net", version="7", modes=("zero-shot", "full")), Net)
"""
TRAINER = """
from harness.trained import TrainedModel

class Good:
    def predict(self, batch): return Forecast.from_points(last(batch))

@hookimpl
def register_models(register): register(ModelInfo("good"), Good)

def learn(folder, steps, how="same", shift=0):
    folder.mkdir(parents=True)
    (folder / "model.bin").write_text(f"{steps} {shift}")
    recipe = {"steps": steps, "optimizer": {"name": "sgd"}}
    metrics = {"loss": 1 / (steps + shift), "fit_s": time.time(), "steps": steps}
    return TrainedModel("good", path=folder, data="made series", metrics=metrics, environment={"recipe": recipe, "how": how})

@hookimpl
def retrain(record, folder):
    if record["model_name"] != "good": return None
    assert record["metrics"]["loss"] > 0 and record["mode"] == "pretrain" and not folder.exists()
    (folder.parent / "beside").write_text("is removed too")
    open("where", "w").write(str(folder))
    how, steps = record["environment"]["how"], record["environment"]["recipe"]["steps"]
    if how == "cannot": raise Unsupported("the moon is not here")
    if how == "raises": raise KeyError("x")
    if how == "five": return 5
    return learn(folder, steps + (how == "longer"), how, int(how == "shifted"))
"""
HOWS = ("same", "shifted", "longer", "cannot", "raises", "five")


def trained(lab: Lab) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = harness.load(lab.db).trained().to_pylist()
    return found


def test_a_training_of_a_run_is_done_again(lab: Lab) -> None:
    lab.plugin("net", NET)
    lab.models("net", "-M", "factor=2", "--mode", "full", "--seed", "4", "--limit", "1", "--save-models").expect(0)
    (row,) = trained(lab)
    environment = json.loads(row["environment"])
    assert set(environment["weight_files"]) == {"model.bin"}
    assert environment["learnt_from"]["params"] == {"factor": 2} and environment["data_folder"] == ""
    by_hash, by_id, as_json, cell = lab.many(
        [
            ["replay", row["configuration"][:10]],
            ["replay", row["id"]],
            ["replay", row["id"][:12], "--json"],
            ["replay", row["cell_id"][:12]],
        ]
    )
    by_hash.expect(0, "weights: the same bits", "equal", "loss", "2 numbers, the last")
    by_id.expect(0, "weights: the same bits")
    answer = as_json.expect(0).json()
    assert (answer["trained"], answer["equal"], answer["weights"], answer["changed"]) == (row["id"], True, "equal", {})
    assert {line["name"]: line["difference"] for line in answer["numbers"]} == {"loss": 0, "curve": 0, "epochs": 0}
    cell.expect(0, "equal within 1e-09", "MASE[0.5]")
    assert len(trained(lab)) == 1, "nothing is recorded"
    assert [path.name for path in lab.folder.glob("harness.duckdb.models/*")] == [row["id"]]
    lab.plugin("net", NET.replace("* self.factor + seed", "* self.factor + seed + 1").replace('"7"', '"8"'))
    changed = lab.run("replay", row["id"][:12]).expect(4, "version differs: it was 7, it is 8", "learnt_from.source differs: it was ")
    changed.expect(4, "weights: they differ", "NOT equal: the largest relative difference is")
    loose = lab.run("replay", row["id"][:12], "--tolerance", "0.9").expect(0, "weights: they differ", "equal within 0.9")
    assert "NOT" not in loose.out


def test_what_cannot_be_done_again_says_why(lab: Lab) -> None:
    lab.plugin("net", NET)
    lab.models("net", "--mode", "full", "--budget", "2s").expect(0)
    (row,) = trained(lab)
    silent = register(lab.db, TrainedModel("naive", data="one"))
    gone = register(lab.db, TrainedModel("no-such-model", data="two", metrics={"loss": 0.5}))
    nobody = register(lab.db, TrainedModel("naive", data="three", metrics={"loss": 0.5}))
    register(lab.db, TrainedModel("naive", configuration=row["cell_id"]))
    every = [
        ["replay", row["id"][:12]],
        ["replay", row["id"][:12], "--tolerance", "0.5"],
        ["replay", silent],
        ["replay", gone],
        ["replay", nobody],
        ["replay", nobody, "--data", "x"],
        ["replay", "nope"],
        ["replay", row["cell_id"]],
        ["ls", "trained", row["configuration"][:9], "--json"],
        ["show", row["configuration"][:9]],
    ]
    timed, compared, nothing, absent, unknown, data, missing, both, listed, shown = lab.many(every)
    timed.expect(3, "was trained for a time, --budget 2s: another training does another number of steps", "--tolerance 0.1")
    compared.expect(0, "the budget is a time, 2s: weights are not compared", "equal within 0.5")
    nothing.expect(3, "has neither kept weights nor noted numbers: there is nothing to compare. Train with --save-models")
    absent.expect(3, "(mode pretrain) cannot be done again: the model 'no-such-model' is not installed here")
    unknown.expect(3, "the plugin 'baselines' has no hook retrain that takes it. See docs/hooks.md")
    data.expect(2, "--data goes with trainings of a run")
    missing.expect(5, "no trained model such an id or configuration. To see all: harness ls cells", "harness ls trained")
    both.expect(2, f"'{row['cell_id']}' is the beginning of 1 cell and of 1 trained model; give more of it")
    (line,) = listed.expect(0).json()
    assert (line["name"], line["use"]) == (row["id"], "")
    shown.expect(0, f"trained {row['id']}", f"harness replay {row['id'][:12]}", row["configuration"])


def test_a_training_of_a_command_is_done_again_by_a_hook(lab: Lab) -> None:
    lab.plugin("mine", TRAINER)
    made = lab.python(f"""
        import mine
        from pathlib import Path
        from harness.trained import register
        for how in {HOWS}: print(register("harness.duckdb", mine.learn(Path("weights") / how, 4, how)))
    """).expect(0)  # fmt: skip
    ids = made.out.split()
    (row,) = (row for row in trained(lab) if row["id"] == ids[0])
    assert json.loads(row["environment"])["versions"]["mine"] == "1.0"
    same, *others = lab.many([["replay", name, *(["--json"] if name == ids[0] else [])] for name in ids])
    answer = same.expect(0).json()
    assert (answer["equal"], answer["weights"], answer["changed"]) == (True, "equal", {})
    assert [line["name"] for line in answer["numbers"]] == ["loss", "steps"]
    assert not Path((lab.folder / "where").read_text()).parent.exists()
    others[0].expect(4, "weights: they differ", "NOT equal: the largest relative difference is 0.2, allowed is 1e-09")
    others[1].expect(4, "recipe.steps differs: it was 4, it is 5", "steps", "NOT equal")
    others[2].expect(3, "the moon is not here")
    others[3].expect(3, "good cannot be trained again: the hook retrain raised KeyError: 'x'")
    others[4].expect(3, "the hook retrain returned a int for good; wanted a harness.trained.TrainedModel, or None")
    assert len(trained(lab)) == len(HOWS)


def record(**more: Any) -> dict[str, Any]:
    plain = {
        "id": "a1",
        "configuration": "c1",
        "model": "net",
        "mode": "full",
        "task": "",
        "version": "1",
        "parent": "",
        "data": "",
        "git": "",
    }
    return {**plain, "metrics": {}, "environment": {}, "weights_digest": "", **more}


def test_hashes_that_begin_alike_are_told_apart() -> None:
    same = [record(id="a1"), record(id="a2")]
    assert _one_training(same, "c") == same, "trainings of one configuration"
    rows = [record(id=f"a{k}", configuration=f"c{k}", task="m4/H") for k in range(7)]
    with pytest.raises(UsageError) as caught:
        _one_training(rows, "a")
    said = str(caught.value)
    assert said.startswith("7 trained models have an id or a configuration that begins with 'a': a0 (configuration c0, net full m4/H); a1 ")
    assert said.endswith("and 2 more. Give more of it")


def test_numbers_are_compared_as_far_as_they_are_of_the_training() -> None:
    metrics = {"loss": 2.0, "curve": [1.0, None], "steps": 4, "fit_s": 1.0, "windows_per_s": 5.0, "eval.seconds": 3.0, "said": "early",
               "good": True, "deep": {"val": 0.5}, "fold": 2}  # fmt: skip
    assert noted(record(metrics=metrics)) == {"loss": 2.0, "curve": [1.0, None], "steps": 4, "deep.val": 0.5}
    same = compare(record(metrics=metrics), record(metrics=json.dumps(metrics)))
    assert same.equal(0) and same.worst == 0 and same.weights == ""
    for other, worst in (
        ({"loss": 1.0}, 0.5),
        ({"curve": [1.0, 2.0]}, float("inf")),
        ({"curve": [1.0]}, float("inf")),
        ({"steps": 3}, 0.25),
    ):
        found = compare(record(metrics=metrics), record(metrics={**metrics, **other}))
        assert found.worst == worst and not found.equal(0.2)
    counts = compare(record(metrics={"steps": 4}), record(metrics={"steps": 4}))
    assert not counts.comparable and not counts.equal(1), "that two trainings were as long says nothing"


def test_weights_are_compared_without_what_lies_beside_them(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("model.safetensors", "config.json", "README.md", "deep/adapter.bin", ".hidden.bin"):
        (tmp_path / name).write_text(name)
    found = weight_digests(str(tmp_path))
    assert set(found) == {"model.safetensors", "deep/adapter.bin"}
    (tmp_path / "README.md").write_text("another day")
    assert weight_digests(str(tmp_path)) == found
    (tmp_path / "model.safetensors").write_text("others")
    assert weight_digests(str(tmp_path)) != found
    assert set(weight_digests(str(tmp_path / "README.md"))) == {"README.md"} and weight_digests("") == {} == weight_digests(
        str(tmp_path / "nothing")
    )
    old, new = record(weights_digest="x"), record(weights_digest="y", environment={"weight_files": found})
    assert compare(old, new).weights == "differ" and compare(old, new, found).weights == "equal"
    assert compare(record(), new).weights == ""
    assert compare(record(weights_digest="x"), record(weights_digest="x")).weights == "equal"


def test_what_differs_is_named() -> None:
    one = {"python": "3.11", "recipe": {"a": 1, "b": {"c": 2}}, "versions": {"torch": "2", "old": "1"}, "host": "x", "only": 1}
    other = {"python": "3.12", "recipe": {"a": 1, "b": {"c": 3}}, "versions": {"torch": "2"}, "host": "y", "command": []}
    found = compare(record(environment=one, data="d 1"), record(environment=other, data="d 2", git="g"))
    assert found.changed == {"data": ("d 1", "d 2"), "python": ("3.11", "3.12"), "recipe.b.c": (2, 3), "versions.old": ("1", None)}
