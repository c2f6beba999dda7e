"""The folder that a training leaves: weights, configuration, recipe, curve and model card; and its record among the trained models."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from harness.files import write_whole
from harness.identity import digest
from harness.receipt import machine
from harness.trained import TrainedModel
from harness_ttm.synthetic import VERSION
from harness_ttm.train.card import card, corpora_line
from harness_ttm.train.curve import SCORE, Row, best_of, picture, write_csv
from harness_ttm.train.loop import Trainer, TrainingError
from harness_ttm.train.recipe import Recipe
from harness_ttm.weights import save

__all__ = ["trained_model", "write_outcome", "write_recipe"]

ASIDE = ("log", "log_every", "keep", "checkpoint_every")
"""Keys of a recipe from which no weight follows: the configuration is the same without them. Real series count by their content."""


def write_recipe(folder: Path, recipe: Recipe) -> None:
    """recipe.yaml with all defaults spelt out."""
    import yaml

    head = "# A recipe of `harness train`, all values spelt out; docs/training.md says what they mean.\n"
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "recipe.yaml", head + yaml.safe_dump(recipe.to_dict(), sort_keys=False, default_flow_style=None, width=120))


def write_outcome(trainer: Trainer, end: str) -> dict[str, Any]:
    """Write config.json, model.safetensors, recipe.yaml, curve.csv, curve.png and README.md; return the numbers of the weights' validation.

    Args:
        end: what `Trainer.train` returned.
    """
    folder, recipe = trainer.folder, trainer.recipe
    model = trainer.averaged()
    row = next((row for row in reversed(trainer.curve) if SCORE in row), None)
    score = {k: v for k, v in row.items() if k == "step" or k.startswith("val_")} if row else None
    if recipe.early_stopping and best_of(trainer.curve) is not None:
        best = trainer.checkpoints.best(trainer.device)
        if best is None:
            wanted = "--fresh trains again; --set early_stopping=0 takes the last step's weights"
            raise TrainingError(f"the best weights, in {trainer.checkpoints.folder}, cannot be read, and none were written; {wanted}")
        model.load_state_dict(best["average"])
        score = {"step": best["step"], **best["scores"]}
    _check_good(model, trainer, score)
    save(model, folder)
    write_recipe(folder, recipe)
    write_csv(folder / "curve.csv", trainer.curve)
    image = picture(trainer.curve) if trainer.curve else None
    if image is not None:
        write_whole(folder / "curve.png", image)
    else:
        trainer.progress.message("no curve.png: it needs vl-convert; type: pip install 'ts-harness[page]'")
    corpora = [corpus.facts() for corpus in trainer.corpora]
    course = {
        "steps": trainer.step,
        "seconds": trainer.seconds,
        "skipped": trainer.skipped,
        "end": end,
        "processes": trainer.world,
        "device": _device(trainer.device),
        "commands": _commands(trainer.world),
        **_software(),
    }
    write_whole(folder / "README.md", card(folder.name, recipe, sizes(model), course, corpora, score))
    return score or {}


def _check_good(model: nn.Module, trainer: Trainer, score: Row | None) -> None:
    """Raise TrainingError where a training came to nothing: weights and folder then stay as they were."""
    rate = trainer.recipe.optimizer.learning_rate
    finite = all(bool(torch.isfinite(value).all()) for value in model.state_dict().values())
    lost = score is not None and not np.isfinite(score.get(SCORE, 0.0))
    if not finite or lost or 2 * trainer.skipped > trainer.step:
        why = f"{trainer.skipped} of {trainer.step} steps had gradients that are not finite" if finite else "the weights are not finite"
        raise TrainingError(
            f"the training diverged, and no weights were written: {why}. Try a lower peak, as in --fresh --set"
            f" optimizer.learning_rate={rate / 4:g} (now {rate:g})"
        )


def sizes(model: nn.Module) -> dict[str, int]:
    """Parameters of the network's parts."""
    return {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}


def _device(device: str) -> str:
    return "CPU" if device == "cpu" else torch.cuda.get_device_name(device)


def _software() -> dict[str, Any]:
    facts = machine()
    try:
        own = version("harness-ttm")
    except PackageNotFoundError:  # run from its folder
        own = "from source"
    return {
        "harness": own,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "cpu": facts["cpu"] or platform.machine(),
        "cores": os.cpu_count(),
    }


def _commands(world: int) -> Sequence[str]:
    start = f"torchrun --nproc-per-node {world} -m harness" if world > 1 else "harness"
    return [f"{start} train ttm -C recipe.yaml -o again"]


def trained_model(trainer: Trainer, score: Row, command: Sequence[str]) -> TrainedModel:
    """The record of a training for the table `trained`; with it `harness_ttm.train.again` does the training once more."""
    best = best_of(trainer.curve) or {}
    facts = [corpus.facts() for corpus in trainer.corpora]
    recipe = trainer.recipe.to_dict()
    decides = {key: value for key, value in recipe.items() if key not in ASIDE}
    decides["data"] = {key: value for key, value in recipe["data"].items() if key not in ("real", "workers")}
    return TrainedModel(
        model="ttm",
        path=trainer.folder.resolve(),
        mode="pretrain",
        budget=f"{trainer.step}steps",
        seed=trainer.recipe.seed,
        data=corpora_line(facts),
        configuration=digest({"recipe": decides, "made series": VERSION, "real series": facts}),
        metrics={
            "fit_s": trainer.seconds,
            "windows": trainer.step * trainer.recipe.batch,
            "best_step": best.get("step"),
            "loss": next((row["loss"] for row in reversed(trainer.curve) if "loss" in row), None),
            **{k: v for k, v in score.items() if k != "step"},
        },
        environment={
            "torch": torch.__version__,
            "device": _device(trainer.device),
            "torch_device": trainer.device,
            "threads": torch.get_num_threads(),
            "processes": trainer.world,
            "train": shlex.join(command),
            "working_folder": str(Path.cwd()),
            "mixed": list(trainer.mixed),
            "recipe": recipe,
        },
    )
