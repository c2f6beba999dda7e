"""The page's fixed sentences: what each section shows and how it is read, and how the numbers are made."""

from __future__ import annotations

from typing import NamedTuple

from harness_leaderboard.bootstrap import RESAMPLES
from harness_leaderboard.ties import LETTERED
from harness_leaderboard.words import relative

__all__ = ["SECTIONS", "Section", "method"]


class Section(NamedTuple):
    """A section of the page; `id` is the name by which the script draws it, `before` whether it stands before the ranking."""

    id: str
    title: str
    how: str
    before: bool = False


SECTIONS = (
    Section(
        "verdicts",
        "Verdicts",
        "What the tests of this suite’s own scoring say, of all models of a task together and whichever are shown here. "
        "Tasks of which the same is said stand together.",
        before=True,
    ),
    Section(
        "intervals",
        "Intervals",
        "The score of the ten best and of your own models, with the range in which it would lie for other datasets like these. "
        "Models whose ranges overlap widely may change places.",
    ),
    Section(
        "domains",
        "By domain",
        "Where each model is strong. Bars to the left of the line are better than the baseline; thin lines are 95 % intervals.",
    ),
    Section(
        "heatmap",
        "Models × tasks",
        "Score over baseline, task by task. Choose a task to see every model on it.",
    ),
    Section(
        "wins",
        "Who beats whom",
        "Per cent of tasks on which the model of the row beats that of the column, ties counted half. "
        "A star: the two means are told apart at 95 %.",
    ),
    Section(
        "critical",
        "Mean ranks",
        "Models joined by a bar have mean ranks too close to tell apart (Nemenyi’s critical difference). "
        "Ranks are taken among the models shown here, so they change with the choice of models.",
    ),
    Section(
        "influence",
        "What if one dataset were left out",
        "The places a model would take if one family of datasets were left out. A long bar means that its place hangs on few data.",
    ),
    Section(
        "drivers",
        "Tasks that make the score",
        "Compared with the median of the models: blue tasks lower the mean, orange ones raise it. "
        "One task with a very low ratio weighs as much as many ordinary wins.",
    ),
    Section(
        "policies",
        "Failures and gaps",
        "The ranking leaves out what is missing. Here is what the score would be if that counted as the baseline, or as the worst of all "
        "models on that task. Tasks for which the baseline has no result count in none of the three.",
    ),
    Section(
        "cost",
        "Accuracy against cost",
        "Down is more accurate, left is cheaper; cost is the time to fit and to predict. "
        "No model is both cheaper and better than those on the line.",
    ),
    Section(
        "steps",
        "Error along the horizon",
        "How the error grows from the first tenth of the horizon to the last.",
    ),
    Section(
        "calibration",
        "Calibration",
        "Does a forecast say what is so? On the diagonal, as many values fall below each quantile as it promises. "
        "In the lower pictures, high ends mean forecasts that are too narrow, a hump ones that are too wide. Every task counts the same.",
    ),
    Section(
        "explorer",
        "Forecasts",
        "Single windows: what had been, what came (circles), and the forecast with its bands.",
    ),
    Section(
        "receipts",
        "Receipts",
        "Where the own numbers come from. Open a task or a model for the command that makes a number again.",
    ),
)
"""Sections below the ranking, in order."""


def method(first: str, second: str) -> tuple[tuple[str, str], ...]:
    """(term, explanation) of the last section, for a suite whose main scores are called so."""
    return (
        (
            f"{relative(first)}, {relative(second)}",
            "Geometric mean over tasks of the model’s score divided by the baseline’s on the same task: below 1 is better than "
            "the baseline. A task whose ratio is not defined (missing, zero, negative or infinite) is left out and counted.",
        ),
        (
            "Mean rank",
            "On each task: 1 + the number of models with a strictly lower score; then the mean over tasks. "
            "Ranks are among the models that have all tasks of the slice (among all models when none has).",
        ),
        (
            "Win rate",
            "Share of comparisons, task by task, with the other models that have all tasks, in which the model’s "
            f"{first} is lower; ties count half.",
        ),
        (
            "95 % interval",
            f"From {RESAMPLES:,} bootstrap resamples of dataset families: all tasks of a family are drawn together, since they rise "
            "and fall together. The percentiles are moved outwards by as much as Student’s t asks for with so few families (Hesterberg "
            "2015), counting a family with half of the tasks as half of the evidence (Kish 1965). Of three to five effective families the "
            "interval is Student’s t itself, and wide; one or two say too little, and there is none.",
        ),
        (
            "Told apart",
            "The interval of the difference of two models’ mean log ratios, over the tasks that both have and with the same resamples, "
            "leaves out zero. Each pair is compared by itself, without correction for the number of pairs.",
        ),
        (
            "Places",
            "From 1 + the number of models told apart as better, to the number of models less those told apart as worse.",
        ),
        (
            "Ties",
            f"Letters by insert-and-absorb (Piepho 2004), for at most {LETTERED} models: those that share a letter cannot be told apart.",
        ),
        (
            "Friedman, Nemenyi, Wilcoxon, Holm",
            "Tests over blocks, which are dataset families: the mean log ratio of each family over its tasks is one observation "
            "(Demšar 2006).",
        ),
        (
            "Equal",
            "In mean ranks and win rates scores are equal when all their digits are, as GIFT-Eval counts. Where models are compared with "
            "each other (who beats whom, told apart, ties, Friedman, Nemenyi, Wilcoxon), scores whose logs differ by less than one in a "
            "million are equal, since published files hold six or seven digits.",
        ),
        (
            "Cost",
            "Seconds to fit and to predict, for 1,000 forecasts, over the tasks of the slice; loading a model is not counted.",
        ),
        (
            "Fallback",
            "Share of the model’s forecasts, over all windows of the slice, that is not its own: a simple forecast stands in for an answer "
            "of no use, and is scored like any other. The column is there where a model shown has such forecasts; “–” is not known.",
        ),
        (
            "Effect of a task",
            "The log of the model’s ratio less that of the median model, divided by the number of tasks; shown as the change of the mean "
            "that this task alone makes.",
        ),
        (
            "Filters and slices",
            "A slice of tasks recomputes everything. A filter of models only hides rows: no place and no rank changes by it.",
        ),
    )
