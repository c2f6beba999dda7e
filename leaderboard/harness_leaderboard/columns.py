"""What the public numbers mean: the columns of `harness leaderboard --format csv` and json, and the numbers of `harness compare --json`.

`--fail-if` asks for them by these names; existing ones keep their names and meaning. The table in docs/leaderboard.md is made from here.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["COLUMNS", "NUMBERS", "Meaning"]


class Meaning(NamedTuple):
    """What a number or text says, its unit ("" = it is text), and when it is null in JSON and empty in CSV ("" = never)."""

    what: str
    unit: str = ""
    null: str = ""


_NO_RATIO = "no task has a ratio"
_NO_SCORE = "no score"
_TOO_FEW = "fewer than three effective families"
_NOT_TIMED = "imported, or not timed"
_NOT_DONE = "no task done"

COLUMNS = {
    "model": Meaning("model with its parameters and, where it is not the plain one, its mode"),
    "source": Meaning("`own`, or where the results were imported from"),
    "nMASE": Meaning("geometric mean of MASE over the baseline's, over the tasks that have both", "ratio, lower is better", _NO_RATIO),
    "nCRPS": Meaning("the same of CRPS", "ratio, lower is better", _NO_RATIO),
    "rank_MASE": Meaning(
        "mean over tasks of the rank by MASE among the models with all tasks (all models, where none has)", "rank, 1 is best", _NO_SCORE
    ),
    "rank_CRPS": Meaning("the same by CRPS", "rank, 1 is best", _NO_SCORE),
    "win_rate": Meaning("share of comparisons (task × other model) with the lower MASE, ties half", "0 to 1", "nothing to compare with"),
    "coverage": Meaning("`done` / `total`", "0 to 1", "the suite has no task"),
    "done": Meaning("tasks with a good result", "tasks"),
    "failed": Meaning("tasks whose run failed", "tasks"),
    "skipped": Meaning("tasks that the model said it cannot do", "tasks"),
    "missing": Meaning("tasks without a result", "tasks"),
    "total": Meaning("tasks looked at", "tasks"),
    "stale": Meaning("results whose model, task, data or scoring has changed since", "tasks"),
    "undefined": Meaning("done tasks without a ratio in MASE or CRPS: not in nMASE or nCRPS", "tasks"),
    "model_type": Meaning("declared: statistical, deep-learning, pretrained, …; empty = not declared"),
    "predict_s_per_1k": Meaning("seconds of prediction for 1,000 forecasts (a forecast is one window)", "s", _NOT_TIMED),
    "seeds": Meaning("seeds that scores are means of, the most of any task", "seeds"),
    "mode": Meaning("zero-shot, finetune, full or published"),
    "budget": Meaning("that of fine-tuning; empty = none"),
    "scope": Meaning("the part of the tasks that was run: `limit=10`; empty = whole tasks"),
    "org": Meaning("declared; empty = not"),
    "testdata_leakage": Meaning("declared: whether test data was seen in training; empty = not declared"),
    "baseline_missing": Meaning("done tasks for which the baseline has no score", "tasks"),
    "baseline_stale": Meaning("done tasks for which the baseline has only a stale score", "tasks"),
    "nMASE_low": Meaning("lower end of the 95 % interval of nMASE over dataset families", "ratio", _TOO_FEW),
    "nMASE_high": Meaning("upper end", "ratio", _TOO_FEW),
    "nCRPS_low": Meaning("lower end of the 95 % interval of nCRPS", "ratio", _TOO_FEW),
    "nCRPS_high": Meaning("upper end", "ratio", _TOO_FEW),
    "effective_families": Meaning("how many dataset families of one size would weigh as much", "families"),
    "place_best": Meaning(
        "best place that comparisons with the other models allow", "place", "not among those with all tasks, or no interval"
    ),
    "place_worst": Meaning("worst place", "place", "as `place_best`"),
    "letters": Meaning("models that share one cannot be told apart; empty = no interval, or more than 30 models"),
    "nMASE_if_baseline": Meaning(
        "nMASE if every missing or infinite result counted as the baseline's", "ratio", "the baseline has no score"
    ),
    "nMASE_if_worst": Meaning("nMASE if it counted as the worst of all models on that task", "ratio", "no model has a ratio"),
    "fit_s_per_1k": Meaning("seconds of training for 1,000 forecasts", "s", _NOT_TIMED),
    "peak_mb": Meaning("most memory of a worker", "MiB", "imported, or not measured"),
    "parameters": Meaning("parameters that the model declares", "parameters", "not declared"),
    "license": Meaning("declared licence of the code; empty = not declared"),
    "contamination_declared": Meaning("results whose task's series are declared to be in the model's training data", "tasks"),
    "contamination_after_cutoff": Meaning("results whose labels are all later than the model's training data", "tasks"),
    "contamination_clean": Meaning("results whose model declares all its training data, without the task's series", "tasks"),
    "contamination_unknown": Meaning("results for which too little is declared", "tasks"),
    "fallback": Meaning(
        "share of the forecasts, over all windows, that is not the model's own, but a simple one in place of an answer of no use",
        "0 to 1",
        "no own result, or stored before it was counted",
    ),
}
"""{column: what it means}, in the order of the CSV form; a model has one row."""

_OF_DIFFERENCE = "no task with a ratio"
NUMBERS = {
    "difference": Meaning("score of A over that of B, less 1: −0.04 = A is 4 % lower", "share", _OF_DIFFERENCE),
    "difference_low": Meaning("lower end of its 95 % interval over dataset families", "share", _TOO_FEW),
    "difference_high": Meaning("upper end; below 0: A is surely better", "share", _TOO_FEW),
    "nMASE_ratio": Meaning("`difference` + 1; with another metric its name stands in place of MASE", "ratio", _OF_DIFFERENCE),
    "nMASE_A": Meaning("nMASE of A over the tasks that both have", "ratio", "no such task has a score of the baseline"),
    "nMASE_B": Meaning("nMASE of B over the same tasks", "ratio", "as `nMASE_A`"),
    "wins": Meaning("tasks on which A has the lower score", "tasks"),
    "ties": Meaning("tasks on which the scores differ by less than a millionth", "tasks"),
    "losses": Meaning("tasks on which B has the lower score", "tasks"),
    "tasks": Meaning("tasks that both have", "tasks"),
    "families": Meaning("their dataset families", "families"),
    "effective_families": Meaning("how many families of one size would weigh as much", "families"),
    "undefined": Meaning("tasks whose scores have no ratio (zero or infinite); they still win or lose", "tasks"),
    "p_bootstrap": Meaning("two-sided p that the verdict rests on: bootstrap over families, Student's t below six", "0 to 1", _TOO_FEW),
    "p_wilcoxon": Meaning("two-sided p of Wilcoxon's signed ranks over families", "0 to 1", _OF_DIFFERENCE),
    "p_sign": Meaning("two-sided p of the sign test over families", "0 to 1", _OF_DIFFERENCE),
    "only_A": Meaning("tasks that A alone has, left out", "tasks"),
    "only_B": Meaning("tasks that B alone has, left out", "tasks"),
    "stale_A": Meaning("compared results of A that are stale", "tasks"),
    "stale_B": Meaning("compared results of B that are stale", "tasks"),
}
"""{name: what it means} of the "numbers" of `harness compare --json`, with MASE as the metric."""
