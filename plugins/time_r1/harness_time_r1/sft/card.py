"""Cards: what a data set was made from and how, what a training did. Plain text; nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness_time_r1.training.card import holds, table, use, versions
from harness_time_r1.training.surroundings import PACKAGES

if TYPE_CHECKING:
    from harness_time_r1.sft.generate import Made, Making
    from harness_time_r1.sft.settings import Report, Training

__all__ = ["data_card", "training_card"]


def training_card(report: Report, how: Training, weights: str, adapter: str = "") -> str:
    """The README.md of a folder of trained weights."""
    left_out = "".join(f"\n- left out: {count} samples {why}" for why, count in report.left_out.items())
    factors = f" with the factors of {adapter}" if adapter else ""
    forced = f"\n- gone on with other settings than it was begun with: {', '.join(report.forced)}" if report.forced else ""
    return f"""# {report.folder.name}

A language model that was fine-tuned on samples of reasoning and forecast (supervised fine-tuning, the first stage of Time-R1,
arXiv 2506.10630). {holds(how.rank, how.merge)}

    {use(report.folder, weights, factors=report.adapter)}

- started from: {weights or "the published weights"}{factors}, digest {report.base or "unknown"}
- data: {report.samples} samples to learn from, {report.validation} to judge by{left_out}
- trained: {report.parameters:,} parameters, {report.steps} steps of {how.batch * how.accumulate} samples, {report.seconds:.0f} s
- configuration: {report.configuration}{forced}

The loss is the mean negative log-likelihood of a token of the completions, prompts left out. It says how well the text of the samples is
foretold, and nothing of how good forecasts are.

{table({name: f"{value:.4f}" for name, value in report.losses.items()}, "loss")}

`first` and `last` are of training steps, `before` and `after` of the validation part. All values are in curve.csv.

{table(vars(how))}

{table(versions("harness-time-r1", *PACKAGES), "package")}
"""


def data_card(made: Made, how: Making, teacher: Mapping[str, Any]) -> str:
    """The README.md of a data set."""
    from harness_time_r1.sft.choice import NEAR
    from harness_time_r1.sft.dataset import COLUMNS
    from harness_time_r1.sft.samples import REASONS

    data = made.data
    names = sorted(set(data["dataset"])) if made.samples else []
    spans = {
        name: f"{min(values)} to {max(values)}" if len(set(values)) > 1 else str(values[0])
        for name in ("look_back", "horizon", "tokens")
        if (values := list(data[name]))
    }
    measures = ", ".join(f"{by} {list(data['by']).count(by)}" for by in sorted(set(data["by"]))) if made.samples else "none"
    refused = "\n".join(f"| {reason} | {count} | {REASONS.get(reason, '')} |" for reason, count in made.rejects.items())
    identity = table(dict(sorted(teacher.items())), "teacher")
    columns = "\n".join(f"| {name} | {what or name} |" for name, what in COLUMNS.items())
    named = "named" if how.asked.named else "not named"
    return f"""# {made.folder.name}

{made.samples} samples of reasoning and forecast, for the supervised fine-tuning of a language model that forecasts time series.

    datasets.load_from_disk("{made.folder.name}")
    harness time-r1 sft --weights FOLDER --data {made.folder.name} -o FOLDER

**The reasonings are rationalisations.** A teacher forecast each window {how.candidates} times. The best forecast by the rule below was
kept, and the teacher then rewrote its reasoning *knowing the true values*. The answer of a sample is the true values. A reasoning
therefore need not be how these could have been foreseen, and says nothing of how well the teacher forecasts.

- windows: {made.windows} looked at, {made.samples} became samples; of {", ".join(filter(None, names)) or "a data set without a name"}
- values shown: {spans.get("look_back", "-")}; horizon: {spans.get("horizon", "-")}
- tokens by the teacher's count: {spans.get("tokens", "-")}
- candidates: {how.candidates}, chosen by {how.by}: {measures}. `auto` is MAPE, and sMAPE for windows with a label below {NEAR:g} of the
  mean absolute value of context and label.
- seed: {how.seed}; prompt: timestamps {how.asked.timestamps}, {how.asked.digits} digits, data set {named}
- sampling: temperature {how.asked.temperature:g}, top_p {how.asked.top_p:g}, at most {how.asked.max_tokens} tokens an answer

## Teacher

{identity}

## Windows that were refused

All are in rejects.jsonl.

| reason | windows | |
|---|---|---|
{refused or "| none | 0 | |"}

## Columns

| column | |
|---|---|
{columns}

{table(versions("harness-time-r1", "datasets"), "package")}
"""
