"""Own results as the GIFT-Eval leaderboard wants them: `<folder>/<model>/all_results.csv` and `config.json`.

`export_gift_eval` writes what there is of many models; `harness_results.gift_eval_submit` writes one with the same functions and checks it.
Rows are sorted by name, as in most of the published files.
"""

from __future__ import annotations

import csv
import fnmatch
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.again import run_command
from harness.errors import NothingMatched, StoreError, suggest
from harness.files import write_whole
from harness_results.gift_eval_files import METRICS, PREFIX

if TYPE_CHECKING:
    from harness.store import Store
    from harness.types import Task

__all__ = ["CONFIG_FIELDS", "Exported", "Key", "config_of", "export_gift_eval", "own_results", "safe_folder", "write_folder"]

Key = tuple[str, str, str, str, int]
"""model, model_name, mode, budget, seed: what one exported folder is of."""

CONFIG_FIELDS = (
    "model",
    "model_type",
    "model_dtype",
    "model_link",
    "code_link",
    "org",
    "testdata_leakage",
    "replication_code_available",
)
"""The fields of a published config.json, in its order."""

_QUERY = """
SELECT c.model, c.model_name, c.mode, c.budget, c.seed, c.task, s.metric, s.value
FROM cells c JOIN scores s ON s.result_id = c.result_id
WHERE c.source = 'own' AND c.status = 'ok' AND c.scope = '' AND c.superseded_by IS NULL AND c.suite = $1
ORDER BY c.model, c.mode, c.budget, c.seed
"""
# Names that no file may have on Windows, so that an export can be unpacked anywhere.
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


@dataclass(frozen=True)
class Exported:
    """One model's export: rows written of the suite's tasks."""

    model: str
    folder: Path
    rows: int
    total: int


def safe_folder(name: str, taken: set[str]) -> str:
    """A folder name for a model that stays inside its folder on any system; `taken` keeps names distinct, whatever their case."""
    kept = "".join(c if c.isalnum() or c in "._+-=()[] " else "_" for c in name)
    base = kept.encode("utf-8", "replace")[:80].decode("utf-8", "ignore").strip(". ") or "model"
    if base.partition(".")[0].strip().lower() in _RESERVED:
        base = f"_{base}"
    candidate, number = base, 2
    while candidate.casefold() in taken:
        candidate, number = f"{base}-{number}", number + 1
    taken.add(candidate.casefold())
    return candidate


def export_gift_eval(
    store: Store, folder: Path, models: Sequence[str] = (), suite: str = "gift-eval", tasks: Mapping[str, Task] | None = None
) -> list[Exported]:
    """Write each model's whole-task results in the published format; floats are written in full (`repr`).

    Args:
        store: where from.
        folder: made when it is not there; files of an earlier export are replaced.
        models: names or globs; none = all own models.
        suite: the suite whose results are written.
        tasks: its tasks by name; None = as the suite declares them.

    Raises:
        NothingMatched: no own result of such a model.
        StoreError: the store cannot be read or the files cannot be written.
    """
    if tasks is None:
        from harness_results.imported import suite_tasks

        tasks = suite_tasks(suite)
    results = own_results(store, suite)
    chosen = {key: rows for key, rows in results.items() if not models or _wanted(key[0], models)}
    if not chosen:
        command = run_command({"model": ",".join(models) or "naive", "suite": suite}, tasks=[])
        have = sorted({key[0] for key in results})
        raise NothingMatched(
            f"no own result of suite '{suite}' to export{' for ' + ','.join(models) if models else ''}."
            f"{suggest(models[0], have) if models else ''} Models with whole-task results: {', '.join(have) or 'none'}. "
            f"To make some: {command}"
        )
    taken: set[str] = set()
    exported = []
    for key, rows in chosen.items():
        label = _label(key, chosen)
        target = folder / safe_folder(label, taken)
        written = write_folder(target, label, rows, config_of(store, key[1], label), tasks)
        exported.append(Exported(label, target, written, len(tasks)))
    return exported


def own_results(store: Store, suite: str) -> dict[Key, dict[str, dict[str, float | None]]]:
    """The current own results of whole tasks: {what they are of: {task: {metric: score}}}."""
    results: dict[Key, dict[str, dict[str, float | None]]] = {}
    table = store.query(_QUERY, [suite])
    for *cell_key, task, metric, value in zip(*(column.to_pylist() for column in table.columns), strict=True):
        model, model_name, mode, budget, seed = cell_key
        results.setdefault((model, model_name, mode, budget, seed), {}).setdefault(task, {})[metric] = value
    return results


def config_of(store: Store, model_name: str, label: str) -> dict[str, str]:
    """The fields of config.json as far as a model declares them; "" where it does not."""
    found = store.query("SELECT * FROM models WHERE source = 'own' AND name = $1", [model_name]).to_pylist()
    row = found[0] if found else {}
    known = json.loads(row.get("info") or "{}")
    known = {**(known.get("extra") or {}), **known}
    values = {name: known.get(name) or "" for name in CONFIG_FIELDS}
    values["model_link"] = values["model_link"] or row.get("link")
    values |= {name: row.get(name) for name in ("model_type", "org", "testdata_leakage")}
    return {**{name: str(value or "") for name, value in values.items()}, "model": label}


def write_folder(
    target: Path, model: str, rows: Mapping[str, Mapping[str, float | None]], config: Mapping[str, str], tasks: Mapping[str, Task]
) -> int:
    """Write one model's folder, each file whole or not at all; return the number of rows.

    Raises:
        StoreError: the folder cannot be made or written.
    """
    hint = "choose another folder with -o"
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"could not write {target}: {error.strerror}; {hint}") from error
    present = {name: task for name, task in sorted(tasks.items()) if name in rows}
    write_whole(target / "all_results.csv", _csv(model, rows, present), hint)
    write_whole(target / "config.json", json.dumps(config, indent=4, ensure_ascii=False) + "\n", hint)
    return len(present)


def _label(key: Key, others: Iterable[Key]) -> str:
    """A model's name with what tells it from the other exports: its mode and budget unless plain, its seed where there are several."""
    model, mode, budget, seed = key[0], *key[2:]
    several = len({other[-1] for other in others if other[0] == model}) > 1
    parts = [model, "" if mode == "zero-shot" else mode, budget or "", f"seed{seed}" if several else ""]
    return "-".join(part for part in parts if part)


def _wanted(model: str, patterns: Sequence[str]) -> bool:
    # First as a plain name: the brackets of "ttm[context=512]" mean something else in a glob.
    return any(model == pattern or fnmatch.fnmatchcase(model, pattern) for pattern in patterns)


def _csv(model: str, rows: Mapping[str, Mapping[str, float | None]], tasks: Mapping[str, Task]) -> str:
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(["dataset", "model", *(PREFIX + metric for metric in METRICS), "domain", "num_variates"])
    for name, task in tasks.items():
        values = [rows[name].get(metric) for metric in METRICS]
        writer.writerow([name, model, *("" if v is None else repr(v) for v in values), task.domain, task.variates])
    return sink.getvalue()
