"""One own model as a submission to the GIFT-Eval leaderboard: written by the functions of the export, checked as a stranger's folder is.

The files are written whether or not they would be taken, so that what is there can be looked at; the checklist says what is missing and
what to type. Beyond `harness_results.gift_eval_check` it looks at what only the database knows: results that failed, went stale or
are of parts of tasks, and whether the data is the official one. For that the own seasonal naive forecasts are taken as a gauge: on the
official data they reproduce the published scores, on other data they do not.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.again import run_command
from harness.errors import NothingMatched, UsageError, suggest
from harness_results.gift_eval_check import CHOICES, Check, check_folder, passes
from harness_results.gift_eval_export import CONFIG_FIELDS, Key, config_of, own_results, safe_folder, write_folder

if TYPE_CHECKING:
    from harness.store import Store
    from harness.types import Task

__all__ = ["Submission", "folder_name", "read_config", "submit_gift_eval"]

SUITE = "gift-eval"
GAUGE = "seasonal_naive"
TOLERANCE = 1e-4
"""Relative. Float32 sums in another order differ by 1e-7; other data, by more than a hundredth."""

_CELLS = """
SELECT task, cell_id, status, reason, scope, data_fingerprint
FROM cells
WHERE source = 'own' AND superseded_by IS NULL AND suite = $1 AND model = $2 AND mode = $3 AND budget = $4 AND seed = $5
"""
_GAUGE = """
SELECT c.task, c.data_fingerprint, s.metric, s.value
FROM cells c JOIN scores s ON s.result_id = c.result_id
WHERE c.source = 'own' AND c.superseded_by IS NULL AND c.status = 'ok' AND c.scope = '' AND c.suite = $1 AND c.model = $2
  AND s.metric IN ('MASE[0.5]', 'mean_weighted_sum_quantile_loss')
"""


@dataclass(frozen=True)
class Submission:
    """A folder that was written and its checklist."""

    model: str
    folder: Path
    checks: list[Check]

    @property
    def passes(self) -> bool:
        """Whether nothing is wrong."""
        return passes(self.checks)


def read_config(assignments: Sequence[str]) -> dict[str, str]:
    """Read `--config key=value`; values of a closed list in any case.

    Raises:
        UsageError: no such field, or no "=".
    """
    config = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or name not in CONFIG_FIELDS:
            known = ", ".join(CONFIG_FIELDS)
            raise UsageError(f"--config {text!r}: wanted FIELD=VALUE with a field of {known}.{suggest(name, CONFIG_FIELDS)}")
        spelt = {choice.lower(): choice for choice in CHOICES.get(name, ())}
        config[name] = spelt.get(value.strip().lower(), value.strip())
    return config


def folder_name(name: str) -> str:
    """A name that the leaderboard takes for a folder: "ttm[context=512]" -> "ttm-context-512"."""
    return safe_folder(re.sub(r"[^A-Za-z0-9._+]+", "-", name).strip("-._+"), set())


def submit_gift_eval(
    store: Store,
    folder: Path,
    model: str,
    config: Mapping[str, str] | None = None,
    mode: str = "",
    seed: int | None = None,
    tasks: Mapping[str, Task] | None = None,
) -> Submission:
    """Write `folder/<name>/all_results.csv` and `config.json` of one own model, and check them.

    Args:
        store: where from.
        folder: where to; files of an earlier submission of this name are replaced.
        model: the model with its parameters.
        config: fields of config.json; "model" is the submission's name, otherwise made from the model's.
        mode, seed: which of several results of the model; "" and None = there is one kind only.
        tasks: the suite's tasks by name; None = as the suite declares them.

    Raises:
        NothingMatched: no own result of a whole task of this model.
        UsageError: results of several modes, budgets or seeds, or a name that is no folder's.
        StoreError: the store cannot be read or the files cannot be written.
    """
    if tasks is None:
        from harness_results.imported import suite_tasks

        tasks = suite_tasks(SUITE)
    results = own_results(store, SUITE)
    key = _chosen(list(results), model, mode, seed)
    given = dict(config or {})
    name = given.get("model") or folder_name("-".join(part for part in (key[0], key[2] if key[2] != "zero-shot" else "", key[3]) if part))
    if name != safe_folder(name, set()):
        raise UsageError(f"--config model={name!r}: wanted the name of a folder, as in --config model={folder_name(name)}")
    target = folder / name
    write_folder(target, name, results[key], {**config_of(store, key[1], name), **given}, tasks)
    checks = [_with_command(check, key, store) for check in check_folder(target, tasks)]
    return Submission(name, target, checks + _check_store(store, key, tasks, checks))


def _chosen(keys: Sequence[Key], model: str, mode: str, seed: int | None) -> Key:
    mine = [key for key in keys if key[0] == model]
    if not mine:
        have = sorted({key[0] for key in keys})
        raise NothingMatched(
            f"no own result of a whole task of {SUITE} for {model!r}.{suggest(model, have)} Models with some: {', '.join(have) or 'none'}. "
            f"To make them: {run_command({'model': model, 'suite': SUITE}, tasks=[])}"
        )
    kept = [key for key in mine if mode in ("", key[2]) and seed in (None, key[4])]
    if len(kept) == 1:
        return kept[0]
    kinds = "; ".join(" ".join(part for part in (key[2], key[3], f"seed {key[4]}") if part) for key in mine)
    if not kept:
        raise NothingMatched(f"{model!r} has no results of this mode and seed; it has: {kinds}")
    raise UsageError(f"{model!r} has results of {len(kept)} kinds, wanted one: {kinds}. Name one with --mode and --seed")


def _command(key: Key, tasks: Collection[str], store: Store, rerun: str = "") -> str:
    """The run that makes these tasks' results; many tasks are not named."""
    row = {"suite": SUITE, **dict(zip(("model", "model_name", "mode", "budget", "seed"), key, strict=True))}
    return run_command(row, tasks=list(tasks) if len(tasks) <= 3 else [], db=store.path, rerun=rerun)


