"""Time-R1: a language model that reasons, then answers with a forecast; and what trains it.

Notable choices:

- An answer that is no forecast is a failure, and counts: a naive path takes its place, the leaderboard shows the share. Nothing is chosen
  by how near it comes to the truth, and no window is dropped.
- Who answers is a folder of weights on this machine, or an endpoint that speaks OpenAI's protocol; both are asked the same way.
- The rewards of the paper are there as they are written; the default ones differ where those reward an error (docs/time-r1.md).
- R2 and other numbers on the scale of the data are a dialect, not a metric: a metric with a sum of its own would make the stored results of
  all models stale.

This module only registers: torch, transformers, peft, trl, datasets and openai are imported when a model or a command needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import DialectInfo, ModelInfo, SuiteInfo, hookimpl

if TYPE_CHECKING:
    import click

    from harness.trained import TrainedModel

__all__ = ["register_commands", "register_dialects", "register_models", "register_suites", "retrain"]


@hookimpl
def register_models(register: Callable[[ModelInfo, Callable[..., Any]], None]) -> None:
    """Register `time-r1`, whose weights are given by path, by the name of published ones, or by an endpoint."""
    from harness_time_r1.models import INFO, make

    register(INFO, make)


@hookimpl
def register_suites(register: Callable[[SuiteInfo, Callable[[Path | None], Any]], None]) -> None:
    """Register the data sets of the paper as the suite `time-r1`."""
    from harness_time_r1.suite import INFO, open_suite

    register(INFO, open_suite)


@hookimpl
def register_dialects(register: Callable[[DialectInfo, Callable[[], Any]], None]) -> None:
    """Register the dialect `time-r1`, which that suite is scored in."""
    from harness_time_r1.dialect import INFO, make

    register(INFO, make)


@hookimpl
def register_commands(cli: click.Group) -> None:
    """Add `harness time-r1`."""
    from harness_time_r1.commands import group

    cli.add_command(group)


@hookimpl
def retrain(record: Mapping[str, Any], folder: Path) -> TrainedModel | None:
    """Do a training of `harness time-r1 sft` or `grip` again, as its record says."""
    from harness_time_r1.training import record as records

    return records.retrain(record, folder)
