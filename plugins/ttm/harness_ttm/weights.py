"""Weights of a TinyTimeMixer on disk, as they are published: a folder with `config.json` and `model.safetensors`.

`load` takes a folder, or the file of weights with its `config.json` beside it. Pickles (`.bin`, `.pt`) are read with `weights_only=True`.
`save` writes a folder that `load`, and the reference implementation, read back. A file is first written whole under another name.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast, overload

import torch
from torch import Tensor, nn

from harness.errors import UsageError
from harness.files import expanded
from harness_ttm.config import TTMConfig, read_config
from harness_ttm.model import TTM

__all__ = ["check_size", "find", "load", "save"]

log = logging.getLogger("harness.ttm")
NAMES = ("model.safetensors", "pytorch_model.bin")
MOST_PARAMETERS = 10**9
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
Network = TypeVar("Network", bound=nn.Module)


@overload
def load(path: str | Path, **overrides: Any) -> tuple[TTM, TTMConfig]: ...
@overload
def load(path: str | Path, network: Callable[[TTMConfig], Network], **overrides: Any) -> tuple[Network, TTMConfig]: ...
def load(path: str | Path, network: Callable[[TTMConfig], nn.Module] = TTM, **overrides: Any) -> tuple[nn.Module, TTMConfig]:
    """Load a network, in evaluation mode.

    Args:
        path: the folder, or the file of weights.
        network: what is made of the configuration.
        overrides: options of the configuration that are changed, such as `prediction_filter_length=24` or `decoder_mode="mix_channel"`.
            Parts that they add begin untrained, which is logged; everything else must fit.

    Raises:
        UsageError: there are no weights, or they are broken, or do not fit their configuration.
    """
    file, config = find(expanded(path))
    tensors = _read(file)
    try:
        wanted = config.replaced(**overrides)
        check_size(wanted, network)
        model = network(wanted)
    except ValueError as error:
        raise UsageError(f"{file.parent / 'config.json'}: {error}") from None
    new = _compare(file, tensors, model, network, config if overrides else None)
    if new:
        log.warning("%s: %d tensors begin untrained, %s first", file, len(new), new[0])
    model.load_state_dict(tensors, strict=not new)
    return model.eval(), wanted


def check_size(config: TTMConfig, network: Callable[[TTMConfig], nn.Module]) -> None:
    """Refuse a network beyond `MOST_PARAMETERS`; nothing is allocated.

    Raises:
        ValueError: says how many it would have.
    """
    with torch.device("meta"):
        count = sum(p.numel() for p in network(config).parameters())
    if count > MOST_PARAMETERS:
        raise ValueError(f"the network would have {count:,} parameters; wanted at most {MOST_PARAMETERS:,}: smaller widths, fewer layers")


def save(model: nn.Module, folder: str | Path) -> None:
    """Write a network (its attribute `config`, its parameters) to a folder, which is made where it is missing."""
    from safetensors.torch import save as to_bytes

    folder = expanded(folder)
    config = cast(TTMConfig, model.config)
    kind: dict[str, Any] = {"model_type": "tinytimemixer"}
    if not config.season_fold:
        kind["architectures"] = ["TinyTimeMixerForPrediction"]
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.parent / f".{folder.name}.{os.getpid()}.part"
    part.mkdir()
    try:
        (part / NAMES[0]).write_bytes(to_bytes(tensors, metadata={"format": "pt"}))  # save_file leaves it unreadable for others
        (part / "config.json").write_text(json.dumps({**kind, **config.to_dict()}, indent=2) + "\n", encoding="utf-8")
        if not folder.exists():
            part.rename(folder)
        else:
            for name in (NAMES[0], "config.json"):
                (part / name).replace(folder / name)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def find(path: Path) -> tuple[Path, TTMConfig]:
    """The file of weights in a folder, or itself, and the configuration beside it.

    Raises:
        UsageError: one of them is not there; or the configuration is not that of a TinyTimeMixer.
    """
    if path.is_dir():
        found = [path / name for name in NAMES if (path / name).is_file()]
        if not found:
            inside = ", ".join(sorted(p.name for p in path.iterdir())[:8]) or "nothing"
            raise UsageError(f"there are no weights in {path}, which holds {inside}; wanted config.json and {NAMES[0]}")
        return found[0], read_config(path)
    if not path.is_file():
        raise UsageError(f"there is no {path}; wanted a folder with config.json and {NAMES[0]}, or the file of weights")
    if path.suffix not in (".safetensors", *PICKLES):
        raise UsageError(f"{path} is no file of weights; wanted .safetensors, {', '.join(PICKLES)}, with its config.json beside it")
    return path, read_config(path.parent)


def _read(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix in PICKLES:
            values = torch.load(file, map_location="cpu", weights_only=True)
            if isinstance(values, dict) and all(isinstance(v, Tensor) for v in values.values()):
                return values
            raise ValueError("it does not hold tensors by name")
        from safetensors.torch import load_file

        return load_file(file)
    except (MemoryError, ModuleNotFoundError):
        raise
    except Exception as error:  # each reader has its own
        said = " ".join(str(error).split())[:200]
        raise UsageError(f"{file} cannot be read ({file.stat().st_size} bytes; {said}); fetch it again") from None


def _compare(
    file: Path, tensors: Mapping[str, Tensor], model: nn.Module, network: Callable[[TTMConfig], nn.Module], before: TTMConfig | None
) -> list[str]:
    """Names that an override has added, `before` being the configuration without it. Raises for anything else that does not fit."""
    wanted = model.state_dict()
    missing = [name for name in wanted if name not in tensors]
    new: list[str] = []
    if missing and before is not None:
        with torch.device("meta"):
            old = network(before).state_dict()
        new = [name for name in missing if name not in old]
    wrong = [name for name in missing if name not in new]
    wrong += [name for name in tensors if name not in wanted]
    wrong += [name for name in wanted if name in tensors and tensors[name].shape != wanted[name].shape]
    for name in wanted:
        if name in tensors and tensors[name].is_floating_point() != wanted[name].is_floating_point():
            raise UsageError(f"{file}: {name} is {tensors[name].dtype}; wanted {wanted[name].dtype}")
        if name in tensors and not bool(torch.isfinite(tensors[name]).all()):
            raise UsageError(f"{file}: {name} holds values that are not finite; wanted weights of a training that came to a good end")
    if wrong:
        first = min(wrong, key=lambda name: (list(wanted).index(name) if name in wanted else len(wanted), name))
        got = list(tensors[first].shape) if first in tensors else "missing"
        want = list(wanted[first].shape) if first in wanted else "absent"
        more = f"; {len(wrong) - 1} others differ, too" if len(wrong) > 1 else ""
        raise UsageError(f"{file} does not fit its config.json: {first} is {got} in the file and {want} by the configuration{more}")
    return new
