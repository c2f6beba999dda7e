"""The networks of all plugins that learn each task anew run in one environment; a file of its own, so that another process may take it."""

from __future__ import annotations

import importlib.util

import pytest
from support import Lab


def test_those_that_are_trained_on_each_task(lab: Lab) -> None:
    for library in ("torch", "gluonts"):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed; make install has every plugin")
    part = ["--mode", "full", "--budget", "2steps", "-t", "us_births/W/short,hospital/M/short", "--limit", "1", "--threads", "1", "--json"]
    # One in a worker, as it is by default; the others beside each other in one process, which imports their libraries once.
    apart = lab.run("run", "-m", "deepar", *part, timeout=900).expect(0)
    others = "patchtst,tft,dlinear,gluonts:gluonts.torch.SimpleFeedForwardEstimator"
    together = lab.run("run", "-m", others, "--isolation", "inprocess", *part, timeout=900).expect(0)
    assert [c["status"] for c in apart.json()["cells"]] == ["ok"] * 2
    assert [c["status"] for c in together.json()["cells"]] == ["ok"] * 8
