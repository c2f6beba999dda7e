"""TimesFM 2.5 with covariates, by the library's `forecast_with_covariates`. Imports timesfm; the library, jax.

Axes: N windows, K covariates, T context, H horizon.

The library fits one linear model to all windows that it is given at once, so each is given by itself: a window's forecast must not depend
on the others. It takes no missing target and no series longer than `max_context`, and with "timesfm + xreg" none that has no step beyond
its first patch. So contexts are cut and filled beforehand, covariates that say nothing are left out, and windows that are too short for
the fit are forecast without covariates, and counted.

The library takes covariates that are known over the horizon alone. One that is known up to the cutoff becomes such a one when it is read H
steps late: what it says at step t is used for step t + H, so the horizon's values are the newest H of the context. The linear model then
learns what the covariate says H steps ahead. Nothing is carried forward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness import Batch
from harness.forecast import F32, F64, Ragged
from harness_timesfm.contexts import Histories, clean, fill, interpolate, widths
from harness_timesfm.forecaster25 import Forecaster25, tally

__all__ = ["forecast", "regressors"]

SPARE = 3
"""Steps to fit to, for each coefficient, at least."""


@dataclass(frozen=True)
class Window:
    """One window as the library takes it: history [t], and covariates [K, t + H], none of them constant over the history."""

    history: F64
    covariates: F64


def regressors(batch: Batch, past: str) -> list[Ragged]:
    """The covariates of the linear model, rows of T + H: the known ones, and with past="lagged" the past ones H steps late.

    The first H values of a lagged one are not known: NaN.
    """
    lag = np.full(batch.horizon, np.nan, np.float32)
    lagged = batch.past_covariates if past == "lagged" else ()
    return [*batch.known_covariates, *(Ragged.from_rows([np.concatenate([lag, row]) for row in rows]) for rows in lagged)]


def forecast(forecaster: Forecaster25, batch: Batch, chosen: list[Ragged]) -> F32:
    """Means and deciles [N, 10, H] of a batch with covariates, as `regressors` gives them; 0 for windows that are all missing."""
    horizon, settings = batch.horizon, forecaster.settings
    reach, histories = forecaster.reach(horizon), clean(batch.contexts)
    out = np.zeros((len(batch), 10, horizon), np.float32)
    patch = forecaster.library.model.p
    skipped = patch if settings.xreg_mode == "timesfm + xreg" else 0
    plain: list[int] = []
    for row in forecaster.usable(histories).tolist():
        window = window_of(chosen, horizon, histories, row, reach.context)
        coefficients = len(window.covariates) + 1
        if coefficients == 1 or len(window.history) - skipped < SPARE * coefficients:
            plain.append(row)
            continue
        width = int(widths(np.array([len(window.history)]), reach.context, patch)[0])
        forecaster.compile(reach, width, rows=1, backcast=True)
        _, quantiles = forecaster.library.forecast_with_covariates(
            inputs=[window.history.tolist()],
            dynamic_numerical_covariates={f"{k:04d}": [values.tolist()] for k, values in enumerate(window.covariates)},
            xreg_mode=settings.xreg_mode,
            ridge=settings.ridge,
            force_on_cpu=True,
        )
        channels = np.asarray(quantiles[0], np.float32).T[None]  # [1, 10, H]
        out[row] = histories.restore(channels, np.array([row]))[0]
    if plain:
        tally(forecaster.notes, "windows too short for covariates, or whose covariates say nothing, forecast without", len(plain))
        forecaster.into(out, histories, np.array(plain), reach)
    return out


def window_of(chosen: list[Ragged], horizon: int, histories: Histories, row: int, context: int) -> Window:
    """A window cut to its newest `context` steps, from the first observed one on, gaps filled on a line."""
    history = interpolate(histories[row])[-context:]
    length = len(history)
    found = np.stack([rows[row][-(length + horizon) :] for rows in chosen])  # [K, t + H]
    found = fill(np.where(np.isfinite(found), found, np.float32(np.nan)))
    spread = np.ptp(found[:, :length], axis=1)
    useful = spread > 1e-6 * np.abs(found).max(axis=1)  # a constant is the intercept already
    return Window(history.astype(np.float64), found[useful].astype(np.float64))
