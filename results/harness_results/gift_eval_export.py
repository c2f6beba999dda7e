"""Own results as the GIFT-Eval leaderboard wants them: `<folder>/<model>/all_results.csv` and `config.json`."""

from __future__ import annotations

import csv
import fnmatch
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import NothingMatched, StoreError, suggest
from harness_results.gift_eval_files import METRICS, PREFIX

if TYPE_CHECKING:
    from harness.store import Store
    from harness.types import Task

__all__ = ["Exported", "export_gift_eval", "safe_folder"]

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
        tasks: its tasks by name, which give the order of rows; None = as the suite declares them.

    Raises:
        NothingMatched: no own result of such a model.
        StoreError: the store cannot be read or the files cannot be written.
    """
    if tasks is None:
        from harness_results.gift_eval_import import suite_tasks

        tasks = suite_tasks(suite)
    results: dict[tuple[Any, ...], dict[str, dict[str, float | None]]] = {}
    table = store.query(_QUERY, [suite])
    for *cell_key, task, metric, value in zip(*(column.to_pylist() for column in table.columns), strict=True):
        results.setdefault(tuple(cell_key), {}).setdefault(task, {})[metric] = value
    chosen = {key: rows for key, rows in results.items() if not models or _wanted(key[0], models)}
    if not chosen:
        wanted = ",".join(models) or "naive"
        have = sorted({key[0] for key in results})
        raise NothingMatched(
            f"no own result of suite '{suite}' to export{' for ' + ','.join(models) if models else ''}."
            f"{suggest(models[0], have) if models else ''} Models with whole-task results: {', '.join(have) or 'none'}. "
            f"To make some: harness run -m {wanted} -s {suite}"
        )
    info = {row["name"]: row for row in store.query("SELECT * FROM models WHERE source = 'own'").to_pylist()}
    taken: set[str] = set()
    exported = []
    for key, rows in chosen.items():
        model_name, label = key[1], _label(key, chosen)
        target = folder / safe_folder(label, taken)
        try:
            target.mkdir(parents=True, exist_ok=True)
            written = _write_csv(target / "all_results.csv", label, rows, tasks)
            _write_config(target / "config.json", label, info.get(model_name, {}))
        except OSError as error:
            raise StoreError(f"could not write {target}: {error.strerror}; choose another folder with -o") from error
        exported.append(Exported(label, target, written, len(tasks)))
    return exported


def _label(key: tuple[Any, ...], others: Iterable[tuple[Any, ...]]) -> str:
    """A model's name with what tells it from the other exports: its mode and budget unless plain, its seed where there are several."""
    model, mode, budget, seed = key[0], *key[2:]
    several = len({other[-1] for other in others if other[0] == model}) > 1
    parts = [model, "" if mode == "zero-shot" else mode, budget or "", f"seed{seed}" if several else ""]
    return "-".join(part for part in parts if part)


def _wanted(model: str, patterns: Sequence[str]) -> bool:
    # First as a plain name: the brackets of "ttm[context=512]" mean something else in a glob.
    return any(model == pattern or fnmatch.fnmatchcase(model, pattern) for pattern in patterns)


def _write_csv(file: Path, model: str, rows: Mapping[str, Mapping[str, float | None]], tasks: Mapping[str, Task]) -> int:
    count = 0
    with file.open("w", newline="", encoding="utf-8", errors="replace") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["dataset", "model", *(PREFIX + metric for metric in METRICS), "domain", "num_variates"])
        for name, task in tasks.items():
            if name in rows:
                values = [rows[name].get(metric) for metric in METRICS]
                writer.writerow([name, model, *("" if v is None else repr(v) for v in values), task.domain, task.variates])
                count += 1
    return count


def _write_config(file: Path, model: str, row: Mapping[str, Any]) -> None:
    known = json.loads(row.get("info") or "{}")
    known = {**(known.get("extra") or {}), **known}
    config = {
        "model": model,
        "model_type": row.get("model_type") or "",
        "model_dtype": known.get("model_dtype") or "",
        "model_link": known.get("model_link") or row.get("link") or "",
        "code_link": known.get("code_link") or "",
        "org": row.get("org") or "",
        "testdata_leakage": row.get("testdata_leakage") or "",
        "replication_code_available": known.get("replication_code_available") or "",
    }
    file.write_text(json.dumps(config, indent=4, ensure_ascii=False) + "\n", encoding="utf-8", errors="replace")
