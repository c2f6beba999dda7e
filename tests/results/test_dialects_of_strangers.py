"""A dialect that a plugin brings: listed and used as the built-in ones; one that is broken costs itself and says why."""

from __future__ import annotations

import math

import numpy as np
import pytest
from dialect_kit import DIALECTS
from support import Done, Lab

from harness import DialectInfo
from harness.dialects import Block, Forecasts
from harness.dialects.registered import make
from harness.errors import PluginError
from harness.plugins import Registered
from harness_results.dialects.infos import BUILT_IN

DIALECT = """
from harness import DialectInfo

INFO = DialectInfo("NAME", version="2.1", summary="the largest error", source="a note of mine", metrics=("worst", "points"))

class Largest:
    def __init__(self, forecasts):
        self.worst, self.points = 0.0, 0
        BODY_INIT
    def add(self, block):
        BODY_ADD
        good = np.isfinite(block.labels)
        self.worst = max(self.worst, float(np.abs(block.labels - block.median())[good].max(initial=0.0)))
        self.points += int(good.sum())
    def metrics(self):
        return BODY_METRICS or {"worst": self.worst, "points": self.points}

def aggregate(board):
    BODY_AGGREGATE
    return [{"model": m, "worst": float(np.nanmax(board.scores["worst"][i]))} for i, m in enumerate(board.models)], ["that is all"]

def make():
    BODY_MAKE
    from harness.dialects import Dialect
    return Dialect(INFO, Largest, aggregate, relative=False)

@hookimpl
def register_dialects(register):
    register(INFO, make)
"""
PLACES = ("BODY_INIT", "BODY_ADD", "BODY_METRICS", "BODY_AGGREGATE", "BODY_MAKE")
RUN = ["run", "-m", "naive,seasonal_naive", "-t", "us_births/[MW]/short", "--save-forecasts", "--progress", "none"]


def source(name: str, place: str = "", body: str = "") -> str:
    text = DIALECT.replace("NAME", name)
    for each in PLACES:
        text = text.replace(each, body if each == place else "None" if each == "BODY_METRICS" else "pass")
    return text


BROKEN = {
    "at_import": ("BODY_INIT", "", "plugin 'at_import' could not be loaded"),
    "made_ill": (
        "BODY_MAKE", "raise KeyError('no table')", "dialect 'made_ill' raised, while being made, KeyError: 'no table' (", "made_ill.py:",
    ),
    "exits": ("BODY_MAKE", "return 3", "the factory of dialect 'exits' returned a int; wanted a harness.dialects.Dialect"),
    "other_name": (
        "BODY_MAKE",
        "global INFO; INFO = DialectInfo('fev', metrics=('x',))",
        "the factory of dialect 'other_name' returned one of DialectInfo(name='fev'",
    ),
    "adds_ill": ("BODY_ADD", "1 / 0", "dialect 'adds_ill' raised, while scoring, ZeroDivisionError: division by zero (", "adds_ill.py:"),
    "writes": ("BODY_ADD", "block.labels[:] = 0", "dialect 'writes' raised, while scoring, ValueError: assignment destination is read"),
    "less": (
        "BODY_METRICS", "{'worts': 1.0, 'points': 1}", "metrics() gave no 'worst', which its DialectInfo declares", "Did you mean 'worts'?",
    ),
    "more": ("BODY_METRICS", "{'worst': 1.0, 'points': 1, 'best': 0}", "metrics() gave 'best', which its DialectInfo does not declare"),
    "text": ("BODY_METRICS", "{'worst': '1', 'points': 1}", "metrics() gave '1' for 'worst'; wanted a number, NaN where undefined"),
    "list": ("BODY_METRICS", "[1.0, 2]", "metrics() gave a list; wanted a dictionary of worst, points"),
    "board_ill": ("BODY_AGGREGATE", "board.scores['wrst']", "dialect 'board_ill' raised, while aggregating, KeyError: 'wrst' ("),
    "rows": ("BODY_AGGREGATE", "return [{'score': 1}], []", "aggregate() gave the row {'score': 1}; wanted a dictionary with 'model'"),
    "one": ("BODY_AGGREGATE", "return []", "aggregate() gave a list; wanted rows and findings"),
    "says": ("BODY_AGGREGATE", "return [], [3]", "aggregate() gave the finding 3; wanted a harness.dialects.Finding"),
}  # fmt: skip
"""{dialect: where its source is spoilt, by what, what is said of it}."""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    """One good dialect and many broken ones in one environment; each broken one asked for beside two that work."""
    lab = Lab(tmp_path_factory.mktemp("strangers"))
    lab.plugin("largest", source("largest"))
    for name, (place, body, *_) in BROKEN.items():
        lab.plugin(name, "raise ValueError('boom')" if name == "at_import" else source(name, place, body))
    lab.plugin("needs", source("needs", "BODY_INIT", "raise Unsupported('it needs the level 0.01')"))
    commands = {name: ["score", "--dialect", f"{name},largest,fev", "--json"] for name in BROKEN if name != "at_import"}
    commands |= {
        "run": RUN,
        "good": ["score", "--dialect", "largest@2.1,gift-eval,fev", "--json"],
        "table": ["score", "--dialect", "largest", "-t", "*/M/*"],
        "csv": ["score", "--dialect", "largest", "--csv"],
        "version": ["score", "--dialect", "largest@2"],
        "near": ["score", "--dialect", "largst"],
        "needs": ["score", "--dialect", "needs,fev", "--json"],
        "needs_alone": ["score", "--dialect", "needs"],
        "alone": ["score", "--dialect", "made_ill"],
        "alone_on_cells": ["score", "--dialect", "adds_ill", "--csv"],
        "at_import": ["score", "--dialect", "at_import"],
        "ls": ["ls", "dialects"],
        "ls_json": ["ls", "dialects", "--json"],
        "list_json": ["score", "--list", "--json"],
        "show": ["show", "largest"],
    }
    first = ["run", *[name for name in commands if name != "run"]]
    return dict(zip(first, lab.many([commands[name] for name in first]), strict=True))


