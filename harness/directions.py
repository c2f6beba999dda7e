"""Whether a lower score of a metric is the better one; what nobody knows is not guessed. Importing this module costs no numpy.

Notable choices: a registered metric says it itself; published tables spell the usual errors in many ways, and these are known by name,
whatever case, brackets ("MASE[0.5]"), origin ("fev:MASE") or mean ("mean MASE") is around it; of any other metric the person who imports
it may declare it (`harness import csv --lower NAME`), which is kept in the receipts of the imported cells.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.plugins import Plugins
    from harness.store import Store

__all__ = ["DIRECTIONS", "declared_directions", "lower_is_better"]

DIRECTIONS = "directions"
"""The key of a cell's receipt under which an import keeps what was declared: {metric: "min" or "max"}."""

_LOWER = (
    "mae", "mase", "mse", "msse", "rmse", "rmsse", "nrmse", "rmsle", "msle", "mape", "mdape", "smape", "msmape", "wape", "wmape",
    "nd", "nae", "mrae", "gmrae", "relmae", "owa", "crps", "wcrps", "wql", "wsql", "mwql", "mql", "sql", "ql", "wis", "msis", "mis",
    "qloss", "maeb", "wapeb", "mean_absolute_error", "median_absolute_error", "mean_squared_error", "root_mean_squared_error",
    "normalized_root_mean_squared_error", "mean_absolute_scaled_error", "root_mean_squared_scaled_error",
    "mean_absolute_percentage_error", "symmetric_mean_absolute_percentage_error", "weighted_absolute_percentage_error",
    "mean_squared_logarithmic_error", "normalized_deviation", "overall_weighted_average", "absolute_error", "squared_error",
    "scaled_error", "quantile_loss", "weighted_quantile_loss", "scaled_quantile_loss", "mean_quantile_loss",
    "mean_weighted_quantile_loss", "mean_weighted_sum_quantile_loss", "pinball", "pinball_loss",
    "continuous_ranked_probability_score", "interval_score", "mean_interval_score", "scaled_interval_score",
    "mean_scaled_interval_score", "weighted_interval_score", "winkler_score", "brier_score", "energy_score", "test_error",
)  # fmt: skip
_HIGHER = (
    "accuracy", "acc", "balanced_accuracy", "precision", "recall", "f1", "f1_score", "auc", "auroc", "auprc", "r2", "r_squared",
    "r2_score", "correlation", "pearson", "spearman", "skill_score", "win_rate",
)  # fmt: skip

_STORED = """
SELECT DISTINCT CAST(json_extract(receipt, '$.directions') AS VARCHAR) AS said FROM main.cells
WHERE suite = $1 AND source <> 'own' AND json_extract(receipt, '$.directions') IS NOT NULL
"""


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name)


_KNOWN = {_plain(name): True for name in _LOWER} | {_plain(name): False for name in _HIGHER}


def lower_is_better(metric: str, plugins: Plugins | None = None, declared: Mapping[str, str] | None = None) -> bool | None:
    """True: lower is better. False: it is not, as of an accuracy, or of a coverage whose best value lies between. None: nobody knows.

    Args:
        metric: its name as stored: "MASE[0.5]", "fev:WQL", "accuracy".
        plugins: what metrics are registered; None = only what is known by name.
        declared: {metric: "min" | "max" | "none"}, as `declared_directions` gives it; it goes before all else.

    >>> [lower_is_better(name) for name in ("MASE[0.5]", "fev:WQL", "mean sMAPE", "accuracy", "bias", "score")]
    [True, True, True, False, None, None]
    >>> lower_is_better("score", declared={"score": "min"})
    True
    """
    if declared and metric in declared:
        return declared[metric] == "min"
    if plugins is not None and (found := plugins.metrics.get(metric)) is not None:
        return found.info.direction == "min"
    said = None if plugins is None else _of_dialect(metric, plugins)
    if said is not None:
        return said
    name = re.sub(r"\[[^\]]*\]", "", metric.casefold()).rpartition(":")[2].strip()
    bare = re.sub(r"^(?:mean|median|average|avg)[\W_]+", "", name)
    return _KNOWN.get(_plain(name), _KNOWN.get(_plain(bare)))


def _of_dialect(metric: str, plugins: Plugins) -> bool | None:
    """What a dialect's card says of "dialect:metric": of those that models are ranked by, lower is better."""
    name, _, short = metric.partition(":")
    found = plugins.dialects.get(name)
    if found is None:
        return None
    if short in found.info.leading:
        return True
    column = found.info.about.get(short)
    return None if column is None or column.direction == "none" else column.direction == "min"


def declared_directions(store: Store, suite: str) -> dict[str, str]:
    """What those who imported a suite's results declared of its metrics: {metric: "min" | "max"}, "none" where they contradict.

    Raises:
        StoreError: the store cannot be read.
    """
    found: dict[str, str] = {}
    for row in store.query(_STORED, [suite]).to_pylist():
        try:
            said = json.loads(row["said"] or "{}")
        except (ValueError, RecursionError):
            continue
        for metric, direction in said.items() if isinstance(said, dict) else ():
            if direction in ("min", "max"):
                found[metric] = direction if found.get(metric, direction) == direction else "none"
    return found
