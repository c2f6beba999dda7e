"""`harness time-r1 data`: samples for supervised fine-tuning, by a teacher. What is heavy is imported when it runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.complete import progress_kinds
from harness.errors import UsageError
from harness.files import expanded

if TYPE_CHECKING:
    from harness_time_r1.backends.contract import Backend
    from harness_time_r1.sft.generate import Made
    from harness_time_r1.windows import Window

__all__ = ["data"]


@click.command()
@click.option("-s", "--suite", default="quick", help="The suite whose training parts are used.")
@click.option("-t", "--task", "tasks", multiple=True, required=True, metavar="TASK", help="A task's name; may be given several times.")
@click.option("-o", "--output", "folder", required=True, type=click.Path(path_type=Path), metavar="FOLDER", help="Where the samples go.")
@click.option(
    "--teacher-url",
    default="",
    show_default=False,
    metavar="URL",
    help="An endpoint that speaks OpenAI's protocol: http://localhost:8000/v1.",
)
@click.option("--teacher-model", default="", show_default=False, metavar="NAME", help="The teacher's name at the endpoint.")
@click.option(
    "--teacher-weights",
    default="",
    show_default=False,
    metavar="FOLDER",
    help="Weights on this machine as the teacher, instead of an endpoint.",
)
@click.option("--device", default="cpu", help="Of weights on this machine: cpu or cuda.")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]), default="float32", help="Of weights on this machine.")
@click.option("--samples", type=click.IntRange(1), default=300, help="Samples to make.")
@click.option("--candidates", type=click.IntRange(1), default=4, help="Forecasts of each window, of which the best is kept.")
@click.option("--by", type=click.Choice(["auto", "mape", "smape", "mase"]), default="auto", help="What the best is chosen by.")
@click.option("--context", type=click.IntRange(1), default=96, metavar="STEPS", help="Steps of look-back, at most.")
@click.option("--timestamps", type=click.Choice(["shown", "relative", "hidden"]), default="shown", help="How rows are named.")
@click.option("--digits", type=click.IntRange(1, 9), default=4, help="Significant digits of the spread of the values.")
@click.option("--temperature", type=float, default=0.6, help="Of the teacher's answers.")
@click.option("--top-p", type=float, default=0.7, help="Of the teacher's answers.")
@click.option("--max-tokens", type=click.IntRange(1), default=4096, help="Of an answer, its reasoning included.")
@click.option("--max-length", type=click.IntRange(0), default=8192, help="Tokens of a sample by the teacher's count; 0 = any number.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Which windows, and how answers are drawn.")
@click.option("--jsonl", is_flag=True, help="Write data.jsonl as well.")
@click.option("--fresh", is_flag=True, help="Throw away what this folder has, and begin anew.")
@click.option("--data", "data_folder", type=click.Path(path_type=Path), default=None, help="The suite's data folder.")
@click.option("--progress", default="auto", metavar="KIND", shell_complete=progress_kinds, help="auto, rich, plain or none; on stderr.")
def data(suite: str, tasks: tuple[str, ...], folder: Path, samples: int, context: int, seed: int, progress: str, **given: Any) -> int:
    """Make samples of reasoning and forecast from training parts of tasks: a teacher forecasts, the best forecast is kept, its reasoning is
    rewritten to lead to the true values.

    No label of a test is read. What is finished is kept: the same command goes on after an interruption, and asks nothing twice. Key,
    limits, prices and cap of an endpoint come from the environment: TIME_R1_API_KEY, TIME_R1_COST_CAP and others, see docs/time-r1.md.

    harness time-r1 data --teacher-url https://api.example.com/v1 --teacher-model big-reasoner -t m4_hourly/H/short -o samples
    """
    from harness.progress import make_progress
    from harness_time_r1.settings import Settings
    from harness_time_r1.sft.generate import Making, generate

    asked = Settings(
        samples=1, temperature=given["temperature"], top_p=given["top_p"], max_tokens=given["max_tokens"], context=context,
        timestamps=given["timestamps"], digits=given["digits"],
    )  # fmt: skip
    how = Making(samples, given["candidates"], given["by"], given["max_length"], seed, asked)
    if how.candidates > 1 and asked.temperature == 0:
        raise UsageError("got --temperature 0 and several --candidates: all forecasts of a window would be the same; wanted --candidates 1")
    windows = _windows(suite, tasks, given["data_folder"], context, samples, seed)
    shown = make_progress(progress)
    backend = _teacher(given)
    try:
        made = generate(windows, backend, how, folder, say=shown.message, fresh=given["fresh"], jsonl=given["jsonl"])
    finally:
        shown.close()
        backend.close()
    print(_ended(made, how.samples))
    return 0 if made.samples else 3


def _windows(suite: str, tasks: tuple[str, ...], data: Path | None, context: int, samples: int, seed: int) -> list[Window]:
    """Twice as many as samples are wanted, of each task as many, in turns."""
    from harness_time_r1.windows import of_task

    each = -(-2 * samples // len(tasks))
    found = [of_task(suite, task, data, context=context, count=each, seed=seed) for task in dict.fromkeys(tasks)]
    turns = [windows[k] for k in range(each) for windows in found if k < len(windows)]
    if not turns:
        raise UsageError(
            f"no window can be cut from the training part of {', '.join(tasks)}: its series are too short, or have too many gaps"
        )
    return turns


def _teacher(given: dict[str, Any]) -> Backend:
    """Who forecasts and rewrites; what it answers is kept."""
    url, name, weights = given["teacher_url"], given["teacher_model"], given["teacher_weights"]
    if bool(url) == bool(weights):
        got = "--teacher-url and --teacher-weights" if url else "no teacher"
        raise UsageError(f"got {got}; wanted one: --teacher-url URL with --teacher-model NAME, or --teacher-weights FOLDER")
    if url and not name:
        raise UsageError(f"got --teacher-url {url} without --teacher-model; wanted the model's name there")
    if weights and not os.path.isdir(expanded(weights)):  # noqa: PTH112 - Path's raises for a text too long to be a path
        raise UsageError(f"--teacher-weights {weights}: there is no such folder; wanted one with config.json and model.safetensors")
    from harness_time_r1.operation import backend_of

    if weights:
        return backend_of(weights=weights, device=given["device"], dtype=given["dtype"])
    return backend_of(url=url, served=name)


def _ended(made: Made, wanted: int) -> str:
    refused = ", ".join(f"{reason} {count}" for reason, count in made.rejects.items())
    short = f"; {wanted} were wanted, and no window is left" if made.samples < wanted else ""
    cost = f"; cost {made.counts['cost']:.4f}" if made.counts.get("cost") else ""
    said = f"{made.folder}: {made.samples} samples of {made.windows} windows{f' (refused: {refused})' if refused else ''}{short}{cost}"
    return f"{said}\nTo train on them: harness time-r1 sft --weights FOLDER --data {made.folder} -o my-sft" if made.samples else said