def test_it_is_listed_with_the_built_in_ones(answers: dict[str, Done]) -> None:
    rows = answers["ls_json"].expect(0).json()
    assert rows == answers["list_json"].expect(0).json()
    found = {row["name"]: row for row in rows}
    assert [name for name in found if name in DIALECTS] == list(DIALECTS)
    assert found["largest"] == {
        "name": "largest", "version": "2.1", "summary": "the largest error", "source": "a note of mine", "metrics": ["worst", "points"],
        "compared_by": ["worst"], "columns": [], "about": {}, "plots": {}, "plugin": "largest",
    }  # fmt: skip
    assert {name: (found[name]["version"], tuple(found[name]["metrics"])) for name in DIALECTS} == {
        name: (each.version, each.metrics) for name, each in DIALECTS.items()
    }
    answers["ls"].expect(0, "largest 2.1 worst, points", "plugin 'at_import' could not be loaded: ValueError: boom")
    answers["show"].expect(0, "dialect largest", "version 2.1", "metrics worst, points", "plugin largest")


def test_it_scores_beside_the_built_in_ones(answers: dict[str, Done]) -> None:
    answers["run"].expect(0)
    made = answers["good"].expect(0).json()
    found = {(s["dialect"], s["model"], s["task"]): s["scores"] for s in made["scores"]}
    assert len(found) == 12
    assert made["failed"] == []
    for (dialect, model, task), each in found.items():
        if dialect == "largest":
            mean = found["gift-eval", model, task]["MAE[0.5]"]
            # A largest error is no smaller than the mean, and no larger than the sum.
            assert mean < each["worst"] < mean * each["points"]
            assert each["worst"] ** 2 >= found["gift-eval", model, task]["MSE[0.5]"]
    (board,) = [b for b in made["aggregates"] if b["dialect"] == "largest"]
    for row in board["rows"]:
        assert row["worst"] == max(s["worst"] for (d, m, _), s in found.items() if (d, m) == ("largest", row["model"]))
    assert "largest, quick: that is all" in made["notes"]
    table = answers["table"].expect(0, "largest@2.1: 2 results", "largest: quick")
    assert "relative to" not in table.out
    assert answers["csv"].expect(0).out.count("largest,2.1,") == 8
    answers["version"].expect(2, "got dialect 'largest@2'; wanted largest or largest@2.1")
    answers["near"].expect(2, "there is no dialect 'largst'. Did you mean 'largest'?", "harness ls dialects")


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_one_costs_itself_and_says_why(answers: dict[str, Done], name: str) -> None:
    done = answers[name].expect(3, *BROKEN[name][2:])
    if name == "at_import":
        done.expect(3, "dialect 'at_import' is not here", "boom", "pip uninstall at_import")
        return
    done.expect(3, f"1 of 3 dialects failed: '{name}' of plugin '{name}' ({name} 1.0)", "To do without: --dialect largest,fev")
    made, good = done.json(), answers["good"].json()
    for kept in ("largest", "fev"):
        for what in ("scores", "aggregates"):
            assert [s for s in made[what] if s["dialect"] == kept] == [s for s in good[what] if s["dialect"] == kept]
    # What an aggregate breaks, the scores of the cells outlive.
    left = [s for s in made["scores"] if s["dialect"] == name]
    assert len(left) == (4 if BROKEN[name][0] == "BODY_AGGREGATE" else 0)
    assert {each["dialect"] for each in made["failed"]} == {name}
    assert not [b for b in made["aggregates"] if b["dialect"] == name]


