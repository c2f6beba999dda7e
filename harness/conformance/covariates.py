"""Checks of covariates: what a model declares is what it is given, and it can do without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.conformance.kit import fail, gap, measure, percent
from harness.errors import Unsupported
from harness.forecast import F32, Batch, Ragged
from harness.specimens import Bench

__all__ = ["check_covariates"]

KINDS = {"past": "past_covariates", "known": "known_covariates"}


def check_covariates(bench: Bench) -> str:
    """Covariates of a kind that is not declared never arrive; a model runs with those that it declares, without any, and where all of
    their values are missing. A model of events may refuse to go without, as it may be made for one of them.

    Reported: what other values of them change. Nothing is a hint that they are not used.
    """
    data = bench.data()
    batch = bench.cut(data)
    declared = [kind for kind in KINDS if kind in bench.info.covariates]
    for kind, field in KINDS.items():
        if kind not in declared and getattr(batch, field):
            fail(f"{kind} covariates arrived at a model that does not declare them; this is a defect of the harness")
    if not declared:
        return "none declared, none given"
    (unit, words), whole = measure(bench, batch), bench.anew(batch)
    found = []
    bare = bench.cut(replace(data, series=replace(data.series, past=None, known=None, past_names=())))
    try:
        _runs(bench, bare, "without covariates")
    except AssertionError as error:
        if not (bench.of_events and isinstance(error.__cause__, Unsupported)):
            raise
        found.append(f"without them: {error.__cause__}")
    for kind in declared:
        covariates: tuple[Ragged, ...] = getattr(batch, KINDS[kind])
        missing = tuple(Ragged(np.full_like(rows.values, np.nan), rows.offsets) for rows in covariates)
        _runs(bench, _with(batch, kind, missing), f"with {kind} covariates of which every value is missing")
        other = _runs(bench, _with(batch, kind, _other(covariates, None)), f"with other {kind} covariates")
        found.append(f"other {kind} ones change {percent(gap(other, whole, unit))}")
        if kind == "known":
            ahead = _runs(bench, _with(batch, kind, _other(covariates, batch.horizon)), "with another plan")
            found.append(f"other values of them in the horizon {percent(gap(ahead, whole, unit))}")
    return f"{', '.join(found)}, {words}"


def _with(batch: Batch, kind: str, covariates: tuple[Ragged, ...]) -> Batch:
    return replace(batch, past_covariates=covariates) if kind == "past" else replace(batch, known_covariates=covariates)


def _runs(bench: Bench, batch: Batch, how: str) -> F32:
    try:
        return bench.anew(batch)
    except Unsupported as error:
        raise AssertionError(f"ModelInfo.covariates is {bench.info.covariates} and the model does not run {how}: {error}") from error


def _other(covariates: tuple[Ragged, ...], newest: int | None) -> tuple[Ragged, ...]:
    """Other values for all steps, or for the newest of each row alone."""
    made = []
    for number, covariate in enumerate(covariates):
        rows = []
        for index, row in enumerate(covariate):
            drawn = np.random.default_rng([number, index]).normal(0, 1 + np.nanmax(np.abs(row), initial=0.0), len(row)).astype(np.float32)
            keep = 0 if newest is None else len(row) - newest
            rows.append(np.concatenate([row[:keep], drawn[keep:]]))
        made.append(Ragged.from_rows(rows))
    return tuple(made)
