"""Scores depend on model, task and seed alone: not on batches, jobs, order or isolation. A second run does nothing."""

from __future__ import annotations

import pytest
from support import GOOD, Lab

TASKS = "us_births/M/short,us_births/W/short,saugeen/M/short,bizitobs_l2c/H/short"

NOISY = """
class Noisy:
    notes = {"kind": "noise"}
    def predict(self, batch):
        y = last(batch)
        paths = [np.random.default_rng(int(s)).normal(y[i], 1.0, (5, batch.horizon)) for i, s in enumerate(batch.seeds)]
        return Forecast.from_samples(np.array(paths))

@hookimpl
def register_models(register):
    register(ModelInfo("noisy", max_context=64), Noisy)
    register(ModelInfo("noisy_items", multivariate=True), Noisy)
"""


def test_scores_do_not_depend_on_how_they_were_computed(lab: Lab) -> None:
    lab.plugin("mine", NOISY)
    ways = {
        "auto": [],
        "b1": ["-b", "1", "-j", "2"],
        "b7": ["-b", "7"],
        "b64": ["-b", "64", "-j", "4"],
        "inprocess": ["-b", "5", "--isolation", "inprocess"],
    }
    tables = {}
    for way, options in ways.items():
        models = "noisy,seasonal_naive,noisy_items" if way != "b7" else "noisy_items,seasonal_naive,noisy"
        db = lab.folder / f"{way}.duckdb"
        lab.models(models, "--db", str(db), *options, tasks=TASKS if way != "b64" else ",".join(reversed(TASKS.split(",")))).expect(0)
        tables[way] = lab.tables(db)
    assert len(tables["auto"]["scores"]) == 12 * 16
    assert len(tables["auto"]["windows"]) == 3 * (2 + 14 + 7 + 42)
    for way in ways:
        for table, rows in tables["auto"].items():
            assert repr(tables[way][table]) == repr(rows), f"{table} differ with {way}"


def test_second_run_does_nothing(lab: Lab) -> None:
    lab.plugin("good", GOOD)
    first = lab.models("good,naive").expect(0).json()
    second = lab.models("good,naive").expect(0).json()
    assert [c["cached"] for c in second["cells"]] == [True, True]
    assert [c["scores"] for c in second["cells"]] == [c["scores"] for c in first["cells"]]
    assert second["counts"]["cached"] == 2
    lab.run("run", "-m", "good,naive", "-t", "us_births/M/short").expect(0, "to run 0", "reused 2")
    assert lab.query("SELECT count(*), count(DISTINCT run_id) FROM cells") == [(2, 1)]


def test_rerun(lab: Lab) -> None:
    lab.plugin("good", GOOD)
    flaky = GOOD.replace("good", "flaky").replace("return", "if os.path.exists('broken'): raise ValueError('broken')\n        return")
    lab.plugin("flaky", flaky)
    (lab.folder / "broken").touch()
    lab.models("good,flaky").expect(3)
    (lab.folder / "broken").unlink()
    again = lab.models("good,flaky").expect(3).cells()
    assert again["flaky", "us_births/M/short"]["cached"]
    failed = lab.models("good,flaky", "--rerun", "failed").expect(0).cells()
    assert [failed[m, "us_births/M/short"]["cached"] for m in ("good", "flaky")] == [True, False]
    every = lab.models("good,flaky", "--rerun", "all").expect(0).cells()
    assert [every[m, "us_births/M/short"]["cached"] for m in ("good", "flaky")] == [False, False]
    assert lab.query("SELECT count(*) FROM cells") == [(2,)]
    lab.models("good", "--rerun", "none").expect(2, "failed", "stale", "all")


def test_changed_source_is_stale_and_made_anew(lab: Lab) -> None:
    path = lab.plugin("good", GOOD)
    old = lab.models("good").expect(0).cells()["good", "us_births/M/short"]
    path.write_text(path.read_text() + "\n# changed\n")
    lab.run("plan", "-m", "good", "-t", "us_births/M/short").expect(0, "stale 1 (model, data or protocol changed)")
    new = lab.models("good").expect(0).cells()["good", "us_births/M/short"]
    assert new["id"] != old["id"]
    assert not new["cached"]
    assert lab.query("SELECT cell_id, superseded_by FROM cells ORDER BY finished_at") == [(old["id"], new["id"]), (new["id"], None)]


