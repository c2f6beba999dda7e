"""The model that the harness knows: a table for each window, a regressor fitted to it, its quantiles. Imports nothing heavy.

Axes: N windows, T context, H horizon, Q quantile levels, C covariates, F features.
"""

from __future__ import annotations

import math

import numpy as np

from harness import Batch, Forecast, Unsupported, UsageError
from harness.forecast import F64, I64
from harness.frequency import shift
from harness.parameters import check_device, choice, whole
from harness.quantiles import INTERVAL
from harness.threads import one_thread
from harness_tabpfn_ts.releases import Release

__all__ = ["TabPFNTS", "make"]

LARGEST = float(np.finfo(np.float32).max)
SEEDS = 2**31 - 1
"""The library takes seeds below this."""


def make(
    release: Release,
    weights: str = "",
    context: int | None = None,
    n_estimators: int | None = None,
    point: str = "median",
    precision: str = "float32",
    device: str = "cpu",
) -> TabPFNTS:
    """The model of a release; the parameters are those of `TabPFNTS`."""
    return TabPFNTS(release, weights, context, n_estimators, point, precision, device)


class TabPFNTS:
    """TabPFN-TS. A window is a table with a row for each observed step; the regressor reads it whole and answers for the steps ahead.

    Args:
        release: the published configuration.
        weights: a checkpoint of its architecture, or a folder with one; "" is the published one in the hub's cache.
        context: rows of the table, the newest observed values; None is what the library takes of itself on a CPU (1000 for v2, 5000 for
            later ones), on a GPU too: a result does not say where it was computed.
        n_estimators: members of the library's ensemble, each a pass of the network; None is what the checkpoint or the library says, 8.
        point: what the mean of the forecast is: the "median", as in the pipeline, or the "mean" of the distribution.
        precision: "float32", on every device, or "auto", the library's choice: float16 on a GPU, bfloat16 on some CPUs, float32 on others.
        device: cpu, cuda, cuda:1.

    Raises:
        UsageError: a parameter that makes no sense, or weights that cannot be used.
        Unavailable: the weights are not on this machine.
    """

    def __init__(
        self,
        release: Release,
        weights: str = "",
        context: int | None = None,
        n_estimators: int | None = None,
        point: str = "median",
        precision: str = "float32",
        device: str = "cpu",
    ) -> None:
        self.release, self.point = release, point
        if not isinstance(weights, str):
            raise UsageError(f"{release.name}: weights got {weights!r}; wanted the path of a checkpoint, or of a folder with one")
        for name, value, least, most in (("context", context, 2, release.most), ("n_estimators", n_estimators, 1, 1000)):
            if value is not None:
                whole(release.name, name, value, least, most)
        choice(release.name, "point", point, ("median", "mean"))
        choice(release.name, "precision", precision, ("float32", "auto"))
        check_device(release.name, device)
        from harness_tabpfn_ts import network  # here: torch and tabpfn

        self.network = network.load(release, weights, device, precision)
        self.n_estimators = n_estimators or "auto"
        # The device is not in a result's identity, so it decides neither the context nor the precision.
        self.context = context or min(release.context, self.network.most_on_cpu)
        self._first: dict[str, int] = {"context": self.context}
        if context is None and self.context < release.context:
            self._first["context_as_published"] = release.context
        self.notes: dict[str, int] = dict(self._first)

    @one_thread()
    def predict(self, batch: Batch) -> Forecast:
        """Quantiles [N, Q, H] of the predicted distribution at the asked levels and at those of the interval score, and its point [N, H].

        A context without an observed value gives zeros; one whose rows are all equal gives that value.

        Raises:
            Unsupported: more known covariates than the weights can read.
        """
        from threadpoolctl import threadpool_limits

        width = 18 + 2 * self.release.periods + len(batch.known_covariates)
        if width > self.network.most_features:
            raise Unsupported(
                f"{self.release.name}: {len(batch.known_covariates)} known covariates make {width} features; its weights read "
                f"{self.network.most_features} at most"
            )
        for name, value in self._first.items():
            self.notes.setdefault(name, value)  # a reader may have emptied the notes
        asked = batch.quantile_levels
        # The scores take the interval's levels from the forecast where it has them; else they would be extrapolated.
        levels = np.sort(np.append(asked, [q for q in INTERVAL if np.abs(asked - q).min() > 1e-6]))
        quantiles = np.empty((len(batch), len(levels), batch.horizon))
        points = np.empty((len(batch), batch.horizon))
        with threadpool_limits(1):  # the last bits of a product depend on the number of threads
            for row in range(len(batch)):
                quantiles[row], points[row] = self._window(batch, row, levels)
        return Forecast.from_quantiles(_bounded(quantiles), levels, _bounded(points))

    def _window(self, batch: Batch, row: int, levels: F64) -> tuple[F64, F64]:
        """Quantiles [Q, H] and point [H] of one window."""
        from harness_tabpfn_ts.features import kept_rows, table

        values, horizon = batch.contexts[row], batch.horizon
        if not np.isfinite(values).any():
            self._count("all_missing")
            return np.zeros((len(levels), horizon)), np.zeros(horizon)
        rows, target = kept_rows(values, self.context)
        if np.all(target == target[0]):
            self._count("constant")
            return np.full((len(levels), horizon), target[0]), np.full(horizon, target[0])
        steps: I64 = np.append(rows, len(values) + np.arange(horizon))  # [T + H]
        times = shift(np.full(len(steps), batch.starts[row]), batch.freq, steps)
        covariates = np.empty((len(steps), len(batch.known_covariates)))  # [T + H, C]
        for column, known in enumerate(batch.known_covariates):
            covariates[:, column] = known[row][steps]
        covariates[~np.isfinite(covariates)] = np.nan
        features = table(target, times, covariates, self.release.periods)  # [T + H, F]
        # The library adds 1e-20 to a standard deviation. A power of two in front of all values changes no other bit.
        unit = math.ldexp(1.0, math.frexp(float(np.abs(target).max()))[1])
        seed = int(batch.seeds[row]) % SEEDS
        quantiles, point = self.network.regress(
            features[: len(target)], target / unit, features[len(target) :], levels, seed, self.n_estimators, self.point
        )
        return quantiles * unit, point * unit

    def _count(self, what: str) -> None:
        self.notes[what] = self.notes.get(what, 0) + 1


def _bounded(values: F64) -> F64:
    """Within what float32 holds."""
    return np.clip(values, -LARGEST, LARGEST)
