"""A training among the trained models, and done again from its record. Nothing heavy is imported before it trains."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import Unsupported
from harness.mappings import mapping
from harness.trained import TrainedModel
from harness_time_r1.settings import NAME as MODEL
from harness_time_r1.training.card import versions
from harness_time_r1.training.surroundings import PACKAGES

if TYPE_CHECKING:
    from harness_time_r1.grip.training import Report as GripReport
    from harness_time_r1.sft.settings import Report as SftReport

__all__ = ["MODES", "PLACES", "absolute", "retrain", "trained_model"]

MODES = ("sft", "grip")
"""The trainings; each has a module `record` with a function `again`."""
PLACES = ("weights", "adapter", "data")
"""What a training was given as a path."""


def absolute(path: str | Path | None) -> str:
    """A path from the root, so that a record can be used elsewhere; "" for none.

    >>> absolute(None), absolute(""), absolute("/a/b")
    ('', '', '/a/b')
    """
    return str(Path(path).expanduser().absolute()) if path else ""


def trained_model(
    mode: str,
    report: SftReport | GripReport,
    again: Mapping[str, Any],
    *,
    metrics: Mapping[str, Any],
    seed: int,
    data: str,
    command: Sequence[str] = (),
    params: Mapping[str, Any] | None = None,
    **more: Any,
) -> TrainedModel:
    """What `harness.trained.register` is given.

    Args:
        mode: one of `MODES`.
        again: all that the training was given, as plain JSON; paths from the root.
        metrics: numbers of the training.
        data: what was learnt from, in words and by its hash.
        command: the command line, for whoever reads the record.
        params: how the model is to be asked; the weights that factors are for are added.
        more: other fields of the record.
    """
    beside = {"weights": again["weights"]} if report.adapter and again["weights"] else {}
    return TrainedModel(
        model=MODEL,
        path=report.folder.absolute(),
        params={**(params or {}), **beside},
        mode=mode,
        parent=f"{MODEL}@{report.base}" if report.base else MODEL,
        budget=f"{report.steps}steps",
        seed=seed,
        data=data,
        configuration=report.configuration,
        metrics=metrics,
        environment={
            "command": shlex.join(command),
            "packages": versions(*PACKAGES),
            mode: {**again, "forced": list(report.forced)},
        },
        **more,
    )


def retrain(record: Mapping[str, Any], folder: Path) -> TrainedModel | None:
    """Do a training again, as its record says, into an empty folder; None for a record of another kind.

    Raises:
        Unsupported: it was gone on with other settings, or what it was given is not where it was.
    """
    mode = record["mode"]
    if record["model_name"] != MODEL or mode not in MODES:
        return None
    found = mapping(mapping(record["environment"]).get(mode, {}))
    if not found:
        raise Unsupported(f"the record does not say how it was trained: it has no {mode} in its environment")
    if found["forced"]:
        names = ", ".join(found["forced"])
        raise Unsupported(f"the training was gone on with other settings than it was begun with ({names}), which no record holds")
    for name in PLACES:
        if found[name] and not Path(found[name]).exists():
            raise Unsupported(f"the {name} of the training were in {found[name]}, where nothing is now; put them there again")
    made: TrainedModel = importlib.import_module(f"harness_time_r1.{mode}.record").again(found, folder)
    return made
