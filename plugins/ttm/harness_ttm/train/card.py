"""The model card of a training: what was trained, from what, how, how well, and how to do it again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness_ttm.synthetic import FAMILIES, VERSION, WEIGHTS
from harness_ttm.train.curve import Row
from harness_ttm.train.progress import lasting
from harness_ttm.train.recipe import Recipe

__all__ = ["card", "corpora_line"]


def card(
    name: str, recipe: Recipe, sizes: Mapping[str, int], course: Mapping[str, Any], corpora: Sequence[Mapping[str, Any]], score: Row | None
) -> str:
    """README.md of a folder of weights.

    Args:
        sizes: parameters of each part of the network.
        course: steps, seconds, skipped, end, device, cpu, cores, python, torch, numpy, harness, processes, commands.
        corpora: `Corpus.facts` of each real corpus.
        score: the validation's row of the weights; None where there was none.
    """
    parts = [
        "---\nlicense: apache-2.0\nlibrary_name: ts-harness\npipeline_tag: time-series-forecasting\n---",
        f"# {name}",
        _summary(recipe, sizes),
        f"    harness run -m ttm -M ttm:weights={name} -s quick",
        "## Sizes\n\n" + _sizes(recipe, sizes),
        "## Data\n\n" + _data(recipe, corpora),
        "## Training\n\n" + _training(recipe, course),
        "## Validation\n\n" + _validation(recipe, score),
        "## Again\n\n" + _again(course),
        "## Licence\n\n" + _licence(corpora),
    ]
    return "\n\n".join(parts) + "\n"


def _summary(recipe: Recipe, sizes: Mapping[str, int]) -> str:
    model = recipe.model
    data = "made and real series" if recipe.data.real else "made series alone"
    return (
        f"A season-fold TinyTimeMixer of {sum(sizes.values()):,} parameters, trained on {data}: quantile forecasts of one channel from"
        f" up to {model.history_length:,} steps of history, up to {model.max_horizon} steps ahead in one pass."
    )


def _sizes(recipe: Recipe, sizes: Mapping[str, int]) -> str:
    model = recipe.model
    rows = [
        ("context in detail, history for seasons", f"{model.context_length}, {model.history_length} steps"),
        ("patches", f"{model.num_patches} of {model.patch_length} steps"),
        ("width of backbone, decoder, head", f"{model.d_model}, {model.decoder_d_model}, {model.fold_width}"),
        ("quantile levels", ", ".join(f"{level:g}" for level in model.quantile_levels)),
        *((f"parameters of the {part}", f"{count:,}") for part, count in sizes.items()),
        ("parameters", f"{sum(sizes.values()):,}"),
    ]
    return _table(("what", "value"), rows)


def _data(recipe: Recipe, corpora: Sequence[Mapping[str, Any]]) -> str:
    data = recipe.data
    weights = WEIGHTS if data.weights is None else data.weights
    total = sum(weights.values())
    made = 1 - sum(float(facts["share"]) for facts in corpora)
    rows = [(f"`{name}`", f"{made * share / total:.1%}", FAMILIES[name].summary) for name, share in weights.items() if share > 0]
    text = (
        f"Series made by the generators of `harness_ttm.synthetic`, version {VERSION}, {data.length:,} steps long, seed {recipe.seed}.\n\n"
    )
    text += _table(("family", "share of windows", "what it makes"), rows)
    if corpora:
        known = [
            (facts["name"], f"{facts['share']:.1%}", f"{facts['series']:,}", f"{facts['observations']:,}", f"`{facts['sha256']}`")
            for facts in corpora
        ]
        text += "\n\nReal series, on which these weights are therefore not zero-shot:\n\n"
        text += _table(("corpus", "share of windows", "series", "observations", "sha256"), known)
        text += "".join(f"\n\nDatasets of {facts['name']}: {', '.join(facts['datasets'])}." for facts in corpora)
    else:
        text += "\n\nNo real series."
    return text


def _training(recipe: Recipe, course: Mapping[str, Any]) -> str:
    windows = course["steps"] * recipe.batch
    processes = "1 process" if course["processes"] == 1 else f"{course['processes']} processes"
    ends = {"done": "the last step", "early": "early, the validation having got no better"}
    rows = [
        ("steps, windows", f"{course['steps']:,} of {recipe.steps:,}, {windows:,}"),
        ("ended at", ends.get(course["end"], course["end"])),
        ("time", lasting(course["seconds"]) if course["seconds"] else "unknown"),
        ("windows per second", f"{windows / course['seconds']:,.0f}" if course["seconds"] else "unknown"),
        ("loss, optimiser, schedule", f"{recipe.loss.name}, {recipe.optimizer.name}, {recipe.schedule.name}"),
        ("peak learning rate, batch", f"{recipe.optimizer.learning_rate:g}, {recipe.batch}"),
        ("weights saved", _saved(recipe)),
        ("precision", recipe.precision + (", compiled" if recipe.compile else "")),
        ("steps skipped, gradients not finite", f"{course['skipped']:,}"),
        ("hardware", f"{course['device']}, {processes}, {course['cpu']}, {course['cores']} cores"),
        ("software", f"harness-ttm {course['harness']}, torch {course['torch']}, numpy {course['numpy']}, Python {course['python']}"),
    ]
    return _table(("what", "value"), rows) + "\n\nAll else is in `recipe.yaml`; the losses are in `curve.csv`."


def _saved(recipe: Recipe) -> str:
    average = f"moving average, {recipe.ema:g}"
    return f"{average}, of the best validation" if recipe.early_stopping else f"{average}, of the last step"


def _validation(recipe: Recipe, score: Row | None) -> str:
    if score is None:
        return "None was made."
    names = [name.removeprefix("val_") for name in score if name.startswith("val_") and not name.endswith("_ratio")]
    rows = [(f"`{name}`", f"{score[f'val_{name}']:.4f}", f"{score[f'val_{name}_ratio']:.4f}") for name in names]
    text = f"On {recipe.validation_windows:,} windows of each set at step {score['step']:,.0f}. Quantile loss of scaled values;"
    text += " the ratio is to that of repeating the last cycle of the found season. `mixture` is a seed of the training data kept apart;"
    text += " the others are families kept out of it."
    return f"{text}\n\n" + _table(("set", "quantile loss", "ratio to the last cycle"), rows)


def _again(course: Mapping[str, Any]) -> str:
    again = (
        "The batch of a step is a function of seed, shard and step, so the same versions on the same kind of machine give the same weights,"
    )
    again += " whether or not the training is interrupted.\n\n"
    return again + "\n".join(f"    {line}" for line in course["commands"])


def _licence(corpora: Sequence[Mapping[str, Any]]) -> str:
    text = "Weights, recipe and this card: Apache-2.0."
    return text + (" The real series keep the licences of their sources; look there before passing the weights on." if corpora else "")


def corpora_line(corpora: Iterable[Mapping[str, Any]]) -> str:
    """What was learnt from, in one line: for the registry of trained models."""
    real = [f"{facts['name']} {facts['share']:.0%} sha256 {str(facts['sha256'])[:16]}" for facts in corpora]
    return ", ".join([f"made series, generators version {VERSION}", *real])


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)])
