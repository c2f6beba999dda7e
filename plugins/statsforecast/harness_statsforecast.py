"""The statistical models of Nixtla's statsforecast, one series at a time, several at once.

Nothing is modelled here: the table `ENTRIES` names a class of the library and what is special about it.
Axes: N windows, Q quantile levels, H horizon.

- Missing or infinite values take the last finite value before them, leading ones the first after them; nothing finite counts as zeros.
- Quantiles are the library's own intervals (level 80 gives 0.1 and 0.9) and the median is its mean forecast; the levels of a step are
  then sorted, since simulated intervals need not enclose the mean. Models without native intervals return points. Input is float64.
- A series that the library refuses (too short, say), or answers with something not finite, is forecast by the library's Naive; how many,
  and the first reason, stand in `notes`, the leaderboard shows the share, and each batch with some logs a warning. `fallback="error"`
  raises instead.
- `max_context` keeps the running time bounded: the newest steps only.
- The library seeds its simulations itself, so a forecast depends on nothing but its context.

The C++ core of the library holds the interpreter for most of its time (two threads had the speed of one), hence processes.
Registering the models, which every command does, imports neither the library nor numpy nor multiprocessing.
"""

from __future__ import annotations

import inspect
import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Any

from harness import ModelInfo, Unsupported, hookimpl

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

    from harness import Batch, Forecast
    from harness.forecast import F32, F64, I64

log = logging.getLogger("harness.statsforecast")
FALLBACKS = ("naive", "error")


@dataclass(frozen=True)
class Entry:
    """One model of the library."""

    cls: str  # in statsforecast.models
    summary: str
    max_context: int
    seasonal: bool = True  # the constructor takes season_length
    needs_season: bool = False  # a season of one step is an error in the library
    output: str = "quantiles"
    defaults: Mapping[str, Any] = field(default_factory=dict)  # what the library has no default for
    exceptions: Mapping[str, str] = field(default_factory=dict)  # {conformance check that it does not pass: why}


MEDIAN = {
    "requested_levels": "the median is the mean forecast, which the simulated intervals need not enclose: what is asked for is sorted"
}
SEASONS = {"horizon_prefix": "the library widens the interval of every step by the seasons up to the last one, as its `hm` is one number"}


ENTRIES = {
    "auto_arima": Entry("AutoARIMA", "ARIMA, orders chosen by AICc, stepwise", 1000),
    "auto_ets": Entry(
        "AutoETS", "Exponential smoothing, components chosen by AICc; no season longer than 24 steps", 2000, exceptions=SEASONS
    ),
    "auto_theta": Entry("AutoTheta", "The best of four Theta models", 2000, exceptions=MEDIAN),
    "auto_ces": Entry("AutoCES", "Complex exponential smoothing, season chosen by AICc", 2000),
    "auto_tbats": Entry("AutoTBATS", "Trigonometric seasons, Box-Cox, ARMA errors and trend, chosen by AIC", 500),
    "mstl": Entry("MSTL", "Seasonal and trend decomposition, the trend by ETS", 5000, needs_season=True),
    "theta": Entry("Theta", "The standard Theta model", 2000, exceptions=MEDIAN),
    "optimized_theta": Entry("OptimizedTheta", "Theta with its parameter optimised", 2000, exceptions=MEDIAN),
    "dynamic_theta": Entry("DynamicTheta", "Theta with a trend that is updated", 2000, exceptions=MEDIAN),
    "dynamic_optimized_theta": Entry("DynamicOptimizedTheta", "Theta, updated and optimised", 2000, exceptions=MEDIAN),
    "holt": Entry("Holt", "Exponential smoothing with additive trend", 2000),
    "holt_winters": Entry(
        "HoltWinters", "Exponential smoothing with additive trend and season", 2000, needs_season=True, exceptions=SEASONS
    ),
    "ses": Entry("SimpleExponentialSmoothingOptimized", "Simple exponential smoothing", 10000, seasonal=False, output="points"),
    "seasonal_es": Entry("SeasonalExponentialSmoothingOptimized", "Simple exponential smoothing per season", 10000, output="points"),
    "croston": Entry("CrostonClassic", "Croston's method for intermittent demand", 10000, seasonal=False, output="points"),
    "croston_optimized": Entry("CrostonOptimized", "Croston's method, smoothing optimised", 10000, seasonal=False, output="points"),
    "croston_sba": Entry("CrostonSBA", "Croston's method, bias corrected (Syntetos and Boylan)", 10000, seasonal=False, output="points"),
    "tsb": Entry(
        "TSB",
        "Croston's method with a probability of demand (Teunter, Syntetos and Babai)",
        10000,
        seasonal=False,
        output="points",
        defaults={"alpha_d": 0.2, "alpha_p": 0.2},
    ),
    "adida": Entry("ADIDA", "Aggregated and disaggregated intermittent demand", 10000, seasonal=False, output="points"),
    "imapa": Entry("IMAPA", "Intermittent demand over several aggregation levels", 10000, seasonal=False, output="points"),
}


