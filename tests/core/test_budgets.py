"""Texts that say how long something may take."""

from __future__ import annotations

import pytest

from harness import UsageError
from harness.budget import Budget, parse_budget, parse_duration


def test_budgets() -> None:
    texts = ("", "  ", "200", "200steps", " 200 steps", "1 step")
    assert [parse_budget(t) for t in texts] == [Budget(), Budget(), *[Budget(200)] * 3, Budget(1)]
    assert [parse_budget(t).seconds for t in ("90s", "2m", "1.5h", "0.5 s")] == [90, 120, 5400, 0.5]
    assert parse_budget("7").reproducible and not parse_budget("7s").reproducible
    for text in ("0", "0s", "-3", "-3steps", "2 epochs", "1.5", "1.5steps", "m", "steps", "1e3steps", "nan", "infs", "9" * 400):
        with pytest.raises(UsageError, match="wanted steps or a time, as in --budget 200steps"):
            parse_budget(text)


def test_durations() -> None:
    assert [parse_duration(t) for t in ("", "90", "90s", "30m", "2h", "1.5 h")] == [None, 90, 90, 1800, 7200, 5400]
    for text in ("0", "-1", "1d", "soon", "inf", "9" * 400):
        with pytest.raises(UsageError, match="wanted seconds or a number with s, m or h"):
            parse_duration(text)
