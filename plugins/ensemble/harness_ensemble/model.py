"""The ensemble: forecasts of its members are read, window by window, and put together level by level.

Axes: N windows, M members, Q quantile levels, H horizon. Members' forecasts are finite, so the ensemble's are; their quantiles rise along
the levels, and a median, a mean and a weighted mean of each level keep that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from harness import Batch, Forecast, Unsupported
from harness.forecast import F32, F64, I64
from harness_ensemble.names import ETA, check, one_spelling, read_members

if TYPE_CHECKING:
    from harness.stored import Stored

__all__ = ["Ensemble"]

STEPS = 1 << 18  # values of a forecast that are put together at a time: with a few members they stay in the cache


class Ensemble:
    """The median, mean or weighted mean of other models' kept forecasts; nothing is forecast anew.

    * `how="median"`: at each level the median of the members' quantiles, and of their means. One member that is far off moves nothing.
    * `how="mean"`: at each level the mean of the members' quantiles (Vincent's mean), and the mean of their means.
    * `how="backtest"`: the same with weights, of each series its own, from the members' losses on its earlier windows; see
      `harness_ensemble.backtest`.

    On a task of events the members' probabilities are put together in the same ways, but for the back-test.

    Args:
        of: names of the members as the leaderboard writes them, two or more: "ttm+seasonal_naive", "ttm (finetune)+naive", or a list.
        how: "median", "mean" or "backtest".
        eta: how fast the weights of `how="backtest"` follow the losses.

    Raises:
        UsageError: parameters that make no sense.
    """

    def __init__(self, of: str | list[str] = "", how: str = "median", eta: float = ETA) -> None:
        check(how, eta)
        self.members = read_members(of)
        self.how = how
        self.eta = eta
        self.notes: dict[str, str] = {}
        self._stored: Stored | None = None
        self._count = 0
        self._equal = 0
        self._weight: F64 = np.zeros(len(self.members))

    @staticmethod
    def uses(of: str | list[str] = "", **_: Any) -> list[str]:
        """Whose kept forecasts the model wants; see `harness.uses`."""
        if names := read_members(of):
            return names
        raise Unsupported("it has no members; name two or more, as in -m 'ensemble[of=ttm+seasonal_naive]'")

    @staticmethod
    def canonical_params(**params: Any) -> dict[str, Any]:
        """The parameters in one spelling; see `harness_ensemble.names.one_spelling`."""
        return one_spelling(params)

    def use(self, stored: Stored) -> None:
        """Take the members' forecasts on the task that comes next."""
        self._stored = stored
        self._count = self._equal = 0
        self._weight = np.zeros(len(self.members))

    def predict(self, batch: Batch) -> Forecast:
        """Put the members' forecasts together.

        Raises:
            Unsupported: there are none, as outside of a run.
            KeptError: the file of a member is gone or broken.
            ForecastError: it holds other windows or another horizon.
        """
        if self._stored is None:
            names = "+".join(self.members) or "ttm+seasonal_naive"
            raise Unsupported(
                "an ensemble puts kept forecasts together, and none are here: they are made by harness run --save-forecasts, and it "
                f"finds them in that database: harness run -m 'ensemble[of={names}]'"
            )
        places = self._stored.places(batch.window_ids)
        if batch.event is not None:
            return self._event(self._stored, places)
        given = [self._stored.forecasts(name, places, batch.quantile_levels, batch.horizon) for name in self.members]
        weight = None
        if self.how == "backtest":
            from harness_ensemble.backtest import weights  # only here: it imports pyarrow, and listing models loads this module

            weight = weights(self._stored, self.members, places, batch, self.eta)  # [M, N]
            self._note(weight)
        quantiles = self._together([each for each, _ in given], weight)
        mean = self._together([each for _, each in given], weight)
        return Forecast.from_quantiles(quantiles, batch.quantile_levels, mean)

    def _event(self, stored: Stored, places: I64) -> Forecast:
        """The median or mean of the members' probabilities of an event."""
        if self.how == "backtest":
            raise Unsupported(
                "how=backtest weighs members by their losses on values, and this task asks for the probability of an event: take "
                "how=median or how=mean"
            )
        given = np.stack([stored.probabilities(name, places) for name in self.members])  # [M, N]
        return Forecast.from_probabilities(np.median(given, axis=0) if self.how == "median" else given.mean(axis=0))

    def _together(self, given: list[F32], weight: F64 | None) -> F32:
        """One array [N, ...] of M such; float64 in between, since the sum of two float32 may be none. The order of sums is the members'."""
        out: F32 = np.empty(given[0].shape, np.float32)
        rows = max(1, STEPS // max(1, out[:1].size))
        for a in range(0, len(out), rows):
            part = np.stack([each[a : a + rows] for each in given], dtype=np.float64)  # [M, n, ...]
            if self.how == "median":
                out[a : a + rows] = _median(part)
            elif weight is None:
                out[a : a + rows] = sum(part[1:], part[0]) / len(part)
            else:
                part *= weight[:, a : a + rows].reshape(*part.shape[:2], *[1] * (part.ndim - 2))
                out[a : a + rows] = sum(part[1:], part[0])
        return out

    def _note(self, weight: F64) -> None:
        """Keep in the receipt what the weights were on average over windows, and how many windows had equal ones."""
        self._count += weight.shape[1]
        self._equal += int((weight == 1 / len(weight)).all(axis=0).sum())
        self._weight += weight.sum(axis=1)
        self.notes["windows with equal weights"] = f"{self._equal} of {self._count}"
        for name, total in zip(self.members, self._weight, strict=True):
            self.notes[f"weight of {name}"] = f"{total / max(1, self._count):.4g}"


def _median(part: F64) -> F64:
    """The median along the first axis [M, ...] of finite values; of two middle ones their mean."""
    part.sort(axis=0)
    low, high = (len(part) - 1) // 2, len(part) // 2
    middle: F64 = part[low] if low == high else (part[low] + part[high]) / 2
    return middle