def test_one_that_scores_no_such_tasks_is_a_note(answers: dict[str, Done]) -> None:
    made = answers["needs"].expect(0).json()
    assert made["notes"] == ["needs: no scores on us_births/M/short and 1 more: it needs the level 0.01"]
    assert {each["dialect"] for each in made["scores"]} == {"fev"}
    answers["needs_alone"].expect(5, "note: needs: no scores on us_births/M/short", "none of the dialects scores these tasks")


def test_a_broken_one_alone(answers: dict[str, Done]) -> None:
    answers["alone"].expect(3, "1 of 1 dialects failed: 'made_ill' of plugin", "KeyError: 'no table'", "harness ls dialects")
    done = answers["alone_on_cells"].expect(3, "ZeroDivisionError", "the reasons are above")
    assert done.out.splitlines() == ["dialect,version,suite,task,model,mode,budget,seed,scope,metric,value"]


REFUSED = {
    "misspelt_hook": (
        "@hookimpl\ndef register_dialect(register): pass",
        "unknown hook 'register_dialect' in plugin 'misspelt_hook' (", "Did you mean 'register_dialects'?",
    ),
    "wrong_argument": ("@hookimpl\ndef register_dialects(registry): pass", "has an argument 'registry'", "Did you mean 'register'?"),
    "aaa_taken": (source("fev"), "registers 'fev', which plugin 'results' has already"),
    "no_info": (source("x").replace("register(INFO", "register('x'"), "registered a str; wanted harness.DialectInfo(...)"),
    "no_factory": (source("x").replace(", make)", ", 3)"), "with a factory that cannot be called: 3"),
    "at_sign": (source("a@b"), "registered the name 'a@b'; wanted text without any of , [ ] = : * ? / \\ @ and control characters"),
    "no_metric": (source("x").replace('("worst", "points")', "()"), "with metrics=(); wanted a tuple of different names of metrics"),
    "twice": (source("x").replace('"points"', '"worst"'), "with metrics=('worst', 'worst'); wanted a tuple of different names"),
    "text_metric": (source("x").replace('("worst", "points")', '"worst"'), "registered metrics='worst'", "metrics=('worst',)"),
    "compared": (
        source("x").replace('"points")', '"points"), compared_by=("worse",)'),
        "with compared_by=('worse',); wanted one or two of its metrics, as in compared_by=('worst',)",
    ),
    "columns": (
        source("x").replace('"points")', '"points"), about={"worst": ("the largest error", "", "min")}'),
        "with about 'worst': ('the largest error', '', 'min'); wanted a harness.types.Column(what, unit,",
    ),
    "number": (source("x").replace('"2.1"', "2.1"), "registered dialect 'x' with version=2.1; wanted text"),
    "halfway": (
        source("half").replace("register(INFO, make)", "register(INFO, make)\n    raise RuntimeError('no further')"),
        "RuntimeError: no further",
    ),
}  # fmt: skip


