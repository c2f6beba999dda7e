"""TinyTimeMixer: the model whose weights ship with this plugin, a blend of its views, the published releases, and `harness train`.

Registering imports neither torch nor onnxruntime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import ModelInfo, hookimpl

if TYPE_CHECKING:
    import click

    from harness.trained import TrainedModel


@hookimpl
def register_models(register: Callable[[ModelInfo, Callable[..., Any]], None]) -> None:
    """Register `ttm`, `ttm-blend`, `ttm-r1` and `ttm-r2`."""
    from harness_ttm import cards

    for info, make in cards.models():
        register(info, make)


@hookimpl
def register_commands(cli: click.Group) -> None:
    """Add `harness train`."""
    from harness_ttm.train_command import train

    cli.add_command(train)


@hookimpl
def retrain(record: Mapping[str, Any], folder: Path) -> TrainedModel | None:
    """Do a training of `harness train ttm` again, as its record says."""
    if record["model_name"] != "ttm" or record["mode"] != "pretrain":
        return None
    from harness_ttm.train import again

    return again.retrain(record, folder)
