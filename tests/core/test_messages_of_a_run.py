"""What a run and a plan tell: counts, reasons said once, commands that can be typed as they are, and names completed in a shell."""

from __future__ import annotations

import pytest
from support import GOOD, Lab

from harness import NothingMatched
from harness.plan import open_suites
from harness.plugins import load
from harness.selection import select_tasks

TASK = "us_births/M/short"


def test_headline_counts_what_is_multiplied(lab: Lab) -> None:
    one, two, none = lab.many(
        [
            ["plan", "-m", "naive", "-t", TASK],
            ["plan", "-m", "naive,drift", "-t", "us_births/*", "--seed", "0-1", "--mode", "zero-shot,finetune"],
            ["plan", "-m", "naive", "-s", "gift-eval", "-t", "us_births/D/short"],
        ]
    )
    assert one.expect(0).out.startswith("1 task × 1 model = 1 cell · to run 1\n")
    assert two.expect(0).out.startswith("3 tasks × 2 models × 2 seeds = 12 cells · to run 12")
    assert "\nnaive, drift: nothing to train; not run in mode finetune\n" in two.out
    assert none.expect(0).out == "there is no data here for the 1 task asked for: nothing to run\n"


def test_a_failure_is_said_once(lab: Lab) -> None:
    lab.plugin("bad", GOOD.replace("good", "bad").replace("return", "raise ValueError('no luck')\n        return"))
    for kind, told in (("plain", f"failed: bad on quick:{TASK}: "), ("none", f"failed: bad on {TASK}: ")):
        done = lab.run("run", "-m", "bad", "-t", TASK, "--progress", kind, "--rerun", "failed").expect(3, "harness show CELL-OR-TASK")
        (line,) = [line for line in done.err.splitlines() if "no luck" in line]
        assert line.startswith(told), line
    again = lab.run("run", "-m", "bad", "-t", TASK).expect(3, f"failed: bad on {TASK}: ", "(1 reused)")
    assert again.err.count("no luck") == 1


def test_one_failure_of_many_cells_is_said_once_and_with_a_command_for_all(lab: Lab) -> None:
    lab.plugin("bad", GOOD.replace("good", "bad").replace("return", "raise ValueError('no luck')\n        return"))
    done = lab.run("run", "-m", "bad,ensemble[of=bad+naive]", "-t", "us_births/*", "--progress", "plain")
    done.expect(3, "failed: bad: ", "(3 cells: us_births/D/short, us_births/M/short, us_births/W/short)")
    assert done.err.count("no luck") <= 4  # as it happened, and at the end; each time beside the reason of the ensemble
    (line,) = [line for line in done.err.splitlines() if line.startswith("skipped: ensemble[of=bad+naive]: ")]
    assert " -t us_births/D/short,us_births/M/short,us_births/W/short --save-forecasts" in line


def test_models_with_nothing_to_train_run_as_they_are(lab: Lab) -> None:
    info = 'ModelInfo("net", modes=("zero-shot", "full"), parameters=1)'
    learns = "\n    def finetune(self, train, budget, seed):\n        return self\n"
    lab.plugin("net", GOOD.replace('ModelInfo("good")', info).replace("(last(batch))\n", f"(last(batch))\n{learns}", 1))
    lab.plugin("unsaid", GOOD.replace("good", "unsaid"))
    words = ["-m", "net,unsaid,seasonal_naive", "-t", TASK, "--mode"]
    one, both = lab.many([["plan", *words, "full", "--json"], ["plan", *words, "zero-shot,full"]])
    found = {c["model"]: (c["mode"], c["state"]) for c in one.expect(0).json()["cells"]}
    assert found == {"net": ("full", "run"), "unsaid": ("full", "skipped"), "seasonal_naive": ("zero-shot", "run")}
    both.expect(0, "1 task × 5 (3 models in their modes) = 5 cells", "seasonal_naive: nothing to train; not run in mode full")


def test_an_ensemble_of_an_unknown_model_is_refused(lab: Lab) -> None:
    pytest.importorskip("harness_ensemble")
    members = ("niave+drift", "nope@full+drift", "x+y")
    plain, trained, nested = lab.many([["run", "-m", f"naive,ensemble[of={of}]", "-t", TASK] for of in members])
    plain.expect(2, "ensemble[of=drift+niave] is made of 'niave', but there is no model 'niave'. Did you mean 'naive'?")
    trained.expect(2, "there is no model 'nope'. To see all: harness ls models")
    nested.expect(2, "there is no model 'x'")
    assert not lab.db.exists() or lab.query("SELECT count(*) FROM cells") == [(0,)]


def test_an_ensemble_may_be_of_a_stored_model_that_is_not_installed(lab: Lab) -> None:
    pytest.importorskip("harness_ensemble")
    path = lab.plugin("good", GOOD)
    lab.models("good", "--save-forecasts").expect(0)
    path.unlink()
    (path.parent / "good-1.0.dist-info" / "entry_points.txt").unlink()
    found = lab.models("ensemble[of=good+naive]").expect(0).cells()
    assert "naive: it has no good result there" in found["ensemble[of=good+naive]", TASK]["reason"]


