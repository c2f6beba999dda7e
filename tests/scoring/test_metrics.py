"""The registered metrics: names, worked numbers, undefined cases, arrays of sums."""

from __future__ import annotations

import doctest
import subprocess
import sys

import numpy as np
import pytest

from harness import metrics, quantiles
from harness.metrics import METRICS, evaluate
from harness.scoring import Block, Totals, score

OFFICIAL = ["MSE[mean]", "MSE[0.5]", "MAE[0.5]", "MASE[0.5]", "MAPE[0.5]", "sMAPE[0.5]", "MSIS", "RMSE[mean]", "NRMSE[mean]", "ND[0.5]",
            "mean_weighted_sum_quantile_loss"]  # fmt: skip


def totals(seed=0, n=20, missing=False):
    rng = np.random.default_rng(seed)
    quantiles_ = np.sort(rng.normal(size=(n, 9, 5)), axis=1).astype(np.float32)
    labels = rng.normal(size=(n, 5)).astype(np.float32)
    result = Totals(np.arange(1, 10) / 10)
    result.add(score(Block(np.full_like(labels, np.nan) if missing else labels, quantiles_, quantiles_[:, 4], result.levels, np.ones(n))))
    return result


def test_names():
    found = []
    metrics.register_metrics(found.append)
    assert [metric.name for metric in found][:11] == OFFICIAL
    assert len({metric.name for metric in found}) == len(found)
    assert {metric.dialect for metric in found} == {"gift-eval"}
    assert all(metric.summary and metric.formula and metric.source for metric in found)


@pytest.mark.parametrize("module", [metrics, quantiles])
def test_worked_numbers(module):
    result = doctest.testmod(module)
    assert result.failed == 0
    assert result.attempted >= 2


def test_every_metric_has_a_worked_number():
    functions = {getattr(metric.value, "func", metric.value) for metric in METRICS}
    examples = {test.name.split(".")[-1] for test in doctest.DocTestFinder().find(metrics) if test.examples}
    assert {function.__name__ for function in functions} <= examples


def test_without_valid_labels_every_score_is_nan():
    scores = evaluate(totals(missing=True).sums)
    assert all(np.isnan(value) for value in scores.values()), scores


def test_all_labels_zero():
    block = Block(*(np.zeros(s, np.float32) for s in ((2, 3), (2, 9, 3), (2, 3))), np.arange(1, 10) / 10, np.zeros(2))
    for error, wanted in ((0.0, np.nan), (1.0, np.inf)):
        result = Totals(block.levels)
        result.add(
            score(Block(block.labels, block.quantiles + np.float32(error), block.mean + np.float32(error), block.levels, np.zeros(2)))
        )
        scores = evaluate(result.sums)
        for name in ("ND[0.5]", "NRMSE[mean]", "mean_weighted_sum_quantile_loss"):
            np.testing.assert_equal(scores[name], wanted)
        assert np.isnan([scores["MASE[0.5]"], scores["MSIS"], scores["MAPE[0.5]"]]).all()
        np.testing.assert_equal(scores["sMAPE[0.5]"], np.nan if error == 0 else 2.0)
        assert scores["coverage[0.1]"] == 1.0


def test_arrays_of_sums_are_scored_row_by_row():
    many = [totals(seed).sums for seed in range(4)] + [totals(missing=True).sums]
    stacked = {name: np.stack([sums[name] for sums in many]) for name in many[0] if name != "levels"} | {"levels": many[0]["levels"]}
    grid = {name: np.stack([v, v]) if name != "levels" else v for name, v in stacked.items()}
    for metric in METRICS:
        wanted = [evaluate(sums, [metric])[metric.name] for sums in many]
        np.testing.assert_array_equal(metric.value(stacked), wanted)
        np.testing.assert_array_equal(metric.value(grid), [wanted, wanted])


def test_coverage_of_a_level_that_was_not_asked():
    sums = totals().sums
    assert evaluate({**sums, "levels": np.arange(1, 10) / 20}, METRICS)["coverage[0.9]"] != evaluate(sums)["coverage[0.9]"]
    assert np.isnan(evaluate({**sums, "levels": np.arange(1, 10) / 20}, METRICS)["coverage[0.9]"])


def test_import_costs_no_numpy():
    code = "import sys, harness.metrics; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
