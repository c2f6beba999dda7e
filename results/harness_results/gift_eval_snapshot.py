"""The published GIFT-Eval results inside this package, as one Parquet file: a row per model and task, a column per metric.

`python -m harness_results.gift_eval_snapshot RESULTS_FOLDER` makes it anew from the results folder of the leaderboard.
Licence and date stand in `published/NOTICE.md`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import UsageError
from harness_results.gift_eval_files import METRICS, Published, read_all

__all__ = ["SNAPSHOT", "read_snapshot", "write_snapshot"]

SNAPSHOT = Path(__file__).parent / "published" / "gift_eval.parquet"
_CONFIGS = b"harness.configs"


def write_snapshot(models: list[Published], file: Path = SNAPSHOT) -> None:
    """Write models' results and configurations to one file; only the eleven official metrics are kept."""
    flat = [(model.model, task, row) for model in sorted(models, key=lambda m: m.model) for task, row in sorted(model.scores.items())]
    columns: dict[str, pa.Array] = {
        "model": pa.array([model for model, _, _ in flat]).dictionary_encode(),
        "task": pa.array([task for _, task, _ in flat]).dictionary_encode(),
        **{metric: pa.array([row.get(metric) for _, _, row in flat], pa.float64()) for metric in METRICS},
    }
    configs = json.dumps({model.model: model.config for model in models}, sort_keys=True)
    table = pa.table(columns).replace_schema_metadata({_CONFIGS: configs.encode()})
    file.parent.mkdir(exist_ok=True)
    pq.write_table(table, file, compression="zstd", compression_level=19, use_dictionary=["model", "task"])


def read_snapshot(tasks: Mapping[str, Any], file: Path = SNAPSHOT) -> list[Published]:
    """The bundled results; tasks that are not among `tasks` are left out."""
    table = pq.read_table(file)
    configs = json.loads(table.schema.metadata[_CONFIGS])
    columns = [table[metric].to_pylist() for metric in METRICS]
    models: dict[str, Published] = {}
    for model, task, *values in zip(table["model"].to_pylist(), table["task"].to_pylist(), *columns, strict=True):
        published = models.setdefault(model, Published(model, {}, configs.get(model, {})))
        if task in tasks:
            published.scores[task] = dict(zip(METRICS, values, strict=True))
    return list(models.values())


def main(arguments: list[str]) -> None:
    """Make the snapshot from a folder of results."""
    from harness_results.imported import suite_tasks

    if len(arguments) != 1:
        raise UsageError("usage: python -m harness_results.gift_eval_snapshot RESULTS_FOLDER")
    models, problems = read_all(Path(arguments[0]), suite_tasks("gift-eval"))
    for line in [*problems, *(f"{m.model}: {w}" for m in models for w in m.warnings)]:
        print(line, file=sys.stderr)
    write_snapshot(models)
    print(f"{SNAPSHOT}: {len(models)} models, {SNAPSHOT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
