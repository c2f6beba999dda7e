"""`harness.testing.check_dialect`: the built-in dialects pass, and each mistake is found by the check that is there for it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dialect_kit import DIALECTS

import harness
from harness import DialectInfo, Unsupported, UsageError
from harness.batches import thresholds
from harness.conformance_dialects import DIALECT_CHECKS
from harness.dialects import Block, Board, Dialect, Forecasts
from harness.events import happened
from harness.testing import check_dialect

INFO = DialectInfo("mine", metrics=("MAE", "points"))
KEPT: list[float] = []


class Errors:
    """Mean absolute error of the median over all labels that are there, and their number."""

    def __init__(self, forecasts: Forecasts) -> None:
        self.forecasts = forecasts
        self.sum, self.points = 0.0, 0

    def add(self, block: Block) -> None:
        good = np.isfinite(block.labels)
        self.sum += float(np.abs(block.labels - block.median())[good].sum())
        self.points += int(good.sum())

    def metrics(self) -> dict[str, Any]:
        return {"MAE": self.sum / self.points if self.points else np.nan, "points": self.points}


def changed(**methods: Any) -> Dialect:
    return Dialect(INFO, type("Changed", (Errors,), methods))


def also(change: Callable[[Any, Block], Any]) -> Dialect:
    """A dialect whose `add` does something more."""

    def add(self: Errors, block: Block) -> None:
        Errors.add(self, block)
        change(self, block)

    return changed(add=add)


def keep(self: Errors, block: Block) -> None:
    KEPT.append(0.5)
    self.sum += sum(KEPT)


def write_labels(self: Errors, block: Block) -> None:
    block.labels[:] = 0


def write_cuts(self: Errors, block: Block) -> None:
    self.forecasts.cut[:] = self.forecasts.cut[::-1].copy()


def want_labels(self: Errors, block: Block) -> None:
    if not np.isfinite(block.labels).all():
        raise ValueError("labels are missing")


def warn(self: Errors, block: Block) -> None:
    warnings.warn("not again", stacklevel=1)


def count_last(self: Errors, block: Block) -> None:
    self.points = block.labels.size


def add_first(self: Errors, block: Block) -> None:
    self.sum += float(block.rows[0]) if len(block) > 1 else 0.0


def refuse(self: Errors, block: Block) -> None:
    if 0.01 not in block.levels:
        raise Unsupported("it needs the level 0.01")


def only_hours(self: Errors, forecasts: Forecasts) -> None:
    Errors.__init__(self, forecasts)
    self.season = {"H": 24}[forecasts.freq]  # type: ignore[attr-defined]


def of_baseline(board: Board) -> Any:
    return [{"model": board.models[board.baseline], "MAE": 1.0}], []  # type: ignore[index]


def nanmean(board: Board) -> Any:
    return [{"model": name, "MAE": mean} for name, mean in zip(board.models, np.nanmean(board.scores["MAE"], axis=1), strict=True)], []


def ones(board: Board) -> Any:
    board.scores["MAE"][:] = 1
    return [], []


BROKEN: dict[str, tuple[str, Dialect, str]] = {
    "more": ("declared", changed(metrics=lambda self: {"MAE": 1.0, "points": 1, "best": 0}), "'best', which its DialectInfo does not"),
    "nothing": ("declared", changed(metrics=lambda self: {"MAE": np.nan, "points": np.nan}), "all scores of ordinary forecasts are NaN"),
    "writes": ("declared", also(write_labels), "assignment destination is read-only"),
    "warns": ("declared", also(warn), "UserWarning: not again"),
    "level": (
        "declared",
        also(refuse),
        "it refuses ordinary forecasts of values and of events (it needs the level 0.01); name levels that it can score",
    ),
    "last block": ("blocks", also(count_last), " in blocks of 1 windows instead of one block of 30, "),
    "first row": ("blocks", also(add_first), "in blocks of 7 windows instead of one block of 30"),
    "kept": ("repeated", also(keep), "MAE is"),
    "writes cuts": ("inputs", also(write_cuts), "cut is not what it was before scoring; copy what you change"),
    "missing": ("missing", also(want_labels), "series and labels: some: dialect 'mine' raised, while scoring, ValueError"),
    "empty": ("few", changed(metrics=lambda self: {"MAE": self.sum / self.points, "points": 1}), "no window: dialect 'mine' raised"),
    "hours": ("kinds", changed(__init__=only_hours), "frequency D: dialect 'mine' raised, while scoring, KeyError"),
    "no rows": ("aggregate", Dialect(INFO, Errors, lambda board: []), "aggregate() gave a list"),  # type: ignore[arg-type, return-value]
    "no baseline": ("aggregate", Dialect(INFO, Errors, of_baseline), "a board without one: dialect 'mine' raised, while aggregating"),
    "nanmean": ("aggregate", Dialect(INFO, Errors, nanmean), "Mean of empty slice"),
    "ones": ("aggregate", Dialect(INFO, Errors, ones), "aggregate() changed Board.scores; copy what you change"),
}
"""{mistake: the check that is there for it, the dialect, what is said}."""


@pytest.mark.parametrize("name", DIALECTS)
def test_the_built_in_ones_pass(name: str) -> None:
    check_dialect(name)
    check_dialect(DIALECTS[name], levels=[0.025, 0.5, 0.975])


def test_a_good_one_passes() -> None:
    check_dialect(Dialect(INFO, Errors))
    check_dialect(also(refuse), levels=[0.01, 0.5, 0.99])


@pytest.mark.parametrize("mistake", BROKEN)
def test_a_mistake_is_found_by_its_check(mistake: str) -> None:
    check, dialect, said = BROKEN[mistake]
    others = {name: "this test is of another" for name in DIALECT_CHECKS if name != check}
    with pytest.raises(AssertionError) as caught:
        check_dialect(dialect, skip=others)
    assert str(caught.value).startswith(f"mine, {check}: ")
    assert said in str(caught.value)


def test_what_is_asked_wrongly() -> None:
    with pytest.raises(UsageError, match="wanted a reason for one of declared, blocks"):
        check_dialect("fev", skip={"blocks": ""})
    with pytest.raises(UsageError, match=r"skip=\{'block': 'why'\}.* Did you mean 'blocks'\?"):
        check_dialect("fev", skip={"block": "why"})
    with pytest.raises(UsageError, match="no dialect 'fve'"):
        check_dialect("fve")


def test_a_dialect_needs_the_core_alone() -> None:
    """The core, its contract of dialects with it, names none of the packages that are plugins of it."""
    for file in Path(harness.__file__).parent.rglob("*.py"):
        for package in ("harness_results", "harness_leaderboard", "harness_tasks"):
            assert package not in file.read_text(encoding="utf-8"), file


EVENTS = DialectInfo("odds", metrics=("Brier", "windows"))


class Odds:
    """Brier's score of an event; of each group, a half of the sum of its items' scores."""

    def __init__(self, forecasts: Forecasts) -> None:
        if forecasts.data is None or forecasts.data.task.event is None:
            raise Unsupported("it scores probabilities of events")
        self.data, self.event = forecasts.data, forecasts.data.task.event
        self.limit = thresholds(self.event, forecasts.series, forecasts.channel, forecasts.cut)
        self.sum, self.windows = 0.0, 0

    def add(self, block: Block) -> None:
        assert block.probability is not None
        y = happened(self.event, block.labels, self.limit[block.rows])
        there = np.isfinite(y)
        self.sum += float(((y - block.probability)[there] ** 2).sum())
        self.windows += int(there.sum())

    def metrics(self) -> dict[str, Any]:
        return {"Brier": self.sum / self.windows if self.windows else np.nan, "windows": self.windows}


def odds(**methods: Any) -> Dialect:
    return Dialect(EVENTS, type("Changed", (Odds,), methods))


def also_odds(change: Callable[[Any, Block], Any]) -> Dialect:
    def add(self: Odds, block: Block) -> None:
        Odds.add(self, block)
        change(self, block)

    return odds(add=add)


def want_values(self: Any, block: Block) -> None:
    if not np.isfinite(block.quantiles).all():
        raise ValueError("quantiles are missing")


def write_chances(self: Any, block: Block) -> None:
    block.probability[:] = 0.5  # type: ignore[index]


def certain(self: Any, block: Block) -> None:
    for p in block.probability.tolist():  # type: ignore[union-attr]
        1 / p


def one_fold(self: Any, forecasts: Forecasts) -> None:
    Odds.__init__(self, forecasts)
    if len(self.data.training) > 1:
        raise ValueError("more than one fold")


def write_folds(self: Any, block: Block) -> None:
    self.data.fold[:] = 0


BROKEN_ODDS: dict[str, tuple[str, Dialect, str]] = {
    "writes": ("declared", also_odds(write_chances), "assignment destination is read-only"),
    "folds": ("declared", odds(__init__=one_fold), "ValueError: more than one fold"),
    "certain": ("probabilities", also_odds(certain), "probabilities: 0 and 1: dialect 'odds' raised, while scoring, ZeroDivisionError"),
    "values": ("probabilities", also_odds(want_values), "probabilities alone: quantiles and means are NaN: dialect 'odds' raised"),
    "empty": ("few", odds(metrics=lambda self: {"Brier": self.sum / self.windows, "windows": 1}), "no window: dialect 'odds' raised"),
    "writes folds": ("inputs", also_odds(write_folds), "fold is not what it was before scoring; copy what you change"),
}


def test_a_dialect_of_events_is_shown_events() -> None:
    check_dialect(odds())
    seen: list[Any] = []

    def look(self: Any, forecasts: Forecasts) -> None:
        Odds.__init__(self, forecasts)
        seen.append(self.data)

    check_dialect(odds(__init__=look))
    data = seen[0]
    assert (data.task.event.name, data.task.dialect, len(data.training), set(data.fold.tolist())) == ("up", "odds", 2, {0, 1})
    assert data.series.groups.to_pylist() == ["group 0", "group 0", "group 1", "group 1", "group 2"]
    assert all((part.end <= data.series.target.length).all() for part in data.training)


@pytest.mark.parametrize("mistake", BROKEN_ODDS)
def test_a_mistake_with_events_is_found(mistake: str) -> None:
    check, dialect, said = BROKEN_ODDS[mistake]
    others = {name: "this test is of another" for name in DIALECT_CHECKS if name != check}
    with pytest.raises(AssertionError) as caught:
        check_dialect(dialect, skip=others)
    assert str(caught.value).startswith(f"odds, {check} (a task of events): ")
    assert said in str(caught.value)


def test_a_dialect_of_both_is_checked_on_both() -> None:
    def only_values(self: Errors, block: Block) -> None:
        if block.probability is not None:
            raise ValueError("what is this?")

    def no_events(self: Errors, block: Block) -> None:
        if block.probability is not None:
            raise Unsupported("values alone")

    with pytest.raises(AssertionError, match=r"mine, declared \(a task of events\): .*what is this\?"):
        check_dialect(also(only_values))
    check_dialect(also(no_events))


def test_groups_and_their_absence_are_shown() -> None:
    """A dialect that needs the task refuses forecasts made by hand; one that trips over them is found."""

    def groups(self: Errors, forecasts: Forecasts) -> None:
        Errors.__init__(self, forecasts)
        self.groups = forecasts.data.series.groups.to_pylist()  # type: ignore[attr-defined, union-attr]

    def careful(self: Errors, forecasts: Forecasts) -> None:
        if forecasts.data is None:
            raise Unsupported("it needs the task")
        groups(self, forecasts)

    check_dialect(changed(__init__=careful))
    with pytest.raises(AssertionError, match=r"mine, kinds: forecasts made by hand, without a task \(Forecasts.data is None\)"):
        check_dialect(changed(__init__=groups))
