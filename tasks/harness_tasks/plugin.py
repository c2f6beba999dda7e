"""What this package registers: suites, and the commands `harness data ...`, `harness audit ...`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.hookspecs import hookimpl
from harness.types import SuiteInfo

if TYPE_CHECKING:
    import click

    from harness.types import Suite
    from harness_tasks.gift_eval import GiftEval
    from harness_tasks.monash import Monash

__all__ = ["SUITES", "register_commands", "register_suites"]


def _gift_eval(data: Path | None) -> GiftEval:
    from harness_tasks.gift_eval import gift_eval

    return gift_eval(data)


def _quick(data: Path | None) -> GiftEval:
    from harness_tasks.gift_eval import quick

    return quick(data)


def _monash(data: Path | None, *, suite: str = "monash", horizon: int = 0) -> Monash:
    from harness_tasks.monash import monash

    return monash(data, suite=suite, horizon=horizon)


SUITES: tuple[tuple[SuiteInfo, Callable[..., Suite]], ...] = (
    (
        SuiteInfo(
            "gift-eval",
            summary="GIFT-Eval: 97 configurations of 28 datasets, 7 domains, 10 frequencies; data: harness data pull gift-eval",
            license="each dataset has its own; the collection is published under Apache-2.0",
            url="https://huggingface.co/datasets/Salesforce/GiftEval",
        ),
        _gift_eval,
    ),
    (
        SuiteInfo(
            "quick",
            summary="the 14 configurations of GIFT-Eval whose data is inside this package: the same numbers, no download",
            license="CC-BY-4.0 and CDLA-Sharing-1.0; see quick_data/LICENSES.md",
            url="https://huggingface.co/datasets/Salesforce/GiftEval",
        ),
        _quick,
    ),
    (
        SuiteInfo(
            "monash",
            summary="Monash archive: 30 datasets in 58 .tsf files, the last H values of each series, its own errors; any folder of .tsf files",
            license="CC-BY-4.0 (the archive's on Zenodo)",
            url="https://forecastingdata.org",
        ),
        _monash,
    ),
)


@hookimpl
def register_suites(register: Callable[[SuiteInfo, Callable[[Path | None], Any]], None]) -> None:
    for info, factory in SUITES:
        register(info, factory)


@hookimpl
def register_commands(cli: click.Group) -> None:
    from harness_tasks.audit.command import audit
    from harness_tasks.data_commands import data

    cli.add_command(data)
    cli.add_command(audit)
