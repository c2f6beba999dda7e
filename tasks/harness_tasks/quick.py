"""The suite `quick`: what is inside this package, so that it runs at once and offline.

Most of it is the part of GIFT-Eval that may be passed on, complete datasets, so its numbers are the published ones. Beside it stand a task
of glucose and two of daily prices, on the samples of the suites `cgm` and `spy` and scored as these are; a leaderboard never puts scores of
two dialects into one mean. They are small, for models that take long: glucose at one window an hour, prices of 2020 and after.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.types import Suite, Task
from harness_tasks.cgm.suite import Cgm
from harness_tasks.cgm.suite import Options as CgmOptions
from harness_tasks.gift_eval import QUICK_FOLDERS, ROWS, GiftEval
from harness_tasks.spy.suite import Options as SpyOptions
from harness_tasks.spy.suite import Spy

if TYPE_CHECKING:
    from harness.series import TaskData

__all__ = ["Quick", "quick"]

NAME = "quick"
GLUCOSE = ("hall-sample/60min/temporal",)
PRICES = ("spy-sample/direction/1d/return", "spy-sample/touch/1d/return")
HOURLY = 12  # steps of five minutes
SINCE = 2020


class Quick:
    """The parts as one suite; `gift_eval` is the first, and the others are opened by the names of their tasks."""

    def __init__(self) -> None:
        rows = [row for row in ROWS if row.folder in QUICK_FOLDERS]
        self.gift_eval = GiftEval(Path(__file__).parent / "quick_data", NAME, rows)
        glucose, prices = Cgm(None, NAME, CgmOptions(stride=HOURLY)), Spy(None, NAME, SpyOptions(since=SINCE))
        parts: tuple[tuple[Suite, Sequence[Task]], ...] = (
            (self.gift_eval, self.gift_eval.tasks()),
            (glucose, _named(glucose, GLUCOSE)),
            (prices, _named(prices, PRICES)),
        )
        self._tasks = [task for _, tasks in parts for task in tasks]
        self._part = {task.name: part for part, tasks in parts for task in tasks}

    def tasks(self) -> Sequence[Task]:
        """All tasks, those of GIFT-Eval first; opens no file."""
        return self._tasks

    def open(self, task: Task) -> TaskData:
        """The task's data.

        Raises:
            UsageError: the task is not of this suite.
        """
        if task.name not in self._part:
            raise UsageError(f"{NAME} has no task {task.name!r}; 'harness ls tasks -s {NAME}' lists those it has")
        return self._part[task.name].open(task)


def _named(suite: Suite, names: Sequence[str]) -> list[Task]:
    known = {task.name: task for task in suite.tasks()}
    return [known[name] for name in names]


def quick(data: Path | None = None) -> Quick:  # noqa: ARG001  # a suite's factory is given --data, which is not for this one
    """The suite; a data folder changes nothing."""
    return Quick()
