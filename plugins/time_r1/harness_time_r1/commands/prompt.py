"""`harness time-r1 prompt`: the text that a model is given for a window. What is heavy is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import NothingMatched, UsageError

if TYPE_CHECKING:
    from harness.forecast import Batch
    from harness_time_r1.backends.contract import Message

__all__ = ["prompt"]


@click.command()
@click.option("-t", "--task", required=True, metavar="TASK", help="A task's name, as `harness ls tasks` shows it.")
@click.option("-s", "--suite", default="quick", help="The suite that it is of.")
@click.option("--window", type=click.IntRange(0), default=0, metavar="N", help="Which of its windows; the first is 0.")
@click.option("--timestamps", type=click.Choice(["shown", "relative", "hidden"]), default="shown", help="How rows are named.")
@click.option("--context", type=click.IntRange(1), default=96, metavar="STEPS", help="Steps of look-back, at most.")
@click.option("--digits", type=click.IntRange(1, 9), default=4, help="Significant digits of the spread of the values.")
@click.option("--channel", default="", show_default=False, help="What is measured, in words.")
@click.option("--unit", default="", show_default=False, help="The unit of the values.")
@click.option(
    "--weights",
    default="",
    show_default=False,
    metavar="FOLDER",
    help="Count the tokens as the tokenizer in this folder does.  [default: an upper limit]",
)
@click.option("--data", type=click.Path(path_type=Path), default=None, help="The suite's data folder.")
@click.option("--json", "as_json", is_flag=True, help="Print an object with the messages, the rows asked for and the counts.")
def prompt(
    task: str,
    suite: str,
    window: int,
    timestamps: str,
    context: int,
    digits: int,
    channel: str,
    unit: str,
    weights: str,
    data: Path | None,
    as_json: bool,
) -> None:
    """Print the prompt that the model `time-r1` would be given for a window of a task, and how long it is (on stderr).

    No model is asked. Example: harness time-r1 prompt -t m4_hourly/H/short --timestamps hidden
    """
    from harness.frequency import shift
    from harness_time_r1.asking import ask
    from harness_time_r1.settings import Settings

    settings = Settings(context=context, timestamps=timestamps, digits=digits, channel=channel, unit=unit)
    batch = _window(suite, task, window, context, data)
    made = ask(
        settings,
        batch.contexts[0],
        start=batch.starts[0],
        freq=batch.freq,
        horizon=batch.horizon,
        dataset=batch.dataset,
        domain=batch.domain,
    )
    text = "\n".join(message.content for message in made.messages)
    tokens, how = _tokens(made.messages, weights)
    first = shift(batch.starts[:1], batch.freq, batch.contexts.lengths[:1])[0]
    if as_json:
        from harness.cli.output import print_json

        counts = {"characters": len(text), "tokens": tokens, "counted": how, "look_back": made.look_back, "horizon": made.horizon}
        print_json([{"messages": [m._asdict() for m in made.messages], "labels": list(made.labels), "cutoff": str(first), **counts}])
        return
    click.echo(text)
    click.echo(f"{len(text)} characters, {tokens} tokens {how}; {made.look_back} rows shown, {made.horizon} asked for", err=True)


def _window(suite: str, task: str, number: int, context: int, data: Path | None) -> Batch:
    """A window as the model would see it: a batch of one.

    Raises:
        NothingMatched: no such task, several, or no such window.
        Unavailable, DataError: its data is missing or broken.
    """
    from harness.batches import cut_batch
    from harness.plan import elsewhere, open_suites
    from harness.plugins import load
    from harness.selection import select_tasks
    from harness.types import ModelInfo

    plugins = load()
    (source,) = open_suites(plugins, [suite], data).values()
    try:
        tasks = select_tasks(source.tasks(), [task])
    except NothingMatched as error:
        raise NothingMatched(f"{error}{elsewhere(plugins, [suite], [task])}") from None
    if len(tasks) > 1:
        raise NothingMatched(f"{task!r} matches {len(tasks)} tasks ({', '.join(t.name for t in tasks[:3])}, …); wanted one")
    opened = source.open(tasks[0])
    if number >= len(opened):
        raise NothingMatched(f"{task} has {len(opened)} windows; got --window {number}, wanted a number from 0 to {len(opened) - 1}")
    return cut_batch(opened, number, number + 1, ModelInfo("time-r1", max_context=context), seed=0)


def _tokens(messages: tuple[Message, ...], weights: str) -> tuple[int, str]:
    """How many tokens the messages are, and who says so.

    Raises:
        UsageError: there is no tokenizer in the folder.
    """
    if not weights:
        return sum(len(message.content.encode("utf-8", "replace")) for message in messages), "at most, one a byte"
    if not Path(weights).is_dir():
        raise UsageError(f"--weights {weights}: there is no such folder; wanted one that holds a model's tokenizer, or no --weights")
    from harness_time_r1.language_model import prompt_ids, quiet, tokenizer_of

    with quiet():
        return len(prompt_ids(tokenizer_of(Path(weights).resolve(), "time-r1"), messages)), "by the tokenizer, with its template"
