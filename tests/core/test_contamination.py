"""The mark of a cell: the rule, its dates and names, and where it is stored and shown."""

from __future__ import annotations

import csv
import datetime
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from support import Lab

from harness.contamination import (
    AFTER,
    CLEAN,
    COLLECTIONS,
    DECLARED,
    STATES,
    UNKNOWN,
    counts,
    first_label,
    mark,
    mark_published,
    matches,
    newest,
)
from harness.forecast import Ragged
from harness.identity import make_cell
from harness.plugins import load
from harness.series import Channels, SeriesSet, rolling
from harness.types import Task

DAY = datetime.datetime(2024, 6, 1)
ZERO_SHOT = {"model_type": "zero-shot", "weights": "hf:a/b"}
ALL = {**ZERO_SHOT, "training_corpora_complete": True}
SOURCES = ("M4", "m4_hourly", "GIFT-Eval")


@pytest.mark.parametrize(
    ("declared", "more", "state", "reason"),
    [
        ({**ZERO_SHOT, "training_corpora": ("m4-hourly dataset",)}, {}, DECLARED, "declares m4-hourly dataset"),
        ({**ZERO_SHOT, "training_corpora": ("LibCity", "Monash")}, {}, DECLARED, "declares Monash (M4)"),
        ({**ZERO_SHOT, "training_corpora": ("M4",)}, {"sources": ("m4_hourly",)}, DECLARED, "declares M4 (m4_hourly)"),
        # A name match stands before the date, and says so.
        ({**ZERO_SHOT, "training_corpora": ("M4",), "training_cutoff": "2020"}, {"labels_from": DAY}, DECLARED, "cut-off 2020"),
        ({**ZERO_SHOT, "training_cutoff": "2024-05-31"}, {"labels_from": DAY}, AFTER, "up to 2024-05-31"),
        ({**ZERO_SHOT, "training_cutoff": "2024-06-01"}, {"labels_from": DAY}, UNKNOWN, "not before all labels"),
        ({**ZERO_SHOT, "training_cutoff": "2024-05-31"}, {}, UNKNOWN, "no training corpus"),
        ({**ZERO_SHOT, "training_cutoff": "lately"}, {"labels_from": DAY}, UNKNOWN, ""),
        ({**ALL, "training_corpora": ("LOTSA",), "training_cutoff": "2024-05"}, {"labels_from": DAY}, AFTER, ""),
        ({**ALL, "training_corpora": ("made series of a, version 1",)}, {}, CLEAN, "made series alone"),
        ({**ALL, "training_corpora": ("KernelSynth",)}, {"sources": ()}, CLEAN, ""),
        ({**ALL, "training_corpora": ("UK sales", "KernelSynth")}, {}, CLEAN, "none is or contains M4, m4_hourly, GIFT-Eval"),
        ({**ALL, "training_corpora": ("UK sales",)}, {"sources": ()}, UNKNOWN, "does not say where"),
        ({**ALL, "training_corpora": ("UK sales", "LOTSA")}, {}, UNKNOWN, "declares LOTSA, of which"),
        ({**ZERO_SHOT, "training_corpora": ("UK sales",)}, {}, UNKNOWN, "not that these are all"),
        ({**ZERO_SHOT}, {}, UNKNOWN, "nothing is declared"),
        ({}, {}, UNKNOWN, "nothing is declared"),
        ({**ALL}, {}, UNKNOWN, "nothing is declared"),
        # No training data before the task.
        ({"model_type": "statistical"}, {}, CLEAN, "fitted to each series alone"),
        ({"model_type": "statistical", "weights_digest": "0f"}, {}, UNKNOWN, ""),
        ({"model_type": "deep-learning"}, {"mode": "finetune"}, CLEAN, "starts untrained"),
        ({**ZERO_SHOT, "training_corpora": ("M4",)}, {"mode": "full"}, CLEAN, "starts untrained"),
        # Training on the task's own training part is no contamination, and no cure.
        ({**ALL, "training_corpora": ("made",)}, {"mode": "few-shot:0.1"}, CLEAN, ""),
        ({**ZERO_SHOT, "training_corpora": ("M4",)}, {"mode": "ttt"}, DECLARED, ""),
        # Weights of the user's own.
        ({**ALL, "training_corpora": ("made",)}, {"own_weights": True}, UNKNOWN, "of the user's own"),
        ({**ZERO_SHOT, "training_corpora": ("M4",)}, {"own_weights": True, "mode": "finetune"}, UNKNOWN, ""),
        ({"model_type": "statistical"}, {"own_weights": True}, UNKNOWN, ""),
    ],
)
def test_the_rule(declared: dict[str, Any], more: dict[str, Any], state: str, reason: str) -> None:
    found = mark(declared, **{"sources": SOURCES, **more})
    assert found.state == state, found
    assert reason in found.reason and found.reason


