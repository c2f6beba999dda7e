"""Weights on disk: the published checkpoint, or `config.json` and `model.safetensors` as `save` writes them.

The names of the tensors are the published ones, with "model." before them, in both. A file is first written whole under another name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.errors import UsageError
from harness.mappings import read_object
from harness_lag_llama.checkpoint import read
from harness_lag_llama.lags import LAGS
from harness_lag_llama.network import CALENDAR, STATIC, Network, Shape

__all__ = ["load", "save"]

CHECKPOINT, TENSORS, CONFIG = "lag-llama.ckpt", "model.safetensors", "config.json"
PREFIX = "model."
KIND = "lag-llama"
MOST_PARAMETERS = 10**9
WIDTHS = {144: 9}  # width of the published network, and its heads


def load(path: Path) -> Network:
    """The network in a file or folder, in evaluation mode.

    Args:
        path: a folder with lag-llama.ckpt, or with config.json and model.safetensors; or one of these files.

    Raises:
        UsageError: there are no weights, or they are broken, or of another kind of network.
    """
    file = _find(path)
    if file.suffix == ".ckpt":
        found = read(file)
        tensors, shape = _from_checkpoint(file, found)
    else:
        shape = _config(file.with_name(CONFIG))
        tensors = _safetensors(file)
    network = _empty(file, shape)
    _compare(file, tensors, network)
    # Memory of torch's own: the bits of a product can depend on where its factors begin.
    network.load_state_dict({name: value.clone() for name, value in tensors.items()}, assign=True)
    return network.eval()


def save(network: Network, folder: Path) -> None:
    """Write config.json and model.safetensors into a folder, which is made where it is missing."""
    from safetensors.torch import save as to_bytes

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {PREFIX + name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    config = {"model_type": KIND, "scaling": "robust", "distribution": "student_t", **asdict(network.shape)}
    for name, content in ((TENSORS, to_bytes(tensors, {"format": "pt"})), (CONFIG, (json.dumps(config, indent=2) + "\n").encode())):
        part = folder / f".{name}.part"
        part.write_bytes(content)
        part.replace(folder / name)


def _find(path: Path) -> Path:
    """The file of weights."""
    if path.is_dir():
        there = sorted(p for p in path.iterdir() if p.is_file())
        checkpoints = [p for p in there if p.suffix == ".ckpt"]
        named = [p for p in there if p.name in (CHECKPOINT, TENSORS)]
        chosen = [path / TENSORS] if path / TENSORS in named and path / CONFIG in there else named[:1] or checkpoints
        if len(chosen) != 1:
            inside = ", ".join(p.name for p in there[:8]) or "nothing"
            raise UsageError(f"lag-llama: {path} holds {inside}; wanted {CHECKPOINT}, or {CONFIG} and {TENSORS}; or name the file")
        return _find(chosen[0])
    if path.suffix not in (".ckpt", ".safetensors"):
        raise UsageError(f"lag-llama: {path} is no file of weights; wanted a .ckpt, or a .safetensors with its {CONFIG} beside it")
    return path


def _from_checkpoint(file: Path, found: Mapping[str, Any]) -> tuple[dict[str, Tensor], Shape]:
    """Tensors and sizes. Sizes are those of the tensors; the settings say only how many heads there are, and which lags."""
    state = found.get("state_dict")
    if not isinstance(state, dict) or not all(isinstance(v, np.ndarray) for v in state.values()):
        raise UsageError(f"lag-llama: {file} has no state_dict of tensors; it holds {', '.join(list(found)[:8]) or 'nothing'}")
    # Tables of rotary positions, which versions of torch and of the original kept beside the weights, are computed here.
    tensors = {k.removeprefix(PREFIX): torch.from_numpy(v) for k, v in state.items() if ".rotary_emb." not in k}
    first = tensors.get("transformer.wte.weight")
    if first is None or first.ndim != 2:
        raise UsageError(f"lag-llama: {file} has no {PREFIX}transformer.wte.weight; it is not a checkpoint of Lag-Llama")
    settings = found.get("hyper_parameters")
    said = settings.get("model_kwargs") if isinstance(settings, dict) else None
    said = said if isinstance(said, dict) else {}
    for name, wanted in (("scaling", "robust"), ("time_feat", True), ("input_size", 1)):
        if name in said and said[name] != wanted:
            raise UsageError(f"lag-llama: {file} was trained with {name}={said[name]!r}; wanted {wanted!r}, as the published one")
    width, layers = first.shape[0], len({name.split(".")[2] for name in tensors if name.startswith("transformer.h.")})
    heads = said.get("n_head", WIDTHS.get(width))
    lags = said.get("lags_seq", LAGS)
    context = said.get("context_length", Shape.context)
    listed = isinstance(lags, list | tuple) and all(isinstance(x, int) for x in lags)
    if not isinstance(heads, int) or heads < 1 or width % heads or not listed or not isinstance(context, int):
        raise UsageError(
            f"lag-llama: {file} does not say how many heads its width of {width} has, or which lags; wanted them in model_kwargs"
        )
    made = {"layers": layers, "heads": heads, "head_width": width // heads, "lags": list(lags), "context": context}
    return tensors, _shape(file, made)


def _config(file: Path) -> Shape:
    """The sizes in config.json."""
    found = read_object(file, "lag-llama", "it beside the weights, as save() writes it")
    if found.get("model_type") != KIND:
        raise UsageError(f"lag-llama: {file} is not the configuration of a Lag-Llama; wanted model_type {KIND!r}")
    for name, wanted in (("scaling", "robust"), ("distribution", "student_t")):
        if found.get(name) != wanted:
            raise UsageError(f"lag-llama: {file} has {name} {found.get(name)!r}; wanted {wanted!r}")
    return _shape(file, {f.name: found.get(f.name) for f in fields(Shape)})


def _shape(file: Path, found: Mapping[str, Any]) -> Shape:
    """The same as a `Shape`, once its numbers make sense."""
    lags = found["lags"]
    sizes = {name: value for name, value in found.items() if name != "lags"}
    whole = all(type(x) is int and 0 < x <= 4096 for x in sizes.values())
    rising = isinstance(lags, list) and lags and all(type(x) is int and 0 <= x <= 10_000 for x in lags) and sorted(set(lags)) == lags
    if not whole or not rising or found["head_width"] % 2:
        raise UsageError(f"lag-llama: {file} has sizes {sizes}; wanted whole numbers of at least 1, an even head_width, and lags that rise")
    return Shape(**sizes, lags=tuple(lags))


def _empty(file: Path, shape: Shape) -> Network:
    """The network without memory for its weights."""
    with torch.device("meta"):
        per_layer = shape.width * (4 * shape.width + 3 * shape.hidden)
        if shape.layers * per_layer > MOST_PARAMETERS:
            raise UsageError(f"lag-llama: {file} describes a network of more than {MOST_PARAMETERS:,} parameters")
        return Network(shape)


def _safetensors(file: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    try:
        return {name.removeprefix(PREFIX): value.float() for name, value in load_file(file).items()}
    except MemoryError:
        raise
    except Exception as error:  # safetensors has its own kinds
        raise UsageError(f"lag-llama: {file} cannot be read ({' '.join(str(error).split())[:200]}); fetch it again") from None


def _compare(file: Path, tensors: dict[str, Tensor], network: Network) -> None:
    """Refuse weights that do not fit, or are no numbers."""
    wanted = network.state_dict()
    for name in [*wanted, *tensors]:
        got = list(tensors[name].shape) if name in tensors else "missing"
        want = list(wanted[name].shape) if name in wanted else "absent"
        if got != want:
            more = f" ({len(network.shape.lags)} lags, {STATIC} of scaling, {CALENDAR} of time)" if "wte" in name else ""
            raise UsageError(f"lag-llama: {file} does not fit: {PREFIX}{name} is {got}, wanted {want}{more}")
        if not tensors[name].is_floating_point() or not bool(torch.isfinite(tensors[name]).all()):
            raise UsageError(f"lag-llama: {file}: {PREFIX}{name} holds values that are not finite numbers; fetch it again")
