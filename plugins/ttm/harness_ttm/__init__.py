"""TinyTimeMixer: the model whose weights ship with this plugin, a blend of its views, the published releases, and `harness train`.

Registering imports neither torch nor onnxruntime.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness import ModelInfo, hookimpl

if TYPE_CHECKING:
    import click


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