def test_names_of_corpora() -> None:
    assert matches(["electricity_15min"], ["electricity"]) and matches(["Solar 10 minutes"], ["solar"])
    assert not matches(["Solar 4 s"], ["solar"]), "series of a power station, another dataset"
    assert not matches(["m4_monthly", "ETTh2", "LibCity", ""], ["m4_hourly", "ETTh1", "SZ_TAXI"])
    assert matches(["saugeenday_dataset"], ["saugeenday"]) and matches(["monash"], ["KDD_CUP_2018"])
    assert matches(["monash", "M4"], ["m4_weekly"]) == [("monash", "m4_weekly"), ("M4", "m4_weekly")]
    assert not any(part in COLLECTIONS for parts in COLLECTIONS.values() for part in parts if part != "M4")


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("2023", "2023-12-31 23:59:59"),
        ("2024-02", "2024-02-29 23:59:59"),
        ("2024-12", "2024-12-31 23:59:59"),
        (" 2024-02-29T12:00 ", "2024-02-29 23:59:59"),
        ("9999", "None"),
        ("2023-02-30", "None"),
        ("2023-13", "None"),
        ("March 2023", "None"),
        ("", "None"),
    ],
)
def test_a_cutoff_covers_its_day_month_or_year(text: str, last: str) -> None:
    assert str(newest(text)) == last


def task(**changes: Any) -> Task:
    facts: dict[str, Any] = {"suite": "s", "name": "t", "dataset": "d", "family": "d", "domain": "", "freq": "H", "term": "short"}
    return Task(**{**facts, "horizon": 6, "season_length": 24, "variates": 2, **changes})


def test_the_first_label_is_the_earliest_of_all_series() -> None:
    rows = [np.zeros(n, np.float32) for n in (48, 48, 100, 100)]
    starts = np.array(["2024-01-03", "2024-01-01"], "datetime64[s]")
    series = SeriesSet(pa.array(["a", "b"]), starts, "H", 2, Channels.from_ragged(Ragged.from_rows(rows)))
    data = rolling(task(), series, 2)
    # Item b begins two days earlier and has 100 hours: its labels begin after 88 of them, those of a after 36.
    assert first_label(data) == datetime.datetime(2024, 1, 4, 12)
    assert first_label(data.limited(np.array([1]))) == datetime.datetime(2024, 1, 4, 16)
    assert first_label(None) is None and first_label(data.limited(np.array([], np.int64))) is None


def test_sources_change_no_id() -> None:
    plugins = load()
    model = plugins.model("naive")
    one, other = (make_cell(plugins, task(sources=sources), "f", model, {}) for sources in ((), ("M4",)))
    assert one.id == other.id and "sources" not in one.identity["task"]
    assert make_cell(plugins, replace(one.task, horizon=7), "f", model, {}).id != one.id


def test_published_results() -> None:
    assert mark_published({"testdata_leakage": "Yes", "model_type": "statistical"}).state == DECLARED
    assert mark_published({"testdata_leakage": "No", "model_type": "statistical"}).state == CLEAN
    assert mark_published({"testdata_leakage": "no", "model_type": "pretrained"}).state == UNKNOWN
    assert mark_published({}).state == UNKNOWN
    assert [mark_published({}, trained).state for trained in (True, False)] == [DECLARED, CLEAN]
    assert counts([CLEAN, DECLARED, DECLARED, ""]) == {DECLARED: 2, AFTER: 0, CLEAN: 1, UNKNOWN: 1}


