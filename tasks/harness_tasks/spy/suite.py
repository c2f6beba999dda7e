"""The suite `spy`: will the close be higher, will the price touch +1 %, will it rise by 1 %? From daily prices, year after year.

A task is INSTRUMENT/QUESTION/hd/SERIES; SERIES is what a model is given to forecast, QUESTION what is asked of its forecast:

direction      the close in h sessions is above today's, h = 1, 5; from returns over h sessions, from prices, from log prices
touch          the highest price of the next session is at least 1 % above today's close
up-threshold   the close in h sessions is at least 1 % above today's

Touch and up-threshold are volatility-like, and their tasks' domain says so: they ask how much prices move more than where to. A volatility
ratio of one line has an AUC of about .75 and .72 for them, which says nothing of direction.

Prices are adjusted for dividends and splits. Windows are walked forward: each calendar year is a fold, whose model learns from what lies
before it (ten years at least), less h sessions that reach into it (purge) and h more (embargo). A model that does not learn forecasts the
same windows. Thresholds, scalers and base rates come from a fold's own training part. Context: 80 sessions.

With `lag`, models are given what was known so many sessions earlier and asked the same: what an honest forecast has is hardly less, what
a look-ahead has, by a feature or by a model that finds the prices elsewhere, is gone. Only returns have the same question then.

Without a folder of prices there is a sample of SPY from 2008 to March 2021, whose tasks are called spy-sample/….
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.errors import Unavailable, UsageError
from harness.files import data_folder
from harness.types import Event, Task
from harness_tasks.spy.instruments import INSTRUMENTS, SAMPLE, find, known

if TYPE_CHECKING:
    from harness.forecast import F32
    from harness.series import SeriesSet, TaskData
    from harness_tasks.spy.prices import Prices

__all__ = ["LEVELS", "Options", "Spy", "spy"]

LEVELS = tuple(round(0.05 * k, 2) for k in range(1, 20))
WEEK = 5
QUESTIONS = (
    ("direction", 1, ("return", "price", "log-price")),
    ("direction", 5, ("return", "price", "log-price")),
    ("touch", 1, ("return",)),
    ("up-threshold", 1, ("return", "price", "log-price")),
    ("up-threshold", 5, ("return", "price", "log-price")),
)
DOMAIN = {"direction": "Econ/Fin", "touch": "Econ/Fin, volatility-like", "up-threshold": "Econ/Fin, volatility-like"}


@dataclass(frozen=True)
class Options:
    """How folds and questions are made; each is an option of the suite, as in `spy[context=256,theta=0.02]`.

    Attributes:
        context: sessions that a model sees at most.
        years: of training before the first year that is tested; with `rolling` no fold has more.
        rolling: whether a fold forgets what is older than `years`.
        theta: the rise of `touch` and `up-threshold`.
        since: no earlier year is tested; 0 = as soon as there are enough before.
        lag: sessions that lie between what a model is given and what it should have been given; a check, not a benchmark.
    """

    context: int = 80
    years: int = 10
    rolling: bool = False
    theta: float = 0.01
    since: int = 0
    lag: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (("context", 2, 10_000), ("years", 1, 100), ("since", 0, 9999), ("lag", 0, 250)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise UsageError(f"spy: got {name}={value!r}; wanted a whole number from {low} to {high}")
        if not isinstance(self.rolling, bool):
            raise UsageError(f"spy: got rolling={self.rolling!r}; wanted true or false")
        if isinstance(self.theta, bool) or not isinstance(self.theta, float | int) or not 0 < self.theta < 1:
            raise UsageError(f"spy: got theta={self.theta!r}; wanted a share above 0 and below 1, as 0.01 for 1 %")


class Spy:
    """The known instruments, and other files of daily prices, below a folder; without one, the sample."""

    def __init__(self, root: Path | None, suite: str = "spy", options: Options | None = None) -> None:
        self.root, self.suite, self.options = root, suite, options or Options()
        self._places = find(root)
        self._prices: dict[str, Prices] = {}
        self._series: dict[tuple[str, str, int], SeriesSet] = {}

    def tasks(self) -> Sequence[Task]:
        """Those of the known instruments, then of other files in the folder or of the sample; opens no file."""
        names = dict.fromkeys([*(each.name for each in INSTRUMENTS), *self._places])
        every = [(name, what, h, series) for name in names for what, h, many in QUESTIONS for series in many]
        return [self._task(*each) for each in every if not self.options.lag or each[-1] == "return"]

    def open(self, task: Task) -> TaskData:
        """Read the prices (once for all tasks), make the series and place the windows.

        Raises:
            Unavailable: no folder is given, or the instrument is not in it.
            DataError: it is there and broken, or too short for a fold.
        """
        from harness.series import TaskData, Training
        from harness_tasks.spy.folds import walk_forward

        name, question, days, series = task.name.rsplit("/", 3)
        h, options, prices = int(days.removesuffix("d")), self.options, self._read(name)
        first = h if series == "return" else 0
        since, purge = options.since or None, h + options.lag
        found = walk_forward(prices.date, h, years=options.years, rolling=options.rolling, purge=purge, first=first, from_year=since)
        count, cut = len(found.cut), found.cut - options.lag
        channel = np.zeros(count, np.int32)
        training = tuple(Training(np.zeros(1, np.int32), found.begin[f : f + 1], found.end[f : f + 1]) for f in range(len(found)))
        slot = np.arange(count, dtype=np.int32)
        return TaskData(task, self._set(name, question, h, series), channel, cut, slot, slot.astype(np.int64), training, found.fold)

    def _task(self, name: str, question: str, h: int, series: str) -> Task:
        options = self.options
        protocol = f"spy/1 years={options.years} rolling={str(options.rolling).lower()} since={options.since} lag={options.lag}"
        return Task(
            suite=self.suite,
            name=f"{name}/{question}/{h}d/{series}",
            dataset=name,
            family=f"{known(name).family or name}/{question}",
            domain=DOMAIN[question],
            freq="B",
            term=f"{question}/{h}d",
            horizon=h + options.lag,
            season_length=WEEK,
            variates=1,
            kind="event",
            dialect="spy",
            quantile_levels=LEVELS,
            protocol=protocol,
            sources=(name, *known(name).sources),
            context=options.context,
            event=self._event(question, h + options.lag, series),
        )

    def _event(self, question: str, step: int, series: str) -> Event:
        from harness_tasks.spy.targets import threshold

        theta = 0.0 if question == "direction" else self.options.theta
        inclusive = question != "direction"  # a close that does not change is no rise
        if series == "return":
            return Event(question, step, threshold(theta), "", inclusive)
        if series == "price":
            return Event(question, step, theta, "ratio", inclusive)
        return Event(question, step, float(np.log1p(theta)), "difference", inclusive)

    def _read(self, name: str) -> Prices:
        from harness_tasks.spy.prices import read_prices

        if name not in self._prices:
            place, each = self._places.get(name), known(name)
            if place is None and self.root is None:
                wanted = f"{each.files[0]}, the {each.title}" if each.files else f"a file {name}"
                raise Unavailable(f"set SPY or --data to a folder with {wanted}; the sample needs none: -t '{SAMPLE.name}/*'")
            if place is None:
                what = f"{each.files[0]} ({each.title})" if each.files else f"file {name}"
                raise Unavailable(f"there is no {what} in {self.root}")
            self._prices[name] = read_prices(place.path, place.factors)
        return self._prices[name]

    def _set(self, name: str, question: str, h: int, series: str) -> SeriesSet:
        import pyarrow as pa

        from harness.forecast import Ragged
        from harness.series import Channels, SeriesSet
        from harness_tasks.fingerprint import fingerprint, unchanged
        from harness_tasks.spy import targets

        key = (name, "high" if question == "touch" else series, h if series == "return" else 0)
        if key not in self._series:
            prices = self._read(name)
            values = self._values(prices, key[1], h)
            place = self._places[name]
            files = [place.path, *([place.factors] if place.factors else [])]
            past = Channels.from_ragged(Ragged.from_rows(list(targets.covariates(prices))))
            made = SeriesSet(
                pa.array([name]),
                prices.date[:1].astype("datetime64[s]"),
                "B",
                1,
                Channels.from_ragged(Ragged.from_rows([values])),
                past=past,
                past_names=tuple(targets.COVARIATES),
                times=prices.date.astype("datetime64[s]"),
                check=unchanged(files),
            )
            self._series[key] = replace(made, fingerprint=fingerprint(made))
        return self._series[key]

    @staticmethod
    def _values(prices: Prices, series: str, h: int) -> F32:
        from harness_tasks.spy import targets

        if series == "high":
            return targets.high_touch(prices, h)
        if series == "return":
            return targets.simple_return(prices, h)
        return targets.price(prices) if series == "price" else targets.log_price(prices)


def spy(
    data: Path | None,
    *,
    suite: str = "spy",
    context: int = 80,
    years: int = 10,
    rolling: bool = False,
    theta: float = 0.01,
    since: int = 0,
    lag: int = 0,
) -> Spy:
    """The suite below `data`, or the folder that the environment variable SPY names, or of the sample; the options are `Options`'.

    Raises:
        UsageError: an option out of its range; `data` or SPY names no folder.
    """
    return Spy(data_folder(data, "SPY"), suite, Options(context, years, rolling, theta, since, lag))
