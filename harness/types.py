"""The records that travel between suites, the core and plugins. Importing this module costs no numpy.

What a model sees (`Batch`) and returns (`Forecast`) is in `harness.forecast`; series and windows are in `harness.series`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np

    from harness.forecast import Batch, Forecast
    from harness.series import TaskData

__all__ = ["DECILES", "Column", "DialectInfo", "Event", "Metric", "Model", "ModelInfo", "Suite", "SuiteInfo", "Task", "Trainable"]

DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""The quantile levels that GIFT-Eval asks for."""


@dataclass(frozen=True)
class Event:
    """That the value at one step of the horizon lies above a threshold; `harness.events` has the rule for its probability."""

    name: str  # "up", "touch"
    step: int = 1  # of the horizon, the first is 1
    above: float = 0.0  # the threshold itself, or what it differs by from the last value of the context:
    relative: str = ""  # "" = the threshold itself | "ratio": last · (1 + above) | "difference": last + above
    inclusive: bool = False  # whether a value at the threshold is the event too


@dataclass(frozen=True)
class Task:
    """One dataset configuration to be forecast, as declared: nothing here needs the data.

    The number of windows follows from the lengths of the series, so it is known once the task is opened (`TaskData.windows`).
    """

    suite: str
    name: str  # unique in its suite, in the suite's own spelling: "m4_hourly/H/short"
    dataset: str  # the part of the name that names the data: "m4_hourly"
    family: str  # datasets of one origin share a family; intervals are clustered by it: "m4", "ett"
    domain: str
    freq: str  # pandas' old alias without anchor: "H", "15T", "W"
    term: str  # "short" | "medium" | "long", or "" where a suite has no terms
    horizon: int  # H, in steps of freq
    season_length: int  # m of the seasonal error, in steps of freq
    variates: int  # V: how many series share an item; each is forecast as a series of its own
    kind: str = "forecast"
    dialect: str = "gift-eval"
    quantile_levels: tuple[float, ...] = DECILES
    protocol: str = "gift-eval/1"  # changes when the same name would give other windows or scores
    sources: tuple[str, ...] = ()  # datasets and corpora that the series come from, as models' authors name them: ("M4", "m4_hourly")
    context: int = 0  # steps of context that a model may see at most; 0 = all there are
    fill_gaps: int = 0  # gaps of up to so many steps between two values of a context are filled in linearly before a model sees it
    rounded: bool = False  # whether the task's dialect rounds forecasts to whole numbers before it scores them
    event: Event | None = None  # what the task asks the probability of, for one of kind "event"

    def row(self) -> dict[str, Any]:
        """The fields as the columns of a table: of the event, its name, "" where there is none."""
        return {**vars(self), "event": "" if self.event is None else self.event.name}


@dataclass(frozen=True)
class SuiteInfo:
    """What `harness ls suites` shows of a suite; `baseline` is the model that its scores are divided by."""

    name: str
    summary: str = ""
    version: str = "1"
    license: str = ""
    url: str = ""
    baseline: str = "seasonal_naive"


