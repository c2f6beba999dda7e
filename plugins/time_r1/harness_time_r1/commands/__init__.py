"""The command `harness time-r1` and its parts, each in a module that is imported when it is called."""

from __future__ import annotations

import importlib

import click

__all__ = ["group"]

PARTS = {
    "prompt": "Show what the model would be asked for a window of a task.",
    "steps": "Read how answers came about: prompts, reasoning, findings, critiques.",
    "data": "Have a teacher write samples for supervised fine-tuning.",
    "sft": "Fine-tune weights on such samples, by LoRA.",
    "grip": "Train weights by reinforcement learning on a task's training part.",
}


class Parts(click.Group):
    """Imports a part when it is asked for: `--help` of the group costs nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(PARTS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in PARTS:
            return None
        command: click.Command = getattr(importlib.import_module(f"harness_time_r1.commands.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl(list(PARTS.items()))


group = Parts("time-r1", help="Time-R1: prompts to read, samples to learn from, and the two trainings.")
