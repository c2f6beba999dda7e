"""What this package registers: suites, and the commands `harness data`, `harness audit` and `harness new suite`.

Modules are imported when they are used.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.hookspecs import hookimpl
from harness.types import SuiteInfo

if TYPE_CHECKING:
    import click

    from harness.types import Suite

__all__ = ["SUITES", "open_suite_file", "register_commands", "register_suites"]

GIFT_EVAL_URL = "https://huggingface.co/datasets/Salesforce/GiftEval"


class Late:
    """A suite's factory in a module that is imported when it is called, or asked what options it takes."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def _factory(self) -> Callable[..., Suite]:
        made: Callable[..., Suite] = getattr(importlib.import_module(self._module), self._name)
        return made

    def __call__(self, data: Path | None, **options: Any) -> Suite:
        return self._factory()(data, **options)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self._factory())


SUITES: tuple[tuple[SuiteInfo, Late], ...] = (
    (
        SuiteInfo(
            "gift-eval",
            summary="GIFT-Eval: 97 configurations of 28 datasets, 7 domains, 10 frequencies; data: harness data pull gift-eval",
            license="each dataset has its own; the collection is published under Apache-2.0",
            url=GIFT_EVAL_URL,
        ),
        Late("harness_tasks.gift_eval", "gift_eval"),
    ),
    (
        SuiteInfo(
            "quick",
            summary="what is inside this package: 14 configurations of GIFT-Eval, the same numbers; a little glucose, some daily prices",
            license="CC-BY-4.0, CDLA-Sharing-1.0 and Apache-2.0; see docs/data-licences.md",
            url=GIFT_EVAL_URL,
        ),
        Late("harness_tasks.quick", "quick"),
    ),
    (
        SuiteInfo(
            "monash",
            summary="Monash archive: 30 datasets in 58 .tsf files, the last H values of each series, its own errors; any .tsf files",
            license="CC-BY-4.0 (the archive's on Zenodo)",
            url="https://forecastingdata.org",
        ),
        Late("harness_tasks.monash", "monash"),
    ),
    (
        SuiteInfo(
            "cgm",
            summary="glucose of the next 30 to 120 minutes, of nights, after meals; people and times held out; a sample is inside",
            license="each set has its own; see docs/cgm.md",
            baseline="naive",
        ),
        Late("harness_tasks.cgm.suite", "cgm"),
    ),
    (
        SuiteInfo(
            "spy",
            summary="daily prices: direction, and volatility-like touch of and rise by 1 %, walked forward; a sample is inside",
            license="the sample Apache-2.0, other files their own; see docs/spy.md",
            baseline="base_rate",
        ),
        Late("harness_tasks.spy.suite", "spy"),
    ),
)


@hookimpl
def register_suites(register: Callable[[SuiteInfo, Callable[..., Any]], None]) -> None:
    for info, factory in SUITES:
        register(info, factory)


@hookimpl
def open_suite_file(path: Path) -> tuple[SuiteInfo, Callable[[Path | None], Any]] | None:
    from harness_tasks.own.suite import open_file

    return open_file(path)


@hookimpl
def register_commands(cli: click.Group) -> None:
    import click

    from harness_tasks.audit.command import audit
    from harness_tasks.data_commands import data
    from harness_tasks.own.propose.command import new_suite

    cli.add_command(data)
    cli.add_command(audit)
    if isinstance(new := cli.commands.get("new"), click.Group):
        new.add_command(new_suite)