MODELS = """
class Last:
    def __init__(self, weights: str = ""):
        pass
    def predict(self, batch):
        return Forecast.from_points(last(batch))

@hookimpl
def register_models(register):
    common = dict(model_type="zero-shot", weights="in the package")
    register(ModelInfo("monash", training_corpora=("Monash",), **common), Last)
    register(ModelInfo("made", training_corpora=("made series",), training_corpora_complete=True, weights_digest="0f", **common), Last)
    register(ModelInfo("old", training_cutoff="1970", **common), Last)
    register(ModelInfo("plain"), Last)
"""


def test_marks_are_stored_and_shown(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.plugin("marked", MODELS)
    own = tmp_path / "own"
    own.mkdir()
    (own / "model.safetensors").write_bytes(b"x")
    chosen = "us_births/M/short,saugeen/M/short,hierarchical_sales/W/short"
    lab.models(f"monash,made,old,plain,made[weights={own}]", "--isolation", "inprocess", tasks=chosen).expect(0)
    rows = lab.query("SELECT model, task, contamination, (receipt->'contamination'->>'reason') = contamination_reason FROM cells")
    assert all(row[3] for row in rows) and len(rows) == 15
    states = {(row[0].partition("[")[0] + ("*" if "[" in row[0] else ""), row[1].partition("/")[0]): row[2] for row in rows}
    assert {states["monash", name] for name in ("us_births", "saugeen")} == {DECLARED}
    assert states["monash", "hierarchical_sales"] == UNKNOWN
    assert states["made", "us_births"] == CLEAN
    assert states["plain", "us_births"] == UNKNOWN  # it says nothing of itself, not even that it is untrained
    assert states["made*", "us_births"] == UNKNOWN
    # Births are counted from 1969 to 1988 and its labels are of the last two years; the river is measured from 1915 to 1979.
    assert [states["old", name] for name in ("us_births", "saugeen", "hierarchical_sales")] == [AFTER, AFTER, AFTER]
    assert set(states.values()) <= set(STATES)
    (cell,) = lab.query("SELECT cell_id FROM cells WHERE model = 'monash' AND task LIKE 'us_births%'")
    shown, table, board, asked = lab.many(
        [
            ["show", cell[0]],
            ["leaderboard", "--format", "csv"],
            ["leaderboard"],
            ["sql", "SELECT contamination, count(*) AS n FROM results GROUP BY 1 ORDER BY 1", "--json"],
        ]
    )
    shown.expect(0, "contamination declared", "declares Monash (us_births)")
    marked = {row["model"]: row for row in csv.DictReader(io.StringIO(table.out))}
    assert [marked["monash"][f"contamination_{name}"] for name in ("declared", "after_cutoff", "clean", "unknown")] == ["2", "0", "0", "1"]
    board.expect(0, "Contamination: trained on tasks' series, as declared: monash (2 of 3 tasks).")
    assert {row["contamination"]: row["n"] for row in json.loads(asked.out)} == {AFTER: 3, CLEAN: 3, DECLARED: 2, UNKNOWN: 7}
    found = lab.python(
        """
        import json
        from harness.plugins import load
        from harness_leaderboard.page.payload import make_payload
        from harness_leaderboard.view import open_view
        from harness_results.store import DuckStore
        plugins, store = load(), DuckStore(__import__("pathlib").Path("harness.duckdb"))
        view = open_view(plugins, store, "quick")
        made = make_payload(store, view.results, plugins.suite("quick").info, {})
        short = {model["label"].partition("[")[0] + "*" * ("[" in model["label"]): model["contamination"] for model in made["models"]}
        print(json.dumps(short))
        """
    ).expect(0)
    page = found.json()
    assert {name: about["state"] for name, about in page.items()} == {
        "monash": DECLARED, "made": CLEAN, "old": AFTER, "plain": UNKNOWN, "made*": UNKNOWN,
    }  # fmt: skip
    assert page["monash"]["counts"] == {DECLARED: 2, AFTER: 0, CLEAN: 0, UNKNOWN: 1}
    assert page["monash"]["text"].startswith("2 declared, 1 unknown of 3 tasks; trained on Monash")