PARAMS = """
class P:
    def __init__(self, add=0.0, weights=""): self.add = add
    def predict(self, batch): return Forecast.from_points(last(batch) + np.float32(self.add))

@hookimpl
def register_models(register):
    register(ModelInfo("p"), P)
    register(ModelInfo("dependent", batch_dependent=True), P)
"""


def test_what_belongs_to_a_cells_identity(lab: Lab) -> None:
    lab.plugin("mine", PARAMS)
    weights = lab.folder / "weights.bin"
    weights.write_bytes(b"one")

    def ids(*ways: list[str], model: str = "p") -> list[list[str]]:
        made = lab.many([["plan", "-m", model, "-t", "us_births/M/short", "--json", *way] for way in ways])
        return [[c["id"] for c in done.expect(0).json()["cells"]] for done in made]

    same = [["-b", "7"], ["-j", "3"], ["--isolation", "inprocess"], ["--timeout", "9"], ["--save-forecasts"], ["--threads", "1"]]
    base, *equal = ids([], [], *same)
    assert equal == [base] * len(equal)
    others = ids(["-M", "add=1"], ["-M", "add=1.5"], ["--seed", "1"], ["--limit", "1"], ["-M", f"weights={weights}"])
    assert ids([], model="p[add=1]") == others[:1]
    weights.write_bytes(b"two")
    others += ids(["-M", f"weights={weights}"])
    others += ids(["-b", "7"], ["-b", "8"], [], model="dependent")
    flat = [base[0], *(o[0] for o in others)]
    assert len(set(flat)) == len(flat)
    seeds, modes, short, long = ids(["--seed", "0-2,1,7"], ["--mode", "zero-shot,zero-shot"], ["--limit", "0.5"], ["--limit", "0.50"])
    assert len(set(seeds)) == len(seeds) == 4
    assert len(modes) == 1
    assert short == long


def test_limited_results_are_a_scope_of_their_own(lab: Lab) -> None:
    first = lab.models("naive", "--limit", "3", tasks="hospital/M/short").expect(0).cells()["naive", "hospital/M/short"]
    assert lab.query("SELECT scope, n_windows FROM cells") == [("limit=3", 3)]
    whole = lab.models("naive", tasks="hospital/M/short").expect(0).cells()["naive", "hospital/M/short"]
    assert not whole["cached"]
    assert whole["id"] != first["id"]
    assert lab.query("SELECT scope, n_windows, superseded_by FROM cells ORDER BY scope") == [("", 767, None), ("limit=3", 3, None)]
    picked = lab.query("SELECT w.item_id FROM windows w JOIN cells c USING (result_id) WHERE scope <> '' ORDER BY 1")
    lab.models("seasonal_naive", "--limit", "3", "--seed", "5", tasks="hospital/M/short").expect(0)
    model = "c.scope <> '' AND c.model = 'seasonal_naive'"
    assert lab.query(f"SELECT w.item_id FROM windows w JOIN cells c USING (result_id) WHERE {model} ORDER BY 1") == picked


def test_a_limit_chooses_among_items_that_have_windows(lab: Lab) -> None:
    """Of the five patients of the sample some are too short for a window; whichever is drawn, something is scored."""
    task = "hall-sample/60min/temporal"
    lab.models("naive", "--limit", "1", tasks=task).expect(0)
    ((scored, items),) = lab.query("SELECT c.n_windows, count(DISTINCT w.item_id) FROM cells c JOIN windows w USING (result_id) GROUP BY 1")
    assert scored > 0
    assert items == 1


def test_save_forecasts_makes_anew_only_what_lacks_them(lab: Lab) -> None:
    lab.models("naive").expect(0)
    assert lab.query("SELECT forecasts FROM cells") == [("",)]
    made = lab.models("naive,drift", "--save-forecasts").expect(0).cells()
    assert [c["cached"] for c in made.values()] == [False, False]
    files = [lab.folder / row[0] for row in lab.query("SELECT forecasts FROM cells")]
    assert len(files) == 2
    assert all(f.is_file() for f in files)
    assert [c["cached"] for c in lab.models("naive,drift", "--save-forecasts").expect(0).cells().values()] == [True, True]
    assert [c["cached"] for c in lab.models("naive").expect(0).cells().values()] == [True]


@pytest.mark.parametrize("parameter", ["bogus=1", "p:bogus=1"])
def test_a_parameter_that_a_model_lacks(lab: Lab, parameter: str) -> None:
    lab.plugin("mine", PARAMS)
    lab.models("p", "-M", parameter).expect(2, "model 'p' has no parameter 'bogus'", "it takes: add, weights")
