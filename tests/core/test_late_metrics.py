"""A metric that is installed, or changed, after a run scores what is reused."""

from __future__ import annotations

import pytest
from support import Lab

METRIC = """
@hookimpl
def register_metrics(register):
    register(Metric("mine", value=lambda sums: FACTOR * sums["abs_error"] / sums["n"]))
"""
RUN = ("run", "-m", "seasonal_naive", "-t", "us_births/M/short", "--json")


def test_reused_cells_get_its_score(lab: Lab) -> None:
    lab.run(*RUN).expect(0)
    for factor in (1, 2):
        lab.plugin("late", METRIC.replace("FACTOR", str(factor)))
        (cell,) = lab.run(*RUN).expect(0).json()["cells"]
        assert cell["cached"]
        assert cell["scores"]["mine"] == pytest.approx(factor * cell["scores"]["MAE[0.5]"])
        assert lab.query("SELECT value FROM scores WHERE metric = 'mine'") == [(cell["scores"]["mine"],)]