class StatsForecastModel:
    """One entry of the table, ready to forecast.

    Args:
        name: a key of `ENTRIES`.
        season_length: m in steps; None is the task's.
        max_context: use only this many of the newest steps; None is the entry's limit, which a larger number does not lift.
        n_jobs: processes; None is OMP_NUM_THREADS, or the number of cores.
        fallback: "naive" or "error".
        params: passed to the class of the library.

    Raises:
        ModuleNotFoundError: statsforecast is not installed.
        TypeError, ValueError: a parameter that the class does not take.
    """

    def __init__(
        self,
        name: str,
        season_length: int | None = None,
        max_context: int | None = None,
        n_jobs: int | None = None,
        fallback: str = "naive",
        **params: Any,
    ) -> None:
        import statsforecast.models

        self.name, self.entry = name, ENTRIES[name]
        for key, value in (("season_length", season_length), ("max_context", max_context), ("n_jobs", n_jobs)):
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name}: {key} got {value!r}; wanted a whole number of at least 1")
        if fallback not in FALLBACKS:
            raise ValueError(f"{name}: fallback got {fallback!r}; wanted one of {', '.join(FALLBACKS)}")
        signature = inspect.signature(getattr(statsforecast.models, self.entry.cls))
        known = set(signature.parameters) - {"alias", "prediction_intervals", "season_length"}
        if extra := sorted(set(params) - known):
            takes = ", ".join(sorted(known)) or "none"
            raise TypeError(f"{name} got the parameter {extra[0]!r}; statsforecast's {self.entry.cls} takes {takes}")
        self.season_length = season_length
        self.max_context = min(max_context or self.entry.max_context, self.entry.max_context)
        self.n_jobs = n_jobs or int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
        self.fallback = fallback
        self.params = {**self.entry.defaults, **params}
        self.notes: dict[str, int | str] = {}
        self._pool: ProcessPoolExecutor | None = None

    def predict(self, batch: Batch) -> Forecast:
        """Forecast every window, in the unit of the context: quantiles [N, Q, H] with mean [N, H], or points [N, H].

        Raises:
            Unsupported: the model needs a season and the task has none.
            RuntimeError: the library failed on a window and `fallback` is "error".
        """
        import numpy as np

        from harness import Forecast

        season = self.season_length or batch.season_length
        if self.entry.needs_season and season < 2:
            raise Unsupported(f"{self.name} needs a season; this task's season length is {season}. Set one: {self.name}[season_length=7]")
        params = {**self.params, "season_length": season} if self.entry.seasonal else self.params
        levels = batch.quantile_levels.tolist() if self.entry.output == "quantiles" else []
        work = partial(forecast_one, self.entry.cls, params, batch.horizon, levels)
        results = self._map(work, [context[-self.max_context :] for context in batch])
        out = np.stack([values for values, _ in results])  # [N, 1 + Q, H], the mean first
        self._report([(row, reason) for row, (_, reason) in enumerate(results) if reason], batch)
        fallback = np.array([bool(reason) for _, reason in results], np.float32)
        if not levels:
            return Forecast.from_points(out[:, 0], fallback=fallback)
        return Forecast.from_quantiles(out[:, 1:], batch.quantile_levels, out[:, 0], fallback=fallback)

    def close(self) -> None:
        """End the processes, if any were started."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _map(self, work: Callable[[F32], tuple[F32, str]], contexts: list[F32]) -> list[tuple[F32, str]]:
        if self.n_jobs == 1 or len(contexts) == 1:
            return [work(context) for context in contexts]
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        if self._pool is None:
            methods = multiprocessing.get_all_start_methods()
            # Not fork: the worker may hold threads and pipes that a forked child would share.
            method = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
            if method.get_start_method() == "forkserver":
                method.set_forkserver_preload(["statsforecast.models", __name__])
            self._pool = ProcessPoolExecutor(self.n_jobs, mp_context=method, initializer=live_with_parent)
        return list(self._pool.map(work, contexts, chunksize=max(1, len(contexts) // (8 * self.n_jobs))))

    def _report(self, failed: list[tuple[int, str]], batch: Batch) -> None:
        if not failed:
            return
        row, reason = failed[0]
        what = f"{self.name}: window {int(batch.window_ids[row])} ({len(batch.contexts[row])} steps): {reason}"
        if self.fallback == "error":
            raise RuntimeError(f"{what}; {len(failed)} of {len(batch)} windows failed. fallback=naive forecasts such windows by Naive.")
        self.notes["fallback"] = int(self.notes.get("fallback", 0)) + len(failed)
        self.notes.setdefault("fallback_reason", what)
        log.warning("%s; %d of %d windows forecast by Naive instead", what, len(failed), len(batch))


def forecast_one(cls: str, params: Mapping[str, Any], horizon: int, levels: list[float], context: F32) -> tuple[F32, str]:
    """Forecast one series with a class of the library.

    Returns:
        float32 [1 + Q, H], the mean and then the quantiles, and "" or the reason why these are Naive's.
    """
    import numpy as np
    from statsforecast import models

    y = filled(context)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # the library warns about short series and its own optimiser; failures are what counts
        try:
            out = rows(getattr(models, cls)(**params).forecast(y=y, h=horizon, **interval_levels(levels)), levels)
            if np.isfinite(out).all():
                return out, ""
            reason = f"{cls} returned values that are not finite"
        except ImportError:
            raise  # a missing optional package is no property of the series
        except Exception as error:
            reason = f"{cls} raised {type(error).__name__}: {error}"
        # On a context near the limits of float32 even Naive's interval is infinite
        limit = np.finfo(np.float32).max
        return np.clip(rows(models.Naive().forecast(y=y, h=horizon, **interval_levels(levels)), levels), -limit, limit), reason


def interval_levels(levels: list[float]) -> dict[str, Any]:
    """The `level` argument, widths of central intervals in percent, that covers these quantile levels; the library refuses 0."""
    widths = sorted({width(q) for q in levels} - {0.0})
    return {"level": widths} if widths else {}


def width(q: float) -> float:
    """The central interval, in percent, that ends at quantile level q: 0.1 and 0.9 → 80."""
    return round(abs(200 * q - 100), 9)


def rows(out: Mapping[str, F64], levels: list[float]) -> F32:
    """The library's answer as [1 + Q, H]: the mean, then the quantiles in rising order."""
    import numpy as np

    names = ["mean" if width(q) == 0 else f"{'lo' if q < 0.5 else 'hi'}-{width(q)}" for q in levels]
    quantiles = np.array([out[name] for name in names], np.float32).reshape(len(names), -1 if names else len(out["mean"]))
    return np.concatenate([np.asarray(out["mean"], np.float32)[None], np.sort(quantiles, axis=0)])


