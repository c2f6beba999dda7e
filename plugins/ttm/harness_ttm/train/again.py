"""A recorded training, done again: what `harness replay` compares with. Needs torch."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from harness import Unsupported
from harness.files import expanded
from harness.trained import TrainedModel
from harness_ttm.shipped import needs_torch

__all__ = ["retrain"]


def retrain(record: Mapping[str, Any], folder: Path) -> TrainedModel:
    """Train as a row of the table `trained` says, from its recipe, into a folder; one process, whatever it was then.

    Of several processes the numbers are the same but for the order of sums. Paths of real series are those of then.

    Raises:
        Unsupported: the record holds no recipe, or the training was forced on from another recipe; says which keys differed.
        UsageError: the recipe is none of this version, its series or device are not here.
        TrainingError: the training came to nothing.
        KeyboardInterrupt: it was interrupted.
    """
    needs_torch("training")
    import torch

    from harness_ttm.train import parallel
    from harness_ttm.train.checks import check
    from harness_ttm.train.loop import Trainer
    from harness_ttm.train.outcome import trained_model, write_outcome
    from harness_ttm.train.progress import make_progress
    from harness_ttm.train.reading import read
    from harness_ttm.train.recipe import Recipe

    environment = record["environment"]
    if not isinstance(environment.get("recipe"), Mapping):
        instead = f"; the recipe.yaml in {record['path']} does it: harness train ttm -C recipe.yaml -o again" if record["path"] else ""
        raise Unsupported(f"its record is of before recipes were recorded{instead}")
    if mixed := environment.get("mixed"):
        raise Unsupported(f"it went on (--resume) from checkpoints of another recipe, with other values of {', '.join(mixed)}")
    recipe = cast(Recipe, read(Recipe, environment["recipe"], ""))
    there = Path(str(environment.get("working_folder") or "."))
    real = tuple(replace(each, path=str(there / expanded(each.path))) for each in recipe.data.real)
    recipe = replace(recipe, log="csv", data=replace(recipe.data, real=real))
    check(recipe)
    _, _, device = parallel.join(str(environment.get("torch_device") or "cpu"))
    threads = torch.get_num_threads()
    progress = make_progress("auto")
    try:
        torch.set_num_threads(int(environment.get("threads") or threads))
        trainer = Trainer(recipe, folder, device, progress=progress)
        end = trainer.train()
        score = write_outcome(trainer, end)
        made = trained_model(trainer, score, shlex.split(str(environment.get("train", ""))))
        return replace(made, environment={**made.environment, "recipe": environment["recipe"]})  # as it was written
    finally:
        torch.set_num_threads(threads)
        progress.close()
