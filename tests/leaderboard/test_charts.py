"""The pictures' specifications: valid, drawn by the real program, and safe with whatever names and numbers come."""

from __future__ import annotations

import json
import math
import re
import struct
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import vl_convert
from hypothesis import given
from hypothesis import strategies as st
from pages import HOSTILE

from harness_leaderboard.charts import PICTURES, critical_rows, distinct, look, specifications
from harness_leaderboard.charts.base import source

Rows = list[dict[str, Any]]

DRAWABLE = [re.sub("[\x00-\x1f\ud800-\udfff]", "\ufffd", name)[:300] for name in HOSTILE]
"""Hostile names without what no XML can hold, and not so long that measuring them takes seconds: those who draw cut them to 60."""
NUMBERS = (0.5, 1.0, 1.5, 2.0)


def rows_of(name: str, models: list[str], numbers: tuple[float, ...] = NUMBERS) -> Rows:
    """Records of a picture: a model after the other, with these numbers in turn."""
    n = len(numbers)

    def slight(number: float) -> float:
        """A part of a rank; no rank is beyond the number of models."""
        return 0.5 if 5 < abs(number) < math.inf else number / 10

    def of(k: int, **shift: int) -> dict[str, float]:
        return {column: numbers[(k + by) % n] for column, by in shift.items()}

    each = list(enumerate(models))
    made: dict[str, Callable[[], Rows]] = {
        "intervals": lambda: [
            {"model": m, "order": k, "letters": m[:3], "source": m, **of(k, value=1, low=0, high=2)} for k, m in each
        ],
        "domains": lambda: [
            {"group": f"{g} {models[0]}", "group_order": g, "model": m, "order": k, **of(k + g, value=1, low=0, high=2)}
            for g in range(2)
            for k, m in each
        ],
        "pareto": lambda: [
            {"model": m, "source": m, "front": k % 2 == 0, "named": True, "parameters": None, **of(k, cost=0, value=1)} for k, m in each
        ],
        "critical": lambda: critical_rows(
            models, [k + 1 + slight(numbers[k % n]) for k, _ in each], numbers[0], [(1.0, 1.0 + numbers[1 % n], 1)]
        ),
        "heatmap": lambda: [
            {
                "model": m, "order": k, "task": f"{t} {models[0]}", "task_order": t, **of(k + t, ratio=0),
                "status": ("ok", "failed", "skipped", "missing")[t % 4],
            }
            for k, m in each
            for t in range(5)
        ],
        "steps": lambda: [{"model": m, "order": k, "position": p + 1, **of(k + p, value=0)} for k, m in each for p in range(4)],
        "reliability": lambda: [
            {"model": m, "order": k, "level": level, "coverage": numbers[(k + q) % n] / 3}
            for k, m in each
            for q, level in enumerate((0.1, 0.5, 0.9))
        ],
        "pit": lambda: [
            {"model": m, "order": k, "bin": "0–0.5", "low": b / 2, "high": b / 2 + 0.5, "share": numbers[(k + b) % n]}
            for k, m in each
            for b in range(2)
        ],
        "fan": lambda: [
            *({"part": "context", "x": x, **of(x, y=0)} for x in range(-3, 1)),
            *({"part": "label", "x": x, **of(x, y=1)} for x in range(1, 4)),
            *({"part": "median", "model": m, "order": k, "x": x, **of(x, y=2)} for k, m in each for x in range(1, 4)),
            *(
                {"part": "band", "model": m, "order": k, "x": x, "band": "0.1–0.9", "rank": 1, **of(x, low=0, high=3)}
                for k, m in each
                for x in range(1, 4)
            ),
        ],
        "winloss": lambda: [
            {
                "model": m, "order": k, "other": o, "other_order": j, "wins": 1, "ties": 0, "losses": 2, "told_apart": k < j,
                "share": None if k == j else numbers[(k + j) % n] / 3,
            }
            for k, m in each
            for j, o in each
        ],
        "influence": lambda: [
            {"model": m, "order": k, "place": k + 1, "best": max(1, k), "worst": k + 2, "best_without": m, "worst_without": m}
            for k, m in each
        ],
        "policies": lambda: [
            {"model": m, "order": k, "policy": policy, **of(k + p, value=0)} for k, m in each for p, policy in enumerate(("left out", m))
        ],
    }  # fmt: skip
    return made[name]()