def test_a_time_out_says_how_long(lab: Lab) -> None:
    lab.plugin("slow", GOOD.replace("good", "slow").replace("return", "time.sleep(60)\n        return"))
    lab.models("slow", "--timeout", "1.5s").expect(3, "it took longer than --timeout allows (1.5 s)")


def test_a_command_to_fetch_keeps_the_folder(lab: Lab) -> None:
    (lab.folder / "my data").mkdir()
    arguments = ["-m", "naive", "-s", "gift-eval", "-t", "us_births/D/short", "--data", "my data"]
    fetch = "harness data pull gift-eval us_births/D --data 'my data'"
    run, plan, machine = lab.many([["run", *arguments], ["plan", *arguments], ["plan", *arguments, "--json"]])
    assert f"; fetch with: {fetch}\n" in run.expect(5).err
    assert f"; fetch with: {fetch}\n" in plan.expect(0).err
    assert machine.expect(0).json()["unavailable"][0]["fetch"] == fetch


def test_a_plan_says_what_changed(lab: Lab) -> None:
    path = lab.plugin("mine", GOOD)
    lab.models("good").expect(0)
    path.write_text(path.read_text() + "\n# another source\n")
    (cell,) = lab.run("plan", "-m", "good", "-t", TASK, "--json").expect(0).json()["cells"]
    assert (cell["state"], cell["reason"]) == ("stale, run", "source changed")


def test_a_missing_file_of_options(lab: Lab) -> None:
    (lab.folder / "folder.yaml").mkdir()
    missing, folder = lab.many([["run", "-C", "nofile.yaml"], ["run", "-C", "folder.yaml"]])
    missing.expect(2, "-C nofile.yaml: there is no such file; wanted a YAML file with option: value lines")
    folder.expect(2, "-C folder.yaml: it cannot be read: Is a directory; wanted")


def test_a_condition_that_selects_nothing_shows_the_values() -> None:
    tasks = open_suites(load(), ["quick"], None)["quick"].tasks()
    with pytest.raises(NothingMatched, match=r"holds for none of 17 tasks\. There, term is '60min', 'direction/1d', 'long'"):
        select_tasks(tasks, where="term = 'shrot'")
    with pytest.raises(NothingMatched, match=r"There, domain is .*'Nature'.*; freq is .*; term is '60min'"):
        select_tasks(tasks, where="1 = 2")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["run", "-m", "naive,dri"], {"naive,drift"}),
        (["plan", "-s", "qui"], {"quick"}),
        (["run", "-s", "quick", "-t", "us_births/"], {"us_births/D/short", "us_births/M/short", "us_births/W/short"}),
        (["run", "-s", "nothing", "-t", "us_"], set()),
        (["run", "--progress", "p"], {"plain"}),
        (["show", "seasonal_n"], {"seasonal_naive"}),
    ],
)
def test_names_are_completed(lab: Lab, words: list[str], wanted: set[str]) -> None:
    asked = {"_HARNESS_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(["harness", *words]), "COMP_CWORD": str(len(words))}
    assert {line.partition(",")[2] for line in lab.run(env=asked).expect(0).out.split()} == wanted


def test_the_table_below_a_run_is_of_its_tasks(lab: Lab) -> None:
    """What else the database holds, as of other data of the suite, is not mixed into the means."""
    run = ["run", "-m", "naive,mean", "-s", "quick", "-t"]
    commands = [[*run, "us_births/M/short,hospital/M/short"], [*run, "saugeen/M/short"], ["leaderboard", "-s", "quick", "--format", "json"]]
    first, second, board = lab.many(commands)
    assert first.expect(0).out.startswith("quick: 2 models, 2 of 17 tasks")
    assert second.expect(0).out.startswith("quick: 2 models, 1 of 17 tasks")
    assert [row["done"] for row in board.expect(0).json()] == [3, 3]


def test_covariates_of_an_own_suite_that_nobody_reads_are_told(lab: Lab) -> None:
    lab.plugin(
        "reader",
        """
        class Reader:
            def predict(self, batch):
                return Forecast.from_quantiles(np.repeat(last(batch)[:, None, None], batch.horizon, axis=2), [0.5])

        @hookimpl
        def register_models(register):
            register(ModelInfo("reader", covariates=("known",)), Reader)
    """,
    )
    lab.run("new", "suite", "shop").expect(0)
    said = "known covariates of 2 tasks: read by none of these models"
    assert said in lab.run("plan", "-s", "shop.yaml", "-m", "naive").expect(0).out
    assert said not in lab.run("plan", "-s", "shop.yaml", "-m", "naive,reader").expect(0).out
