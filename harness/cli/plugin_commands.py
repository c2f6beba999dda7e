"""`harness plugin test` and `harness new plugin`, for those who write a plugin. Plugins add what else can be made to the group `new`."""

from __future__ import annotations

import json
import os
import shlex
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.complete import comma_list
from harness.errors import GATE_FAILED, Unavailable, UsageError

if TYPE_CHECKING:
    from harness.conformance.trial import Chosen, Result, Trial

__all__ = ["new", "plugin"]

SHOWN = {"ok": "ok", "exception": "exception", "skipped": "skipped", "absent": "not here", "failed": "FAILED"}
"""How a table calls the states of `harness.conformance.trial.Result`."""
NAME_WIDTH = 20
SLOW_S = 1.0
"""Seconds from which on the time of a check is shown."""


@click.group()
def plugin() -> None:
    """Check a plugin's models."""


@plugin.command()
@click.argument("what", metavar="PATH|NAME")
@click.option("-m", "--models", default="", metavar="LIST", shell_complete=comma_list("models"), help="Only these models of the plugin.")
@click.option("-M", "--model-args", multiple=True, metavar="MODEL:KEY=VALUE", help="Parameters of a model, as for harness run.")
@click.option("-c", "--checks", default="", metavar="LIST", help="Only these checks, and that the model can be made.")
@click.option("--timeout", default="5m", metavar="TIME", help="What one check may take, in seconds or as 30m or 2h.")
@click.option("--json", "as_json", is_flag=True, help="Print one object when all is done.")
def test(what: str, models: str, model_args: tuple[str, ...], checks: str, timeout: str, as_json: bool) -> int:
    """Run the conformance checks on a plugin's models, each model in a process of its own.

    PATH is a plugin's folder, written with a slash (./my-model), which need not be installed. NAME is an installed plugin, its distribution
    or a model.

    Ends with 0 when all checks hold, with 4 when one fails, with 3 when a model could not be tried because weights or a package are not
    here. Declared exceptions and checks that are not for a model fail nothing.
    """
    from harness.cli.output import print_json
    from harness.conformance.folder import read_folder
    from harness.conformance.trial import Trial, only
    from harness.project import named_folder
    from harness.spec import make_spec

    limit = make_spec(models=["any"], timeout=timeout).timeout
    named = named_folder(what)
    if named is not None and named[1]:
        raise UsageError(
            f"got {what}: extras such as {named[1]} say what to install, and nothing is installed here; wanted the folder alone"
        )
    folder = None if named is None else read_folder(named[0])
    with Trial(what, folder, limit or 300.0, only(checks)) as trial:
        chosen = trial.models(models, model_args)
        tried = [(model, _tried(trial, model, quiet=as_json)) for model in chosen]
    states = Counter(result.state for _, results in tried for result in results)
    absent = states["absent"] or any(_is_untried(results) for _, results in tried)
    code = GATE_FAILED if states["failed"] else Unavailable.exit_code if absent else 0
    if as_json:
        print_json({"plugin": what, "exit_code": code, "models": [_record(model, results) for model, results in tried]})
    elif len(tried) > 1:
        click.echo(f"{len(tried)} models: {_counted(states)}")
    return code


def _tried(trial: Trial, model: Chosen, quiet: bool) -> list[Result]:
    """Run the checks of one model and print each as it ends."""
    from harness.cli.output import printable

    if not quiet:
        params = ",".join(f"{key}={value}" for key, value in model.params.items())
        click.echo(printable(model.model + (f"[{params}]" if params else "") + (f", of {model.source}" if model.source else "")))
    results = []
    for result in trial.results(model):
        results.append(result)
        if not quiet:
            for line in _lines(result):
                click.echo(line)
    if not quiet:
        nothing = "; nothing was checked, see why it skips" if _is_untried(results) else ""
        click.echo(f"  {model.model}: {_counted(Counter(result.state for result in results))}{nothing}\n")
    return results


def _is_untried(results: list[Result]) -> bool:
    """Whether a model that can be made skipped every check of its forecasts: it needs weights or training for the first one, say."""
    states = {result.state for result in results if result.check not in ("load", "light_import", "covariates")}
    return states == {"skipped"}


def _lines(result: Result) -> Iterator[str]:
    """A row of the table: what was checked, how it ended, and why or what it found."""
    from harness.cli.output import printable, terminal_width

    text = " ".join(printable(line) for line in result.text.expandtabs(4).splitlines())
    if result.seconds >= SLOW_S:
        text += f" ({result.seconds:.0f} s)"
    head = f"  {SHOWN[result.state]:<10} {result.check:<{NAME_WIDTH}} "
    width = max(terminal_width() - len(head), 30)
    for number, line in enumerate(textwrap.wrap(text, width, break_on_hyphens=False) or [""]):
        yield ((head if number == 0 else " " * len(head)) + line).rstrip()


def _counted(states: Counter[str]) -> str:
    words = {"ok": "ok", "exception": "declared as exceptions", "skipped": "skipped", "absent": "not tried", "failed": "failed"}
    return ", ".join(f"{states[state]} {word}" for state, word in words.items() if states[state]) or "nothing to check"


def _record(model: Chosen, results: list[Result]) -> dict[str, Any]:
    rows = [{"check": r.check, "state": r.state, "text": r.text, "seconds": round(r.seconds, 3)} for r in results]
    return {"model": model.model, "params": dict(model.params), "from": model.source, "checks": rows}


@click.group()
def new() -> None:
    """Make something to start from."""


@new.command("plugin")
@click.argument("name")
@click.option("--into", type=click.Path(path_type=Path), default=Path(), show_default="the working folder", help="Folder to make it in.")
def new_plugin(name: str, into: Path) -> None:
    """Make the folder of a plugin with one model: a module, a pyproject.toml, a test and a README.

    It can be installed with pip, and passes its own test and `harness plugin test`. NAME is that of the model too: my-model, my_model.
    """
    from harness.scaffold import make_plugin

    made = make_plugin(name, into)
    folder = shlex.quote(os.path.join(".", os.path.relpath(made.folder)) if not made.folder.is_absolute() else str(made.folder))  # noqa: PTH118
    click.echo(f"made {folder} with {', '.join(made.files)}; the model is {json.dumps(made.model)}. Next:")
    click.echo(f"  harness plugin test {folder}")
    click.echo(f"  pip install -e {folder}")
    click.echo(f"  harness run -m naive,{made.model}")