def test_what_is_refused_at_once_costs_nothing_else(lab: Lab) -> None:
    for name, (text, *_) in REFUSED.items():
        lab.plugin(name, text)
    ls, rows, score = lab.many([["ls", "dialects"], ["ls", "dialects", "--json"], ["score", "--dialect", "half"]])
    for name, (_, *said) in REFUSED.items():
        (line,) = [line for line in ls.expect(0).err.splitlines() if line.startswith(f"plugin '{name}' could not be loaded")]
        for text in said:
            assert text in line
    found = rows.expect(0).json()
    assert [row["name"] for row in found if row["plugin"] == "ts-harness"] == [info.name for info in BUILT_IN.values()]
    assert not {row["plugin"] for row in found} & set(REFUSED)  # other plugins that are here have theirs
    score.expect(3, "dialect 'half' is not here, and plugin 'halfway' could not be loaded: RuntimeError: no further", "pip uninstall")


def test_a_dialect_need_not_be_a_dialect() -> None:
    class Own:
        """Only what is documented: `tally`."""

        def __init__(self) -> None:
            self.sum = 0.0

        def tally(self, forecasts: Forecasts) -> Own:
            return Own()

        def add(self, block: Block) -> None:
            self.sum += float(block.labels.sum())

        def metrics(self) -> dict[str, float]:
            return {"sum": np.float32(self.sum)}

    info = DialectInfo("own", metrics=("sum",))
    made = make(Registered(info, Own, "plugin", "", ""))
    cell = Forecasts.from_arrays([[1, 2, 3, 4]], [0], [2], [[[0.0, 0.0]]], [0.5])
    assert made.score(cell) == {"sum": 7.0}
    assert made.aggregate is None
    assert make(Registered(info, lambda: made, "plugin", "", "")) == made


def test_an_error_in_python_names_the_dialect_and_keeps_its_cause() -> None:
    def tally(forecasts: Forecasts) -> None:
        raise ValueError("boom")

    own = type("Own", (), {"tally": staticmethod(tally)})
    made = make(Registered(DialectInfo("own", metrics=("a",)), own, "plugin", "", ""))
    with pytest.raises(
        PluginError, match=r"dialect 'own' raised, while scoring, ValueError: boom \(.*test_dialects_of_strangers"
    ) as caught:
        made.score(Forecasts.from_arrays([[1, 2, 3]], [0], [1], [[[0.0, 0.0]]], [0.5]))
    assert isinstance(caught.value.__cause__, ValueError)
    assert math.isnan(DIALECTS["fev"].score(Forecasts.from_arrays([[1, 2, 3]], [], [], np.empty((0, 1, 2)), [0.5]))["SQL"])


def test_what_a_dialect_says_is_text_and_not_endless(lab: Lab) -> None:
    lab.plugin("rude", source("rude", "BODY_MAKE", "raise ValueError('\\x1b[31m\\u202e<b>' + 'x' * 10_000)"))
    lab.plugin("loud", source("loud", "BODY_ADD", "raise ValueError('\\x1b[31m\\u202e<b>' + 'x' * 10_000)"))
    _, rude, loud = lab.many([RUN, ["score", "--dialect", "rude"], ["score", "--dialect", "loud,fev"]])
    for done in (rude.expect(3, "<b>xxx"), loud.expect(3, "<b>xxx")):
        assert not {"\x1b", "\u202e"} & set(done.out + done.err)
        assert len(done.err) < 3000


def test_registering_loads_no_dialect(lab: Lab) -> None:
    lab.plugin("largest", source("largest"), header="from harness import hookimpl\n")
    done = lab.python("""
        import contextlib, importlib.metadata, io, sys
        every = importlib.metadata.entry_points
        # Models' plugins may import numpy; what dialects cost is the question here.
        importlib.metadata.entry_points = lambda group: [e for e in every(group=group) if e.dist.name in ("ts-harness", "largest")]
        from harness.cli import main
        said = io.StringIO()
        for arguments in (["--help"], ["ls", "dialects"], ["show", "fev"], ["score", "--list"]):
            with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
                main(arguments)
        assert said.getvalue().count("largest error") == 2, said.getvalue()
        heavy = ("harness_results.dialects.", "harness.dialects.")
        print(sorted(name for name in sys.modules if name == "numpy" or name.startswith(heavy)))
    """)
    assert done.expect(0).out == "['harness_results.dialects.columns', 'harness_results.dialects.infos']\n"
