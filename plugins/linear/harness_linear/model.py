"""The model that the harness knows: its parameters, and what is done with them."""

from __future__ import annotations

from typing import Any

from harness import Batch, Forecast, Unsupported, UsageError
from harness.parameters import choice, positive, truth, whole
from harness_linear.forecaster import NORMALISE, Forecaster, read
from harness_linear.learning import Settings, learn
from harness_linear.windows import MOST_LAGS

__all__ = ["Linear"]


class Linear:
    """Linear autoregression; mode "full" learns it from the training part of a task or fold.

    Args:
        lags: newest values that are used, 512 at most; None is chosen.
        ridge: strength of the penalty, as a share of the mean variance of the lags; None is chosen.
        normalise: "last" (differences from the last value), "scaled" (those in mean absolute changes of the window), "global" (differences
            from the mean of all that is learnt from), or "auto", one of them.
        nonnegative: no quantile below 0; None is so where no training value is below 0.
        weights: a folder that a learnt model was saved to. It is used as it is, in mode "full" too: nothing is learnt.

    Raises:
        UsageError: a parameter that makes no sense, or weights that are not there or not of this model.
    """

    def __init__(
        self,
        lags: int | None = None,
        ridge: float | None = None,
        normalise: str = "auto",
        nonnegative: bool | None = None,
        weights: str | None = None,
    ) -> None:
        if lags is not None:
            whole("linear", "lags", lags, 1, MOST_LAGS)
        if ridge is not None:
            positive("linear", "ridge", ridge)
        choice("linear", "normalise", normalise, ("auto", *NORMALISE))
        if nonnegative is not None:
            truth("linear", "nonnegative", nonnegative)
        if weights is not None and not isinstance(weights, str):
            raise UsageError(f"linear: weights got {weights!r}; wanted the path of a folder with linear.json and linear.npz")
        self.settings = Settings(lags, ridge, normalise, nonnegative)
        self.loaded: Forecaster | None = None
        self.notes: dict[str, Any] = {}
        if weights is None:
            return
        if (lags, ridge, normalise, nonnegative) != (None, None, "auto", None):
            raise UsageError("linear: weights are used as they are; leave lags, ridge, normalise and nonnegative out, or weights")
        self.loaded = read(weights)

    def finetune(self, train: Batch, budget: str, seed: int) -> Forecaster:
        """Learn from each series of `train`; with `weights`, nothing. The budget is not used: it takes seconds.

        Raises:
            Unsupported: there is nothing to learn from.
        """
        del budget
        if self.loaded is not None:
            self.loaded.notes = {**self.loaded.origin, "learnt": "nothing here: the weights are used as they are"}
            return self.loaded
        return learn(train, self.settings, seed)

    def predict(self, batch: Batch) -> Forecast:
        """Forecast with `weights`.

        Raises:
            Unsupported: there are none, or they forecast fewer steps.
        """
        if self.loaded is None:
            raise Unsupported(
                "linear has learnt nothing yet; run it with --mode full, or name a folder of weights: -M linear:weights=FOLDER"
            )
        return self.loaded.predict(batch)
