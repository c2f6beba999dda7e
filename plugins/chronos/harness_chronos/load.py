"""A pipeline of the library from a folder on this machine. Imports chronos, torch and transformers.

A folder holds `config.json`, which names the class of the pipeline, and `model.safetensors` (or several, and an index of them). It is read
by the library itself, under its absolute path, so that it is never taken for the name of a repository. What the library would do silently
is refused: to follow the name of a base model in `adapter_config.json`, to run code that `config.json` names, to read a pickle, to put
random numbers in the place of missing tensors.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from chronos import BaseChronosPipeline
from safetensors import safe_open
from transformers.utils import logging as transformers_logging

from harness import UsageError
from harness.mappings import read_object
from harness.parameters import check_device, check_gpu
from harness.weights import weights_folder

__all__ = ["DTYPES", "KINDS", "kind_of", "load", "quiet"]

KINDS = {"ChronosPipeline": "Chronos (T5)", "ChronosBoltPipeline": "Chronos-Bolt", "Chronos2Pipeline": "Chronos-2"}
"""The library's pipelines, and what they are called."""
DTYPES = ("float32", "bfloat16")


def load(weights: str, source: str, model: str, wanted: tuple[str, ...], device: str, dtype: str) -> Any:
    """The pipeline of a folder, in evaluation mode.

    Args:
        weights: a folder, or a file in it; "" = the published weights, where they have been fetched.
        source: `ModelInfo.weights`.
        model: the model's name, for what is said.
        wanted: names of pipelines that will do.
        device: cpu, cuda, cuda:1.
        dtype: what the network computes in.

    Raises:
        Unavailable: there is no such folder, or the published weights have not been fetched.
        UsageError: it does not hold such a network, or a parameter makes no sense.
    """
    if dtype not in DTYPES:
        raise UsageError(f"{model}: dtype got {dtype!r}; wanted {' or '.join(DTYPES)}")
    check_gpu(model, check_device(model, device))
    if not isinstance(weights, str):
        raise UsageError(f"{model}: weights got {weights!r}; wanted the path of a folder")
    path = weights_folder(weights, source=source, model=model).absolute()
    if path.is_file() and path.name != "model.safetensors":
        raise UsageError(f"{model}: weights got the file {path}; wanted the folder that holds config.json and model.safetensors")
    folder = path.parent if path.is_file() else path
    found = kind_of(folder, model)
    if found not in wanted:
        said = " or ".join(KINDS[name] for name in wanted)
        raise UsageError(f"{model}: {folder} holds a {KINDS[found]}; wanted a {said}. For any of them: -M chronos:weights={folder}")
    try:
        with quiet(), torch.random.fork_rng(devices=_cuda(device)):
            pipeline = BaseChronosPipeline.from_pretrained(
                str(folder), device_map=device, dtype=getattr(torch, dtype), local_files_only=True
            )
    except (MemoryError, ModuleNotFoundError):
        raise
    except Exception as error:  # the library, transformers and safetensors have their own
        said = " ".join(str(error).split())[:300]
        raise UsageError(f"{model}: the weights in {folder} cannot be used: {type(error).__name__}: {said}") from error
    _check_tensors(pipeline.inner_model, folder, model)
    pipeline.inner_model.eval()
    return pipeline


def kind_of(folder: Path, model: str) -> str:
    """The name of the pipeline that a folder's `config.json` asks for, one of `KINDS`.

    Raises:
        UsageError: the folder is no Chronos, or must not be loaded.
    """
    wanted = "wanted a folder with config.json and model.safetensors, as published or as saved by the library"
    if (folder / "adapter_config.json").exists():
        raise UsageError(
            f"{model}: {folder} holds adapter_config.json: factors beside weights that lie elsewhere, and are looked for on the hub; "
            f"wanted merged weights: load it once by the library with its base model at hand, and save_pretrained the merged model"
        )
    # Where the library finds neither of these two, it goes on to look for a pickle.
    named = any((folder / name).is_file() for name in ("model.safetensors", "model.safetensors.index.json"))
    if not (folder / "config.json").is_file() or not named:
        inside = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) or "nothing"
        raise UsageError(f"{model}: {folder} holds {inside}; {wanted}")
    config = read_object(folder / "config.json", model, wanted.removeprefix("wanted "))
    if not isinstance(config.get("chronos_config"), dict):
        raise UsageError(f"{model}: {folder / 'config.json'} has no chronos_config: it is no Chronos; {wanted}")
    if "auto_map" in config:
        raise UsageError(f"{model}: {folder / 'config.json'} names code to be run (auto_map), and none is; take that entry out")
    name = config.get("chronos_pipeline_class", "ChronosPipeline")  # the first checkpoints did not say it
    if name not in KINDS:
        raise UsageError(
            f"{model}: {folder / 'config.json'} asks for the pipeline {name!r}; wanted one of {', '.join(KINDS)}. A newer one may need: "
            f"pip install -U chronos-forecasting"
        )
    return str(name)


def _cuda(device: str) -> list[torch.device]:
    return [torch.device(device)] if device.startswith("cuda") else []


def _check_tensors(network: Any, folder: Path, model: str) -> None:
    """Every tensor of the network was in the file, and the other way round."""
    stored: set[str] = set()
    for file in folder.glob("model*.safetensors"):
        with safe_open(file, framework="pt") as tensors:
            stored |= set(tensors.keys())
    state = network.state_dict()
    # A tensor that is tied to another one is stored once.
    there = {tensor.data_ptr() for name, tensor in state.items() if name in stored}
    missing = [name for name, tensor in state.items() if name not in stored and tensor.data_ptr() not in there]
    unused = getattr(network, "_keys_to_ignore_on_load_unexpected", None) or ()
    strange = sorted(name for name in stored - set(state) if not any(re.search(pattern, name) for pattern in unused))
    for names, what in ((missing, "are missing in"), (strange, "have no place in the network of config.json beside")):
        if names:
            raise UsageError(
                f"{model}: the weights in {folder} cannot be used: {len(names)} tensors {what} model.safetensors, {names[0]} first; "
                "fetch or save them again"
            )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No progress bars of transformers while this lasts: they would fill a cell's log."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