class Suite(Protocol):
    """What a suite's factory returns; the factory is called with the data folder or None."""

    def tasks(self) -> Sequence[Task]:
        """All tasks, whether their data is here or not; opens no file."""

    def open(self, task: Task) -> TaskData:
        """Map the task's data.

        Raises:
            Unavailable: the data is not here; says how to fetch it.
            DataError: the data is here and broken.
        """


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model without loading it. Only `name` is required; say what you can."""

    name: str
    version: str = ""  # "" = the version of the distribution that registers it
    summary: str = ""
    model_type: str = ""  # statistical | deep-learning | pretrained | zero-shot | fine-tuned | agentic; "" = not said
    org: str = ""
    url: str = ""
    license: str = ""  # of the code, SPDX
    weights_license: str = ""
    weights: str = ""  # where the weights come from; "hf:org/repo" or "hf:org/repo@revision" can be fetched by `harness weights pull`
    weights_files: tuple[str, ...] = ()  # which files of that repository are needed, as glob patterns; empty = all
    weights_note: str = ""  # what must be read before they are fetched: non-commercial terms, where to accept a licence
    weights_digest: str = ""  # sha256 of the weights
    parameters: int | None = None
    output: str = "quantiles"  # native output: quantiles | samples | points | probabilities (of events, and of nothing else)
    covariates: tuple[str, ...] = ()  # which it uses: "past", "known"; only those are sent
    max_context: int | None = None  # the parent cuts contexts to this many steps before they travel
    max_horizon: int | None = None  # longer tasks are skipped
    modes: tuple[str, ...] = ("zero-shot",)  # zero-shot | finetune | few-shot | full | ttt; others are skipped
    devices: tuple[str, ...] = ("cpu",)
    training_corpora: tuple[str, ...] = ()
    training_corpora_complete: bool = False  # True: these are all, each dataset of a collection named, unless the whole of it was used
    training_cutoff: str = ""  # ISO date of the newest training observation
    install: str = ""  # the pip line that installs what the model needs: "pip install harness-ttm"
    batch_size: int | None = None  # windows per batch with `-b auto`; None = by memory
    target: str = ""  # "MODULE.CLASS": the model is made of a class that follows its name after a colon, the factory's parameter `target`
    multivariate: bool = False  # True: the windows of one item at one cutoff (equal `Batch.group`) always travel together
    batch_dependent: bool = False  # True: outputs depend on the batch, whose size then belongs to the result's identity
    exceptions: Mapping[str, str] = field(default_factory=dict)  # {conformance check that it does not pass: why}
    extra: Mapping[str, str] = field(default_factory=dict)


class Model(Protocol):
    """What a model's factory returns. The factory is called with the parameters given by `-M` as keyword arguments.

    A factory may have two static or class methods: `canonical_params(**params) -> dict`, which writes parameters in one spelling
    (`harness.selection.select_models`), and `uses(**params) -> list[str]`, for a model that is made of other models' kept forecasts and
    has a method `use(stored)` to be given them by (`harness.uses`).
    """

    def predict(self, batch: Batch) -> Forecast:
        """Forecast every window of the batch; raise `Unsupported(reason)` for what the model cannot do."""


class Trainable(Model, Protocol):
    """A model that can also learn from the part of the data that the protocol gives for training.

    `finetune` may have a fourth argument, `mode: str = "finetune"`, by which it tells "full" (start untrained) and "ttt" (adapt inside
    `predict`; `train` has no window) from training that starts at the weights. What it returns may have a method `save(folder: Path)`,
    which writes its weights into an empty folder; a parameter `weights` of the factory should then take such a folder.
    """

    def finetune(self, train: Batch, budget: str, seed: int) -> Model:
        """Return the model to forecast with; `train` holds each series up to its first cutoff."""


class Column(NamedTuple):
    """What a column of a dialect's own says: in words, its unit ("" = none), and what is better: "min", "max" or "none"."""

    what: str
    unit: str = ""
    direction: str = "none"


@dataclass(frozen=True)
class DialectInfo:
    """What is known of a scoring dialect without loading it; `harness score` calls it by `name` or `name@version`."""

    name: str
    version: str = "1"  # of the definitions that are followed; a change of any number changes it
    summary: str = ""
    source: str = ""  # where the definitions are
    metrics: tuple[str, ...] = ()  # in the order to be shown
    compared_by: tuple[str, ...] = ()  # one or two of these, of which lower is better: models are ranked by them; () = by the first
    columns: tuple[str, ...] = ()  # of these, what a leaderboard shows beside the comparison: means over the tasks
    about: Mapping[str, Column] = field(default_factory=dict)  # what these columns say
    plots: Mapping[str, str] = field(default_factory=dict)  # {kind of picture that `harness plot` draws by it: what it shows}

    @property
    def leading(self) -> tuple[str, ...]:
        """The metrics that models are ranked by, the first one before all."""
        return self.compared_by or self.metrics[:1]


@dataclass(frozen=True)
class Metric:
    """A score of any slice of windows, computed from sums over its windows.

    `value` receives the slice's sums of the statistics in `harness.scoring` (arrays or numbers, keyed by name) and returns
    the score, NaN where it is undefined. `statistics` may add per-window statistics of the metric's own: it receives a
    `harness.scoring.Block` and returns {name: float64 [N]}; the names should carry the metric's name as a prefix.
    """

    name: str
    value: Callable[[Mapping[str, Any]], Any]
    summary: str = ""
    formula: str = ""
    direction: str = "min"  # min | max | none
    unit: str = ""  # "" = no unit; "target" = the unit of the series
    range: str = "[0, inf)"
    dialect: str = "gift-eval"
    source: str = ""
    statistics: Callable[[Any], Mapping[str, np.ndarray]] | None = None
