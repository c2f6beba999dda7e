"""What `harness score --json` says of findings."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from harness.dialects import Board, Dialect, Finding
from harness.types import DialectInfo
from harness_results.dialects.boards import aggregate
from harness_results.dialects.cells import Scored
from harness_results.score_output import to_json
from harness_results.score_report import Report


def found(board: Board) -> tuple[list[dict[str, object]], Sequence[Finding | str]]:
    assert np.shape(board.scores["x"]) == (1, 2)
    return [{"model": "m", "x": 1.0}], [Finding("m is 3 better", "b", "m is better"), "all of it"]


def test_the_task_of_a_finding_is_in_the_document() -> None:
    dialect = Dialect(DialectInfo("d", metrics=("x",)), lambda _: None, found, relative=False)  # type: ignore[arg-type, return-value]
    cell = {"suite": "s", "model": "m", "mode": "zero-shot", "budget": "", "scope": "", "seed": 0, "result_id": "r"}
    scored = [Scored({**cell, "task": task}, {"d": {"x": 1.0}}, {}) for task in "ab"]
    boards = aggregate([dialect], scored, lambda _: "m", lambda _: True)
    report = Report({}, [dialect], scored, [], boards, [], [], 2)
    (board,) = json.loads(to_json(report))["aggregates"]
    assert board["findings"] == [
        {"task": "b", "text": "m is 3 better", "short": "m is better"},
        {"task": "", "text": "all of it", "short": "all of it"},
    ]
    assert board["notes"] == ["b: m is 3 better", "all of it"]  # as before
