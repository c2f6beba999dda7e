"""TimesFM 3.0 as the harness knows it. torch and timesfm are imported when one is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import Batch, Forecast
from harness.threads import one_thread
from harness.weights import weights_folder
from harness_timesfm.cards import TIMESFM_3
from harness_timesfm.parameters import Settings3, needs

if TYPE_CHECKING:
    from harness_timesfm.forecaster3 import Forecaster3
    from harness_timesfm.forecaster25 import Fact

__all__ = ["TimesFM3"]


class TimesFM3:
    """TimesFM 3.0: nine deciles of one or several series from their history and covariates. Its published weights are non-commercial.

    Args:
        weights: a folder with config.json, which holds the sizes, and model.safetensors; "" is the published one, once pulled.
        context: steps of history that are used, rounded up to 32, 15360 at most. More costs more: about in proportion.
        joint: the variates of an item at one cutoff are forecast together, each seeing the others; False takes each for itself.
        covariates: use what a task has of past and known covariates.
        per_core_batch_size: items that go through the network together, always; None follows from their size.
        use_symmetric_averaging: average with the negated forecast of the negated series; doubles the work.
        make_positive: no forecast below 0 where no value of the context is.
        use_znorm: scale each series by its own mean and standard deviation beforehand.
        padding_mode: "edge" continues known covariates to a whole output patch, "none" leaves them as they are.
        device: cpu, cuda, cuda:1.

    Raises:
        UsageError: a parameter that makes no sense, or weights that are not of this model.
        Unavailable: the weights are not here.
        PluginError: a package is missing.
    """

    def __init__(
        self,
        weights: str = "",
        context: int = 2048,
        joint: bool = True,
        covariates: bool = True,
        per_core_batch_size: int | None = None,
        use_symmetric_averaging: bool = True,
        make_positive: bool = True,
        use_znorm: bool = False,
        padding_mode: str = "none",
        device: str = "cpu",
    ) -> None:
        settings = Settings3(
            context=context,
            joint=joint,
            covariates=covariates,
            per_core_batch_size=per_core_batch_size,
            use_symmetric_averaging=use_symmetric_averaging,
            make_positive=make_positive,
            use_znorm=use_znorm,
            padding_mode=padding_mode,
            device=device,
        )
        needs("timesfm-3", device=device)
        from harness_timesfm.forecaster3 import Forecaster3, load

        folder = weights_folder(weights, source=TIMESFM_3.weights, model=TIMESFM_3.name)
        self.notes: dict[str, Fact] = {}
        self.forecaster: Forecaster3 = Forecaster3(load(folder, device), settings, self.notes)

    @one_thread()
    def predict(self, batch: Batch) -> Forecast:
        """The nine deciles [N, 9, H], in the unit of the contexts; 0 for a context that is all missing."""
        return Forecast.from_quantiles(self.forecaster.forecast(batch), self.forecaster.levels)