def specification(name: str, rows: Rows | None, **options: Any) -> dict[str, Any]:
    """Validated by Altair against the schema of Vega-Lite."""
    width = 220 if name in ("domains", "pit") else 400
    made: dict[str, Any] = PICTURES[name](rows, width=width, **options).to_dict()
    return made | {"config": look()}


def texts_of(svg: str) -> list[str]:
    """What stands in a drawing, line by line."""
    return [node.text or "" for node in ElementTree.fromstring(svg).iter() if node.tag.endswith(("}text", "}tspan"))]


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_drawn(name: str) -> None:
    made = specification(name, rows_of(name, ["one", "two", "three"]), title="A title", subtitle="first\nsecond")
    svg = vl_convert.vegalite_to_svg(made, allowed_base_urls=[])
    texts = texts_of(svg)
    assert {"A title", "first", "second"} <= set(texts)
    assert {"one", "two", "three"} <= set(texts), texts
    png = vl_convert.vegalite_to_png(made, scale=1, allowed_base_urls=[])
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    assert 200 < width < 1200 and 60 < height < 1200


@pytest.mark.parametrize("name", PICTURES)
def test_every_row_is_in_the_specification(name: str) -> None:
    rows = rows_of(name, ["one", "two"])
    made = specification(name, rows)
    text = json.dumps(made)
    assert made["data"]["name"] == "rows" and len(made["data"]["values"]) == len(rows)
    assert "http" not in text.replace(made["$schema"], "")  # nothing is fetched


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("case", ["no rows", "one model", "NaN", "infinity", "nothing but NaN", "zero", "negative", "huge", "tiny"])
def test_any_numbers_are_drawn(name: str, case: str) -> None:
    models, numbers = {
        "no rows": (["one"], NUMBERS),
        "one model": (["one"], NUMBERS),
        "NaN": (["one", "two"], (math.nan, 0.5, 1.5)),
        "infinity": (["one", "two"], (math.inf, 0.5, -math.inf)),
        "nothing but NaN": (["one", "two"], (math.nan,)),
        "zero": (["one", "two"], (0.0,)),
        "negative": (["one", "two"], (-1.0, 0.5)),
        "huge": (["one", "two"], (1e300, 1.0)),
        "tiny": (["one", "two"], (1e-300, 1.0)),
    }[case]
    rows = [] if case == "no rows" else rows_of(name, models, numbers)
    made = specification(name, rows)
    json.dumps(made, allow_nan=False)
    assert vl_convert.vegalite_to_svg(made, allowed_base_urls=[]).startswith("<svg")


@pytest.mark.parametrize("name", PICTURES)
def test_names_are_text(name: str) -> None:
    """Whatever names are like, the drawing has no element and no attribute that a plain one has not, and the names stand in it."""
    plain = vl_convert.vegalite_to_svg(
        specification(name, rows_of(name, [f"plain {k}" for k in range(len(DRAWABLE))])), allowed_base_urls=[]
    )
    svg = vl_convert.vegalite_to_svg(specification(name, rows_of(name, DRAWABLE)), allowed_base_urls=[])

    def shape(text: str) -> set[tuple[str, str]]:
        return {(node.tag, name) for node in ElementTree.fromstring(text).iter() for name in ("", *node.attrib)}

    assert shape(svg) <= shape(plain)
    assert not re.search(r"<(script|img|h1)\b", svg)
    assert "&lt;script&gt;" in svg
    assert "49" not in texts_of(svg)  # {{ 7 * 7 }} is no program


