"""Checks of what a forecast is: its levels, their order, its horizon."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.conformance.kit import fail, gap, percent, spread
from harness.errors import Unsupported
from harness.forecast import F32, Batch
from harness.quantiles import sort_crossings
from harness.specimens import Bench, at_horizon

__all__ = ["check_crossings", "check_horizon_prefix", "check_horizons", "check_levels", "check_requested_levels"]

LEVELS = ([0.5], [0.025, 0.5, 0.975], [k / 20 for k in range(1, 20)], [0.001, 0.5, 0.999])
FARTHEST = 1024
"""Steps that a check forecasts at most, whatever the model's `max_horizon`."""
PREFIXES = (1, 24, 100)
PREFIX_OF = (150, 40, 12)
"""Steps of the forecast that others are to begin, the first number that the model can do: beyond the output patch of most patch models."""
ROUNDING = 1e-4
"""What one and the same forecast may differ by when it is had in two ways, as a share of the series' standard deviation: sums of float32
in another order come to 1e-6, and ten times as much through many layers."""


def check_levels(bench: Bench) -> None:
    """The asked quantile levels can be had of the forecast, for one level, odd levels, many, and far ones."""
    for levels in LEVELS:
        batch = bench.batch(items=3, windows=1, levels=levels)
        forecast = bench.forecast(batch)
        given = forecast.levels
        if given is not None and not (np.all(np.diff(given) > 0) and given[0] > 0 and given[-1] < 1):
            fail(
                f"predict returned quantiles at levels {given.tolist()}; wanted rising levels between 0 and 1: use Forecast.from_quantiles"
            )
        quantiles, _ = bench.convert(forecast, batch)
        if quantiles.shape[1] != len(levels):
            fail(f"asked for the levels {levels}, predict returned {quantiles.shape[1]} of them")
        if not np.all(np.isfinite(quantiles)):
            fail(f"asked for the levels {levels}, and what follows from the forecast is not finite")


def check_requested_levels(bench: Bench) -> str:
    """The quantile of a level does not depend on which other levels are asked for, but for rounding."""
    every = LEVELS[2]
    batch = bench.batch(items=3, windows=1, levels=every)
    unit, whole = spread(batch), bench.anew(batch)
    worst = 0.0
    for levels in ([0.5], [0.1, 0.9], [0.05, 0.5, 0.95]):
        part = bench.anew(replace(batch, quantile_levels=np.array(levels)))
        difference = gap(part, whole[:, [every.index(level) for level in levels]], unit)
        if difference > ROUNDING:
            fail(
                f"the quantiles at {levels} differ by up to {percent(difference)} of the series' standard deviation when {len(every)} "
                "levels are asked for; wanted the same: a score must not depend on what else is asked"
            )
        worst = max(worst, difference)
    return "the same bits" if not worst else f"they differ by up to {percent(worst)} of the series' standard deviation"


def check_crossings(bench: Bench) -> None:
    """Quantiles rise with their level. A run sorts those that do not and counts them; a model should not need it."""
    for levels in LEVELS[1:3]:
        batch = bench.batch(levels=levels)
        _, crossings = sort_crossings(bench.predict(batch)[0])
        if crossings.sum():
            steps = len(batch) * batch.horizon
            fail(
                f"quantiles at the levels {levels} cross in {int(crossings.sum())} of {steps} steps, first in row "
                f"{int(np.flatnonzero(crossings)[0])}; wanted rising quantiles: mend their order, or sort along axis 1"
            )


def check_horizons(bench: Bench) -> str:
    """A horizon of 1, one longer than the context, and the longest that the model declares; beyond `max_horizon` a run does not ask.

    Reported: which of them are unsupported.
    """
    most = bench.info.max_horizon
    wanted = {h for h in (1, 50, min(most or 1, FARTHEST)) if most is None or h <= most}
    refused: dict[int, Unsupported] = {}
    for horizon in sorted(wanted):
        try:
            quantiles, mean = bench.predict(bench.batch(horizon=horizon))
        except Unsupported as error:
            if most is not None:
                fail(f"ModelInfo.max_horizon is {most} and a horizon of {horizon} is unsupported: {error}")
            refused[horizon] = error
            continue
        if not quantiles.shape[2] == horizon == mean.shape[1]:
            fail(f"asked for {horizon} steps, predict returned {quantiles.shape[2]}, and means of {mean.shape[1]}")
    if len(refused) == len(wanted):
        raise refused[min(refused)]
    return f"unsupported: {', '.join(map(str, refused))} steps" if refused else ""


def _longest(bench: Bench) -> tuple[Batch, F32]:
    """A batch with a long horizon that the model can forecast, and the forecast."""
    most = bench.info.max_horizon or PREFIX_OF[0]
    wanted = sorted({min(most, steps) for steps in PREFIX_OF}, reverse=True)
    for steps in wanted:
        batch = bench.batch(items=3, windows=1, horizon=steps)
        try:
            return batch, bench.anew(batch)
        except Unsupported:
            if steps == wanted[-1]:
                raise
    raise Unsupported("it forecasts no step")


def check_horizon_prefix(bench: Bench) -> str:
    """The first steps of a long forecast are the short forecast, but for rounding.

    Sample paths need not be the same draws: what they differ by is reported. A model with another network for another horizon declares an
    exception.
    """
    batch, whole = _longest(bench)
    longest, unit = batch.horizon, spread(batch)
    found: list[tuple[int, float]] = []
    for horizon in (h for h in PREFIXES if h < longest):
        difference = gap(bench.anew(at_horizon(batch, horizon)), whole[:, :, :horizon], unit)
        if difference > ROUNDING and bench.info.output != "samples":
            fail(
                f"a forecast of {horizon} steps differs from the first {horizon} of {longest} by up to {percent(difference)} of the "
                "series' standard deviation; wanted the same, or an exception that says why"
            )
        found.append((horizon, difference))
    if not found:
        raise Unsupported(f"its longest horizon is {longest}")
    if not any(difference for _, difference in found):
        return f"the first {', '.join(str(horizon) for horizon, _ in found)} of {longest} steps: the same bits"
    steps = ", ".join(f"the first {horizon} of {longest} steps differ by {percent(difference)}" for horizon, difference in found)
    return f"{steps} of the series' standard deviation"
