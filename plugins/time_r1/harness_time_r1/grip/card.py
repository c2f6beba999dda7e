"""The model card of a training by GRIP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness_time_r1.grip.settings import GripSettings
from harness_time_r1.training.card import holds, table, use, versions
from harness_time_r1.training.surroundings import PACKAGES

if TYPE_CHECKING:
    from harness_time_r1.grip.training import Report

__all__ = ["card"]


def card(report: Report, settings: GripSettings, weights: str, adapter: str, merge: bool) -> str:
    """README.md of the folder; `weights` and `adapter` are what it began at."""
    last = report.curve[-1] if report.curve else {}
    which = "the best validated" if report.after is not None else "the last"
    factors = f" with the factors of {adapter}" if adapter else ""
    lines = [
        f"- started from: {weights or 'the published weights'}{factors}, digest {report.base or 'unknown'}",
        f"- data: {report.windows:,} windows to learn from, {report.validation:,} held out",
        f"- trained: {report.steps:,} steps, {report.seconds:.0f} s; the weights are those of step {report.chosen:,}, {which}",
    ]
    if report.before is not None and report.after is not None:
        lines.append(f"- mean reward of answers to the held-out windows: {report.before:.3f} before, {report.after:.3f} after")
    if "kl" in last:
        lines.append(f"- last step: distance to the reference (KL, k3) {last['kl']:.4g}, loss {last['loss']:.4g}")
    lines.append(f"- configuration: {report.configuration}")
    if report.forced:
        lines.append(f"- gone on with other settings than it was begun with: {', '.join(report.forced)}")
    facts = "\n".join(lines)
    return f"""# {report.folder.name}

A language model that was trained to forecast by what its answers earn (GRIP, the second stage of Time-R1, arXiv 2506.10630).
{holds(settings.rank, merge)}

    {use(report.folder, weights, factors=report.adapter)}

{facts}

What it earns is no forecast accuracy: a benchmark of the model says that. curve.csv has a line for each step.

{table(vars(settings))}

{table(versions("harness-time-r1", *PACKAGES), "package")}
"""