@pytest.mark.parametrize("dark", [False, True])
def test_every_colour_comes_from_the_look(dark: bool) -> None:
    """One specification serves both themes, so it names no colour; each look is valid and differs."""
    for name, made in specifications().items():
        assert not re.search(r"#[0-9a-fA-F]{3,8}\b", json.dumps(made)), name
    assert look(dark)["text"]["color"] != look(not dark)["text"]["color"]
    rows = rows_of("intervals", ["one"])
    made = specification("intervals", rows) | {"config": look(dark)}
    svg = vl_convert.vegalite_to_svg(made, allowed_base_urls=[])
    assert look(dark)["text"]["color"] in svg and look(not dark)["text"]["color"] not in svg


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("dark", "back"), [(False, "#ffffff"), (True, "#0d1117")])
def test_contrast(dark: bool, back: str) -> None:
    """Text 4.5:1, marks 3:1, as the guidelines for accessible content (WCAG 2.1) have it."""
    chosen = look(dark)
    texts = [chosen["text"]["color"], chosen["title"]["subtitleColor"], chosen["axis"]["labelColor"]]
    for colours, least in ((texts, 4.5), ([*chosen["range"]["category"], chosen["mark"]["color"]], 3.0)):
        for colour in colours:
            bright, dim = sorted((luminance(colour), luminance(back)), reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= least, colour


def test_the_pages_specifications_are_valid() -> None:
    """They are made without validation, which takes a third of a second; they equal those that are validated."""
    made = specifications()
    assert list(made) == list(PICTURES)
    for name, picture in PICTURES.items():
        valid = picture().to_dict()
        valid.pop("config", None)
        assert made[name] == valid, name
        assert made[name]["data"] == {"name": "rows"}


def test_numbers_that_json_lacks_become_null() -> None:
    values = [
        {
            "a": np.float64("nan"),
            "b": np.float32(1.5),
            "c": math.inf,
            "d": np.int64(3),
            "e": None,
            "f": True,
            "g": "text",
            "h": np.bool_(True),
        }
    ]
    found = source(values).to_dict()["values"]
    assert found == [{"a": None, "b": 1.5, "c": None, "d": 3, "e": None, "f": True, "g": "text", "h": True}]


def test_titles_are_cut() -> None:
    made = specification("steps", rows_of("steps", ["one"]), title="t" * 5000, subtitle="a\n" + "s" * 5000)
    assert [len(line) for line in made["title"]["text"]] == [200]
    assert [len(line) for line in made["title"]["subtitle"]] == [1, 200]
    assert made["title"]["subtitle"][1].endswith("…")
    assert "title" not in PICTURES["steps"]([]).to_dict()


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "a [x]", "a [x] #2", "a #2", ""]), st.sampled_from(["x", "y", ""])), max_size=12))
def test_names_for_an_axis_are_one_of_a_kind(pairs: list[tuple[str, str]]) -> None:
    labels, sources = [label for label, _ in pairs], [source for _, source in pairs]
    names = distinct(labels, sources)
    assert len(set(names)) == len(names) == len(pairs)
    assert all(name.startswith(label) for name, label in zip(names, labels, strict=True))
    for name, label in zip(names, labels, strict=True):
        if labels.count(label) == 1 and label not in ("a [x]", "a [x] #2", "a #2"):
            assert name == label


def test_the_diagram_of_ranks_by_hand() -> None:
    rows = critical_rows(["c", "a", "b", "gone"], [3.0, 1.5, 2.0, math.nan], 0.7, [(1.5, 2.0, 1)])
    assert rows == [
        {"part": "axis", "start": 1, "end": 3, "row": 0},
        *({"part": "tick", "rank": rank, "row": 0, "above": -1, "text": str(rank)} for rank in (1, 2, 3)),
        {"part": "cd", "start": 1, "end": 1.7, "row": -3, "above": -2, "text": "critical difference 0.70"},
        {"part": "line", "start": 1.5, "end": 2.0, "row": 1},
        {"part": "model", "model": "a", "rank": 1.5, "side": "left", "edge": 0.0, "row": 2, "base": 0},
        {"part": "model", "model": "b", "rank": 2.0, "side": "left", "edge": 0.0, "row": 3, "base": 0},
        {"part": "model", "model": "c", "rank": 3.0, "side": "right", "edge": 4.0, "row": 2, "base": 0},
    ]
    assert critical_rows([], [], None, []) == []
    assert critical_rows(["a"], [math.nan], 1.0, []) == []
    assert len([row for row in critical_rows(list("abc"), [1.0, 40.0, 80.0], None, []) if row["part"] == "tick"]) <= 11