def _with_command(check: Check, key: Key, store: Store) -> Check:
    if check.name != "rows" or check.ok is not False:
        return check
    return replace(check, fix=_command(key, check.tasks, store))


def _check_store(store: Store, key: Key, tasks: Mapping[str, Task], checks: Sequence[Check]) -> list[Check]:
    """What only the database can tell of the results that were written."""
    model, _, mode, budget, seed = key
    cells = [row for row in store.query(_CELLS, [SUITE, model, mode, budget, seed]).to_pylist() if row["task"] in tasks]
    whole = {row["task"]: row for row in cells if not row["scope"]}
    lacking = {task for check in checks if check.name == "rows" for task in check.tasks}
    found = [_check_fresh(store, whole, key), _check_data(store, whole)]
    if failed := {task: row for task, row in whole.items() if row["status"] != "ok"}:
        task, row = min(failed.items())
        detail = f"{len(failed)} tasks failed or were skipped, such as {task}: {row['reason']}"
        found.append(Check("failed", False, detail, _command(key, failed, store, "failed"), tuple(failed)))
    if parts := {row["task"] for row in cells if row["scope"]} & lacking:
        found.append(Check("parts of tasks", None, f"{len(parts)} of the missing rows were run with --limit only, which does not count"))
    if mode != "zero-shot":
        declared = next((check.detail for check in checks if check.name == "config: model_type" and check.ok), "")
        if declared in ("zero-shot", "pretrained", "statistical"):
            detail = f"the results were made with --mode {mode}, which is not '{declared}'"
            found.append(Check("mode", False, detail, "--config model_type=fine-tuned"))
    return found


def _check_fresh(store: Store, cells: Mapping[str, Mapping[str, Any]], key: Key) -> Check:
    from harness.plugins import load
    from harness.stale import stale_results

    stale = stale_results(load(), store, SUITE)
    old = {task: stale[row["cell_id"]] for task, row in cells.items() if row["cell_id"] in stale}
    if not old:
        return Check("fresh", True, "no result is older than the code, the weights and the data that are here")
    what = sorted({word for words in old.values() for word in words})
    return Check("fresh", False, f"{len(old)} results are stale; changed since: {', '.join(what)}", _command(key, old, store), tuple(old))


def _check_data(store: Store, cells: Mapping[str, Mapping[str, Any]]) -> Check:
    """Compare one's own seasonal naive scores, on the very data that the model saw, with the published ones."""
    from harness_results.gift_eval_snapshot import read_snapshot

    published = next(model.scores for model in read_snapshot(cells) if model.model == GAUGE)
    compared, wrong = set(), {}
    for row in store.query(_GAUGE, [SUITE, GAUGE]).to_pylist():
        cell, right = cells.get(row["task"]), published.get(row["task"], {}).get(row["metric"])
        if cell is None or right is None or row["value"] is None or cell["data_fingerprint"] != row["data_fingerprint"]:
            continue
        compared.add(row["task"])
        if abs(row["value"] - right) > TOLERANCE * abs(right):
            wrong[row["task"]] = f"{row['metric']} {row['value']:.6g} instead of {right:.6g}"
    name, of = "data", f"{len(compared)} of {len(cells)} tasks"
    if wrong:
        task, said = min(wrong.items())
        detail = (
            f"other data: {GAUGE} has not the published scores on {len(wrong)} of {len(compared)} tasks compared, such as {task} ({said})"
        )
        return Check(name, False, detail, "harness data verify gift-eval", tuple(wrong))
    if len(compared) == len(cells):
        return Check(name, True, f"{GAUGE} has the published scores on {of}")
    rest = sorted(set(cells) - compared)
    fix = _command((GAUGE, GAUGE, "zero-shot", "", 0), rest, store)
    return Check(name, None, f"{GAUGE} has the published scores on {of}; the others were not compared", fix)