def filled(context: F32) -> F64:
    """Copy to float64 with missing values filled as the module says."""
    import numpy as np

    y = context.astype(np.float64)
    valid = np.isfinite(y)
    if valid.all():
        return y
    if not valid.any():
        return np.zeros_like(y)
    source: I64 = np.maximum.accumulate(np.where(valid, np.arange(len(y)), int(valid.argmax())))
    return y[source]


def live_with_parent() -> None:
    """Run in each process of the pool: end when the parent is gone, killed or not, and leave Ctrl-C to it."""
    import multiprocessing

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def library_version() -> str:
    """The installed version of statsforecast, or "missing"; reads metadata, imports nothing."""
    try:
        return metadata.version("statsforecast")
    except metadata.PackageNotFoundError:
        return "missing"


@hookimpl
def register_models(register: Callable[[ModelInfo, Callable[..., StatsForecastModel]], None]) -> None:
    """Register every entry of the table."""
    library = library_version()
    for name, entry in ENTRIES.items():
        info = ModelInfo(
            name,
            version=f"0.1.0+statsforecast.{library}",  # other numbers may come from another version of the library
            summary=entry.summary,
            model_type="statistical",
            org="Nixtla",
            url="https://github.com/Nixtla/statsforecast",
            license="Apache-2.0",
            parameters=0,
            output=entry.output,
            max_context=entry.max_context,
            exceptions=entry.exceptions,
            devices=("cpu",),
            install="pip install harness-statsforecast",
            batch_size=128,  # slow models: a batch should end, and be seen to, within a minute or so
            extra={"statsforecast": library},
        )
        register(info, partial(StatsForecastModel, name))
